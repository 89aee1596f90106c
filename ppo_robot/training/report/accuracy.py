"""Where and how well the judged policy arrives: error over the workspace, and how error and settling are spread."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from ppo_robot.mdp.goals import bounding_box, inside_workspace
from ppo_robot.spec.experiment import Experiment
from ppo_robot.spec.robot import WorkspaceSpec
from ppo_robot.training.evaluation import Evaluation
from ppo_robot.training.report.curves import Chart
from ppo_robot.training.report.svg import BLUE, GREEN, INK, MUTED, RED, drawing, short_count, to_svg

Array = NDArray[np.float64]

_VECTOR_POINTS = 1500
"""More points than this are drawn as a bitmap inside the SVG, which is smaller then."""

# viridis without its darkest and lightest tenth, which would be lost on one of the two backgrounds
_COLOURS = ListedColormap(colormaps["viridis"](np.linspace(0.15, 0.92, 256)))


def accuracy_charts(evaluation: Evaluation, experiment: Experiment) -> list[Chart]:
    """Return two views of the workspace and two histograms."""
    task, workspace = experiment.arm_task, experiment.arm.workspace
    error = evaluation.column("final_error") * 1e3
    success = evaluation.column("success") > 0.5
    goal = np.stack([evaluation.column(f"goal_{axis}") for axis in "xyz"], axis=1)
    tolerance = task.success.tolerance * 1e3
    radius = np.hypot(goal[:, 0], goal[:, 1])
    scale = _scale(error, tolerance)
    top = _workspace(
        "top", goal[:, 0], goal[:, 1], error, success, scale, tolerance, ("x forward (m)", "y left (m)"),
        _outline(workspace, _top),
    )  # fmt: skip
    side = _workspace(
        "side", radius, goal[:, 2], error, success, scale, tolerance,
        ("distance from the base axis (m)", "height z (m)"),        _outline(workspace, _side),
    )  # fmt: skip
    failed = int((~success).sum())
    what = f"Ringed in red: the {failed} that failed." if failed else "None failed."
    latest = task.episode_length - task.success.hold
    return [
        Chart("Seen from above", "final error, mm", f"Each dot is the goal of one episode. {what}", top),
        Chart("Seen from the side", "final error, mm", "The same goals by their distance and height.", side),
        Chart(
            "Final error", "episodes per bin", f"{_share(error <= tolerance)} of episodes end within the tolerance of"
            f" {tolerance:g} mm; half of them within {np.median(error):.1f} mm.", _errors(error, tolerance),
        ),
        Chart(
            "Settle time", "episodes per bin", "When the tool came within tolerance for good. To count,"
            f" that must be by {latest:g} s, as it is held for {task.success.hold:g} s.",
            _settling(evaluation.column("settle_time"), task.episode_length, latest),
        ),
    ]  # fmt: skip


def _scale(error: Array, tolerance: float) -> Normalize:
    """Return the colour scale: up to what nearly all reach, never wider than three tolerances."""
    high = float(np.clip(np.percentile(error, 99), 0.2 * tolerance, 3.0 * tolerance))
    return Normalize(0.0, math.ceil(high) if high > 1.0 else high)


def _workspace(
    name: str,
    across: Array,
    along: Array,
    error: Array,
    success: NDArray[np.bool_],
    scale: Normalize,
    tolerance: float,
    labels: tuple[str, str],
    outline: tuple[Array, Array, Array],
) -> str:
    with drawing(5.0, 4.3) as (figure, axes):
        axes.contour(*outline, levels=[0.5], colors=[MUTED], linewidths=0.8, linestyles="dashed")
        order = np.argsort(error)  # the worst on top
        points = axes.scatter(
            across[order], along[order], c=error[order], cmap=_COLOURS, norm=scale, s=15, linewidths=0.0,
            rasterized=len(error) > _VECTOR_POINTS,
        )  # fmt: skip
        axes.scatter(across[~success], along[~success], s=52, facecolors="none", edgecolors=RED, linewidths=1.4)
        axes.plot([0.0], [0.0], marker="s", markersize=7, color=INK)
        axes.annotate("base", (0.0, 0.0), xytext=(0, 8), textcoords="offset points", ha="center", color=INK)
        axes.set_aspect("equal")
        _fit(axes, *outline)
        axes.set_xlabel(labels[0])
        axes.set_ylabel(labels[1])
        extend = "max" if error.max() > (scale.vmax or 0.0) else "neither"
        bar = figure.colorbar(
            points, ax=axes, orientation="horizontal", shrink=0.75, aspect=34, pad=0.03, extend=extend
        )
        bar.outline.set_visible(False)  # type: ignore[operator]
        if tolerance <= (scale.vmax or 0.0):
            bar.ax.axvline(tolerance, color=RED, linewidth=2.0)
            bar.set_label(f"final error (mm); red: the tolerance, {tolerance:g} mm")
        else:
            bar.set_label(f"final error (mm); the tolerance is {tolerance:g} mm")
        return to_svg(figure, f"workspace-{name}", f"Final error over the workspace, seen from the {name}")


def _fit(axes: Axes, across: Array, along: Array, inside: Array) -> None:
    """Show the workspace and the base, and nothing else."""
    rows, columns = np.nonzero(inside)
    for values, limit in ((across[columns], axes.set_xlim), (along[rows], axes.set_ylim)):
        low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
        margin = 0.06 * (high - low)
        limit(low - margin, high + margin)


def _top(across: Array, along: Array, height: Array) -> Array:
    return np.stack([across, along, height], axis=-1)


def _side(across: Array, along: Array, turn: Array) -> Array:
    return np.stack([across * np.cos(turn), across * np.sin(turn), along], axis=-1)


def _outline(workspace: WorkspaceSpec, place: Callable[[Array, Array, Array], Array]) -> tuple[Array, Array, Array]:
    """Return a grid and where on it any goal can lie, looking through the third dimension."""
    lower, upper = bounding_box(workspace)
    if place is _top:
        axes = [np.linspace(low, high, size) for low, high, size in zip(lower, upper, (140, 140, 24), strict=True)]
    else:
        reach = float(np.abs(np.concatenate([lower[:2], upper[:2]])).max())
        axes = [np.linspace(0.0, reach, 140), np.linspace(lower[2] - 0.02, upper[2] + 0.02, 140)]
        axes.append(np.linspace(*workspace.azimuth, 24))
    across, along, through = np.meshgrid(*axes, indexing="ij")
    inside = inside_workspace(place(across, along, through).reshape(-1, 3), workspace).reshape(across.shape)
    return axes[0], axes[1], inside.any(axis=2).T.astype(float)


def _errors(error: Array, tolerance: float) -> str:
    low = max(float(np.percentile(error, 0.2)), 0.005 * tolerance)
    high = max(1.6 * tolerance, float(error.max()) * 1.05)
    shown = np.maximum(error, low)
    with drawing(5.0, 2.5) as (figure, axes):
        axes.set_xscale("log")
        bins = np.geomspace(low, high, 46).tolist()
        axes.hist(shown[error <= tolerance], bins=bins, color=BLUE)
        axes.hist(shown[error > tolerance], bins=bins, color=RED)
        _line(axes, tolerance, f"tolerance {tolerance:g} mm", RED)
        _line(axes, float(np.percentile(error, 95)), "p95", MUTED)
        axes.set_xlim(low, high)
        ticks = [base * 10.0**power for power in range(-3, 4) for base in (1, 2, 5)]
        axes.set_xticks([tick for tick in ticks if low <= tick <= high])
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short_count(value)))
        axes.minorticks_off()
        axes.set_xlabel("final error (mm, log scale)")
        axes.grid(False, axis="x")
        return to_svg(figure, "errors", "Histogram of the final error")


def _settling(settle: Array, length: float, latest: float) -> str:
    settled = settle[np.isfinite(settle)]
    with drawing(5.0, 2.5) as (figure, axes):
        bins = np.linspace(0.0, length, 41).tolist()
        axes.hist(settled[settled <= latest + 1e-9], bins=bins, color=GREEN)
        axes.hist(settled[settled > latest + 1e-9], bins=bins, color=RED)
        _line(axes, latest, f"latest {latest:g} s", RED)
        if len(settled):
            _line(axes, float(np.percentile(settled, 95)), "p95", MUTED)
        axes.set_xlim(0.0, length)
        never = len(settle) - len(settled)
        axes.set_xlabel("time from the episode's start (s)" + (f"; {never} never settled" if never else ""))
        axes.grid(False, axis="x")
        return to_svg(figure, "settling", "Histogram of the settle time")


def _line(axes: Axes, place: float, word: str, colour: str) -> None:
    axes.axvline(place, color=colour, linewidth=0.9, dashes=(4, 3))
    low, high = axes.get_ylim()
    axes.set_ylim(low, high)
    height, shift, side = (0.98, -4, "right") if colour == RED else (0.84, 4, "left")
    axes.annotate(word, (place, height), xycoords=("data", "axes fraction"), xytext=(shift, 0),
                  textcoords="offset points", ha=side, va="top", color=colour, fontsize=8.5)  # fmt: skip


def _share(which: NDArray[np.bool_]) -> str:
    return f"{which.mean():.1%}".replace("%", " %").replace(".0 %", " %")


