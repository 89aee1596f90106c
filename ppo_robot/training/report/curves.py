"""Learning curves: small multiples over environment steps, from the records of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, PercentFormatter
from numpy.typing import NDArray

from ppo_robot.spec.experiment import Experiment
from ppo_robot.training.report.svg import (
    BLUE,
    GREEN,
    MUTED,
    ORANGE,
    RED,
    VIOLET,
    drawing,
    in_two_widths,
    legend_above,
    short_count,
    steps_axis,
    to_svg,
)
from ppo_robot.training.sinks import Record

Array = NDArray[np.float64]

_PANEL = (3.6, 1.95)
_POINTS = 500
_SMOOTHED = 40


@dataclass(frozen=True)
class Chart:
    """A picture with its heading: title, unit, one sentence that says how to read it, and the SVG."""

    title: str
    unit: str
    note: str
    svg: str


@dataclass(frozen=True)
class _Line:
    key: str
    label: str
    colour: str
    of_evaluation: bool = False


def learning_charts(records: Sequence[Record], experiment: Experiment) -> list[Chart]:
    """Return the panels of a run in the order of a page; the first is wide."""
    ppo, tolerance = experiment.training.ppo, experiment.task.success.tolerance
    target = f"it stops at {ppo.stop_kl:g}" if ppo.stop_kl else "no stop set"
    return [
        _success(records, experiment.task.success.bar),
        _simple(records, "return", "Return", "per episode", "Sum of rewards, exploration included.",
                [_Line("episode_return_mean", "", BLUE)]),
        _simple(records, "error", "Final error", "mm, log scale", "Distance from tool to goal as episodes end.",
                [_Line("final_error_mean_m", "training", BLUE),
                 _Line("final_error_m.mean", "evaluation", GREEN, True),
                 _Line("final_error_m.p95", "its p95", ORANGE, True)],
                factor=1e3, log=True, mark=(tolerance * 1e3, "tolerance")),
        _simple(records, "speed", "Speed", "steps/s, log scale", "All of it, and its parts each on its own clock.",
                [_Line("steps_per_s.total", "total", BLUE), _Line("steps_per_s.simulation", "simulation", GREEN),
                 _Line("steps_per_s.inference", "inference", VIOLET),
                 _Line("steps_per_s.learning", "learning", ORANGE)],
                log=True),
        _simple(records, "kl", "KL divergence", "nats", f"How far an update moves the policy; {target}.",
                [_Line("policy_kl", "", BLUE)], mark=(ppo.stop_kl, "stop") if ppo.stop_kl else None),
        _simple(records, "clip", "Clip fraction", "% of samples", f"Samples whose ratio left 1 ± {ppo.clip_range:g}.",
                [_Line("clip_fraction", "", BLUE)], percent=True),
        _simple(records, "std", "Exploration", "standard deviation", "Of actions, which reach from −1 to 1.",
                [_Line("action_std", "", BLUE)], floor=True),
        _simple(records, "entropy", "Entropy", "nats", "Of the action distribution.",
                [_Line("entropy", "", BLUE)]),
        _simple(records, "explained", "Explained variance", "1 is best", "How well the critic foretells returns.",
                [_Line("explained_variance", "", BLUE)], limits=(-0.3, 1.03)),
        _simple(records, "rate", "Learning rate", ppo.schedule, "Of the optimiser, by its schedule.",
                [_Line("learning_rate", "", BLUE)], floor=True),
        *_ranges(records),
    ]  # fmt: skip


def _ranges(records: Sequence[Record]) -> list[Chart]:
    """Return how far a curriculum has widened the ranges of randomization, where there was one."""
    if not any("range_share" in record for record in records):
        return []
    lines = [_Line("range_share.most", "widest", ORANGE), _Line("range_share.mean", "mean", BLUE)]
    lines.append(_Line("range_share.least", "narrowest", VIOLET))
    note = "How far the ends of the drawn ranges lie from nominal, of how far they may."
    return [_simple(records, "ranges", "Randomization", "% of each range", note, lines, percent=True)]


def series(records: Sequence[Record], key: str, of_evaluation: bool = False) -> tuple[Array, Array]:
    """Return steps (n,) and values (n,) of a dotted key, at most about 500 of them; records without it are left out."""
    steps: list[float] = []
    values: list[float] = []
    for record in records:
        node: object = record.get("evaluation") if of_evaluation else record
        for part in key.split("."):
            node = node.get(part) if isinstance(node, dict) else None
        if isinstance(node, int | float):
            steps.append(float(record["steps"]))
            values.append(float(node))
    x, y = np.array(steps), np.array(values)
    stride = max(1, -(-len(x) // _POINTS))
    if stride > 1:  # means of neighbours: a picture has no room for more
        starts = np.arange(0, len(x), stride)
        counts = np.diff(np.append(starts, len(x)))
        x, y = np.add.reduceat(x, starts) / counts, np.add.reduceat(y, starts) / counts
    return x, y


def _success(records: Sequence[Record], bar: float) -> Chart:
    rollout, judged = series(records, "success_rate"), series(records, "success_rate", True)

    def draw(name: str, width: float, height: float) -> str:
        with drawing(width, height) as (figure, axes):
            if len(rollout[0]):
                axes.plot(*rollout, color=BLUE, alpha=0.3, linewidth=1.0)
                axes.plot(rollout[0], _smooth(rollout[1]), color=BLUE, label="training, with exploration noise")
            if len(judged[0]):
                axes.plot(*judged, color=GREEN, marker="o", markersize=3.2, label="evaluation, without noise")
            axes.axhline(bar, color=MUTED, linewidth=0.9, dashes=(4, 3))
            axes.annotate(f"{bar * 100:g} %", (0.0, bar), xycoords=("axes fraction", "data"), xytext=(4, -11),
                          textcoords="offset points")  # fmt: skip
            axes.set_ylim(-0.02, 1.03)
            axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
            axes.set_xlabel("environment steps")
            steps_axis(axes)
            legend_above(axes, 2 if width > 6 else 1)
            return to_svg(figure, name, "Success rate over environment steps")

    note = "Share of episodes that end within tolerance and held it. Evaluations leave out the noise that explores."
    return Chart("Success rate", "% of episodes", note, in_two_widths("success", draw))


def _simple(
    records: Sequence[Record],
    name: str,
    title: str,
    unit: str,
    note: str,
    lines: Sequence[_Line],
    factor: float = 1.0,
    log: bool = False,
    percent: bool = False,
    floor: bool = False,
    limits: tuple[float, float] | None = None,
    mark: tuple[float, str] | None = None,
) -> Chart:
    """Draw one panel; `mark` is a horizontal line with a word, `floor` puts 0 on the axis."""
    with drawing(*_PANEL) as (figure, axes):
        for line in lines:
            steps, values = series(records, line.key, line.of_evaluation)
            values = values * factor
            if not len(steps):
                continue
            if len(steps) > _SMOOTHED and not line.of_evaluation:
                axes.plot(steps, values, color=line.colour, alpha=0.25, linewidth=0.9)
                values = _smooth(values)
            marker = "o" if line.of_evaluation or len(steps) < 3 else ""
            axes.plot(steps, values, color=line.colour, label=line.label or None, marker=marker, markersize=2.6)
        if mark is not None:
            axes.axhline(mark[0], color=RED, linewidth=0.9, dashes=(4, 3))
            axes.annotate(mark[1], (1.0, mark[0]), xycoords=("axes fraction", "data"), xytext=(-2, 3),
                          textcoords="offset points", ha="right", color=RED, fontsize=8.5)  # fmt: skip
        if limits is not None:
            axes.set_ylim(*limits)
        if log:
            _log_axis(axes)
        elif percent:
            axes.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=""))
        if floor or percent:
            axes.set_ylim(bottom=0.0)
        steps_axis(axes)
        if len(lines) > 1:
            legend_above(axes, 3 if len(lines) < 4 else 2)
        return Chart(title, unit, note, to_svg(figure, name, f"{title} over environment steps"))


def _log_axis(axes: Axes) -> None:
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    ticks = [base * 10.0**power for power in range(-6, 9) for base in ((1, 2, 5) if high / low < 60 else (1,))]
    axes.set_yticks([tick for tick in ticks if low <= tick <= high])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: short_count(value)))
    axes.minorticks_off()
    axes.set_ylim(low, high)


def _smooth(values: Array) -> Array:
    """Return a centred running mean over a fortieth of the run; shorter runs are left as they are."""
    half = len(values) // 80
    if half < 1:
        return values
    total = np.cumsum(np.concatenate([[0.0], values]))
    index = np.arange(len(values))
    low, high = np.maximum(index - half, 0), np.minimum(index + half + 1, len(values))
    smoothed: Array = (total[high] - total[low]) / (high - low)
    return smoothed
