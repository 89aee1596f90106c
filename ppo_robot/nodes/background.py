"""Processes that a command starts beside itself and ends again: INT, TERM, KILL, in that order."""

from __future__ import annotations

import contextlib
import ctypes
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence

from ppo_robot.errors import RunFailedError

PATIENCE = 20.0
"""s that a process has after a signal before it is sent the next; a deployment ends its own processes meanwhile."""

PR_SET_PDEATHSIG = 1
"""Of Linux's prctl(2)."""

_LIBRARY = ctypes.CDLL(None)


def end_with_parent() -> None:
    """Have the kernel tell this process to end when the one that started it is no more, however that ended.

    For `preexec_fn`: a command that is terminated or killed must not leave a robot running.
    """
    _LIBRARY.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Deployment:
    """A running `ppo-robot up deploy`, whose output is kept for who wants to know why it did not come up."""

    def __init__(self, arguments: Sequence[str]) -> None:
        """Start it with these `name:=value`."""
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - not a pipe: nobody reads it meanwhile
        self.process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", "ppo_robot.cli", "up", "deploy", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            preexec_fn=end_with_parent,  # noqa: PLW1509 - one call of the C library
        )

    def require(self, came_up: bool) -> None:
        """Raise with its last words unless it came up and is still running.

        Raises:
            RunFailedError: if it is not.
        """
        if not came_up or self.process.poll() is not None:
            self._log.seek(0)
            raise RunFailedError(f"the deployment did not come up: {' | '.join(self._log.read().splitlines()[-3:])}")

    def close(self) -> None:
        """End it."""
        end(self.process)
        self._log.close()


@contextlib.contextmanager
def deployment(arguments: Sequence[str]) -> Iterator[Deployment]:
    """Run `ppo-robot up deploy` with these `name:=value` while it is entered."""
    running = Deployment(arguments)
    try:
        yield running
    finally:
        running.close()


def end(process: subprocess.Popen[str] | subprocess.Popen[bytes], patience: float = PATIENCE) -> None:
    """End a process of ours: INT, TERM, KILL, with `patience` s between them; harmless where it has ended."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)
