"""What a report is made of: the tables of a recording on one time axis, and what is known of where they come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppo_robot.policy.bundle import Bundle
from ppo_robot.safety.limits import SafetyLimits
from ppo_robot.telemetry.matrix import Kind

Array = NDArray[np.float64]
Table = Mapping[str, Array]

STATE_AGE = 2.0
"""s; a tick whose clock is further than this from that of its state was made in simulated time."""


@dataclass(frozen=True)
class Topic:
    """A topic of the recording, for the list at the end of the page."""

    name: str
    type: str
    messages: int


@dataclass(frozen=True)
class Said:
    """Something that was said on a topic while the robot ran, at `time` (s, the recording's monotonic axis)."""

    time: float
    level: int
    source: str
    text: str


@dataclass(frozen=True)
class Recorded:
    """A recording, read.

    Attributes:
        name: of the bag.
        joint_names: in the order of every joint array.
        policy: columns of `policy/telemetry`, all ticks in order; empty where none was recorded.
        safety: columns of `safety/telemetry`, all rows in order; empty where none was recorded.
        bundle: the policy, where it was found; limits, kinematics and drift need it.
        limits: those that the envelope kept, where known.
        tolerance: m, of the task.
        info: what the policy said of itself (`policy/info`).
        run: run.json of the recorder.
        topics: of the bag.
        said: warnings and errors.
        missing: sentences that tell a reader what the recording lacks, and what was lost.
        lost: messages that the recorder counted as lost.
    """

    name: str
    joint_names: tuple[str, ...]
    policy: Table
    safety: Table
    bundle: Bundle | None = None
    limits: SafetyLimits | None = None
    info: Mapping[str, Any] = field(default_factory=dict)
    run: Mapping[str, Any] = field(default_factory=dict)
    topics: tuple[Topic, ...] = ()
    said: tuple[Said, ...] = ()
    missing: tuple[str, ...] = ()
    lost: int = 0

    @property
    def ticks(self) -> int:
        """How many ticks of the policy were recorded."""
        return len(self.policy["sequence"]) if self.policy else 0

    @cached_property
    def simulated(self) -> bool:
        """Whether time was simulated: then only stages inside one process can be told."""
        if not self.ticks:
            return False
        age = np.median(self.policy["tick_began"] - self.policy["state_received"])
        return not 0.0 < float(age) < STATE_AGE

    @cached_property
    def _tick_time(self) -> Array:
        return self.policy["state_received" if self.simulated else "tick_began"]

    @cached_property
    def start(self) -> float:
        """The first moment of the recording, s on its monotonic axis."""
        firsts = [float(np.nanmin(times)) for times in self._axes if len(times)]
        return min(firsts) if firsts else 0.0

    @cached_property
    def duration(self) -> float:
        """From the first moment to the last, s."""
        lasts = [float(np.nanmax(times)) for times in self._axes if len(times)]
        return max(lasts) - self.start if lasts else 0.0

    @property
    def _axes(self) -> list[Array]:
        return [self._tick_time if self.ticks else np.zeros(0), self.safety["now"] if self.safety else np.zeros(0)]

    @cached_property
    def ros_start(self) -> float | None:
        """The first moment on the clock of the stamps, s."""
        if self.ticks:
            offset = np.median(self.policy["state_ros"] - self.policy["state_received"])
        elif self.safety:
            offset = np.median(self.safety["ros_now"] - self.safety["now"])
        else:
            return None
        return self.start + float(offset)

    @cached_property
    def tick_time(self) -> Array:
        """When each tick began, s since the start."""
        return self._tick_time - self.start if self.ticks else np.zeros(0)

    def rows(self, kind: Kind) -> dict[str, Array]:
        """Return the rows of one kind of `safety/telemetry`, with `time` in s since the start."""
        if not self.safety:
            return {}
        chosen = self.safety["kind"] == kind
        table = {name: column[chosen] for name, column in self.safety.items()}
        return {**table, "time": table["now"] - self.start}

    @cached_property
    def cycles(self) -> dict[str, Array]:
        """The cycles of the envelope."""
        return self.rows(Kind.CYCLE)

    @cached_property
    def states(self) -> dict[str, Array]:
        """The joint states that the envelope took."""
        return self.rows(Kind.STATE)

    @cached_property
    def control_period(self) -> float:
        """s between two ticks: the task's, or else what most ticks kept."""
        if self.bundle is not None:
            return self.bundle.task.control_period
        return float(np.median(np.diff(self._tick_time))) if self.ticks > 1 else 0.02

    @cached_property
    def cycle_period(self) -> float:
        """s between two cycles of the envelope, as most were."""
        return float(np.median(np.diff(self.cycles["time"]))) if len(self.cycles.get("time", ())) > 1 else 0.004
