"""What the critic sees: the truth and what was drawn where the task says so, otherwise what the policy sees."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ppo_robot.mdp.observer import Observer
from ppo_robot.mdp.privileged import CRITIC_OBSERVATIONS
from ppo_robot.mdp.terms import Registry
from ppo_robot.mdp.view import AnyView
from ppo_robot.spec.kinds import AnyTask

Array = NDArray[np.float64]
Array32 = NDArray[np.float32]
Rows = NDArray[np.intp]


class CriticObserver:
    """Observations for the critic of B robots.

    Attributes:
        seen: (B, C) float32, the newest one of each; no step and no reset changes an array that it gave before.
    """

    def __init__(
        self, task: AnyTask, batch: int, registry: Registry[Callable[..., Array]] = CRITIC_OBSERVATIONS
    ) -> None:
        """Bind the task's critic observations, which `registry` holds.

        Raises:
            SpecError: if a term or a parameter is unknown.
        """
        self.observer = (
            Observer(task.critic_observations, batch, registry, "critic_observations")
            if task.critic_observations
            else None
        )
        self.seen: Array32 = np.zeros((batch, 0), dtype=np.float32)

    def reset(self, truth: AnyView, observation: Array32, rows: Rows) -> None:
        """Begin an episode in `rows` (k,), which are as `truth` says and the policy sees in `observation` (k, O)."""
        seen = observation if self.observer is None else self.observer.reset(truth, rows)
        kept = self.seen if self.seen.shape[1] else np.zeros((len(self.seen), seen.shape[1]), dtype=np.float32)
        self.seen = kept.copy()
        self.seen[rows] = seen

    def observe(self, truth: AnyView, observation: Array32, rows: Rows) -> None:
        """Take in the state of all robots after a control period."""
        self.seen = observation.copy() if self.observer is None else self.observer.observe(truth, rows)
