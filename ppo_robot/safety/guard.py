"""What the links forbid: steps behind which they would come too near, leave the tool's box, or be too fast."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from ppo_robot.safety.body import LinkBody
from ppo_robot.safety.by_joint import by_joint
from ppo_robot.safety.reasons import FREE, Limit
from ppo_robot.safety.setpoint import Setpoint
from ppo_robot.spec.safety import SafetySpec

SLOWEST = 0.1
"""Share of the velocity limits that is left where the links are as near as they may be: enough to move away."""

SPEED_SHARE = 0.9
"""Of the link speed that is allowed, what may be reached: the way to rest is looked at in places, not everywhere."""

Rest = Callable[[], Sequence[float]]
"""Gives where the robot comes to rest; called where it is needed."""

Way = Callable[[], Sequence[Setpoint]]
"""Gives setpoints along a way to rest, the first and the fastest included; called where they are needed."""


class Guard:
    """Judges a step by where the robot would come to rest behind it.

    What is wrong already may not become worse, so that a robot which is armed there can move out of it.
    """

    def __init__(self, body: LinkBody, spec: SafetySpec) -> None:
        """Guard `body` as `spec` asks."""
        self._body = body
        self._spec = spec
        self._distances = spec.self_collision
        self._box = bool(spec.tool_lower)
        self.clearance = math.inf
        self._start = math.inf

    def begin(self, position: Sequence[float]) -> None:
        """Begin where the robot is armed, (J,) rad; its links may be too near to each other there."""
        self._start = self.clearance = self._body.clearance(position) if self._distances else math.inf

    @property
    def share(self) -> float:
        """Share of the velocity limits that the distance of the links leaves."""
        near, slow = self._spec.clearance_stop, self._spec.clearance_slow
        if self.clearance >= slow:
            return 1.0
        return max(SLOWEST, (self.clearance - near) / (slow - near))

    def forbids(self, rest: Sequence[float], way: Way, rest_before: Rest, way_before: Way) -> Limit:
        """Return what forbids a step, or no limit.

        `rest` is where the robot stands, (J,) rad, if it stops after the step, and `way` leads there from the step.
        `rest_before` and `way_before` give the same if it stops now.
        """
        spec = self._spec
        if self._distances:
            clearance = self._body.clearance(rest, spec.clearance_slow)
            if clearance < spec.clearance_stop and clearance < self._body.clearance(rest_before()):
                return Limit.CLEARANCE
            self.clearance = clearance
        if self._box:
            outside = self._outside(rest)
            if outside > 0.0 and outside > self._outside(rest_before()):
                return Limit.WORKSPACE
        if spec.link_speed is not None:
            speed = self._speed(way())
            if speed > SPEED_SHARE * spec.link_speed and speed > self._speed(way_before()):
                return Limit.SPEED
        return FREE

    def too_near(self, position: Sequence[float]) -> str:
        """Return which links are, as measured, far nearer than any setpoint takes them, or nothing."""
        if not self._distances:
            return ""
        tolerated = 0.5 * self._spec.clearance_stop
        clearance = self._body.clearance(position, tolerated)
        if clearance < min(tolerated, self._start - tolerated):  # they may have overlapped from the start
            return f"{self._body.nearest_links(position)} are {1e3 * clearance:.1f} mm apart"
        return ""

    def _outside(self, position: Sequence[float]) -> float:
        """Return how far in m the tool is outside its box, at most 0 inside."""
        rows = by_joint(self._spec.tool_lower, self._body.tool_position(position), self._spec.tool_upper)
        return max(max(low - at, at - high) for low, at, high in rows)

    def _speed(self, way: Sequence[Setpoint]) -> float:
        """Return the largest speed of a link in m/s on a way to rest.

        It may be reached long after its beginning: where joints move against each other and one rests before the other,
        or where one turns back and is fast before it rests.
        """
        return max(self._body.link_speed(one.position, one.velocity) for one in way)
