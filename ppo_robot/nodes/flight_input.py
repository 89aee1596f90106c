"""From what odometry and gyroscope say to the state of a floating robot. Knows no ROS."""

from __future__ import annotations

import math
from collections import Counter
from enum import Enum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ppo_robot.mdp.rotation import normalised, rotation_matrix, to_world
from ppo_robot.state import RobotState

Array = NDArray[np.float64]

_UNIT = 1e-2
"""How far the length of a quaternion may be from 1: more is no rounding."""


class FlightRefusal(Enum):
    """Why a message was not used. Each has a counter; the state stays what the last good messages said."""

    NOT_FINITE = "a number is not finite"
    NO_ROTATION = "the orientation is no unit quaternion"
    WRONG_FRAME = "the frame is another one than expected"
    STAMP_ZERO = "the stamp is zero"
    STAMP_FUTURE = "the stamp lies in the future"
    STAMP_OLD = "the stamp is not newer than that of the message before"
    STALE = "the message was too old when it came"


class OdometryMessage(NamedTuple):
    """What a nav_msgs/Odometry holds that counts here. Its twist is in the child frame, as ROS has it (REP 105).

    Attributes:
        frame: of the pose; `child_frame`: of the robot.
        position: (3,) m.
        orientation: (4,) quaternion xyzw, child frame to frame.
        velocity: (3,) m/s, child frame.
        stamp: s on the ROS clock.
    """

    frame: str
    child_frame: str
    position: tuple[float, float, float]
    orientation: tuple[float, float, float, float]
    velocity: tuple[float, float, float]
    stamp: float


class FlightReading(NamedTuple):
    """What the newest good messages say together: a batch of one, and when they came.

    Attributes:
        state: measured.
        stamp: s, when the pose was measured, on the ROS clock.
        received: s, when it was taken, on the monotonic clock.
    """

    state: RobotState
    stamp: float
    received: float


class _Stamps:
    """Says whether a message of one topic is new enough. Times called `now` are of two clocks, never mixed."""

    def __init__(self, timeout: float, future_tolerance: float) -> None:
        self._timeout, self._future = timeout, future_tolerance
        self._newest, self._received = -math.inf, -math.inf

    def check(self, stamp: float, ros_now: float, now: float) -> FlightRefusal | None:
        if not math.isfinite(stamp) or stamp <= 0.0:
            return FlightRefusal.STAMP_ZERO
        if stamp > ros_now + self._future:
            return FlightRefusal.STAMP_FUTURE
        if ros_now - stamp > self._timeout:
            return FlightRefusal.STALE
        # After a silence stamps may begin anew, as after a restart of the robot.
        if stamp <= self._newest and now - self._received <= self._timeout:
            return FlightRefusal.STAMP_OLD
        self._newest, self._received = stamp, now
        return None

    def fresh(self, now: float) -> bool:
        return now - self._received <= self._timeout


class FlightInput:
    """Keeps the newest good pose, velocity and body rates of one robot.

    Body rates are the gyroscope's: those that odometry carries have gone through its filter, which is late.
    """

    def __init__(self, base_link: str, state_timeout: float, future_tolerance: float) -> None:
        """Accept odometry of `base_link`, in whatever world it names; times in s."""
        self.base_link = base_link
        self.counters: Counter[str] = Counter()
        self.detail = ""
        self._world = ""
        self._odometry = _Stamps(state_timeout, future_tolerance)
        self._imu = _Stamps(state_timeout, future_tolerance)
        self._state: RobotState | None = None
        self._rate: Array | None = None
        self._stamp, self._received = 0.0, -math.inf

    def accept_odometry(self, message: OdometryMessage, ros_now: float, now: float) -> FlightRefusal | None:
        """Take a pose and a velocity; return why they were refused, or None. `detail` says more, for the log."""
        refusal = self._take_odometry(message, ros_now, now)
        self.counters["odometry_" + ("accepted" if refusal is None else refusal.name.lower())] += 1
        return refusal

    def accept_imu(
        self, frame: str, rate: tuple[float, float, float], stamp: float, ros_now: float, now: float
    ) -> FlightRefusal | None:
        """Take body rates (3,) rad/s; return why they were refused, or None."""
        self.detail = f"imu: frame '{frame}', rates {rate}, stamp {stamp:.6f} s, clock {ros_now:.6f} s"
        refusal = None
        if frame.lstrip("/") not in ("", self.base_link):
            refusal = FlightRefusal.WRONG_FRAME
        elif not all(map(math.isfinite, rate)):
            refusal = FlightRefusal.NOT_FINITE
        refusal = refusal or self._imu.check(stamp, ros_now, now)
        if refusal is None:
            self._rate = np.array([rate])
        self.counters["imu_" + ("accepted" if refusal is None else refusal.name.lower())] += 1
        return refusal

    def reading(self, now: float) -> FlightReading | None:
        """Return the state, or None where pose or body rates are missing or past the timeout."""
        if self._state is None or self._rate is None or not (self._odometry.fresh(now) and self._imu.fresh(now)):
            return None
        state = self._state.copy()
        # Terms know body rates in the world's axes, turned by the very attitude that turns them back.
        state.base_angular_velocity[:] = to_world(rotation_matrix(state.base_orientation), self._rate)
        state.stamp[:], state.age[:] = self._stamp, now - self._received
        return FlightReading(state, self._stamp, self._received)

    def _take_odometry(self, message: OdometryMessage, ros_now: float, now: float) -> FlightRefusal | None:
        world = message.frame.lstrip("/")
        self.detail = (
            f"odometry: '{world}' to '{message.child_frame}', stamp {message.stamp:.6f} s, clock {ros_now:.6f} s"
        )
        if message.child_frame.lstrip("/") not in ("", self.base_link) or (self._world and world != self._world):
            return FlightRefusal.WRONG_FRAME
        numbers = np.array([*message.position, *message.orientation, *message.velocity])
        if not np.isfinite(numbers).all():
            return FlightRefusal.NOT_FINITE
        orientation = numbers[None, 3:7]
        if abs(float(np.linalg.norm(orientation)) - 1.0) > _UNIT:
            return FlightRefusal.NO_ROTATION
        refusal = self._odometry.check(message.stamp, ros_now, now)
        if refusal is not None:
            return refusal
        state = RobotState.zeros(1, 0)
        state.base_position[:] = numbers[None, :3]
        state.base_orientation[:] = normalised(orientation)
        state.base_linear_velocity[:] = to_world(rotation_matrix(state.base_orientation), numbers[None, 7:])
        self._world, self._state, self._stamp, self._received = world, state, message.stamp, now
        return None
