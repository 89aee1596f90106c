"""Reward terms: functions of a view of the true state, (B, …) to (B,), before weight and control period."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from ppo_robot.mdp.terms import Registry
from ppo_robot.mdp.view import AnyView, View, sum_of_squares
from ppo_robot.spec.task import RewardTermSpec

Array = NDArray[np.float64]

REWARDS: Registry[Callable[..., Array]] = Registry("reward")


@REWARDS.register()
def tool_distance(view: View) -> Array:
    """Distance of the tool from the goal, m."""
    return view.goal_distance


@REWARDS.register()
def tool_near(view: View, *, std: float) -> Array:
    """1 at the goal, falling with distance over `std` metres: 1 - tanh(d / std)."""
    return 1.0 - np.tanh(view.goal_distance / std)


@REWARDS.register()
def action_rate(view: View) -> Array:
    """Sum over joints of the squared change of the action."""
    return sum_of_squares(view.action - view.previous_action)


@REWARDS.register()
def action_size(view: View) -> Array:
    """Sum over joints of the squared action."""
    return sum_of_squares(view.action)


@REWARDS.register()
def joint_speed(view: View) -> Array:
    """Sum over joints of the squared velocity as a share of its limit."""
    return sum_of_squares(view.state.joint_velocity / view.model.velocity_limit)


@REWARDS.register()
def speed_at_goal(view: View, *, std: float) -> Array:
    """Norm over joints of the velocity as a share of its limit, counted only near the goal: times exp(-(d / std)^2).

    Not squared: a slow drift along directions that do not move the tool would cost nothing, and never ends.
    """
    return np.sqrt(joint_speed(view)) * np.exp(-np.square(view.goal_distance / std))


@REWARDS.register()
def posture(view: View) -> Array:
    """Sum over joints of the squared distance from the default pose, rad^2.

    Which pose a redundant arm holds a goal in does not matter to the goal; without this it drifts, until after a minute
    a joint is at its limit.
    """
    return sum_of_squares(view.state.joint_position - view.model.default_position)


@REWARDS.register()
def joint_limit(view: View, *, margin: float) -> Array:
    """Sum over joints of how deep each is inside `margin` rad of a position limit, as a share of the margin."""
    position = view.state.joint_position
    depth = np.maximum(view.model.lower + margin - position, position - view.model.upper + margin)
    return np.sqrt(sum_of_squares(np.maximum(depth, 0.0) / margin))


@REWARDS.register()
def self_collision(view: View) -> Array:
    """1 while links of a listed pair touch."""
    return view.self_collision.astype(np.float64)


class RewardSum:
    """The weighted sum of a task's reward terms; each weight is per second."""

    def __init__(
        self,
        terms: Mapping[str, RewardTermSpec],
        control_period: float,
        registry: Registry[Callable[..., Array]] = REWARDS,
    ) -> None:
        """Bind the terms, which `registry` holds.

        Raises:
            SpecError: if a term or a parameter is unknown.
        """
        self.names = tuple(terms)
        self._terms = [
            (registry.bind(spec.term or name, spec.params, f"rewards.{name}"), spec.weight * control_period)
            for name, spec in terms.items()
        ]

    def evaluate(self, view: AnyView) -> tuple[Array, Array]:
        """Return the reward (B,) and each term's weighted share of it (B, terms)."""
        shares = np.stack([weight * function(view) for function, weight in self._terms], axis=1)
        total = shares[:, 0].copy()
        for column in range(1, shares.shape[1]):
            total += shares[:, column]
        return total, shares
