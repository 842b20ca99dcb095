#!/bin/sh
# NumPy 2.4.6 and JAX 0.10.2 on Linux: new memory of 64 MiB, as a gradient of 512 x 32000 needs it.
#
# Expected: the same memory from the C library, so a result is written as fast into an array of either.
# Found:    NumPy asks the system for huge pages (madvise) of arrays from 4 MiB on, JAX does not. Where the system gives them
#           only to those who ask, which many distributions have as their default, new memory of NumPy is filled several
#           times faster. (PyTorch 2.15.0 does not ask either; THP_MEM_ALLOC_ENABLE=1 in its environment makes it ask.)
# xent:     xent.torch and xent.jax ask for the memory of large gradients.
#
# Exits 0 while this is true, 1 once it has changed. Installs into a temporary folder.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet numpy==2.4.6 jax==0.10.2 jaxlib==0.10.2
cd "$folder"
JAX_PLATFORMS=cpu "$folder/venv/bin/python" - <<'PY'
import re

import jax.numpy as jnp
import numpy as np


def asks(address):
    """Whether huge pages were asked for, for the memory at this address."""
    inside = False
    for line in open("/proc/self/smaps"):
        if bounds := re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line):
            inside = int(bounds[1], 16) <= address < int(bounds[2], 16)
        elif inside and line.startswith("VmFlags:"):
            return "hg" in line.split()
    raise AssertionError("no such memory")


size, middle = 1 << 24, 1 << 25
of_numpy, zeros = np.empty(size, np.float32), np.zeros(size, np.float32)
of_jax = jnp.zeros(size, jnp.float32).block_until_ready()
found = [asks(address + middle) for address in (of_numpy.ctypes.data, zeros.ctypes.data, of_jax.unsafe_buffer_pointer())]
print("numpy.empty, numpy.zeros, jax.numpy.zeros:", found)
assert found == [True, True, False], "it has changed"
PY
