"""Curricula: which share of each range episodes draw from, as training goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ppo_robot.sim.draws import Entry
from ppo_robot.spec.curriculum import CurriculumSpec

Array = NDArray[np.float64]

LEVELS = 20
"""Steps in which a schedule widens: a centre of mass that is drawn once for a run is loaded anew with each."""

BOUNDARY = "boundary"
"""The episode metric that says which end of which range an episode pinned, as `boundary_number` counts; -1: none."""


class Curriculum(Protocol):
    """Shares that grow; whoever trains tells it of each iteration.

    Attributes:
        share: (E, 2) of the low and the high end of each entry's range, in force for episodes that begin from now on.
        pinned: share of the episodes that pin an end.
        corners: share of the episodes that pin an end of every range.
    """

    share: Array
    pinned: float
    corners: float

    def advance(self, progress: float, boundary: Array, success: Array) -> None:
        """Take the share of the run's steps done, and of ended episodes (k,) which end each pinned and its success."""

    def arrays(self) -> dict[str, Array]:
        """Return what a checkpoint has to hold."""

    def load(self, arrays: Mapping[str, Array]) -> None:
        """Go on from a checkpoint.

        Raises:
            KeyError, ValueError: if it is of another curriculum.
        """


class Schedule:
    """Every range grows with the steps of the run, from a share at its start to all of it."""

    pinned = 0.0

    def __init__(self, spec: CurriculumSpec, entries: Sequence[Entry]) -> None:
        """Begin."""
        self._spec = spec
        self.corners = spec.corners
        self.share = np.full((len(entries), 2), spec.begin)

    def advance(self, progress: float, boundary: Array, success: Array) -> None:
        """Widen with the progress, 0 to 1."""
        spec = self._spec
        level = np.floor(LEVELS * min(1.0, progress / spec.whole_after) + 1e-9) / LEVELS
        self.share[:] = spec.begin + (1.0 - spec.begin) * level

    def arrays(self) -> dict[str, Array]:
        """Return the shares."""
        return {"share": self.share.copy()}

    def load(self, arrays: Mapping[str, Array]) -> None:
        """Go on from a checkpoint."""
        self.share[:] = arrays["share"]


class AutomaticRandomization:
    """Each end of each range moves out where episodes pinned to it succeed, and in where they fail."""

    def __init__(self, spec: CurriculumSpec, entries: Sequence[Entry]) -> None:
        """Begin; entries that draw from no range are whole from the start."""
        self._spec = spec
        self._ends = np.array([movable_ends(entry) for entry in entries], dtype=bool).reshape(-1, 2)
        self._delta = np.array([spec.deltas.get(entry.name, spec.delta) for entry in entries])
        self.pinned = spec.pinned if self._ends.any() else 0.0
        self.corners = spec.corners
        self.share = np.where(self._ends, spec.begin, 1.0)
        self._seen = np.zeros(self._ends.shape)
        self._won = np.zeros(self._ends.shape)

    def advance(self, progress: float, boundary: Array, success: Array) -> None:
        """Count the episodes, in their order, and move each end that has enough of them."""
        spec = self._spec
        for number, won in zip(boundary.astype(int).tolist(), success.tolist(), strict=True):
            if number < 0:
                continue
            end = number // 2, number % 2
            self._seen[end] += 1.0
            self._won[end] += won
            if self._seen[end] < spec.episodes:
                continue
            rate = self._won[end] / self._seen[end]
            move = float(rate >= spec.widen_from) - float(rate < spec.narrow_below)
            self.share[end] = min(max(self.share[end] + move * self._delta[end[0]], 0.0), 1.0)
            self._seen[end] = self._won[end] = 0.0

    def arrays(self) -> dict[str, Array]:
        """Return shares and counts."""
        return {"share": self.share.copy(), "seen": self._seen.copy(), "won": self._won.copy()}

    def load(self, arrays: Mapping[str, Array]) -> None:
        """Go on from a checkpoint."""
        self.share[:], self._seen[:], self._won[:] = arrays["share"], arrays["seen"], arrays["won"]


def make_curriculum(spec: CurriculumSpec | None, entries: Sequence[Entry]) -> Curriculum | None:
    """Return the curriculum of a task, or None where every range is whole from the start."""
    if spec is None:
        return None
    return Schedule(spec, entries) if spec.kind == "schedule" else AutomaticRandomization(spec, entries)


def movable_ends(entry: Entry) -> tuple[bool, bool]:
    """Return whether the low and the high end of an entry's range are anything else than what holds without it."""
    if not entry.has_ends:
        return False, False
    low, high = entry.spec.support
    return low < min(entry.nominal, high), high > max(entry.nominal, low)


def ranges_in_force(entries: Sequence[Entry], share: Array) -> dict[str, list[float]]:
    """Return the least and the largest value that each entry with a range draws under shares (E, 2)."""
    ends = np.array([[0.0], [1.0]])
    return {
        entry.name: entry.values(ends.repeat(entry.numbers, axis=1), np.tile(own, (2, 1)))[:, 0].tolist()
        for entry, own in zip(entries, share, strict=True)
        if entry.has_ends
    }


def share_figures(entries: Sequence[Entry], share: Array) -> dict[str, float]:
    """Return mean, least and most of the shares (E, 2) over all ends that can move; 1 where none can."""
    moving = share[np.array([movable_ends(entry) for entry in entries], dtype=bool).reshape(-1, 2)]
    shares = moving if len(moving) else np.ones(1)
    return {"mean": float(shares.mean()), "least": float(shares.min()), "most": float(shares.max())}
