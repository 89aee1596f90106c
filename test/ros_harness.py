"""Real ROS 2 processes for tests: a domain of their own, deadlines instead of sleeps, an orderly end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

DEADLINE = 60.0
"""Seconds after which a wait is a failure."""


def domain() -> int:
    """Return a domain id for this test process; tests that run beside each other do not hear each other."""
    return 1 + os.getpid() % 100


def ros_environment() -> dict[str, str]:
    """Return the environment that keeps a process on this machine and in the tests' domain."""
    return dict(os.environ, ROS_DOMAIN_ID=str(domain()), ROS_AUTOMATIC_DISCOVERY_RANGE="LOCALHOST")


class NodeProcess:
    """`python -m module --ros-args -p name:=value …` in a process group of its own."""

    def __init__(self, module: str, folder: Path, parameters: Mapping[str, object]) -> None:
        arguments = ["--ros-args"]
        for name, value in parameters.items():
            text = str(value).lower() if isinstance(value, bool) else str(value)
            arguments += ["-p", f"{name}:={text}"]
        self.log = folder / f"{module.rpartition('.')[2]}-{time.monotonic_ns()}.log"
        with self.log.open("w") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=ros_environment(),
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return self.log.read_text()

    def end(self) -> int:
        """End the group: INT, TERM, KILL; return the exit code of the node."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            if self.process.poll() is not None:
                break
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(10.0)
        return self.process.wait(1.0)


@contextlib.contextmanager
def node_process(module: str, folder: Path, **parameters: object) -> Iterator[NodeProcess]:
    """Run a node and end it."""
    node = NodeProcess(module, folder, parameters)
    try:
        yield node
    finally:
        node.end()


def until(condition: Callable[[], object], what: str, step: Callable[[], None] = lambda: time.sleep(0.01)) -> None:
    """Do `step` until the condition holds; fail at the deadline."""
    limit = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < limit, f"waited {DEADLINE:.0f} s for {what}"
        step()
