"""Success of one policy at every point of every sweep, and how much of it is lost where."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ppo_robot.policy.bundle import Bundle
from ppo_robot.sim.plants import PlantName
from ppo_robot.spec.kinds import AnyTask
from ppo_robot.training.kept import Kept
from ppo_robot.training.sensitivity.sweep import Sweep
from ppo_robot.training.trial import identity, seen_by, try_in, with_entries

Figures = dict[str, Any]


@dataclass(frozen=True)
class Lost:
    """How a policy takes one sweep.

    Attributes:
        sweep: its points.
        figures: of each point.
        fall: success without randomization less the least inside the range.
        fall_beyond: likewise at all points.
        matters: whether that fall is more than chance: the 95 % intervals of both do not meet.
        matters_beyond: likewise at all points.
    """

    sweep: Sweep
    figures: tuple[Figures, ...]
    fall: float
    fall_beyond: float
    matters: bool
    matters_beyond: bool


@dataclass(frozen=True)
class Bench:
    """One policy in one plant; `kept` holds what was measured before."""

    bundle: Bundle
    task: AnyTask
    plant: PlantName
    episodes: int
    seed: int
    workers: int
    kept: Kept

    def nominal(self) -> Figures:
        """Return the figures without any randomization."""
        return self._measure(with_entries(self.task, {}))

    def sweep(self, sweep: Sweep, nominal: Figures, on_point: Callable[[], None]) -> Lost:
        """Return the figures of each point of a sweep; those of a nominal point are the nominal ones."""
        found = []
        for point in sweep.points:
            if point.entry is None:
                found.append(nominal)
            else:
                found.append(self._measure(with_entries(self.task, {sweep.name: point.entry})))
            on_point()
        return losses(sweep, found, nominal)

    def _measure(self, task: AnyTask) -> Figures:
        trial = seen_by(self.bundle.any_task, task)
        what = identity(self.bundle, trial, self.plant, self.episodes, self.seed)
        known = self.kept.get(what)
        if known is not None:
            return known
        evaluation = try_in(self.bundle, trial, self.plant, self.episodes, self.seed, self.workers)
        return self.kept.put(what, evaluation.summary())


def losses(sweep: Sweep, figures: Sequence[Figures], nominal: Figures) -> Lost:
    """Return how much success is lost at the points of a sweep, against the nominal figures."""
    rate, floor = nominal["success_rate"], nominal["success_ci95"][0]
    inside = [figure for figure, point in zip(figures, sweep.points, strict=True) if point.inside]

    def least(some: Sequence[Figures]) -> Figures:
        return min(some, key=lambda figure: figure["success_rate"], default=nominal)

    within, beyond = least(inside), least(figures)
    return Lost(
        sweep,
        tuple(figures),
        rate - within["success_rate"],
        rate - beyond["success_rate"],
        within["success_ci95"][1] < floor,
        beyond["success_ci95"][1] < floor,
    )


def by_importance(lost: Sequence[Lost]) -> list[Lost]:
    """Return the sweeps, those first that cost most success inside their range, then beyond it."""
    return sorted(lost, key=lambda one: (-one.fall, -one.fall_beyond, one.sweep.name))


def tree(nominal: Figures, lost: Sequence[Lost], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return all of it as plain values, ready for JSON."""
    return {
        **facts,
        "nominal": nominal,
        "parameters": [
            {
                "name": one.sweep.name,
                "parameter": one.sweep.parameter,
                "kind": one.sweep.kind,
                "unit": one.sweep.unit,
                "nominal": one.sweep.nominal,
                "range": list(one.sweep.range),
                "fall": one.fall,
                "fall_beyond": one.fall_beyond,
                "matters": one.matters,
                "matters_beyond": one.matters_beyond,
                "points": [
                    {"x": point.x, "inside": point.inside, **figures}
                    for point, figures in zip(one.sweep.points, one.figures, strict=True)
                ],
            }
            for one in by_importance(lost)
        ],
    }
