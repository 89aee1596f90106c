"""Periodic work on absolute deadlines: a missed tick is skipped and counted, never made up for in a burst."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


class Clock(Protocol):
    """A clock that can be waited on."""

    def now(self) -> float:
        """Return the time, s."""

    def wait_until(self, deadline: float, stop: threading.Event) -> bool:
        """Wait for the deadline; return False if `stop` was set first."""


class MonotonicClock:
    """The machine's own clock."""

    def now(self) -> float:
        """Return the monotonic time, s."""
        return time.monotonic()

    def wait_until(self, deadline: float, stop: threading.Event) -> bool:
        """Sleep to the deadline in one go; long waits look at `stop` on the way."""
        while True:
            left = deadline - time.monotonic()
            if left <= 0.0:
                return not stop.is_set()
            if left > 0.1:
                if stop.wait(left - 0.05):
                    return False
            else:
                time.sleep(left)


class SteppedClock:
    """A clock that another thread sets, as /clock does."""

    def __init__(self) -> None:
        """Start at zero."""
        self._condition = threading.Condition()
        self._now = 0.0

    def set(self, now: float) -> None:
        """Set the time and wake whoever waits for it."""
        with self._condition:
            self._now = now
            self._condition.notify_all()

    def now(self) -> float:
        """Return the time last set, s."""
        return self._now

    def wait_until(self, deadline: float, stop: threading.Event) -> bool:
        """Wait until the time has been set to the deadline or later."""
        with self._condition:
            while self._now < deadline - 1e-9:
                if stop.is_set():
                    return False
                self._condition.wait(0.1)
        return not stop.is_set()


@dataclass
class TickCounters:
    """What a loop did."""

    ticks: int = 0
    missed: int = 0
    longest_miss: int = 0


class DeadlineLoop:
    """Calls `tick` in a thread of its own, every `period` seconds on absolute deadlines.

    An executor timer costs four times as much and bursts after a stall (measured, see the project's notes on rclpy).
    An exception in `tick` ends the loop and is handed to `on_error`.
    """

    def __init__(
        self,
        period: float,
        tick: Callable[[], None],
        clock: Clock | None = None,
        on_error: Callable[[Exception], None] | None = None,
        prepare: Callable[[], None] | None = None,
        lead: float = 0.0,
    ) -> None:
        """Set up the loop; `start` runs it.

        Args:
            period: s.
            tick: the work.
            clock: what the deadlines are on; the machine's own by default.
            on_error: told of an exception, which ends the loop.
            prepare: called `lead` seconds before each deadline, for what makes the tick itself shorter.
            lead: s; more than `prepare` takes.
        """
        self.period = period
        self.counters = TickCounters()
        self._tick = tick
        self._clock = clock or MonotonicClock()
        self._on_error = on_error
        self._prepare = prepare
        self._lead = lead
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def running(self) -> bool:
        """Whether the loop's thread is alive."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Begin; the first tick comes at once."""
        if self.running:
            raise RuntimeError("the loop is running already")
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name="deadline-loop", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End after the tick that is running; harmless when repeated, and from within a tick."""
        self._stop.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()
            self._thread = None

    def _run(self) -> None:
        deadline = self._clock.now()
        try:
            while self._await(deadline):
                self._tick()
                self.counters.ticks += 1
                deadline = self._next(deadline)
        except Exception as error:  # noqa: BLE001 - a thread's exception would otherwise vanish
            if self._on_error is None:
                raise
            self._on_error(error)

    def _await(self, deadline: float) -> bool:
        """Wait for the deadline; return False if the loop is to end."""
        if self._prepare is not None:
            if not self._clock.wait_until(deadline - self._lead, self._stop):
                return False
            self._prepare()
        return self._clock.wait_until(deadline, self._stop)

    def _next(self, deadline: float) -> float:
        """Return the next deadline that has not passed; those in between are missed.

        One that is due this very moment has not: a stepped clock may move on by a period before the tick has returned.
        """
        late = self._clock.now() - deadline
        missed = max(0, math.ceil(late / self.period - 1e-6) - 1)
        self.counters.missed += missed
        self.counters.longest_miss = max(self.counters.longest_miss, missed)
        return deadline + (missed + 1) * self.period
