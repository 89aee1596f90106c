"""The safety envelope inside the simulation, so that what is trained and judged is what is run."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from ppo_robot.joint_input import JointMessage
from ppo_robot.safety.actions import Action
from ppo_robot.safety.envelope import Envelope
from ppo_robot.safety.limits import make_limits
from ppo_robot.spec.robot import RobotSpec
from ppo_robot.spec.safety import SafetySpec
from ppo_robot.state import RobotState

Array = NDArray[np.float64]
Rows = NDArray[np.intp]

EPOCH = 1.0e9
"""s on the stamps' clock when an episode begins: a stamp of zero is refused."""


class EnvelopedTargets:
    """One envelope for each of B robots, between the policy's joint targets and their servos.

    An envelope runs at the physics rate and begins anew with each episode, already armed and without a blend: on a
    robot both happen before there is a goal. It is told the truth, because its checks of the state are not at stake.
    """

    def __init__(
        self, robot: RobotSpec, spec: SafetySpec, control_period: float, physics_period: float, batch: int
    ) -> None:
        """Prepare `batch` robots under `spec`, whose rate and blend do not count; `reset` before the first `advance`.

        Raises:
            SpecError: if the spec would loosen a limit.
        """
        self._spec = dataclasses.replace(spec, rate=1.0 / physics_period, blend_time=0.0)
        self._limits = make_limits(robot, self._spec)
        self._control_period, self._physics_period = control_period, physics_period
        self._substeps = round(control_period / physics_period)
        self._envelopes = [Envelope(self._limits, self._spec, control_period) for _ in range(batch)]
        self._time = np.zeros(batch)
        self._out = np.zeros((self._substeps, batch, self._limits.joints))
        self.cycles = np.zeros(batch, dtype=np.int64)
        self.changed = np.zeros(batch, dtype=np.int64)

    def reset(self, truth: RobotState, rows: Rows) -> None:
        """Begin an episode in `rows` (k,) of the robots, which stand as `truth` says."""
        for row in rows.tolist():
            envelope = Envelope(self._limits, self._spec, self._control_period)
            envelope.take_state(self._message(truth, row, EPOCH), EPOCH, 0.0)
            refusal = envelope.arm(0.0)
            assert refusal is None, refusal  # noqa: S101 - a robot that was just put at rest stands
            self._envelopes[row] = envelope
        self._time[rows] = 0.0
        self.cycles[rows] = self.changed[rows] = 0

    def advance(self, joint_target: Array, truth: RobotState) -> Array:
        """Take targets (B, J) rad for one control period; return the setpoints (S, B, J) of its physics steps."""
        for row, envelope in enumerate(self._envelopes):
            now = float(self._time[row])
            envelope.take_state(self._message(truth, row, EPOCH + now), EPOCH + now, now)
            action = Action(self._limits.joint_names, joint_target[row].tolist(), EPOCH + now)
            envelope.take_action(action, EPOCH + now, now)
            for step in range(self._substeps):
                at = now + step * self._physics_period
                verdict = envelope.cycle(EPOCH + at, at)
                self._out[step, row] = envelope.stepper.setpoint.position
                self.changed[row] += verdict.changed
            self._time[row] = now + self._control_period
        self.cycles += self._substeps
        return self._out

    @property
    def intervention(self) -> Array:
        """(B,) share of the episode's cycles in which the envelope changed the command."""
        share: Array = self.changed / np.maximum(1, self.cycles)
        return share

    def _message(self, truth: RobotState, row: int, stamp: float) -> JointMessage:
        return JointMessage(
            self._limits.joint_names,
            truth.joint_position[row].tolist(),
            truth.joint_velocity[row].tolist(),
            truth.joint_effort[row].tolist(),
            stamp,
        )
