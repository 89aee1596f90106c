"""The way of each tick from the sensor's stamp to the controller, joined from what each process says about it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ppo_robot.telemetry.histogram import BoundedCounts, Recent
from ppo_robot.telemetry.matrix import Kind
from ppo_robot.telemetry.schedule import Schedule

Array = NDArray[np.float64]
Columns = Mapping[str, Array]
Key = tuple[int, float]
"""Sequence number and stamp of a tick: a restarted policy counts from 1 again, but its states have other stamps."""

STAGES = {
    "sensor_to_policy": "sensor's stamp to receipt by the policy node",
    "wait_for_tick": "receipt to the start of the tick that used it",
    "observe": "start of the tick to the start of the network",
    "inference": "the network, and the draw",
    "act": "from there to the targets, and publishing them",
    "policy_to_safety": "published to received by the safety node",
    "wait_for_cycle": "received to checked, in the first cycle that used it",
    "command": "checked to the command's publication",
    "to_controller": "published to arrived at a listener of the controller's topic",
}
"""The stages of a tick in their order, each beginning where the one before ended."""

WHOLES = {
    "end_to_end": "sensor's stamp to the arrival of the first command that came of it",
    "observation_age": "age of the state by its stamp when the tick that used it began",
    "period": "start of a tick to the start of the next",
    "period_jitter": "how far a period was from the control period, in either direction",
}
"""What is measured of a tick beside its stages."""

WITHOUT_A_CLOCK = ("sensor_to_policy", "observe", "inference", "act", "command")
"""What can be told in simulated time: stages whose two ends are of one clock."""

PATIENCE = 2.0
"""s that a tick waits for the rest of its story."""

LARGEST_PENDING = 2048
"""Ticks that may wait at once."""


@dataclass
class _Tick:
    """What is known so far of one tick; monotonic times in s. A cycle that sent no command has `commanded` NaN."""

    born: float
    sensor: float | None = None
    acted: float | None = None
    received: float | None = None
    checked: float | None = None
    commanded: float | None = None
    arrived: float | None = None

    @property
    def sent(self) -> bool:
        return self.commanded is not None and not math.isnan(self.commanded)

    @property
    def complete(self) -> bool:
        known = None not in (self.sensor, self.received, self.checked)
        return known and (self.arrived is not None or not self.sent)


class Timeline:
    """Joins rows and arrivals by sequence number and stamp, in memory that is bounded.

    A stage between two processes is recorded once both ends are known. Publishing may return after the message has
    arrived on the other side; then the stage between the two took no time.
    """

    def __init__(
        self, control_period: float, window: float, bounds: Sequence[float] = (), simulated: bool = False
    ) -> None:
        """Prepare; times in s.

        Args:
            control_period: of the policy.
            window: of what counts as recent.
            bounds: for the buckets of each distribution in `buckets`; without any there are none.
            simulated: whether the nodes are on /clock. Then only `WITHOUT_A_CLOCK` is recorded.

        Attributes that count: `ticks` that acted, those whose row was lost included (`lost_rows`); `sessions`, which
        begin where the numbers do; `unpaired`, by what never came: `policy_row`; `action_row` (lost, or refused);
        `not_used` (a newer action came before the next cycle); `not_sent` (nothing was sent: disarmed); `arrival`.
        """
        names = [name for name in (*STAGES, *WHOLES) if not simulated or name in WITHOUT_A_CLOCK]
        self.stages = {name: Recent(window) for name in names}
        self.buckets = {name: BoundedCounts(bounds) for name in names} if bounds else {}
        self.schedule = Schedule(control_period)
        self.unpaired: Counter[str] = Counter()
        self.ticks = 0
        self.lost_rows = 0
        self.sessions = 0
        self._period = control_period
        self._simulated = simulated
        self._pending: dict[Key, _Tick] = {}
        self._sequence: int | None = None
        self._cycled: Key = (0, 0.0)

    @property
    def pending(self) -> int:
        """How many ticks wait for the rest of their story."""
        return len(self._pending)

    def policy(self, columns: Columns, now: float) -> None:
        """Take rows of `policy/telemetry`, in their order, at the monotonic time `now`."""
        if not len(columns["sequence"]):
            return
        sensor = columns["state_stamp"] - columns["state_ros"] + columns["state_received"]
        began, published = columns["tick_began"], columns["published"]
        self._record("sensor_to_policy", columns["state_ros"] - columns["state_stamp"], now)
        self._record("wait_for_tick", np.maximum(0.0, began - columns["state_received"]), now)
        self._record("observe", columns["inference_began"] - began, now)
        self._record("inference", columns["inference_ended"] - columns["inference_began"], now)
        self._record("act", published - columns["inference_ended"], now)
        self._record("observation_age", began - sensor, now)
        self._keep_time(columns, now)
        if self._simulated:
            return
        rows = zip(*(columns[name].tolist() for name in ("sequence", "state_stamp")), strict=True)
        for key, at, acted in zip(rows, sensor.tolist(), published.tolist(), strict=True):
            tick = self._tick((int(key[0]), key[1]), now)
            tick.sensor, tick.acted = at, acted

    def safety(self, columns: Columns, now: float) -> None:
        """Take rows of `safety/telemetry`, in their order, at the monotonic time `now`."""
        kind, sequence = columns["kind"], columns["sequence"]
        if not self._simulated:
            rows = np.flatnonzero((kind == Kind.ACTION) & (sequence > 0))
            for number, stamp, received in zip(*_lists(columns, rows, "sequence", "stamp", "now"), strict=True):
                self._tick((int(number), stamp), now).received = received
        took = []
        rows = np.flatnonzero((kind == Kind.CYCLE) & (sequence > 0))
        names = ("sequence", "stamp", "checked", "published")
        for number, stamp, checked, commanded in zip(*_lists(columns, rows, *names), strict=True):
            key = (int(number), stamp)
            if key == self._cycled:
                continue
            self._cycled = key
            if not math.isnan(commanded):
                took.append(commanded - checked)
            if not self._simulated:
                tick = self._tick(key, now)
                tick.checked, tick.commanded = checked, commanded
        self._record("command", np.array(took), now)

    def arrived(self, sequence: int, stamp: float, arrived: float, now: float) -> None:
        """Take the first command with this label, which arrived at the monotonic time `arrived`."""
        if sequence > 0 and not self._simulated:
            self._tick((sequence, stamp), now).arrived = arrived

    def settle(self, now: float) -> None:
        """Record the ticks whose story is complete, and what there is of those that have waited too long."""
        done = [key for key, tick in self._pending.items() if tick.complete]
        ticks = [self._pending.pop(key) for key in done]
        late = [key for key, tick in self._pending.items() if now - tick.born > PATIENCE]
        room = len(self._pending) - len(late) - LARGEST_PENDING
        if room > 0:
            late += [key for key in self._pending if key not in set(late)][:room]
        ticks += [self._pending.pop(key) for key in late]
        for tick in ticks:
            if tick.commanded is not None and not tick.sent:
                tick.arrived = None  # what came later, came of another cycle
            self._count_missing(tick)
        self._record("policy_to_safety", np.maximum(0.0, _between(ticks, "acted", "received")), now)
        self._record("wait_for_cycle", _between(ticks, "received", "checked"), now)
        self._record("to_controller", np.maximum(0.0, _between(ticks, "commanded", "arrived")), now)
        self._record("end_to_end", _between(ticks, "sensor", "arrived"), now)

    def _keep_time(self, columns: Columns, now: float) -> None:
        """Count ticks, lost rows and sessions, and compare the starts of ticks with the control period."""
        gaps = []
        names = ("sequence", "begun", "tick_began", "published")
        for number, begun, began, published in zip(*(columns[name].tolist() for name in names), strict=True):
            follows = self._follow(int(number)) and not begun
            if not self._simulated:
                gap = self.schedule.tick(began, published, follows)
                gaps += [gap] if gap is not None else []
        self._record("period", np.array(gaps), now)
        self._record("period_jitter", np.abs(np.array(gaps) - self._period), now)

    def _follow(self, sequence: int) -> bool:
        """Count a tick; return whether it is the one after the tick before."""
        last, self._sequence = self._sequence, sequence
        self.ticks += 1
        if last is None or sequence <= last:
            self.sessions += 1
            self.schedule.begin()
            return False
        self.ticks += sequence - last - 1
        self.lost_rows += sequence - last - 1
        return sequence == last + 1

    def _tick(self, key: Key, now: float) -> _Tick:
        tick = self._pending.get(key)
        if tick is None:
            tick = self._pending[key] = _Tick(now)
        return tick

    def _count_missing(self, tick: _Tick) -> None:
        """Count what never came of a tick, by the part that is missing."""
        if tick.sensor is None:
            self.unpaired["policy_row"] += 1
        if tick.received is None:
            self.unpaired["action_row"] += 1
        elif tick.checked is None:
            self.unpaired["not_used"] += 1
        if tick.sent and tick.arrived is None:
            self.unpaired["arrival"] += 1
        if tick.checked is not None and not tick.sent:
            self.unpaired["not_sent"] += 1

    def _record(self, name: str, values: Array, now: float) -> None:
        recent = self.stages.get(name)
        if recent is not None and len(values):
            recent.record(values, now)
            if self.buckets:
                self.buckets[name].record(values)


def _lists(columns: Columns, rows: NDArray[np.intp], *names: str) -> list[list[float]]:
    return [columns[name][rows].tolist() for name in names]


def _between(ticks: list[_Tick], begin: str, end: str) -> Array:
    """Return the times (n,) from one moment to another, s, of the ticks that know both."""
    moments = ((getattr(tick, begin), getattr(tick, end)) for tick in ticks)
    return np.array([second - first for first, second in moments if first is not None and second is not None])
