"""Keeps the physics engine's chatter off the terminal, where results and errors belong."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator

_STDOUT, _STDERR = 1, 2


@contextlib.contextmanager
def quiet(*descriptors: int) -> Iterator[None]:
    """Send what C code writes to these file descriptors to nowhere; what was printed before still comes out.

    C's own buffer must be emptied on both sides: it would otherwise be written after the descriptor is back.
    """
    library = ctypes.CDLL(None)
    sys.stdout.flush()
    sys.stderr.flush()
    library.fflush(None)
    saved = [os.dup(descriptor) for descriptor in descriptors]
    with open(os.devnull, "w") as nowhere:
        for descriptor in descriptors:
            os.dup2(nowhere.fileno(), descriptor)
    try:
        yield
    finally:
        library.fflush(None)
        for descriptor, copy in zip(descriptors, saved, strict=True):
            os.dup2(copy, descriptor)
            os.close(copy)


def quiet_stdout() -> contextlib.AbstractContextManager[None]:
    """Silence standard output alone: PyBullet lists there every link that it loads, and warns on standard error."""
    return quiet(_STDOUT)


with quiet(_STDOUT, _STDERR):
    import pybullet  # prints its build time when it is first imported

__all__ = ["pybullet", "quiet", "quiet_stdout"]
