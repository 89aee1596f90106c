"""The flight node without ROS: bundle, input, waypoints, one tick. Everything that can go wrong is a counted reason."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ppo_robot.errors import BadInputError, PpoRobotError
from ppo_robot.mdp.airframe import Airframe
from ppo_robot.mdp.waypoints import WaypointTracker, check_waypoint
from ppo_robot.nodes.flight_input import FlightInput, FlightReading
from ppo_robot.policy.bundle import Bundle
from ppo_robot.policy.draw import ActionDraw
from ppo_robot.spec.deployment import PolicyNodeSpec
from ppo_robot.spec.flight import FlightTaskSpec, WaypointSpec
from ppo_robot.spec.floating import FloatingSpec

Array = NDArray[np.float64]


class FlightAction(NamedTuple):
    """What one tick gave.

    Attributes:
        sequence: counts the ticks that acted, from 1.
        reading: the state that it was computed from.
        waypoint: how many of the waypoints were reached.
        command: (4,) collective thrust N, body rates rad/s.
    """

    sequence: int
    reading: FlightReading
    waypoint: int
    command: Array


class FlightCore:
    """A bundle at the controls of one floating robot.

    Inputs and waypoints come from the executor's thread, `tick` from the control loop's.
    """

    def __init__(self, bundle: Bundle, spec: PolicyNodeSpec, now: Callable[[], float] = time.monotonic) -> None:
        """Prepare; the robot is not acted upon before `activate`. `now` is the clock of timeouts, s.

        Raises:
            BadInputError: if the bundle does not fly.
        """
        robot, task = bundle.any_robot, bundle.any_task
        if not isinstance(robot, FloatingSpec) or not isinstance(task, FlightTaskSpec):
            raise BadInputError(f"{bundle.path}: is for {robot.name}, which does not fly; use the policy node")
        self.bundle, self.robot, self.task = bundle, robot, task
        self.spec, self.now = spec, now
        self.runner = bundle.runner(1)
        self.counters: Counter[str] = Counter()
        self.input = FlightInput(robot.base_link, spec.state_timeout, spec.future_tolerance)
        self._airframe = Airframe(robot)
        self._tracker: WaypointTracker | None = None
        self._draw = ActionDraw(spec.action, spec.seed, spec.maximum_std)
        self._sequence = 0
        self._begun = False

    def set_waypoints(self, positions: Array) -> None:
        """Fly through (W, 3) m, world frame, in turn, from the next tick on, and stay at the last.

        Raises:
            BadInputError: if there are none, or one lies outside the cage; the waypoints before stay.
        """
        if not 1 <= len(positions) <= 100:
            raise BadInputError(f"waypoints: given {len(positions)}; expected 1 to 100")
        for position in positions:
            check_waypoint(position, self._airframe)
        spec = WaypointSpec(tolerance=self.task.success.tolerance, waypoints=len(positions))
        tracker = WaypointTracker(spec, self.task.control_period, 1)
        tracker.reset(positions[None].copy(), np.arange(1))
        self._tracker = tracker

    def activate(self, seed: int) -> None:
        """Begin: random stream from `seed`, history and action from the next state.

        Raises:
            BadInputError: if there is no fresh state.
        """
        if self.input.reading(self.now()) is None:
            raise BadInputError(
                f"no odometry or no imu younger than {self.spec.state_timeout} s: is the robot publishing both?"
            )
        self._draw = ActionDraw(self.spec.action, seed, self.spec.maximum_std)
        self._begun, self._sequence = False, 0

    def deactivate(self) -> None:
        """Forget the waypoints, so that a later activation does not start towards old ones."""
        self._tracker = None

    def tick(self) -> FlightAction | None:
        """Run one control period; None, with a counted reason, where there is no fresh state or nowhere to fly.

        A robot that is told nothing is its flight controller's business: it must land or hover by itself.
        """
        tracker, reading = self._tracker, self.input.reading(self.now())
        if reading is None or tracker is None:
            self.counters["state_stale" if reading is None else "no_waypoint"] += 1
            self._begun = False
            return None
        if self._airframe.outside(reading.state.base_position)[0]:
            self.counters["outside_cage"] += 1
            self._begun = False
            return None
        if not self._begun:
            self.runner.reset(reading.state)
            self._begun = True
        tracker.update(reading.state.base_position)
        waypoints = np.concatenate([tracker.current, tracker.following], axis=1)
        path = self.runner.path
        try:
            mean, log_std = self.bundle.runtime.infer(path.observe(reading.state, waypoints))
            action, _ = self._draw.choose(mean, self._draw.std(log_std))
            command = path.apply(action)
        except (PpoRobotError, ValueError):
            self.counters["not_finite"] += 1
            self._begun = False
            return None
        self._sequence += 1
        self.counters["acted"] += 1
        return FlightAction(self._sequence, reading, int(tracker.index[0]), command[0])
