from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from ppo_robot.errors import BundleError
from ppo_robot.policy.bundle import load_bundle
from ppo_robot.policy.unchecked import load_unchecked


@pytest.fixture
def changed(tmp_path: Path, bundle_path: Path) -> Path:
    return Path(shutil.copytree(bundle_path, tmp_path / "changed"))


def change_weight(path: Path, factor: float = 1.01) -> None:
    model = onnx.load(str(path))
    weight = next(one for one in model.graph.initializer if len(one.dims) == 2)
    values = numpy_helper.to_array(weight).copy()
    values[0, 0] = values[0, 0] * factor + 0.01
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    onnx.save(model, str(path))


def test_an_intact_bundle_is_checked_as_ever(bundle_path: Path) -> None:
    loaded = load_unchecked(bundle_path)
    assert loaded.notes == () and loaded.golden_deviation == load_bundle(bundle_path).golden_deviation


def test_a_changed_weight_acts_and_is_named(changed: Path, bundle_path: Path) -> None:
    change_weight(changed / "policy.onnx")
    with pytest.raises(BundleError):
        load_bundle(changed)
    loaded, original = load_unchecked(changed), load_bundle(bundle_path)
    assert "not checked" in loaded.notes[0] and "policy.onnx" in loaded.notes[0]
    assert (loaded.id, loaded.robot, loaded.task) == (original.id, original.robot, original.task)
    row = np.full((1, loaded.runtime.observation_size), 0.3, dtype=np.float32)
    assert not np.array_equal(loaded.runtime.infer(row)[0], original.runtime.infer(row)[0])


def test_a_changed_scale_is_taken_from_the_task(changed: Path) -> None:
    spec = json.loads((changed / "spec.json").read_text())
    spec["task"]["observations"]["joint_velocity"]["scale"] *= 2.0
    (changed / "spec.json").write_text(json.dumps(spec))
    loaded = load_unchecked(changed)
    scale = loaded.task.observations["joint_velocity"].scale
    assert scale == spec["task"]["observations"]["joint_velocity"]["scale"]
    assert {one["name"]: one["scale"] for one in loaded.contract["observations"]}["joint_velocity"] == scale


def test_what_no_replay_needs_may_be_missing(changed: Path) -> None:
    for name in ("manifest.json", "golden.npz", "train.json", "eval.json", "envelope.yaml", "statistics.json"):
        (changed / name).unlink()
    loaded = load_unchecked(changed)
    assert (loaded.id, loaded.train, loaded.statistics) == ("", {}, None)


def test_what_cannot_act_is_refused(changed: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"spec\.json: No such file"):
        load_unchecked(tmp_path / "nowhere")
    spec = json.loads((changed / "spec.json").read_text())
    del spec["task"]["observations"]["joint_velocity"]
    (changed / "spec.json").write_text(json.dumps(spec))
    with pytest.raises(BundleError, match="has observations and actions of"):
        load_unchecked(changed)
