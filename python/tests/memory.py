"""What the system says of memory."""

from __future__ import annotations

import ctypes
import mmap
import pathlib
import re

import pytest


def asks_for_huge_pages(address: int) -> bool:
    """Whether somebody has asked for huge pages for the memory at this address."""
    inside = False
    for line in pathlib.Path("/proc/self/smaps").read_text().splitlines():
        if bounds := re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line):
            inside = int(bounds[1], 16) <= address < int(bounds[2], 16)
        elif inside and line.startswith("VmFlags:"):
            return "hg" in line.split()
    raise AssertionError(f"no memory at {address:x}")


def _is_heard() -> bool:
    """Whether the system notes who asks: an emulated one does not."""
    if not hasattr(mmap, "MADV_HUGEPAGE"):
        return False
    memory = mmap.mmap(-1, mmap.PAGESIZE)
    try:
        memory.madvise(mmap.MADV_HUGEPAGE)
    except OSError:
        return False
    return asks_for_huge_pages(ctypes.addressof(ctypes.c_char.from_buffer(memory)))


needs_huge_pages = pytest.mark.skipif(not _is_heard(), reason="a system with huge pages")
