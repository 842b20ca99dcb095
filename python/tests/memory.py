"""What the system says of memory."""

from __future__ import annotations

import pathlib
import re

import pytest

needs_huge_pages = pytest.mark.skipif(
    not pathlib.Path("/sys/kernel/mm/transparent_hugepage").exists(), reason="a system with huge pages"
)


def asks_for_huge_pages(address: int) -> bool:
    """Whether somebody has asked for huge pages for the memory at this address."""
    inside = False
    for line in pathlib.Path("/proc/self/smaps").read_text().splitlines():
        if bounds := re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line):
            inside = int(bounds[1], 16) <= address < int(bounds[2], 16)
        elif inside and line.startswith("VmFlags:"):
            return "hg" in line.split()
    raise AssertionError(f"no memory at {address:x}")
