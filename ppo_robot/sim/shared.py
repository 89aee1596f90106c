"""Arrays that learner and workers share: one anonymous block of memory that vanishes with its last process."""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Layout = Mapping[str, tuple[str, tuple[int, ...]]]
"""Array name to (dtype, shape)."""

_ALIGNMENT = 64


class SharedArrays:
    """Named numpy arrays in one block of shared memory.

    The block is a file without a name, so that nothing is left in /dev/shm however the processes end.
    """

    def __init__(self, layout: Layout, descriptor: int | None = None) -> None:
        """Create the block, or open the one behind a file descriptor inherited from the process that created it."""
        offsets, size = {}, 0
        for name, (dtype, shape) in layout.items():
            offsets[name] = size
            length = np.dtype(dtype).itemsize * int(np.prod(shape))
            size += -(-length // _ALIGNMENT) * _ALIGNMENT
        self.layout = dict(layout)
        self.descriptor = _anonymous_file(size) if descriptor is None else descriptor
        memory = mmap.mmap(self.descriptor, size)  # kept by the arrays alone
        self.arrays: dict[str, NDArray] = {
            name: np.ndarray(shape, dtype, buffer=memory, offset=offsets[name])
            for name, (dtype, shape) in layout.items()
        }

    def __getitem__(self, name: str) -> NDArray:
        """Return the array of that name; writing to it is seen by every process."""
        return self.arrays[name]

    def close(self) -> None:
        """Give back the file; the memory goes with the last array that looks at it."""
        self.arrays.clear()
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def _anonymous_file(size: int) -> int:
    folder = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - unlinked at once
    descriptor, path = tempfile.mkstemp(dir=folder)
    os.unlink(path)
    os.ftruncate(descriptor, max(size, 1))
    return descriptor
