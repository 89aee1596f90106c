"""Runs the processes of a system where `ros2 launch` is missing: output by name, signals passed on, no orphan."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from ppo_robot.errors import EXIT_GOOD, EXIT_RUN_FAILED
from ppo_robot.nodes import leash
from ppo_robot.nodes.system import ProcessSpec

PATIENCE = 5.0
"""Seconds that a process has to end after SIGINT, and again after SIGTERM, before the next signal."""

KILLED = 128 + signal.SIGKILL
LONGEST_LINE = 65536


@dataclass
class _Child:
    """One process on its leash."""

    spec: ProcessSpec
    process: subprocess.Popen[bytes]
    holder: int
    """Writing end of the leash's pipe; -1 once let go."""
    pending: bytes = field(default=b"")

    def signal(self) -> None:
        """Send the next of INT, TERM and KILL."""
        if self.holder >= 0:
            with suppress(BrokenPipeError):
                os.write(self.holder, b".")

    def let_go(self) -> None:
        """Close the pipe: the leash goes through all signals by itself."""
        if self.holder >= 0:
            os.close(self.holder)
            self.holder = -1


class Supervisor:
    """Starts processes, prints what they print, and ends all of them when one that is required ends.

    Each runs under a small process of its own (`leash`) that ends it when this one is gone, however it went.
    """

    def __init__(
        self, processes: Sequence[ProcessSpec], output: TextIO | None = None, patience: float = PATIENCE
    ) -> None:
        """Prepare; nothing is started before `run`. `output` is stdout where it is not given."""
        self._specs = tuple(processes)
        self._output = output or sys.stdout
        self._patience = patience
        self._width = max((len(spec.name) for spec in self._specs), default=0)
        self._children: list[_Child] = []
        self._selector = selectors.DefaultSelector()
        self._ended_by: _Child | None = None
        self._stopping = False
        self._signals = 0
        self._killed = False

    def run(self) -> int:
        """Run until a required process ends, or SIGINT or SIGTERM comes; return the exit code.

        That of the required process that ended first; 0 after a signal, 4 where a process then had to be killed.
        """
        with self._woken_by_signals() as woken:
            self._selector.register(woken, selectors.EVENT_READ)
            try:
                for spec in self._specs:
                    self._start(spec)
                while self._children:
                    self._turn(woken)
            finally:
                self._end_all()
        if self._ended_by is not None:
            return _exit_code(self._ended_by.process)
        return EXIT_RUN_FAILED if self._killed else EXIT_GOOD

    def _start(self, spec: ProcessSpec) -> None:
        reading, holder = os.pipe()
        command = [sys.executable, "-I", "-S", str(Path(leash.__file__)), str(reading), str(self._patience)]
        try:
            process = subprocess.Popen(
                command + spec.command(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(reading,),
                start_new_session=True,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        except BaseException:
            os.close(holder)
            raise
        finally:
            os.close(reading)
        assert process.stdout is not None  # noqa: S101 - it was asked for
        os.set_blocking(process.stdout.fileno(), False)
        child = _Child(spec, process, holder)
        self._children.append(child)
        self._selector.register(process.stdout, selectors.EVENT_READ, child)

    def _turn(self, woken: int) -> None:
        """Wait for output, an ending or a signal, and act upon it."""
        for key, _ in self._selector.select(1.0):
            if key.fd == woken:
                self._signals += sum(byte in (signal.SIGINT, signal.SIGTERM) for byte in os.read(woken, 4096))
                self._pass_on()
            elif self._read(key.data) == b"":
                self._selector.unregister(key.fileobj)
        for child in [child for child in self._children if child.process.poll() is not None]:
            self._bury(child)

    def _read(self, child: _Child) -> bytes | None:
        """Print the whole lines that are there; return b"" at the end of output, None where nothing is there yet."""
        assert child.process.stdout is not None  # noqa: S101
        try:
            data = os.read(child.process.stdout.fileno(), LONGEST_LINE)
        except BlockingIOError:
            return None
        *lines, child.pending = (child.pending + data).split(b"\n")
        if (not data or len(child.pending) > LONGEST_LINE) and child.pending:
            lines.append(child.pending)
            child.pending = b""
        for line in lines:
            self._say(child.spec.name, line.decode(errors="replace").rstrip("\r"))
        return data

    def _say(self, name: str, line: str) -> None:
        print(f"[{name}]{' ' * (self._width - len(name))} {line}", file=self._output, flush=True)

    def _pass_on(self) -> None:
        """Pass a signal on: SIGINT to all; what does not end gets SIGTERM, then SIGKILL, sooner if asked again."""
        while self._signals:
            self._signals -= 1
            self._stopping = True
            for child in self._children:
                child.signal()

    def _bury(self, child: _Child) -> None:
        """Take note of a process that has ended; the rest follows where it was required."""
        while self._read(child):  # what a grandchild still says after this is lost with its leash
            pass
        assert child.process.stdout is not None  # noqa: S101
        if child.process.stdout in self._selector.get_map():
            self._selector.unregister(child.process.stdout)
        child.let_go()
        self._children.remove(child)
        code = _exit_code(child.process)
        if self._stopping:
            self._killed |= code == KILLED
            if code == KILLED:
                self._say(child.spec.name, "had to be killed")
            return
        self._say(child.spec.name, f"ended with exit code {code}{'; ending the rest' if child.spec.required else ''}")
        if child.spec.required:
            self._ended_by = child
            self._stopping = True
            for other in self._children:
                other.signal()

    def _end_all(self) -> None:
        """Leave nothing behind, whatever went wrong here."""
        for child in self._children:
            child.let_go()
        for child in self._children:
            if child.process.stdout is not None:
                child.process.stdout.close()
            try:
                child.process.wait(4.0 * self._patience)
            except subprocess.TimeoutExpired:
                os.killpg(child.process.pid, signal.SIGKILL)
                child.process.wait()
        self._children.clear()
        self._selector.close()

    @contextmanager
    def _woken_by_signals(self) -> Iterator[int]:
        """Yield a descriptor that gives one byte for each signal, its number."""
        woken, wake = os.pipe()
        os.set_blocking(wake, False)
        before = {number: signal.signal(number, _ignore) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)}
        before_wake = signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        try:
            yield woken
        finally:
            signal.set_wakeup_fd(before_wake)
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(woken)
            os.close(wake)


def _ignore(number: int, frame: object) -> None:
    """Handle a signal by doing nothing; its number arrives through the wake-up descriptor."""


def _exit_code(process: subprocess.Popen[bytes]) -> int:
    """Return the exit code as a shell counts it."""
    code = process.returncode
    return code if code >= 0 else 128 - code
