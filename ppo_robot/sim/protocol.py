"""What learner and workers agree on: the arrays that they share, and the message that is sent most."""

from __future__ import annotations

from ppo_robot.sim.randomness import STATE_WORDS
from ppo_robot.sim.shared import Layout

STEP = b"step"
"""The one message that is not JSON: it is sent thousands of times a second."""

SNAPSHOT_ARRAYS = ("episode_step", "episode_action", "episode_random", "episode_share")
"""All that is needed to build the running episodes again (see `BatchEnv.replay`); the last only with a curriculum."""


CRITIC_ARRAYS = ("critic_observation", "final_critic_observation")
"""Shared only where the critic sees something else than the policy."""


def shared_layout(
    num_envs: int,
    observation: int,
    action: int,
    metrics: int,
    episode_steps: int,
    critic: int = 0,
    curriculum: int = 0,
) -> Layout:
    """Return what a vector environment of N robots shares.

    `critic` is the size of its critic's own observation, `curriculum` how many entries have shares of their own.
    """
    own: dict[str, tuple[str, tuple[int, ...]]] = {}
    if critic:
        own |= {name: ("float32", (num_envs, critic)) for name in CRITIC_ARRAYS}
    if curriculum:
        own["episode_share"] = ("float64", (num_envs, curriculum, 2))
    return own | {
        "action": ("float32", (num_envs, action)),
        "observation": ("float32", (num_envs, observation)),
        "final_observation": ("float32", (num_envs, observation)),
        "reward": ("float64", (num_envs,)),
        "terminated": ("bool", (num_envs,)),
        "truncated": ("bool", (num_envs,)),
        "episode": ("float64", (num_envs, metrics)),
        "cpu_seconds": ("float64", (num_envs,)),
        "episode_step": ("int64", (num_envs,)),
        "episode_action": ("float32", (num_envs, episode_steps, action)),
        "episode_random": ("uint64", (num_envs, STATE_WORDS)),
    }
