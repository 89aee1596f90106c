"""Evaluation: a policy over many episodes, and the figures that it is judged by."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppo_robot.sim.local_env import LocalVectorEnv
from ppo_robot.sim.vector_env import WorkerVectorEnv

Act = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Observations (N, O) to actions (N, A)."""

EVALUATION_SEED_OFFSET = 1_000_003
"""Keeps the episodes of an evaluation apart from those that a run of the same seed was trained on."""


@dataclass(frozen=True)
class Evaluation:
    """The summaries of E episodes, in an order that does not depend on the number of workers.

    Attributes:
        names: the columns of `episodes`.
        episodes: (E, columns).
    """

    names: tuple[str, ...]
    episodes: NDArray[np.float64]

    def column(self, name: str) -> NDArray[np.float64]:
        """Return one column, (E,)."""
        return self.episodes[:, self.names.index(name)]

    @property
    def success_rate(self) -> float:
        """Share of successful episodes."""
        return float(self.column("success").mean())

    def summary(self) -> dict[str, Any]:
        """Return the figures by name, ready for JSON; one over no episodes, or that was not measured, is null."""
        success = self.column("success") > 0.5
        error = self.column("final_error")
        settle = self.column("settle_time")[success]
        count = len(self.episodes)
        return {
            "success_rate": self.success_rate,
            "success_ci95": list(wilson_interval(int(success.sum()), count)),
            "final_error_m": _spread(error),
            "settle_time_s": _spread(settle) if len(settle) else None,
            "action_rate": self._mean("action_rate"),
            "effort": self._mean("effort"),
            "self_collisions": int((self.column("collision") > 0.5).sum()) if "collision" in self.names else None,
            "intervention_rate": self._mean("intervention"),
            "return_mean": self._mean("return"),
            **({"waypoints_mean": self._mean("waypoints")} if "waypoints" in self.names else {}),
            **({"left_cage_rate": self._mean("left_cage")} if "left_cage" in self.names else {}),
            "episodes": count,
        }

    def _mean(self, name: str) -> float | None:
        return float(self.column(name).mean()) if name in self.names else None


def evaluate(
    env: WorkerVectorEnv | LocalVectorEnv,
    act: Act,
    episodes: int,
    seed: int,
    on_progress: Callable[[int], None] | None = None,
) -> Evaluation:
    """Run `episodes` episodes and return their summaries.

    Each environment runs a fixed share of them: counting whichever ends first would favour short episodes.

    Args:
        env: its running episodes are given up.
        act: the policy.
        episodes: how many, at least 1.
        seed: of the starts, goals and noise.
        on_progress: called with the number of episodes done.
    """
    quota = np.full(env.num_envs, episodes // env.num_envs)
    quota[: episodes % env.num_envs] += 1
    collected: list[list[NDArray[np.float64]]] = [[] for _ in range(env.num_envs)]
    done = 0
    observation, _ = env.reset(seed=seed + EVALUATION_SEED_OFFSET)
    while done < episodes:
        observation, _, _, _, info = env.step(act(observation))
        if not info:
            continue
        for row in np.flatnonzero(info["_episode"]):
            if len(collected[row]) < quota[row]:
                collected[row].append(info["episode"][row].copy())
                done += 1
        if on_progress is not None:
            on_progress(done)
    rows = [summary for environment in collected for summary in environment]
    return Evaluation(env.metric_names, np.array(rows))


def wilson_interval(successes: int, trials: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """Return the Wilson score interval of a proportion (Wilson 1927), 95 % by default.

    Raises:
        ValueError: if there are no trials.
    """
    if trials <= 0:
        raise ValueError(f"trials: given {trials}; expected at least 1")
    share = successes / trials
    denominator = 1.0 + z * z / trials
    centre = (share + z * z / (2 * trials)) / denominator
    half = z * math.sqrt(share * (1.0 - share) / trials + z * z / (4 * trials * trials)) / denominator
    # At both ends the bound is exact; rounding would leave 3e-17 there.
    return centre - half if successes > 0 else 0.0, centre + half if successes < trials else 1.0


def _spread(values: NDArray[np.float64]) -> dict[str, float]:
    return {
        "mean": float(values.mean()),
        "p95": float(np.percentile(values, 95)),
        "max": float(values.max()),
    }
