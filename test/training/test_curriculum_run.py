"""A curriculum through a run: ranges grow, are logged, and come back with a checkpoint."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ppo_robot.spec.curriculum import CurriculumSpec
from ppo_robot.spec.experiment import load_experiment
from ppo_robot.training.report.curves import learning_charts
from ppo_robot.training.sinks import _scalars
from ppo_robot.training.trainer import Trainer


def experiment(tiny, **curriculum):
    task = load_experiment("reach_randomized", "arm6", "default").task
    # A tolerance that chance meets: ends move within a few episodes.
    success = dataclasses.replace(task.success, tolerance=5.0, hold=0.02)
    task = dataclasses.replace(task, episode_length=0.12, success=success, curriculum=CurriculumSpec(**curriculum))
    return dataclasses.replace(tiny, task=task)


@pytest.mark.parametrize(
    "curriculum",
    [
        {"kind": "adr", "episodes": 1, "pinned": 0.9, "begin": 0.3},
        {"kind": "schedule", "whole_after": 1.0, "corners": 0.5},
    ],
    ids=["adr", "schedule"],
)
def test_ranges_grow_are_logged_and_come_back(curriculum, tiny, tmp_path) -> None:
    trainers = [Trainer(experiment(tiny, **curriculum), tmp_path / name) for name in ("straight", "resumed")]
    straight, resumed = trainers
    try:
        straight.start()
        records = [straight.learn() for _ in range(3)]
        straight._save()
        means = [record["range_share"]["mean"] for record in records]
        assert means[0] < means[-1]
        low, high = records[-1]["ranges"]["link_mass"]
        assert 0.8 <= low <= 1.0 <= high <= 1.2
        checkpoint = straight.store.newest()
        resumed.resume(checkpoint)
        assert {name for name in checkpoint.arrays if name.startswith("curriculum.")} >= {"curriculum.share"}
        for trainer in trainers:
            trainer.learn()
        assert straight.curriculum is not None and resumed.curriculum is not None
        assert np.array_equal(straight.curriculum.share, resumed.curriculum.share)
        ours, theirs = straight._arrays(), resumed._arrays()
        assert ours.keys() == theirs.keys()
        assert [name for name, array in ours.items() if array.tobytes() != theirs[name].tobytes()] == []
    finally:
        for trainer in trainers:
            trainer.close()
    assert {"ranges/link_mass_low", "ranges/share_mean"} <= {name for name, _ in _scalars(records[-1])}
    charts = learning_charts(records, straight.experiment)
    assert charts[-1].title == "Randomization"
    assert "<svg" in charts[-1].svg
