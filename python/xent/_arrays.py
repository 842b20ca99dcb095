"""Whatever has numbers as an array of NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np


def to_numpy(given: Any, argument: str) -> np.ndarray:
    """An array that is aligned, in native byte order and without an axis that goes backwards.

    The memory is shared where that is possible: by DLPack, by NumPy's interface, or through a view of a tensor.
    """
    if isinstance(given, np.ma.MaskedArray):
        raise TypeError(f"{argument}: a masked array would lose its mask: give its rows a sample weight of 0, or fill it")
    array = given if isinstance(given, np.ndarray) else _of_others(given, argument)
    if type(array) is not np.ndarray:
        array = np.asarray(array)
    is_plain = array.flags.aligned and array.dtype.isnative and all(stride >= 0 for stride in array.strides)
    return array if is_plain else np.array(array, dtype=array.dtype.newbyteorder("="), order="C")


def _of_others(given: Any, argument: str) -> np.ndarray:
    if _is_bfloat16(given):
        # NumPy has no bfloat16, and PyTorch gives none of it away.
        import ml_dtypes
        import torch

        return given.detach().cpu().view(torch.uint16).numpy().view(ml_dtypes.bfloat16)
    if getattr(given, "requires_grad", False):
        given = given.detach()
    if hasattr(given, "__dlpack__") and not hasattr(given, "__array__"):
        return np.from_dlpack(given)
    array = np.asarray(given)
    if array.dtype.hasobject:
        raise TypeError(f"{argument}: expected numbers, found {type(given).__name__}")
    return array


def _is_bfloat16(given: Any) -> bool:
    return type(given).__module__.partition(".")[0] == "torch" and str(getattr(given, "dtype", "")) == "torch.bfloat16"
