"""Runs a policy on robots: state in, joint target or command out, through the code that training used."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ppo_robot.policy.flight_path import make_path
from ppo_robot.policy.runtime import PolicyRuntime
from ppo_robot.spec.kinds import AnyRobot, AnyTask
from ppo_robot.state import RobotState

Array = NDArray[np.float64]


class PolicyRunner:
    """A policy at the controls of B robots; on the robot B is 1.

    Attributes:
        observation: (B, O) float32, what the last tick saw.
        action: (B, A) float32, what the policy answered, before clip and filter.
        log_probability: (B,) float32, nats, of `action`.
    """

    def __init__(self, robot: AnyRobot, task: AnyTask, runtime: PolicyRuntime, batch: int = 1) -> None:
        """Prepare `batch` robots; call `reset` before the first `tick`."""
        self.path = make_path(robot, task, batch)
        self.runtime = runtime
        self.observation = np.zeros((batch, runtime.observation_size), dtype=np.float32)
        self.action = np.zeros((batch, runtime.action_size), dtype=np.float32)
        self.log_probability = np.zeros(batch, dtype=np.float32)

    def reset(self, state: RobotState) -> None:
        """Begin anew, from the measured state of all B robots."""
        self.path.reset(state)

    def tick(self, state: RobotState, goal_position: Array, generator: np.random.Generator | None = None) -> Array:
        """Run one control period and return the joint targets (B, J) rad, in the joint order of the bundle's robot.

        A floating robot gets commands (B, 4) in their place: thrust N and body rates rad/s.

        Args:
            state: measured now; its first tick may use the very state given to `reset`.
            goal_position: (B, 3) m, base frame; of a floating robot (B, 6), this waypoint and the next, world frame.
            generator: draws the action from the policy; None takes its mean.

        Raises:
            RunFailedError: if an observation or action is not finite; the targets stay what they were.
        """
        self.observation = self.path.observe(state, goal_position)
        chosen = self.runtime.act(self.observation, generator)
        self.action, self.log_probability = chosen.action, chosen.log_probability
        return self.path.apply(chosen.action)
