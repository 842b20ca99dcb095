"""Converts whatever has numbers to arrays of NumPy."""

from __future__ import annotations

import ctypes
import mmap
from typing import Any

import numpy as np

#: New memory of this many bytes comes from the system each time: the C library keeps nothing as large.
LARGE = 1 << 25


def ask_for_huge_pages(address: int, size: int) -> None:
    """Asks for huge pages for new memory, which is then filled several times faster.

    NumPy asks for them itself; PyTorch and JAX do not. It is advice: where there are none, nothing happens.
    """
    advice = getattr(mmap, "MADV_HUGEPAGE", None)
    if advice is None:
        return
    # Whole pages only: what is next to the memory is others'.
    start, end = -(-address // mmap.PAGESIZE) * mmap.PAGESIZE, (address + size) // mmap.PAGESIZE * mmap.PAGESIZE
    madvise = ctypes.CDLL(None).madvise
    madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), advice)


def to_numpy(given: Any, argument: str) -> np.ndarray:
    """An array that is aligned, in native byte order and without an axis that goes backwards.

    The memory is shared where that is possible: by DLPack, by NumPy's interface, or through a view of a tensor.
    """
    if isinstance(given, np.ma.MaskedArray):
        raise TypeError(f"{argument}: a masked array would lose its mask: give its rows a sample weight of 0, or fill it")
    array = given if isinstance(given, np.ndarray) else _named(given, argument)
    # Not a subclass, whatever the object returned.
    array = np.asarray(array)
    is_plain = array.flags.aligned and array.dtype.isnative and all(stride >= 0 for stride in array.strides)
    return array if is_plain else np.array(array, dtype=array.dtype.newbyteorder("="), order="C")


def to_output(given: Any, argument: str) -> np.ndarray:
    """The memory of a subclass of NumPy's array, such as a memory map, to be written."""
    if not isinstance(given, np.ndarray) or isinstance(given, np.ma.MaskedArray):
        raise TypeError(f"{argument}: expected a NumPy array to write to, found {type(given).__name__}")
    return np.asarray(given)


def _named(given: Any, argument: str) -> np.ndarray:
    """The numbers of some other object, or an error that names the argument."""
    try:
        array = _of_others(given)
    except MemoryError:
        raise
    except ValueError as error:
        raise ValueError(f"{argument}: {error}") from error
    except Exception as error:
        raise TypeError(f"{argument}: no array can be made of {type(given).__name__}: {error}") from error
    if array.dtype.hasobject:
        raise TypeError(f"{argument}: expected numbers, found {type(given).__name__}")
    return array


def _of_others(given: Any) -> np.ndarray:
    if _is_bfloat16(given):
        # NumPy has no bfloat16, and PyTorch gives none of it away.
        import ml_dtypes
        import torch

        return given.detach().cpu().view(torch.uint16).numpy().view(ml_dtypes.bfloat16)
    if getattr(given, "requires_grad", False):
        given = given.detach()
    if hasattr(given, "__dlpack__") and not hasattr(given, "__array__"):
        return np.from_dlpack(given)
    return np.asarray(given)


def _is_bfloat16(given: Any) -> bool:
    return type(given).__module__.partition(".")[0] == "torch" and str(getattr(given, "dtype", "")) == "torch.bfloat16"
