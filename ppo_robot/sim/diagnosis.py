"""Which number is not one: the environment and the term are named, not the sum in which they showed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from ppo_robot.mdp.observer import ObservationTerm
from ppo_robot.mdp.view import AnyView

Array = NDArray[np.float64]


def diagnose(
    indices: Sequence[int],
    view: AnyView,
    terms: Iterable[ObservationTerm],
    rewards: Sequence[str] = (),
    shares: Array | None = None,
) -> str:
    """Name the environment and the term whose value is not finite, or not in single precision.

    Args:
        indices: (k,) global indices of the environments.
        view: those environments, as `terms` see them.
        terms: observation terms.
        rewards: (r,) names of the reward terms, where there are `shares`.
        shares: (k, r) what each gave.
    """
    values = [(f"observation term '{term.name}'", term.value(view)) for term in terms]
    if shares is not None:
        values += [(f"reward term '{name}'", shares[:, [column]]) for column, name in enumerate(rewards)]
    for term, value in values:
        with np.errstate(over="ignore"):
            bad = ~np.isfinite(value.astype(np.float32)).all(axis=1)
        if bad.any():
            return f"{term} is not finite in environment {indices[int(np.flatnonzero(bad)[0])]}"
    return "the sum of the reward terms is not finite"
