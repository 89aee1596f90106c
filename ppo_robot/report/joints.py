"""Each joint over time: measured, asked for by the policy, commanded, its limits, and why the envelope stepped in."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import numpy as np
from numpy.typing import NDArray

from ppo_robot.report.chart import Chart, Mark, Series, Shade
from ppo_robot.report.decimate import spans_of, with_gaps
from ppo_robot.report.recorded import Recorded
from ppo_robot.safety.reasons import Limit

Array = NDArray[np.float64]

REASONS = {
    Limit.POSITION: ("red", "the action lay outside the position limits"),
    Limit.DYNAMICS: ("orange", "it would have broken the velocity, acceleration or jerk limit"),
    Limit.STOP: ("c6", "behind it no stop would have remained possible"),
    Limit.BLEND: ("c5", "the robot is still led to where the policy wants it"),
    Limit.SPEED: ("c7", "a link was too fast"),
    Limit.CLEARANCE: ("c3", "two links were too near to each other"),
    Limit.WORKSPACE: ("c8", "the tool was about to leave its box"),
    Limit.EFFORT: ("c9", "the motor was at its cap"),
}
"""The colour of each reason, and its meaning in words."""

_MOST_SPANS = 2000
"""Of one reason and joint; what lies closer together is told as one."""

_LEAST_ANGLE = 0.1
"""rad (m): a joint that holds still should look still."""


def joint_charts(recorded: Recorded) -> list[Chart]:
    """Return position and velocity of each joint."""
    prismatic = _prismatic(recorded)
    charts = []
    for joint, name in enumerate(recorded.joint_names):
        unit = "m" if name in prismatic else "rad"
        shades = reason_shades(recorded, joint)
        charts.append(
            Chart(
                f"position/{name}",
                "position",
                name,
                unit,
                _positions(recorded, joint),
                _position_marks(recorded, joint),
                shades,
                least=_LEAST_ANGLE,
                digits=4,
            )
        )
        charts.append(
            Chart(
                f"velocity/{name}",
                "velocity",
                name,
                f"{unit}/s",
                _velocities(recorded, joint),
                _velocity_marks(recorded, joint),
                shades,
                least=_LEAST_ANGLE,
            )
        )
    return charts


def action_chart(recorded: Recorded) -> list[Chart]:
    """Return what the network asked for, component by component."""
    if not recorded.ticks:
        return []
    action, gap = recorded.policy["action"], 5.0 * recorded.control_period
    names = recorded.joint_names if action.shape[1] == len(recorded.joint_names) else range(action.shape[1])
    series = [
        Series(str(name), f"c{place % 10}", *with_gaps(recorded.tick_time, action[:, place], gap))
        for place, name in enumerate(names)
    ]
    marks = (Mark(1.0, "clip", "muted"), Mark(-1.0, "", "muted"))
    return [Chart("action", "action", "Action of the policy", "", series, marks, least=0.5, height=190)]


def reason_shades(recorded: Recorded, joint: int) -> list[Shade]:
    """Return when and why the envelope limited a joint."""
    cycles = recorded.cycles
    if not cycles:
        return []
    time, mask = cycles["time"], cycles["limits"][:, joint].astype(np.int64)
    nearest = recorded.duration / _MOST_SPANS
    shades = []
    for limit, (colour, words) in REASONS.items():
        on = (mask & limit.value) > 0
        if on.any():
            spans = spans_of(time, on, 1.5 * recorded.cycle_period, nearest)
            note = f"{words}; {int(on.sum()):,} of {len(on):,} cycles"
            shades.append(Shade(str(limit.name).lower(), colour, spans, note))
    return shades


def _positions(recorded: Recorded, joint: int) -> list[Series]:
    series = []
    if recorded.ticks:
        target = with_gaps(
            recorded.tick_time, recorded.policy["joint_target"][:, joint], 5.0 * recorded.control_period
        )
        series.append(Series("policy target", "violet", *target, look="step", hold=1.6 * recorded.control_period))
    if recorded.cycles:
        series.append(Series("command", "green", *_command(recorded, "position", joint)))
    time, measured = _measured(recorded, "position", joint)
    series.append(Series("measured", "blue", time, measured))
    return series


def _velocities(recorded: Recorded, joint: int) -> list[Series]:
    series = []
    if recorded.cycles:
        series.append(Series("command", "green", *_command(recorded, "velocity", joint)))
    time, measured = _measured(recorded, "velocity", joint)
    series.append(Series("measured", "blue", time, measured))
    return series


def _command(recorded: Recorded, quantity: str, joint: int) -> tuple[Array, Array]:
    cycles = recorded.cycles
    return with_gaps(cycles["time"], cycles[quantity][:, joint], 10.0 * recorded.cycle_period)


def _measured(recorded: Recorded, quantity: str, joint: int) -> tuple[Array, Array]:
    """Return what the envelope was told of the joint, at the robot's rate; or else what the policy acted upon."""
    states = recorded.states
    if states and len(states["time"]):
        return with_gaps(states["time"], states[quantity][:, joint], 0.25)
    if not recorded.ticks:
        return np.zeros(0), np.zeros(0)
    return with_gaps(recorded.tick_time, recorded.policy[f"joint_{quantity}"][:, joint], 5.0 * recorded.control_period)


def _position_marks(recorded: Recorded, joint: int) -> tuple[Mark, ...]:
    limits = recorded.limits
    if limits is None:
        return ()
    return (
        Mark(limits.lower[joint], "lower limit", beyond=-1),
        Mark(limits.upper[joint], "upper limit", beyond=1),
    )


def _velocity_marks(recorded: Recorded, joint: int) -> tuple[Mark, ...]:
    limits = recorded.limits
    if limits is None:
        return ()
    fastest = limits.velocity[joint]
    return Mark(-fastest, "limit", beyond=-1), Mark(fastest, "limit", beyond=1)


def _prismatic(recorded: Recorded) -> set[str]:
    if recorded.bundle is None:
        return set()
    root = ElementTree.fromstring(recorded.bundle.robot.description)  # noqa: S314 - checked when the bundle was loaded
    return {str(joint.get("name")) for joint in root.findall("joint") if joint.get("type") == "prismatic"}
