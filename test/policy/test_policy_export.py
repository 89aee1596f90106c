"""What export writes, when it writes nothing, and how faithful it is."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from ppo_robot.errors import BundleError, RunFailedError
from ppo_robot.policy import bundle as bundle_module
from ppo_robot.policy import export
from ppo_robot.policy.bundle import load_bundle
from ppo_robot.policy.contract import describe
from ppo_robot.policy.export import check_parity, export_bundle, make_graph, spread_observations
from ppo_robot.policy.manifest import FILES
from ppo_robot.policy.runtime import PolicyRuntime
from ppo_robot.ppo.actor_critic import ActorCritic
from ppo_robot.spec.experiment import Experiment, load_experiment
from ppo_robot.spec.training import NetworkSpec

MakeActor = Callable[..., ActorCritic]


def write(path: Path, actor: ActorCritic, experiment: Experiment) -> str:
    return export_bundle(path, actor, experiment, {"steps": 1}, None, "ppo-robot train reach")


def test_the_directory_holds_what_the_design_says(bundle_path: Path) -> None:
    assert {path.name for path in bundle_path.iterdir()} == {*FILES, "manifest.json"}
    manifest = json.loads((bundle_path / "manifest.json").read_text())
    assert set(manifest) == {"schema_version", "id", "created", "parent", "files"}
    assert manifest["parent"] is None and manifest["created"].endswith("+00:00")
    assert sum(entry["bytes"] for entry in manifest["files"].values()) < 400_000
    assert [path.name for path in bundle_path.parent.iterdir()] == [bundle_path.name]  # nothing temporary is left


def test_specs_come_back_exactly(bundle_path: Path, experiment: Experiment) -> None:
    loaded = load_bundle(bundle_path)
    assert loaded.robot == experiment.robot
    assert loaded.task == experiment.task
    assert loaded.contract == json.loads(json.dumps(describe(experiment.robot, experiment.task)))


def test_awkward_floats_survive(tmp_path: Path, make_actor: MakeActor, experiment: Experiment) -> None:
    """What other projects lose by rounding their metadata (mjlab to 3 decimals)."""
    action = replace(experiment.task.action, scale=1.0 / 3.0, filter_time_constant=math.pi / 100.0)
    task = replace(experiment.task, action=action, control_period=0.02)
    joints = experiment.robot.joints
    first = replace(joints[0], default_position=0.1 + 0.2, jerk_limit=math.nextafter(300.0, 301.0))
    odd = replace(experiment, task=task, robot=replace(experiment.robot, joints=(first, *joints[1:])))
    write(tmp_path / "b", make_actor(), odd)
    loaded = load_bundle(tmp_path / "b")
    assert loaded.robot == odd.robot and loaded.task == odd.task
    assert loaded.envelope["joints"][first.name]["jerk_limit"] == first.jerk_limit
    runner = loaded.runner()
    assert runner.path.actions.scale.tolist() == loaded.contract["action"]["scale"]


def test_absolute_positions_too(tmp_path: Path, make_actor: MakeActor, experiment: Experiment) -> None:
    action = replace(experiment.task.action, type="joint_position", scale=0.5, acceleration_share=None)
    other = replace(experiment, task=replace(experiment.task, action=action))
    write(tmp_path / "b", make_actor(), other)
    contract = load_bundle(tmp_path / "b").contract
    assert contract["action"]["unit"] == "rad"
    assert contract["action"]["offset"][3] == pytest.approx(0.8)


@pytest.mark.parametrize("robot", ["franka_panda", "kuka_iiwa"])
def test_robots_with_meshes_find_them_again(tmp_path: Path, robot: str) -> None:
    experiment = load_experiment("reach", robot, "default")
    size = describe(experiment.robot, experiment.task)["observation_size"]
    actor = ActorCritic(size, size, len(experiment.robot.joints), NetworkSpec(hidden_sizes=(8,)))
    write(tmp_path / "b", actor, experiment)
    assert load_bundle(tmp_path / "b", experiment.robot).robot.urdf_directory == experiment.robot.urdf_directory


def test_the_id_depends_on_content_alone(tmp_path: Path, make_actor: MakeActor, experiment: Experiment) -> None:
    first = write(tmp_path / "a", make_actor(), experiment)
    second = write(tmp_path / "b", make_actor(), experiment)
    other = write(tmp_path / "c", make_actor(seed=1), experiment)
    assert first == second != other
    for name in FILES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize("activation", ["tanh", "elu", "relu"])
@pytest.mark.parametrize("gain", [0.01, 3.0])
@pytest.mark.parametrize("normalise", [True, False])
def test_parity(
    make_actor: MakeActor, experiment: Experiment, activation: str, gain: float, normalise: bool
) -> None:
    network = NetworkSpec(hidden_sizes=(64, 64), activation=activation, last_layer_gain=gain)
    actor = make_actor(network, normalise)
    action = describe(experiment.robot, experiment.task)["action"]
    runtime = PolicyRuntime(make_graph(actor, action))
    assert check_parity(actor, runtime) < 5e-6
    observation = spread_observations(actor, 2000, seed=5)
    if normalise:  # the spread reaches beyond the clip, and the graph clips where training does
        normaliser = actor.observation_normaliser
        share = np.abs((observation - normaliser.mean.numpy()) / normaliser.standard_deviation.numpy())
        assert (share > network.observation_clip).mean() > 0.1
    mean = actor.action_mean(torch.from_numpy(observation)).numpy()
    expected = np.array(action["scale"]) * np.clip(mean, -1.0, 1.0)
    np.testing.assert_allclose(runtime.scaled(observation), expected, rtol=1e-4, atol=1e-6)


def test_the_graph_is_readable_by_older_onnxruntime(bundle_path: Path) -> None:
    model = onnx.load_from_string((bundle_path / "policy.onnx").read_bytes())
    assert model.ir_version == 8
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 17)]


def wrong_mean(normaliser: Any) -> Any:
    return normaliser.mean.numpy().astype(np.float32) + 0.001, normaliser.standard_deviation.numpy().astype(np.float32)


def wrong_std(normaliser: Any) -> Any:
    return normaliser.mean.numpy().astype(np.float32), 1.0001 * normaliser.standard_deviation.numpy().astype(np.float32)


@pytest.mark.parametrize("wrong", [wrong_mean, wrong_std, lambda normaliser: None])
def test_nothing_is_written_when_torch_and_onnx_disagree(
    tmp_path: Path,
    make_actor: MakeActor,
    experiment: Experiment,
    monkeypatch: pytest.MonkeyPatch,
    wrong: Callable[[Any], Any],
) -> None:
    monkeypatch.setattr(export, "normaliser_constants", wrong)
    with pytest.raises(RunFailedError, match=r"torch and ONNX differ by .*; allowed is 1e-05; nothing was written"):
        write(tmp_path / "runs" / "b", make_actor(), experiment)
    assert not (tmp_path / "runs").exists()


def test_nothing_is_written_for_a_broken_network(
    tmp_path: Path, make_actor: MakeActor, experiment: Experiment
) -> None:
    actor = make_actor()
    with torch.no_grad():
        actor.actor[0].weight[0, 0] = float("nan")
    with pytest.raises(RunFailedError, match="not finite"):
        write(tmp_path / "b", actor, experiment)
    assert list(tmp_path.iterdir()) == []


def test_an_old_bundle_survives_a_failed_export(
    tmp_path: Path, make_actor: MakeActor, experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = write(tmp_path / "b", make_actor(), experiment)

    def fail(*args: Any) -> None:
        raise BundleError("refused")

    monkeypatch.setattr(bundle_module, "_check_scaled", fail)
    with pytest.raises(BundleError, match="refused"):
        write(tmp_path / "b", make_actor(seed=1), experiment)
    monkeypatch.undo()
    assert load_bundle(tmp_path / "b").id == first
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_a_bundle_is_replaced(tmp_path: Path, make_actor: MakeActor, experiment: Experiment) -> None:
    write(tmp_path / "b", make_actor(), experiment)
    second = write(tmp_path / "b", make_actor(seed=1), experiment)
    assert load_bundle(tmp_path / "b").id == second
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_a_torn_bundle_is_replaced_too(tmp_path: Path, make_actor: MakeActor, experiment: Experiment) -> None:
    write(tmp_path / "b", make_actor(), experiment)
    (tmp_path / "b" / "policy.onnx").write_bytes(b"")
    write(tmp_path / "b", make_actor(), experiment)
    load_bundle(tmp_path / "b")


def test_nothing_but_a_bundle_is_ever_replaced(
    tmp_path: Path, make_actor: MakeActor, experiment: Experiment
) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("years of work")
    with pytest.raises(BundleError, match="exists and is not a policy bundle; nothing was overwritten"):
        write(tmp_path / "home", make_actor(), experiment)
    (tmp_path / "file").write_text("text")
    with pytest.raises(BundleError, match="nothing was overwritten"):
        write(tmp_path / "file", make_actor(), experiment)
    write(tmp_path / "b", make_actor(), experiment)
    (tmp_path / "b" / "notes.md").write_text("mine")
    with pytest.raises(BundleError, match=r"holds notes\.md, which is no part of a bundle"):
        write(tmp_path / "b", make_actor(), experiment)
    assert (tmp_path / "home" / "thesis.tex").exists() and (tmp_path / "b" / "notes.md").exists()


def test_a_network_for_another_task_is_refused(tmp_path: Path, experiment: Experiment) -> None:
    with pytest.raises(BundleError, match="maps 5 observations to 6 actions; task reach on arm6 has 72 and 6"):
        write(tmp_path / "b", ActorCritic(5, 5, 6, NetworkSpec()), experiment)


def test_a_gate_must_be_whole(tmp_path: Path, make_actor: MakeActor, experiment: Experiment) -> None:
    with pytest.raises(BundleError, match=r"evaluation: gates\[0\]: expected the keys"):
        export_bundle(tmp_path / "b", make_actor(), experiment, {}, {"gates": [{"name": "success_rate"}]}, "x")
    assert list(tmp_path.iterdir()) == []


def test_the_card_says_what_a_person_needs(bundle_path: Path, experiment: Experiment) -> None:
    card = (bundle_path / "MODEL_CARD.md").read_text()
    for wanted in ("ppo-robot train reach --seed 3", "0.9950", "0.9880 to 0.9980", "1000", "50 Hz", "10 mm", "0" * 40):
        assert wanted in card
    for name in (*experiment.task.observations, *experiment.robot.joint_names):
        assert name in card
    assert "not a safety function" in card


def test_train_json_says_where_it_comes_from(bundle_path: Path) -> None:
    train = json.loads((bundle_path / "train.json").read_text())
    assert train["git_commit"] == "0" * 40 and train["config"]["seed"] == 3
    assert train["config"]["task"]["name"] == "reach" and train["command"].startswith("ppo-robot train")
    assert "description" not in train["config"]["robot"] and "urdf_directory" not in train["config"]["robot"]
