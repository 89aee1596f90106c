"""The policy node's messages, each built once: making them anew would cost more than the network does."""

from __future__ import annotations

import array
from collections.abc import Sequence

import numpy as np
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from ppo_robot.nodes.policy_core import PolicyAction
from ppo_robot.nodes.ros_support import to_stamp
from ppo_robot.nodes.telemetry_rows import RowsMessage
from ppo_robot.telemetry.matrix import POLICY_ROWS, POLICY_SCALARS, Array, Table, policy_columns

Tick = tuple[PolicyAction, float]
"""What a tick gave, and when its message had been handed over, s, monotonic."""


class ActionMessage:
    """`policy/action`: one point of joint targets, stamped with the state that it was computed from.

    The frame is the number of the tick, by which what follows from it is told from what followed from others.
    """

    def __init__(self, joint_names: Sequence[str]) -> None:
        """Build the message for joints in this order."""
        self._point = JointTrajectoryPoint()
        self._message = JointTrajectory(joint_names=list(joint_names), points=[self._point])

    def fill(self, action: PolicyAction) -> JointTrajectory:
        """Return the message of an action; the same object each time."""
        header = self._message.header
        header.stamp, header.frame_id = to_stamp(action.reading.stamp), str(action.sequence)
        self._point.positions = array.array("d", action.joint_target.tobytes())
        return self._message


class TelemetryMessage:
    """`policy/telemetry`: everything about some ticks.

    float32 loses nothing in float64, so a replay can compare bits.
    """

    def __init__(self, joints: int, actions: int, observation: int, rows: int) -> None:
        """Prepare messages of up to `rows` ticks with these numbers of joints, actions and observation components."""
        self._table = Table(policy_columns(joints, actions, observation), rows)
        self._message = RowsMessage(POLICY_ROWS, self._table)
        self._scalars = slice(0, len(POLICY_SCALARS))
        self._arrays = slice(self._scalars.stop, self._table.width)

    def fill(self, ticks: Sequence[Tick], period_cpu: float) -> bytes:
        """Return the message of at least one tick.

        `period_cpu` is the processor time in s of a period, as the whole process took it: transport, executor,
        observation, network and publishing.
        """
        for action, published in ticks:
            self._write(self._table.next(), action, published, period_cpu)
        return self._message.take()

    def _write(self, row: Array, action: PolicyAction, published: float, period_cpu: float) -> None:
        state = action.reading
        row[self._scalars] = (
            *(action.sequence, action.begun, state.stamp, state.received, state.ros_received),
            *(action.tick_began, action.observed, action.inference_began, action.inference_ended, action.acted),
            *(published, period_cpu, action.log_probability),
        )
        np.concatenate(
            (
                *(state.position, state.velocity, state.effort, action.goal_position, action.joint_target),
                *(action.mean, action.std, action.action, action.observation, action.normalised_observation),
            ),
            out=row[self._arrays],
        )
