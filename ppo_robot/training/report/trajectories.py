"""A few episodes from the inside: the tool's error, and each joint with its target and limits, over time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter

from ppo_robot.spec.experiment import Experiment
from ppo_robot.spec.robot import JointSpec
from ppo_robot.training.report.curves import Chart
from ppo_robot.training.report.episodes import EpisodeTrace
from ppo_robot.training.report.svg import (
    BAND,
    BLUE,
    GREEN,
    LINE,
    ORANGE,
    RED,
    drawing,
    in_two_widths,
    short_count,
    to_svg,
)

_LEAST_SPAN = 20.0
"""Degrees shown at least: a joint that holds still should look still."""


@dataclass(frozen=True)
class EpisodeCharts:
    """One episode: what happened, in words; the tool's error; one small picture for each joint."""

    words: str
    success: bool
    error: Chart
    joints: list[Chart]


def episode_charts(traces: list[EpisodeTrace], experiment: Experiment) -> list[EpisodeCharts]:
    """Return the pictures of each episode."""
    # One span for all joints of all episodes, or a joint that hardly moves would look like one that does.
    joints = range(len(experiment.arm.joints))
    moved = [float(np.degrees(np.ptp(_both(trace, joint)))) for trace in traces for joint in joints]
    span = 1.12 * max(_LEAST_SPAN, *moved)
    return [_episode(number, trace, experiment, span) for number, trace in enumerate(traces, 1)]


def _episode(number: int, trace: EpisodeTrace, experiment: Experiment, span: float) -> EpisodeCharts:
    x, y, z = trace.goal
    words = f"Goal at ({x:.2f}, {y:.2f}, {z:.2f}) m, {trace.error[0] * 1e3:.0f} mm from where the tool starts."
    if trace.terminated:
        words += f" Ended early, at {trace.time[-1]:.2f} s."
    elif trace.success:
        words += f" Settled after {trace.settle_time:.2f} s; {trace.error[-1] * 1e3:.1f} mm at the end."
    else:
        words += f" {trace.error[-1] * 1e3:.1f} mm at the end, and not held for long enough within tolerance."
    joints = [_joint(number, trace, index, joint, span) for index, joint in enumerate(experiment.arm.joints)]
    return EpisodeCharts(words, trace.success, _error(number, trace, experiment), joints)


def _error(number: int, trace: EpisodeTrace, experiment: Experiment) -> Chart:
    task = experiment.arm_task
    tolerance, hold = task.success.tolerance * 1e3, task.episode_length - task.success.hold
    error = np.maximum(trace.error * 1e3, 0.05)
    low, high = min(0.5 * tolerance, 0.7 * float(error.min())), 1.6 * float(error.max())

    def draw(name: str, width: float, height: float) -> str:
        with drawing(width, height * 0.8) as (figure, axes):
            axes.set_yscale("log")
            axes.axvspan(hold, task.episode_length, color=BAND, linewidth=0)
            axes.add_patch(
                Rectangle((0, low), task.episode_length, tolerance - low, color=GREEN, alpha=0.13, linewidth=0)
            )
            axes.axhline(tolerance, color=GREEN, linewidth=0.9, dashes=(4, 3))
            axes.plot(trace.time, error, color=BLUE, linewidth=1.9)
            axes.annotate(f"tolerance {tolerance:g} mm", (0.0, tolerance), xytext=(4, 4), textcoords="offset points",
                          color=GREEN)  # fmt: skip
            axes.annotate("must hold here", (hold, 0.96), xycoords=("data", "axes fraction"), xytext=(5, 0), va="top",
                          textcoords="offset points")  # fmt: skip
            axes.set_xlim(0.0, task.episode_length)
            axes.set_ylim(low, high)
            axes.set_yticks([tick for tick in (0.1, 1.0, 10.0, 100.0, 1000.0) if low <= tick <= high])
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: short_count(value)))
            axes.minorticks_off()
            axes.set_xlabel("time (s)")
            return to_svg(figure, name, f"Episode {number}: distance from tool to goal over time")

    return Chart("Tool to goal", "mm, log scale", "", in_two_widths(f"tool-{number}", draw))


def _joint(number: int, trace: EpisodeTrace, index: int, joint: JointSpec, span: float) -> Chart:
    position, target = np.degrees(trace.joint_position[:, index]), np.degrees(trace.joint_target[:, index])
    lower, upper = np.degrees([joint.position_lower, joint.position_upper])
    both = np.concatenate([position, target])
    middle = 0.5 * (both.min() + both.max())
    with drawing(3.3, 1.6) as (figure, axes):
        axes.set_xlim(0.0, max(trace.time[-1], 1e-3))
        axes.set_ylim(middle - span / 2, middle + span / 2)
        for limit, beyond in ((lower, -1e3), (upper, 1e3)):
            axes.axhspan(limit, beyond, color=RED, alpha=0.12, linewidth=0)
            axes.axhline(limit, color=RED, linewidth=0.9)
        axes.plot(trace.time, target, color=ORANGE, linewidth=1.1, dashes=(3, 2))
        axes.plot(trace.time, position, color=BLUE, linewidth=1.7)
        axes.set_ylim(middle - span / 2, middle + span / 2)
        axes.locator_params(axis="y", nbins=4)
        axes.locator_params(axis="x", nbins=4)
        _gauge(axes, lower, upper, both.min(), both.max())
        label = f"Episode {number}: position and target of {joint.name} over time"
        svg = to_svg(figure, f"joint-{number}-{index}", label)
    room = min(both.min() - lower, upper - both.max())
    return Chart(joint.name, f"{room:.0f}° from a limit", "", svg)


def _gauge(axes: Axes, lower: float, upper: float, low: float, high: float) -> None:
    """Draw, at the right, the joint's whole range as a bar and the part of it that the episode used."""
    bar = axes.inset_axes((1.03, 0.0, 0.022, 1.0))
    bar.set_xlim(0, 1)
    bar.set_ylim(lower, upper)
    bar.add_patch(Rectangle((0, lower), 1, upper - lower, color=LINE, linewidth=0))
    bar.add_patch(Rectangle((0, low), 1, max(high - low, 0.015 * (upper - lower)), color=BLUE, linewidth=0))
    bar.axis("off")


def _both(trace: EpisodeTrace, joint: int) -> np.ndarray:
    return np.concatenate([trace.joint_position[:, joint], trace.joint_target[:, joint]])


