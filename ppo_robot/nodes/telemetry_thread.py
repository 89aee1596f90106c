"""Publishes the policy's telemetry beside its control loop."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable

from ppo_robot.nodes.policy_core import PolicyAction
from ppo_robot.nodes.policy_messages import TelemetryMessage, Tick


class TelemetryThread:
    """Takes down ticks, and publishes them in a thread of its own, while the control loop's waits for the next.

    To write and publish a message takes a third of a millisecond, twenty times what it takes to hand it over;
    ros2_control's RealtimePublisher parts the two for the same reason. `add`, `hand_over` and `close` are called by one
    thread at a time.
    """

    def __init__(self, message: TelemetryMessage, rows: int, publish: Callable[[bytes], None]) -> None:
        """Begin; `rows` ticks make a message, which `publish` gets."""
        self._message, self._rows, self._publish = message, rows, publish
        self._ticks: list[Tick] = []
        self._queue: queue.SimpleQueue[list[Tick] | None] = queue.SimpleQueue()
        self._cpu = time.process_time()
        self._thread = threading.Thread(target=self._run, name="telemetry", daemon=True)
        self._thread.start()

    def add(self, action: PolicyAction, published: float) -> None:
        """Take down a tick whose message was handed over at `published`, s, monotonic."""
        self._ticks.append((action, published))
        if len(self._ticks) == self._rows:
            self.hand_over()

    def hand_over(self) -> None:
        """Have what there is published, though it be less than a message holds."""
        if self._ticks:
            self._queue.put(self._ticks)
            self._ticks = []

    def close(self) -> None:
        """Publish what there is, and end."""
        self.hand_over()
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (ticks := self._queue.get()) is not None:
            spent, self._cpu = self._cpu, time.process_time()
            self._publish(self._message.fill(ticks, (self._cpu - spent) / len(ticks)))
