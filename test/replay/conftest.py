"""Short recordings of the shipped policy in simulation, which nobody may write to."""

from __future__ import annotations

from pathlib import Path

import pytest

from ppo_robot.policy.bundle import Bundle, load_bundle
from ppo_robot.training.rollouts import record_rollouts

BUNDLE = Path(__file__).resolve().parents[2] / "config" / "policies" / "reach"


@pytest.fixture(scope="session")
def shipped() -> Bundle:
    return load_bundle(BUNDLE)


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory, shipped: Bundle) -> Path:
    """Two episodes of a stochastic policy."""
    path = tmp_path_factory.mktemp("replay") / "drawn"
    record_rollouts(shipped, path, 2, seed=4, action="stochastic")
    return path
