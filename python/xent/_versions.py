"""What a report of a problem should say."""

from __future__ import annotations

import platform
import sys
from importlib import metadata

from xent import _xent

_PACKAGES = ("numpy", "ml_dtypes", "torch", "jax", "jaxlib", "xgboost", "lightgbm", "catboost", "scikit-learn")


def show_versions() -> None:
    """Prints the versions of everything that matters: put it into a report of a problem.

    >>> import xent
    >>> xent.show_versions()  # doctest: +ELLIPSIS
    xent ...
    """
    print(f"xent {_xent.VERSION}: {', '.join(_xent.levels())}; {_xent.get_num_threads()} threads")
    print(f"python {platform.python_version()} ({sys.implementation.name}), {platform.platform()}")
    for name in _PACKAGES:
        try:
            print(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            print(f"{name}: not installed")
