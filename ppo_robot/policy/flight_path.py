"""Everything around the network of a policy that flies: measured state in, thrust and body rates out."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ppo_robot.mdp.airframe import COMMAND_NAMES, Airframe
from ppo_robot.mdp.flight_actions import FlightActionPath
from ppo_robot.mdp.flight_observations import FLIGHT_OBSERVATIONS
from ppo_robot.mdp.flight_view import FlightView
from ppo_robot.mdp.observer import Observer
from ppo_robot.policy.control_path import ControlPath
from ppo_robot.spec.flight import FlightTaskSpec
from ppo_robot.spec.floating import FloatingSpec
from ppo_robot.spec.kinds import AnyRobot, AnyTask, as_arm, as_arm_task, check_kinds
from ppo_robot.state import RobotState

Array = NDArray[np.float64]


class FlightPath:
    """For B floating robots what `ControlPath` is for arms: observer before the network, action path behind it."""

    output = "command"
    goal_size = 6

    def __init__(self, robot: FloatingSpec, task: FlightTaskSpec, batch: int = 1) -> None:
        """Build both; call `reset` before the first `observe`.

        Raises:
            SpecError: if the task names an unknown term, or asks more of the robot than it can.
        """
        self.batch = batch
        self.airframe = Airframe(robot)
        self.observer = Observer(task.observations, batch, FLIGHT_OBSERVATIONS)
        gravity, period = task.simulation.gravity, task.control_period
        self.actions = FlightActionPath(task.action, self.airframe, gravity, period, batch)
        self._rows = np.arange(batch)
        self._reached = np.zeros(batch, dtype=bool)
        self._first = True

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the components of a command."""
        return COMMAND_NAMES

    def reset(self, state: RobotState) -> None:
        """Begin anew; what came before leaves no trace."""
        self.actions.reset(self._rows)
        self._first = True

    def observe(self, state: RobotState, waypoints: Array) -> NDArray[np.float32]:
        """Return the observation (B, O) of a measured state; waypoints (B, 6) m: that of now, then the one after it."""
        view = self.view(state, waypoints)
        if self._first:
            self._first = False
            return self.observer.reset(view, self._rows)
        return self.observer.observe(view, self._rows)

    def apply(self, action: NDArray[np.floating]) -> Array:
        """Advance by one control period under actions (B, 4) in [-1, 1]; return a copy of the commands (B, 4).

        Raises:
            ValueError: if an action is not finite; nothing is changed then.
        """
        return self.actions.apply(action).copy()

    def view(self, state: RobotState, waypoints: Array) -> FlightView:
        """Return what the observation terms see of a measured state and waypoints (B, 6) m now."""
        return FlightView(
            airframe=self.airframe,
            state=state,
            waypoint=waypoints[:, :3],
            next_waypoint=waypoints[:, 3:],
            reached=self._reached,
            action=self.actions.action,
            previous_action=self.actions.previous_action,
        )

    def example(self) -> FlightView:
        """Return the view of robots upright at the origin, which their waypoint is too."""
        return self.view(RobotState.zeros(self.batch, 0), np.zeros((self.batch, self.goal_size)))


AnyPath: TypeAlias = ControlPath | FlightPath


def make_path(robot: AnyRobot, task: AnyTask, batch: int = 1) -> AnyPath:
    """Return what lies around the network of a policy for B robots of whatever kind.

    Raises:
        SpecError: if robot and task do not fit together.
    """
    check_kinds(robot, task)
    if isinstance(robot, FloatingSpec) and isinstance(task, FlightTaskSpec):
        return FlightPath(robot, task, batch)
    return ControlPath(as_arm(robot), as_arm_task(task), batch)
