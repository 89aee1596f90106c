"""How far the tool was from its goal, from the measured joints (forward kinematics)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ppo_robot.kinematics import RobotModel
from ppo_robot.report.chart import Chart, Mark, Series
from ppo_robot.report.decimate import with_gaps
from ppo_robot.report.recorded import Recorded

Array = NDArray[np.float64]

_FLOOR = 0.05
"""mm; less than this is drawn as this, for the axis is logarithmic."""


@dataclass(frozen=True)
class Approach:
    """The way to one goal: when it was set, how long it stood (s since the start), and the errors (m)."""

    start: float
    end: float
    goal: tuple[float, float, float]
    first: float
    last: float
    within: float | None
    """s from the goal to the moment since which the tool stayed within tolerance; None where it did not."""


def goal_error(recorded: Recorded) -> Array | None:
    """Return the distance (T,) m from tool to goal in each tick, or None without a bundle or without ticks."""
    if recorded.bundle is None or not recorded.ticks:
        return None
    model = RobotModel(recorded.bundle.robot)
    tool = model.tool_position(recorded.policy["joint_position"])
    distance: Array = np.linalg.norm(tool - recorded.policy["goal_position"], axis=1)
    return distance


def approaches(recorded: Recorded, error: Array) -> list[Approach]:
    """Return the way to each goal, in order."""
    assert recorded.bundle is not None  # noqa: S101 - there is an error only with a bundle
    tolerance = recorded.bundle.task.success.tolerance
    goal, time = recorded.policy["goal_position"], recorded.tick_time
    begins = np.flatnonzero(
        np.any(np.diff(goal, axis=0, prepend=np.nan) != 0.0, axis=1) | (recorded.policy["begun"] > 0.0)
    )
    found = []
    for begin, end in zip(begins.tolist(), [*begins[1:].tolist(), len(goal)], strict=True):
        outside = np.flatnonzero(~(error[begin:end] <= tolerance))
        since = begin + (int(outside[-1]) + 1 if len(outside) else 0)
        within = float(time[since] - time[begin]) if since < end else None
        x, y, z = goal[begin].tolist()
        span = float(time[begin]), float(time[end - 1])
        found.append(Approach(*span, (x, y, z), float(error[begin]), float(error[end - 1]), within))
    return found


def goal_chart(recorded: Recorded, error: Array) -> Chart:
    """Return the error over time, in mm."""
    assert recorded.bundle is not None  # noqa: S101 - there is an error only with a bundle
    tolerance = recorded.bundle.task.success.tolerance * 1e3
    curve = with_gaps(recorded.tick_time, np.maximum(error * 1e3, _FLOOR), 5.0 * recorded.control_period)
    mark = Mark(tolerance, f"tolerance {tolerance:g} mm", "green")
    series = [Series("tool to goal", "blue", *curve)]
    return Chart("goal", "goal", "Distance from tool to goal", "mm", series, (mark,), digits=2, log=True, height=190)
