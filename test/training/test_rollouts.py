"""Tests for ppo_robot.training.rollouts: what was drawn for recorded episodes stands in the recording."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from ppo_robot.cli.main import main
from ppo_robot.policy.bundle import load_bundle
from ppo_robot.recording.reader import BagReader
from ppo_robot.recording.run_data import DRAWN
from ppo_robot.report.tables import topic_tables
from ppo_robot.sim.batch_env import BatchEnv
from ppo_robot.spec.task import load_task
from ppo_robot.telemetry.matrix import decode
from ppo_robot.training.evaluation import EVALUATION_SEED_OFFSET
from ppo_robot.training.judge import guarded
from ppo_robot.training.rollouts import record_rollouts
from ppo_robot.training.trial import seen_by

BUNDLE = Path(__file__).resolve().parents[2] / "config" / "policies" / "reach"
SEED = 3


def recorded(path: Path, topic: str) -> dict[str, np.ndarray]:
    """Return the columns of all messages of a topic, one after the other."""
    reader, parts = BagReader(path), []
    for message in reader.messages([topic]):
        said = reader.decode(message)
        dimensions = said.layout.dim
        parts.append(decode([one.label for one in dimensions], [one.size for one in dimensions], said.data))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def test_what_was_drawn_is_recorded_tick_by_tick(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shipped = load_bundle(BUNDLE)
    short = dataclasses.replace(load_task("reach_randomized"), episode_length=0.6)
    bundle = dataclasses.replace(shipped, any_task=seen_by(shipped.any_task, short))
    record_rollouts(bundle, tmp_path / "bag", 2, SEED)
    drawn, ticks = recorded(tmp_path / "bag", f"/{DRAWN}"), recorded(tmp_path / "bag", "/policy/telemetry")
    assert drawn["sequence"].tolist() == ticks["sequence"].tolist() == list(range(1, 61))
    for episode in range(2):
        env = BatchEnv(bundle.robot, guarded(bundle.task), [episode], SEED + EVALUATION_SEED_OFFSET)
        env.reset()
        names, values = env.drawn_names, env.drawn[0].copy()
        env.close()
        assert tuple(drawn) == ("sequence", *names)
        mine = {name: drawn[name][30 * episode : 30 * (episode + 1), 0] for name in names}
        assert (mine["payload"] == values[names.index("payload")]).all()
        assert (mine["link_mass/forearm_link"] == values[names.index("link_mass/forearm_link")]).all()
        assert len(set(mine["control_period"].tolist())) == 30  # anew in each period
    table = dict(topic_tables(BagReader(tmp_path / "bag")))["randomization_drawn"]
    assert list(table) == list(drawn)
    assert np.array_equal(table["payload"], drawn["payload"][:, 0])
    assert main(["replay", str(tmp_path / "bag"), "--bundle", str(BUNDLE)]) == 0, capsys.readouterr().err


def test_where_nothing_is_drawn_there_is_no_such_topic(tmp_path: Path) -> None:
    bundle = load_bundle(BUNDLE)
    short = dataclasses.replace(bundle.task, episode_length=0.6)
    record_rollouts(dataclasses.replace(bundle, any_task=short), tmp_path / "bag", 1, SEED)
    assert f"/{DRAWN}" not in BagReader(tmp_path / "bag").topics
