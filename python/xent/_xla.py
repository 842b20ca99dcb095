"""Functions of Python as custom calls of XLA on the CPU, which read and write its buffers where they are.

The structures are those of ``xla/ffi/api/c_api.h``, version 0.3, which jaxlib ships; XLA promises to take a version for a year at
least. ``jax.pure_callback``, for comparison, copies what a function reads and what it returns.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np

from xent._arrays import LARGE, ask_for_huge_pages

_VERSION = (0, 3)
#: Of an extension: the runtime asks what the function was compiled for, and does not call it.
_METADATA = 1
_INVALID_ARGUMENT, _UNKNOWN = 3, 2
#: The numbers that XLA has for types.
_DTYPES = {
    1: np.dtype(np.bool_),
    2: np.dtype(np.int8),
    3: np.dtype(np.int16),
    4: np.dtype(np.int32),
    5: np.dtype(np.int64),
    6: np.dtype(np.uint8),
    7: np.dtype(np.uint16),
    8: np.dtype(np.uint32),
    9: np.dtype(np.uint64),
    10: np.dtype(np.float16),
    11: np.dtype(np.float32),
    12: np.dtype(np.float64),
    16: np.dtype(ml_dtypes.bfloat16),
}


class _Extension(ctypes.Structure):
    pass


_Extension._fields_ = [("struct_size", ctypes.c_size_t), ("type", ctypes.c_int), ("next", ctypes.POINTER(_Extension))]


class _Version(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_size_t),
        ("extension", ctypes.c_void_p),
        ("major", ctypes.c_int),
        ("minor", ctypes.c_int),
    ]


class _Metadata(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_size_t), ("version", _Version), ("traits", ctypes.c_uint32)]


class _MetadataExtension(ctypes.Structure):
    _fields_ = [("base", _Extension), ("metadata", ctypes.POINTER(_Metadata))]


class _Buffer(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_size_t),
        ("extension", ctypes.c_void_p),
        ("dtype", ctypes.c_int),
        ("data", ctypes.c_void_p),
        ("rank", ctypes.c_int64),
        ("dims", ctypes.POINTER(ctypes.c_int64)),
    ]


class _Buffers(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_size_t),
        ("extension", ctypes.c_void_p),
        ("size", ctypes.c_int64),
        ("types", ctypes.c_void_p),
        ("buffers", ctypes.POINTER(ctypes.POINTER(_Buffer))),
    ]


class _ErrorArguments(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_size_t),
        ("extension", ctypes.c_void_p),
        ("message", ctypes.c_char_p),
        ("code", ctypes.c_int),
    ]


class _Api(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_size_t),
        ("extension", ctypes.c_void_p),
        ("version", _Version),
        ("internal", ctypes.c_void_p),
        ("create_error", ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.POINTER(_ErrorArguments))),
    ]


class _Frame(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_size_t),
        ("extension", ctypes.POINTER(_Extension)),
        ("api", ctypes.POINTER(_Api)),
        ("context", ctypes.c_void_p),
        ("stage", ctypes.c_int),
        ("arguments", _Buffers),
        ("results", _Buffers),
    ]


class _Memory:
    """Memory with the interface of NumPy's arrays."""

    def __init__(self, data: tuple[int, bool], shape: tuple[int, ...], size: int) -> None:
        # Of unsigned integers of that size: NumPy knows no name for bfloat16.
        self.__array_interface__ = {"version": 3, "typestr": f"|u{size}", "shape": shape, "data": data}


def _array(buffer: _Buffer, read_only: bool) -> np.ndarray:
    dtype = _DTYPES.get(buffer.dtype)
    if dtype is None:
        raise TypeError(f"numbers of XLA's type {buffer.dtype}")
    shape = tuple(buffer.dims[axis] for axis in range(buffer.rank))
    if 0 in shape:
        return np.empty(shape, dtype)
    size = math.prod(shape) * dtype.itemsize
    if not read_only and size >= LARGE:
        ask_for_huge_pages(buffer.data, size)
    return np.asarray(_Memory((buffer.data, read_only), shape, dtype.itemsize)).view(dtype)


_Handler = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.POINTER(_Frame))
#: A handler lives as long as the programs that call it, which may be as long as the process.
_HANDLERS: dict[str, Any] = {}


def _handler(function: Callable[[list[np.ndarray], list[np.ndarray]], None]) -> Any:
    def handle(pointer: Any) -> int | None:
        frame = pointer.contents
        if frame.extension and frame.extension.contents.type == _METADATA:
            extension = ctypes.cast(frame.extension, ctypes.POINTER(_MetadataExtension))
            metadata = extension.contents.metadata.contents
            metadata.version.major, metadata.version.minor = _VERSION
            metadata.traits = 0
            return None
        try:
            given, results = frame.arguments, frame.results
            function(
                [_array(given.buffers[at].contents, True) for at in range(given.size)],
                [_array(results.buffers[at].contents, False) for at in range(results.size)],
            )
        except BaseException as error:  # None may leave a function that C calls.
            code = _INVALID_ARGUMENT if isinstance(error, (TypeError, ValueError)) else _UNKNOWN
            message = str(error) if code == _INVALID_ARGUMENT else f"{type(error).__name__}: {error}"
            arguments = _ErrorArguments(ctypes.sizeof(_ErrorArguments), None, message.encode(), code)
            return frame.api.contents.create_error(ctypes.byref(arguments))
        return None

    return _Handler(handle)


def register(name: str, function: Callable[[list[np.ndarray], list[np.ndarray]], None]) -> bool:
    """Makes a function of arguments and results a custom call of this name; whether this version of JAX takes it.

    The name says all about the function: a compiled program that JAX keeps on a disk has nothing else of it.
    """
    if name in _HANDLERS:
        return True
    import jax

    handler = _handler(function)
    make = ctypes.pythonapi.PyCapsule_New
    make.restype, make.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    try:
        capsule = make(ctypes.cast(handler, ctypes.c_void_p), None, None)
        jax.ffi.register_ffi_target(name, capsule, platform="cpu")
    except Exception:
        # An older JAX without this interface, or a newer one that has left this version of it.
        return False
    _HANDLERS[name] = handler
    return True
