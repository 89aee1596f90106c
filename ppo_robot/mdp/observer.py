"""The observer: the one path from a robot's state to the vector that the policy reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ppo_robot.mdp.observations import OBSERVATIONS
from ppo_robot.mdp.terms import Registry
from ppo_robot.mdp.view import AnyView
from ppo_robot.spec.task import ObservationTermSpec

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ObservationTerm:
    """One bound term: its function, and how its value enters the observation."""

    name: str
    function: Callable[..., Array]
    spec: ObservationTermSpec
    unit: str
    frame: str

    def value(self, view: AnyView) -> Array:
        """Return clip((value - offset) * scale), (B, n)."""
        spec, value = self.spec, self.function(view)
        # What changes no bit is left out: on the robot, a call of numpy costs more than its arithmetic.
        if spec.offset != 0.0:
            value = value - spec.offset
        if spec.scale != 1.0:
            value = value * spec.scale
        if spec.clip is not None:
            value = np.minimum(np.maximum(value, -spec.clip), spec.clip)
        return value


class Observer:
    """Turns views into observations (B, O) float32; holds the history of terms that stack it.

    A term's history lies oldest first, and starts filled with its first value: never with zeros, which would be a pose.
    """

    def __init__(
        self,
        terms: Mapping[str, ObservationTermSpec],
        batch: int,
        registry: Registry[Callable[..., Array]] = OBSERVATIONS,
        room: str = "observations",
    ) -> None:
        """Bind the terms, which `registry` holds; `room` names their place in the task.

        Raises:
            SpecError: if a term or a parameter is unknown.
        """
        self.terms = tuple(
            ObservationTerm(
                name,
                registry.bind(spec.term or name, spec.params, f"{room}.{name}"),
                spec,
                **registry.facts(spec.term or name),
            )
            for name, spec in terms.items()
        )
        self._batch = batch
        self._history: dict[str, Array] = {}

    def reset(self, view: AnyView, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """Begin an episode in `rows` (k,) and return their first observation (k, O); `view` holds those k robots."""
        return self._observe(view, rows, first=True)

    def observe(self, view: AnyView, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """Return the observation (k, O) of `rows` (k,) and advance their history; `view` holds those k robots."""
        return self._observe(view, rows, first=False)

    def sizes(self, view: AnyView) -> dict[str, int]:
        """Return how many numbers each term contributes, in order."""
        return {term.name: term.value(view).shape[1] * term.spec.history for term in self.terms}

    def _observe(self, view: AnyView, rows: NDArray[np.intp], first: bool) -> NDArray[np.float32]:
        parts = []
        for term in self.terms:
            value = term.value(view)
            if term.spec.history > 1:
                value = self._stack(term, value, rows, first)
            parts.append(value)
        return np.concatenate(parts, axis=1).astype(np.float32)

    def _stack(self, term: ObservationTerm, value: Array, rows: NDArray[np.intp], first: bool) -> Array:
        steps, size = term.spec.history, value.shape[1]
        if term.name not in self._history:
            self._history[term.name] = np.zeros((self._batch, steps, size))
        history = self._history[term.name]
        if first:
            history[rows] = value[:, None, :]
        else:
            history[rows, :-1] = history[rows, 1:]
            history[rows, -1] = value
        return history[rows].reshape(len(rows), steps * size)
