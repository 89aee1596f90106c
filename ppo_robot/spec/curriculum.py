"""How the ranges of a task's randomization grow while a policy is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ppo_robot.spec.strict import setting


@dataclass(frozen=True)
class CurriculumSpec:
    """A curriculum over `simulation.randomization`; a share of 1 is a whole range, 0 what holds without the entry.

    `schedule` widens every entry alike with the steps of the run. `adr` is automatic domain randomization (Akkaya et
    al. 2019, arXiv:1910.07113, algorithm 1): some episodes pin one end of one range; once enough episodes of an end
    were seen, it is moved out where they succeed and in where they fail. Entries that draw from no range are whole.

    With either, a share `corners` of the episodes draws from a corner of all ranges: each entry one of its two ends,
    for all of its draws. Of many uniform draws hardly any episode has more than a few near an end, and so a policy
    that has seen whole ranges was never near the robot in which everything is wrong at once.
    """

    kind: Literal["schedule", "adr"] = "adr"
    begin: float = setting(0.0, low=0.0, high=1.0, doc="share of each range at the start")
    whole_after: float = setting(0.5, above=0.0, high=1.0, doc="schedule: share of the run's steps")
    pinned: float = setting(0.5, above=0.0, high=1.0, doc="adr: share of the episodes that pin an end")
    episodes: int = setting(32, low=1, doc="adr: episodes of an end before it is judged")
    widen_from: float = setting(0.8, above=0.0, high=1.0, doc="adr: success rate from which an end moves out")
    narrow_below: float = setting(0.5, low=0.0, below=1.0, doc="adr: success rate below which it moves in")
    corners: float = setting(0.0, low=0.0, high=1.0, doc="share of the episodes that pin an end of every range")
    delta: float = setting(0.1, above=0.0, high=1.0, doc="adr: share of the range that an end moves by")
    deltas: dict[str, float] = setting({}, above=0.0, high=1.0, doc="adr: for single entries, in place of delta")

    def __post_init__(self) -> None:
        if not self.narrow_below <= self.widen_from:
            raise ValueError(
                f"narrow_below: given {self.narrow_below}; expected at most widen_from ({self.widen_from})"
            )
