"""The envelope of a robot as a deployment asks for it: the node's, and a replay's."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ppo_robot.safety.body import LinkBody
from ppo_robot.safety.envelope import Envelope
from ppo_robot.safety.limits import make_limits
from ppo_robot.safety.novelty import Novelty
from ppo_robot.spec.robot import RobotSpec
from ppo_robot.spec.safety import SafetySpec

NARROWEST = 0.05
"""A component that hardly moved in training counts as having moved by this; observations are scaled to about one."""


class Observed(Protocol):
    """The range of each component of the observation in training, as a bundle's statistics hold it."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the components."""

    def bounds(self, margin: float, least: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the ranges (n,), (n,), wider by a share `margin` of themselves at both ends."""


def assemble_envelope(
    robot: RobotSpec, spec: SafetySpec, control_period: float, observed: Observed | None = None
) -> Envelope:
    """Return an envelope, disarmed, for a robot as its bundle describes it.

    Args:
        robot: the bundle's.
        spec: the deployment's.
        control_period: the policy's, s.
        observed: what the policy saw in training; None where nobody knows, then no observation is watched.

    Raises:
        SpecError: if the deployment would loosen a limit, or the robot's meshes are missing.
    """
    novelty = None
    if observed is not None and spec.novelty_margin is not None:
        lower, upper = observed.bounds(spec.novelty_margin, NARROWEST)
        novelty = Novelty(observed.names, lower, upper, spec.novelty_time)
    body = LinkBody(robot, spec.self_collision)
    return Envelope(make_limits(robot, spec), spec, control_period, body, novelty)
