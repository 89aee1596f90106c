"""The policy node's messages, each built once: making them anew would cost more than the network does."""

from __future__ import annotations

import array
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from std_msgs.msg import Float64MultiArray, MultiArrayDimension
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from ppo_robot.nodes.policy_core import PolicyAction
from ppo_robot.nodes.ros_support import to_stamp

SCALARS = ("sequence", "state_stamp", "state_age_s", "inference_s", "tick_s", "period_cpu_s", "log_probability")
"""What stands before the arrays in a row of `policy/telemetry`; the layout of each message names every column."""

TICKS = "tick"
"""Label of the first dimension in a message's layout, whose size is the number of rows."""


class ActionMessage:
    """`policy/action`: one point of joint targets, stamped with the state that it was computed from."""

    def __init__(self, joint_names: Sequence[str]) -> None:
        """Build the message for joints in this order."""
        self._point = JointTrajectoryPoint()
        self._message = JointTrajectory(joint_names=list(joint_names), points=[self._point])

    def fill(self, action: PolicyAction) -> JointTrajectory:
        """Return the message of an action; the same object each time."""
        self._message.header.stamp = to_stamp(action.state_stamp)
        self._point.positions = array.array("d", action.joint_target.tobytes())
        return self._message


class TelemetryBatch:
    """`policy/telemetry`: everything about some ticks. float32 loses nothing in float64, so a replay can compare bits.

    Ticks are gathered, for to publish costs more than all else that a tick does for its telemetry.
    """

    def __init__(self, joints: int, actions: int, observation: int, rows: int) -> None:
        """Prepare messages of up to `rows` ticks with these numbers of joints, actions and observation components."""
        sizes = dict.fromkeys(SCALARS, 1)
        sizes |= {"joint_target": joints, "mean": actions, "std": actions, "action": actions}
        sizes["observation"] = observation
        ends = np.cumsum(list(sizes.values()))
        self._rows = np.zeros((rows, int(ends[-1])))
        self._scalars = len(SCALARS)
        self._arrays = [slice(int(begin), int(end)) for begin, end in zip(ends[:-1], ends[1:], strict=True)][-5:]
        self._count = 0
        self._message = Float64MultiArray()
        self._tick = MultiArrayDimension(label=TICKS)
        columns = [MultiArrayDimension(label=name, size=size, stride=size) for name, size in sizes.items()]
        self._message.layout.dim = [self._tick, *columns]

    @property
    def full(self) -> bool:
        """Whether there is no room for another tick."""
        return self._count == len(self._rows)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to publish."""
        return self._count == 0

    def add(self, action: PolicyAction, period_cpu: float) -> None:
        """Add a tick to a batch that is not full.

        `period_cpu` is the processor time in s that the whole process took since the tick before: transport, executor,
        observation, network and publishing.
        """
        row = self._rows[self._count]
        row[: self._scalars] = (
            *(action.sequence, action.state_stamp, action.state_age, action.inference_seconds),
            *(action.tick_seconds, period_cpu, action.log_probability),
        )
        values = (action.joint_target, action.mean, action.std, action.action, action.observation)
        for place, value in zip(self._arrays, values, strict=True):
            row[place] = value
        self._count += 1

    def take(self) -> Float64MultiArray:
        """Return the message of the gathered ticks, the same object each time, and begin anew."""
        self._tick.size, self._tick.stride = self._count, self._count * self._rows.shape[1]
        self._message.data = array.array("d", self._rows[: self._count].tobytes())
        self._count = 0
        return self._message


def read_telemetry(message: Float64MultiArray) -> dict[str, NDArray[np.float64]]:
    """Return the columns of a `policy/telemetry` message by name: (n,) of a scalar, (n, size) of an array.

    Raises:
        ValueError: if the message has another layout.
    """
    ticks, *columns = message.layout.dim or [MultiArrayDimension()]
    width = sum(column.size for column in columns)
    if ticks.label != TICKS or len(message.data) != ticks.size * width:
        raise ValueError(f"policy/telemetry: {len(message.data)} numbers do not fit the layout that they came with")
    rows = np.array(message.data).reshape(ticks.size, width)
    ends = np.cumsum([column.size for column in columns])
    parts = np.split(rows, ends[:-1], axis=1)
    named = zip(columns, parts, strict=True)
    return {column.label: part[:, 0] if column.label in SCALARS else part for column, part in named}
