"""Simulated time that waits for the command which answers each state, so that a run does not depend on the machine."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from ppo_robot.nodes.timing import TickCounters


class Lockstep:
    """Calls `tick` in a thread of its own, each time as soon as a command has answered the one before.

    While nobody answers it keeps to real time, so that nodes that have just started find states that are fresh: the
    first answer engages it, and `timeout` s of wall time without one disengage it. With a timeout of 0 it waits for
    nobody. An exception in `tick` ends the loop and is handed to `on_error`.
    """

    def __init__(
        self, period: float, tick: Callable[[], None], timeout: float, on_error: Callable[[Exception], None]
    ) -> None:
        """Prepare the loop; `start` runs it. `period` in s of simulated time."""
        self.period = period
        self.timeout = timeout
        self.counters = TickCounters()
        self.timeouts = 0
        self.engaged = False
        self._tick = tick
        self._on_error = on_error
        self._answered = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def running(self) -> bool:
        """Whether the loop's thread is alive."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Begin; the first tick comes at once."""
        self._thread = threading.Thread(target=self._run, name="lockstep", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End after the tick that is running; harmless when repeated."""
        self._stop.set()
        self._answered.set()
        if self._thread is not None:
            self._thread.join()

    def answer(self) -> None:
        """Say that a command has arrived; called from the executor's thread."""
        self._answered.set()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                began = time.monotonic()
                self._answered.clear()
                self._tick()
                self.counters.ticks += 1
                if self.timeout > 0.0:
                    self._await_answer(began)
        except Exception as error:  # noqa: BLE001 - a thread's exception would otherwise vanish
            self._on_error(error)

    def _await_answer(self, began: float) -> None:
        limit = self.timeout if self.engaged else max(0.0, self.period - (time.monotonic() - began))
        answered = self._answered.wait(limit)
        if self.engaged and not answered:
            self.timeouts += 1
        self.engaged = answered
