"""Termination terms: functions of a view of the true state, (B, …) to (B,) bool; true ends the episode for good."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from ppo_robot.mdp.terms import Registry
from ppo_robot.mdp.view import AnyView, View
from ppo_robot.spec.task import TermSpec

Mask = NDArray[np.bool_]

TERMINATIONS: Registry[Callable[..., Mask]] = Registry("termination")


@TERMINATIONS.register()
def self_collision(view: View) -> Mask:
    """Links of a listed pair touch."""
    return view.self_collision


@TERMINATIONS.register()
def tool_below(view: View, *, height: float) -> Mask:
    """The tool is lower than `height` metres above the base."""
    return view.tool_position[:, 2] < height


class TerminationAny:
    """The union of a task's termination terms."""

    def __init__(
        self, terms: Mapping[str, TermSpec], registry: Registry[Callable[..., Mask]] = TERMINATIONS
    ) -> None:
        """Bind the terms, which `registry` holds.

        Raises:
            SpecError: if a term or a parameter is unknown.
        """
        self._terms = [
            registry.bind(spec.term or name, spec.params, f"terminations.{name}") for name, spec in terms.items()
        ]

    def evaluate(self, view: AnyView) -> Mask:
        """Return which of the robots must end, (B,)."""
        ended = np.zeros(view.state.batch, dtype=bool)
        for function in self._terms:
            ended |= function(view)
        return ended
