"""From a JointState message, in any order and with any fault, to the robot's state by name. Knows no ROS."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ppo_robot.state import RobotState

Array = NDArray[np.float64]


class Refusal(Enum):
    """Why a message was not used. Each has a counter; the state stays what the last good message said."""

    WRONG_LENGTH = "position has another length than name"
    JOINT_MISSING = "a controlled joint is missing"
    JOINT_DUPLICATED = "a controlled joint is named twice"
    POSITION_NOT_FINITE = "a position is not finite"
    STAMP_ZERO = "the stamp is zero"
    STAMP_FUTURE = "the stamp lies in the future"
    STAMP_REPEATED = "the stamp is that of the message before"
    STAMP_BACKWARD = "the stamp is older than that of the message before"
    STALE = "the message was too old when it came"


VELOCITY_ESTIMATED = "velocity_estimated"
"""Counts messages without a usable velocity, which is then the difference of positions over that of stamps."""

CLOCK_JUMPED = "clock_jumped"
"""Counts times when stamps began anew at an earlier time after a silence, as after a restart of the robot."""


class JointMessage(NamedTuple):
    """What a sensor_msgs/JointState holds. SI units; stamp in s on the ROS clock."""

    name: Sequence[str]
    position: Sequence[float]
    velocity: Sequence[float]
    effort: Sequence[float]
    stamp: float


class JointReading(NamedTuple):
    """What a good message said: (J,) in the order of the policy's joints, SI units; all in one, so never in halves.

    Attributes:
        position: (J,).
        velocity: (J,), estimated where it was missing.
        effort: (J,), 0 where it was missing.
        stamp: s, when it was measured, on the ROS clock.
        received: s, when it was taken, on the monotonic clock.
        ros_received: s, the same moment on the ROS clock.
    """

    position: Array
    velocity: Array
    effort: Array
    stamp: float
    received: float
    ros_received: float

    def state(self, now: float) -> RobotState:
        """Return it as the state of a batch of one, read only, whose age is that at `now`."""
        return RobotState.of_joints(self.position, self.velocity, self.effort, self.stamp, now - self.received)


class JointInput:
    """Keeps the newest good joint state, in the order of the policy's joints.

    Times called `now` are of two clocks, never mixed: `ros_now` is that of the stamps, `now` is monotonic.
    """

    def __init__(self, joint_names: Sequence[str], state_timeout: float, future_tolerance: float) -> None:
        """Accept messages for `joint_names`; times in s."""
        self.joint_names = tuple(joint_names)
        self.state_timeout = state_timeout
        self.future_tolerance = future_tolerance
        self.counters: Counter[str] = Counter()
        self.detail = ""
        self._order: dict[tuple[str, ...], list[int]] = {}
        self._newest: JointReading | None = None

    def accept(self, message: JointMessage, ros_now: float, now: float) -> Refusal | None:
        """Take a message; return why it was refused, or None. `detail` then says more, for the log."""
        refusal = self._take(message, ros_now, now)
        self.counters["accepted" if refusal is None else refusal.name.lower()] += 1
        return refusal

    @property
    def newest(self) -> JointReading | None:
        """What the last good message said, however old it is."""
        return self._newest

    def reading(self, now: float) -> JointReading | None:
        """Return the newest reading, or None if there is none or it is past the timeout."""
        newest = self._newest
        return None if newest is None or now - newest.received > self.state_timeout else newest

    def state(self, now: float) -> RobotState | None:
        """Return the newest state (a batch of one, read only), or None if there is none or it is past the timeout."""
        reading = self.reading(now)
        return None if reading is None else reading.state(now)

    def forget(self) -> None:
        """Drop the newest state; the next good message counts whatever its stamp."""
        self._newest = None

    def _take(self, message: JointMessage, ros_now: float, now: float) -> Refusal | None:
        names = tuple(message.name)
        if len(message.position) != len(names):
            self.detail = f"{len(names)} names, {len(message.position)} positions"
            return Refusal.WRONG_LENGTH
        order = self._order.get(names)
        if order is None:
            refusal = self._learn_order(names)
            if refusal is not None:
                return refusal
            order = self._order[names]
        position = [message.position[place] for place in order]
        finite = list(map(math.isfinite, position))
        if not all(finite):
            self.detail = self.joint_names[finite.index(False)]
            return Refusal.POSITION_NOT_FINITE
        refusal = self._check_stamp(message.stamp, ros_now, now)
        if refusal is not None:
            self.detail = f"stamp {message.stamp:.6f} s, clock {ros_now:.6f} s"
            return refusal
        at = np.array(position, dtype=float)
        velocity = self._velocity(message, order, at, now)
        effort = _ordered(message.effort, order, len(names))
        if effort is None or not all(map(math.isfinite, effort)):
            effort = [0.0] * len(order) if effort is None else [one if math.isfinite(one) else 0.0 for one in effort]
        self._newest = JointReading(at, velocity, np.array(effort, dtype=float), message.stamp, now, ros_now)
        return None

    def _learn_order(self, names: tuple[str, ...]) -> Refusal | None:
        """Find each controlled joint in a set of names never seen before; others are ignored."""
        for name in self.joint_names:
            count = names.count(name)
            if count != 1:
                self.detail = f"{name} (given: {', '.join(names)})"
                return Refusal.JOINT_DUPLICATED if count else Refusal.JOINT_MISSING
        if len(self._order) >= 16:  # a publisher that shuffles at random must not fill the memory
            self._order.clear()
        self._order[names] = [names.index(name) for name in self.joint_names]
        return None

    def _check_stamp(self, stamp: float, ros_now: float, now: float) -> Refusal | None:
        if not math.isfinite(stamp) or stamp <= 0.0:
            return Refusal.STAMP_ZERO
        if stamp > ros_now + self.future_tolerance:
            return Refusal.STAMP_FUTURE
        if ros_now - stamp > self.state_timeout:
            return Refusal.STALE
        newest = self._newest
        if newest is None or stamp > newest.stamp:
            return None
        if now - newest.received > self.state_timeout:
            self.counters[CLOCK_JUMPED] += 1
            self._newest = None
            return None
        return Refusal.STAMP_REPEATED if stamp == newest.stamp else Refusal.STAMP_BACKWARD

    def _velocity(self, message: JointMessage, order: Sequence[int], position: Array, now: float) -> Array:
        """Return the reported velocity; where it is missing or NaN, the difference to the message before."""
        reported = _ordered(message.velocity, order, len(message.name))
        if reported is not None and all(map(math.isfinite, reported)):
            return np.array(reported, dtype=float)
        self.counters[VELOCITY_ESTIMATED] += 1
        newest = self._newest
        estimate = np.zeros(len(order))
        if newest is not None and now - newest.received <= self.state_timeout:
            with np.errstate(over="ignore"):  # of positions that no joint can have
                estimate = (position - newest.position) / (message.stamp - newest.stamp)
            estimate = np.where(np.isfinite(estimate), estimate, 0.0)
        return estimate if reported is None else np.where(np.isfinite(reported), reported, estimate)


def _ordered(values: Sequence[float], order: Sequence[int], length: int) -> list[float] | None:
    return [values[place] for place in order] if len(values) == length else None
