"""Where a replay first differs from the recording, and how to say so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Difference:
    """One component that differs.

    Attributes:
        number: the tick's sequence, or the cycle's place among the cycles of the recording, from 1.
        time: s, on the clock of the stamps.
        stage: what differs, such as `inference`.
        term: its component, such as `mean/elbow_joint`.
        recorded, replayed: its values.
    """

    number: int
    time: float
    stage: str
    term: str
    recorded: float | str
    replayed: float | str

    def text(self, what: str) -> str:
        """Return one line; `what` is tick or cycle."""
        found = f"recorded {_shown(self.recorded)}, replayed {_shown(self.replayed)}"
        return f"first: {what} {self.number} at {self.time:.6f} s, {self.stage}: {self.term}: {found}"


@dataclass(frozen=True)
class Gap:
    """Where the recording lacks something.

    Attributes:
        number: the first tick or cycle behind it.
        time: s, on the clock of the stamps.
        missed: how many ticks are missing; 0 where that cannot be known.
        uncompared: how many ticks or cycles behind it could not be compared in full.
    """

    number: int
    time: float
    missed: int
    uncompared: int


@dataclass
class Findings:
    """What a replay found.

    Attributes:
        total: ticks or cycles that were recorded.
        differing: how many of them differ, in whatever stage.
        stages: how many differ in each stage.
        first: the first difference.
        largest: the largest difference of a number in each stage.
        gaps: in the recording.
        notes: what else a person must know.
    """

    total: int = 0
    differing: int = 0
    stages: Counter[str] = field(default_factory=Counter)
    first: Difference | None = None
    largest: dict[str, float] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, differences: Sequence[Difference]) -> None:
        """Take what differs in one tick or cycle, in the order of the stages."""
        if not differences:
            return
        self.differing += 1
        self.first = self.first or differences[0]
        self.stages.update({one.stage for one in differences})
        for one in differences:
            if isinstance(one.recorded, float) and isinstance(one.replayed, float):
                apart = abs(one.recorded - one.replayed)
                self.largest[one.stage] = max(self.largest.get(one.stage, 0.0), apart)

    def tree(self) -> dict[str, Any]:
        """Return the findings as plain values; numbers that JSON does not know are text."""
        first = None
        if self.first is not None:
            values = vars(self.first)
            first = {key: _plain(value) for key, value in values.items()}
        return {
            "total": self.total,
            "differing": self.differing,
            "stages": dict(self.stages),
            "first": first,
            "largest": {stage: _plain(value) for stage, value in self.largest.items()},
            "gaps": [vars(gap) for gap in self.gaps],
            "notes": list(self.notes),
        }


def differing(recorded: NDArray[np.floating], replayed: NDArray[np.floating]) -> NDArray[np.intp]:
    """Return the places at which two arrays (n,) of one type differ in a bit; NaN is like any other NaN."""
    same = (recorded == replayed) & (np.signbit(recorded) == np.signbit(replayed))
    return np.flatnonzero(~(same | (np.isnan(recorded) & np.isnan(replayed))))


def _shown(value: float | str) -> str:
    return f"{value:.9g}" if isinstance(value, float) else value


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, float) and not np.isfinite(value) else value
