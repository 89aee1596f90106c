"""What a critic may read beside every observation term: it judges in simulation only, where all is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ppo_robot.mdp.observations import OBSERVATIONS
from ppo_robot.mdp.terms import Registry
from ppo_robot.mdp.view import View

Array = NDArray[np.float64]

CRITIC_OBSERVATIONS: Registry[Callable[..., Array]] = Registry("critic observation", OBSERVATIONS)
"""The observation terms, which see the true state here, and those below."""


@CRITIC_OBSERVATIONS.register(unit="SI", frame="none")
def drawn(view: View) -> Array:
    """What randomization drew, (B, n), in the order of `BatchEnv.drawn_names`; nothing where nothing is drawn."""
    return np.zeros((view.state.batch, 0)) if view.drawn is None else view.drawn


@CRITIC_OBSERVATIONS.register(unit="1", frame="joint")
def joint_effort(view: View) -> Array:
    """Efforts as a share of the limits, (B, J)."""
    return view.state.joint_effort / view.model.effort_limit
