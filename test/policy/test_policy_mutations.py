"""Every way to spoil a bundle, one by one: each is refused, each with a message of its own."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml
from onnx import numpy_helper

from ppo_robot.cli.main import main
from ppo_robot.errors import BundleError
from ppo_robot.policy.bundle import load_bundle
from ppo_robot.policy.manifest import FILES, make_manifest
from ppo_robot.spec.experiment import Experiment
from ppo_robot.spec.robot import hash_description, load_robot


@pytest.fixture
def bundle(bundle_path: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(bundle_path, tmp_path / "bundle"))


def fix_hashes(bundle: Path) -> None:
    """Write a manifest that fits the files again, so that only the deeper checks can see what was done."""
    files = {name: (bundle / name).read_bytes() for name in FILES}
    (bundle / "manifest.json").write_text(json.dumps(make_manifest(files, "2026-01-01T00:00:00+00:00", None)))


def refusal(bundle: Path, **arguments: Any) -> str:
    """Return the one line with which the bundle is refused."""
    with pytest.raises(BundleError) as caught:
        load_bundle(bundle, **arguments)
    message = str(caught.value)
    assert "\n" not in message
    return message


def edit_json(path: Path, edit: Callable[[dict[str, Any]], Any]) -> None:
    data = json.loads(path.read_text())
    edit(data)
    path.write_text(json.dumps(data))


def edit_spec(bundle: Path, edit: Callable[[dict[str, Any]], Any]) -> str:
    edit_json(bundle / "spec.json", edit)
    fix_hashes(bundle)
    return refusal(bundle)


def edit_graph(bundle: Path, edit: Callable[[dict[str, Any]], Any]) -> str:
    """Alter the constants of the graph, by name, and return the refusal."""
    model = onnx.load_from_string((bundle / "policy.onnx").read_bytes())
    constants = {tensor.name: numpy_helper.to_array(tensor).copy() for tensor in model.graph.initializer}
    edit(constants)
    for tensor in model.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(constants[tensor.name], tensor.name))
    (bundle / "policy.onnx").write_bytes(model.SerializeToString())
    fix_hashes(bundle)
    return refusal(bundle)


def edit_golden(bundle: Path, edit: Callable[[dict[str, Any]], Any]) -> str:
    arrays = dict(np.load(bundle / "golden.npz"))
    edit(arrays)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    (bundle / "golden.npz").write_bytes(buffer.getvalue())
    fix_hashes(bundle)
    return refusal(bundle)


# ---- the files and their manifest


def test_the_untouched_copy_loads(bundle: Path) -> None:
    load_bundle(bundle)
    fix_hashes(bundle)
    load_bundle(bundle)


@pytest.mark.parametrize("name", FILES)
def test_one_flipped_bit_in_any_file(bundle: Path, name: str) -> None:
    data = bytearray((bundle / name).read_bytes())
    for place in (0, len(data) // 2, len(data) - 1):
        data[place] ^= 1
        (bundle / name).write_bytes(data)
        assert f"{name} does not match its hash" in refusal(bundle)
        data[place] ^= 1


@pytest.mark.parametrize("name", FILES)
def test_truncated_file(bundle: Path, name: str) -> None:
    (bundle / name).write_bytes((bundle / name).read_bytes()[:-1])
    message = refusal(bundle)
    assert f"{name} has " in message and "torn or altered" in message


@pytest.mark.parametrize("name", FILES)
def test_missing_file(bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    assert f"{name} is missing" in refusal(bundle)


def test_missing_manifest(bundle: Path) -> None:
    (bundle / "manifest.json").unlink()
    assert "not a policy bundle (no manifest.json)" in refusal(bundle)


def test_missing_directory(tmp_path: Path) -> None:
    assert "no such directory" in refusal(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    assert "not a directory" in refusal(tmp_path / "file")


@pytest.mark.parametrize("name", ["notes.txt", "policy.onnx.bak", "folder"])
def test_extra_file(bundle: Path, name: str) -> None:
    (bundle / name).mkdir() if name == "folder" else (bundle / name).write_text("")
    assert f"{name} is not listed in manifest.json" in refusal(bundle)


def test_extra_file_that_the_manifest_lists(bundle: Path) -> None:
    edit_json(bundle / "manifest.json", lambda m: m["files"].update({"../passwd": {"sha256": "", "bytes": 0}}))
    assert "'../passwd' is no part of a bundle" in refusal(bundle)


def test_newer_schema(bundle: Path) -> None:
    edit_json(bundle / "manifest.json", lambda m: m.update(schema_version=3, novelty=[]))
    assert "schema_version 3 is newer than what this ppo_robot reads (2); update ppo_robot" in refusal(bundle)


@pytest.mark.parametrize("version", [0, 1, True, "2", None])
def test_impossible_schema(bundle: Path, version: object) -> None:
    edit_json(bundle / "manifest.json", lambda m: m.update(schema_version=version))
    assert "schema_version" in refusal(bundle)


def test_altered_id(bundle: Path) -> None:
    edit_json(bundle / "manifest.json", lambda m: m.update(id="f" * 64))
    assert "claims the id ffffffffffff" in refusal(bundle)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", "not valid JSON"),
        ("[]", "expected a JSON object"),
        ('{"schema_version": NaN}', "not valid JSON (NaN is no JSON number)"),
        ('{"id": 1, "id": 2}', "key 'id' is given twice"),
        ("{}", "key 'schema_version' is missing"),
        ('{"schema_version": ' + 400 * "9" + "}", "the integer 99999999... is too large"),
        ("\ufeff\0", "not valid JSON"),
    ],
)
def test_malformed_manifest(bundle: Path, text: str, expected: str) -> None:
    (bundle / "manifest.json").write_text(text)
    assert expected in refusal(bundle)


@pytest.mark.parametrize("key", ["id", "created", "parent", "files"])
def test_manifest_without_a_key(bundle: Path, key: str) -> None:
    edit_json(bundle / "manifest.json", lambda m: m.pop(key))
    assert f"key '{key}' is missing" in refusal(bundle)


def test_manifest_that_does_not_list_a_file(bundle: Path) -> None:
    edit_json(bundle / "manifest.json", lambda m: m["files"].pop("golden.npz"))
    assert "'golden.npz' is not listed" in refusal(bundle)


def test_signature_is_asked_for(bundle: Path) -> None:
    assert "manifest.sig is missing" in refusal(bundle, require_signature=True)
    (bundle / "manifest.sig").write_bytes(b"whatever")
    assert "cannot be verified" in refusal(bundle, require_signature=True)
    assert not load_bundle(bundle).signed


# ---- spec.json, with hashes that fit


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (lambda s: s["observations"][0]["joint_names"].__setitem__(2, "elbow"), "observations[0].joint_names[2]"),
        (lambda s: s["action"]["joint_names"].reverse(), "action.joint_names[0]"),
        (lambda s: s["observations"][1].update(scale=0.4), "observations[1].scale: given 0.4"),
        (lambda s: s["action"]["scale"].__setitem__(0, 0.05653), "action.scale[0]: given 0.05653"),
        (lambda s: s["action"].update(filter_gain=1.0), "action.filter_gain"),
        (lambda s: s["observations"].reverse(), "observations[0].name: given 'velocity_history'"),
        (lambda s: s["observations"].pop(), "observations: has 11 entries; robot and task give 12"),
        (lambda s: s.update(control_period=0.01), "control_period: given 0.01"),
        (lambda s: s["default_pose"].update(elbow_joint=0.5), "default_pose.elbow_joint: given 0.5"),
        (lambda s: s["joint_limits"]["elbow_joint"].update(jerk_limit=1e9), "joint_limits.elbow_joint.jerk_limit"),
        (lambda s: s["assumed_latency"].update(sensor_delay=0.1), "assumed_latency.sensor_delay"),
        (lambda s: s.update(extra=1), "unknown key 'extra'"),
        (lambda s: s.pop("assumed_latency"), "key 'assumed_latency' is missing"),
        (lambda s: s.pop("robot"), "robot: missing"),
        (lambda s: s["task"]["action"].update(scale="x"), "task.action.scale: given 'x' (text)"),
        (lambda s: s["robot"]["joints"][2].update(name="elbow"), "no movable joint 'elbow' in its URDF"),
        (lambda s: s["robot"]["joints"].pop(), "observation_size: given 72; robot and task give 62"),
        (lambda s: s["robot"].update(tool_frame="hand"), "no link 'hand' in its URDF"),
        (lambda s: s["task"]["observations"]["tool_to_goal"].update(term="gaol"), "no observation term 'gaol'"),
        (lambda s: s.update(robot_description_hash="0" * 64), "policy was trained on 000000000000"),
    ],
)
def test_altered_spec(bundle: Path, edit: Callable[[dict[str, Any]], Any], expected: str) -> None:
    message = edit_spec(bundle, edit)
    assert expected in message and ("spec.json: " in message or "robot.urdf: " in message)


def alter_both(spec: dict[str, Any]) -> None:
    """Alter a scale in the task and in what follows from it."""
    spec["task"]["observations"]["joint_velocity"]["scale"] = 0.4
    spec["observations"][1]["scale"] = 0.4


def alter_velocity_limit(spec: dict[str, Any]) -> None:
    spec["robot"]["joints"][0]["velocity_limit"] = 3.0
    spec["joint_limits"]["shoulder_pan_joint"]["velocity_limit"] = 3.0
    spec["action"]["scale"][0] = 0.9 * 3.0 * 0.02


def test_spec_altered_everywhere_at_once_meets_the_golden_vectors(bundle: Path) -> None:
    message = edit_spec(bundle, alter_both)
    assert "golden.npz: observation 'joint_velocity'" in message and "does not act as it was trained to" in message


def test_limit_altered_everywhere_in_spec_meets_the_envelope(bundle: Path) -> None:
    assert "envelope.yaml: joints.shoulder_pan_joint.velocity_limit: given 3.14" in edit_spec(
        bundle, alter_velocity_limit
    )


def test_limit_altered_in_spec_and_envelope_meets_the_golden_vectors(bundle: Path) -> None:
    edit_json(bundle / "spec.json", alter_velocity_limit)
    envelope = yaml.safe_load((bundle / "envelope.yaml").read_text())
    envelope["joints"]["shoulder_pan_joint"]["velocity_limit"] = 3.0
    (bundle / "envelope.yaml").write_text(yaml.safe_dump(envelope))
    fix_hashes(bundle)
    assert "golden.npz: joint_target 'shoulder_pan_joint'" in refusal(bundle)


# ---- the other files, with hashes that fit


def test_envelope_loosened(bundle: Path) -> None:
    text = (bundle / "envelope.yaml").read_text().replace("effort_limit: 28.0", "effort_limit: 280.0", 1)
    (bundle / "envelope.yaml").write_text(text)
    fix_hashes(bundle)
    assert "envelope.yaml: joints.wrist_1_joint.effort_limit: given 280.0" in refusal(bundle)


@pytest.mark.parametrize(
    "text",
    ["joints: [", "- 1", "joint_margin: " + 400 * "9", "day: 2020-99-99", "\x00", "!!python/object/apply:os.abort []"],
)
def test_envelope_malformed(bundle: Path, text: str) -> None:
    (bundle / "envelope.yaml").write_text(text)
    fix_hashes(bundle)
    assert "envelope.yaml: " in refusal(bundle)


def test_another_urdf_inside(bundle: Path) -> None:
    text = (bundle / "robot.urdf").read_text()
    (bundle / "robot.urdf").write_text(text.replace("0.4", "0.41", 1))
    fix_hashes(bundle)
    assert "robot.urdf: its hash is" in refusal(bundle)


def test_another_urdf_inside_that_spec_names_too(bundle: Path) -> None:
    """Links of another length, every hash forged: the golden vectors know where the tool was."""
    import re

    text = (bundle / "robot.urdf").read_text()
    origin = re.search(r'<joint name="elbow_joint".*?<origin[^>]*xyz="([^"]*)"', text, re.DOTALL)
    assert origin is not None
    x, y, z = (float(value) for value in origin[1].split())
    start, end = origin.span(1)
    text = f"{text[:start]}{x + 0.01} {y} {z + 0.01}{text[end:]}"
    (bundle / "robot.urdf").write_text(text)
    digest = hash_description(text)
    edit_json(bundle / "spec.json", lambda s: s.update(robot_description_hash=digest))
    envelope = yaml.safe_load((bundle / "envelope.yaml").read_text())
    envelope["robot_description_hash"] = digest
    (bundle / "envelope.yaml").write_text(yaml.safe_dump(envelope))
    fix_hashes(bundle)
    message = refusal(bundle)
    assert "golden.npz: observation" in message and ("goal" in message or "tool" in message)


@pytest.mark.parametrize("content", [b"<robot", b"\xff\xfe", b"<robot name='x'/>"])
def test_urdf_malformed(bundle: Path, content: bytes) -> None:
    (bundle / "robot.urdf").write_bytes(content)
    fix_hashes(bundle)
    assert "robot.urdf: " in refusal(bundle)


def test_every_constant_of_the_graph_matters(bundle: Path) -> None:
    """One number of each weight, bias, normaliser or scaling altered by 1 %: refused."""
    untouched = (bundle / "policy.onnx").read_bytes()
    model = onnx.load_from_string(untouched)
    names = [t.name for t in model.graph.initializer if t.data_type == onnx.TensorProto.FLOAT]
    assert len(names) >= 14
    for name in names:

        def bump(constants: dict[str, Any], name: str = name) -> None:
            flat = constants[name].reshape(-1)
            place = int(np.argmax(np.abs(flat)))
            flat[place] += 0.01 * max(abs(float(flat[place])), 0.1)

        message = edit_graph(bundle, bump)
        assert "golden.npz: action" in message or "action scaling is not that" in message, name
        (bundle / "policy.onnx").write_bytes(untouched)


def test_nan_weight(bundle: Path) -> None:
    def spoil(constants: dict[str, Any]) -> None:
        weight = next(value for value in constants.values() if value.ndim == 2)
        weight[0, 0] = np.nan

    assert "action mean: components [0, 1, 2, 3, 4, 5] are not finite" in edit_graph(bundle, spoil)


def test_graph_that_is_none(bundle: Path) -> None:
    (bundle / "policy.onnx").write_bytes(b"\x00not a model")
    fix_hashes(bundle)
    assert "policy.onnx: onnxruntime cannot run it" in refusal(bundle)


def rename(value: Any) -> None:
    value.name = "obs"


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (lambda g: g.output.pop(), "outputs are action_mean, action_log_std, action_scaled; expected"),
        (lambda g: g.output.reverse(), "outputs are observation_normalised, action_scaled, action_log_std,"),
        (lambda g: g.node[0].input.__setitem__(0, "obs") or rename(g.input[0]), "onnxruntime cannot run it"),
        (lambda g: setattr(g.input[0].type.tensor_type.shape.dim[0], "dim_value", 4), "the policy fails on"),
    ],
)
def test_graph_with_other_ends(bundle: Path, edit: Callable[[Any], Any], expected: str) -> None:
    model = onnx.load_from_string((bundle / "policy.onnx").read_bytes())
    edit(model.graph)
    (bundle / "policy.onnx").write_bytes(model.SerializeToString())
    fix_hashes(bundle)
    assert expected in refusal(bundle)


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (lambda a: a["observation"].__setitem__((3, 1, 0), 9.0), "observation 'joint_position' is"),
        (lambda a: a["action_mean"].__setitem__((3, 1, 2), 9.0), "action_mean component 2 is"),
        (lambda a: a["action_log_std"].__iadd__(0.1), "action_log_std component"),
        (lambda a: a["joint_target"].__setitem__((5, 0, 1), 9.0), "joint_target 'shoulder_lift_joint' is"),
        (lambda a: a["probe_action_mean"].__setitem__((90, 2), 9.0), "action_mean component 2 is"),
        (lambda a: a["state_joint_position"].__iadd__(0.01), "joint_target '"),
        (lambda a: a.update(tolerance_observation=np.float64(10.0)), "tolerance_observation is 10.0; expected at most"),
        (lambda a: a.update(tolerance_joint_target=np.float64(np.nan)), "'tolerance_joint_target' holds something"),
        (lambda a: a["state_joint_velocity"].__iadd__(0.01), "observation 'joint_velocity' is"),
        (lambda a: a["goal_position"].__iadd__(0.01), "_to_goal' is"),
        (lambda a: a.pop("goal_position"), "array 'goal_position' is missing"),
        (lambda a: a.update({k: v[:4] for k, v in a.items() if v.ndim and "probe" not in k}), "holds 16 states"),
        (lambda a: a.update({k: v[:4] for k, v in a.items() if "probe" in k}), "at least 64 probes"),
        (lambda a: a.update(applied_action=a["applied_action"][:, :, :3]), "'applied_action' has shape (32, 4, 3)"),
        (lambda a: a.update(action_mean=a["action_mean"][:, :, :3]), "action_mean has shape"),
        (lambda a: a.update(observation=a["observation"] * np.nan), "'observation' holds something else"),
        (lambda a: a.update(observation=np.array([["text"]])), "'observation' holds something else"),
        (lambda a: a.update(goal_position=np.array([None])), "cannot be read"),  # would need pickle
    ],
)
def test_altered_golden(bundle: Path, edit: Callable[[dict[str, Any]], Any], expected: str) -> None:
    message = edit_golden(bundle, edit)
    assert "golden.npz: " in message and expected in message


def test_golden_that_is_no_archive(bundle: Path) -> None:
    (bundle / "golden.npz").write_bytes(b"PK\x03\x04 torn")
    fix_hashes(bundle)
    assert "golden.npz: cannot be read" in refusal(bundle)


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (lambda e: e.pop("gates"), "gates: missing"),
        (lambda e: e["gates"][0].pop("seeds"), "gates[0]: expected the keys"),
        (lambda e: e["gates"][0].update(value=0.5), "gates[0].passed: given True"),
        (lambda e: e["gates"][0].update(threshold="high"), "gates[0].threshold: given 'high'"),
    ],
)
def test_altered_evaluation(bundle: Path, edit: Callable[[dict[str, Any]], Any], expected: str) -> None:
    edit_json(bundle / "eval.json", edit)
    fix_hashes(bundle)
    assert f"eval.json: {expected}" in refusal(bundle)


def test_a_setting_that_came_later_has_its_default_in_an_older_bundle(bundle: Path) -> None:
    def forget(spec: dict[str, Any]) -> None:
        del spec["task"]["critic_observations"], spec["task"]["simulation"]["randomization"]

    edit_json(bundle / "spec.json", forget)
    fix_hashes(bundle)
    task = load_bundle(bundle).task
    assert (task.critic_observations, task.simulation.randomization) == ({}, {})


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (lambda s: s.pop("action"), "given keys"),
        (lambda s: s.update(samples=-1), "samples: given -1"),
    ],
)
def test_altered_statistics(bundle: Path, edit: Callable[[dict[str, Any]], Any], expected: str) -> None:
    edit_json(bundle / "statistics.json", edit)
    fix_hashes(bundle)
    assert f"statistics.json: {expected}" in refusal(bundle)


def test_malformed_train(bundle: Path) -> None:
    (bundle / "train.json").write_text("null")
    fix_hashes(bundle)
    assert "train.json: expected a JSON object" in refusal(bundle)


# ---- the robot that it shall run on


def test_the_right_robot_is_accepted(bundle: Path, experiment: Experiment) -> None:
    robot = load_robot("arm6")
    loaded = load_bundle(bundle, robot, experiment.task.control_period, robot.description)
    assert loaded.robot == robot and loaded.task == experiment.task and loaded.notes == ()


def test_comments_in_the_description_do_not_matter(bundle: Path, experiment: Experiment) -> None:
    text = experiment.robot.description.replace("</robot>", "<!-- mine -->\n</robot>")
    load_bundle(bundle, robot_description=text)


@pytest.mark.parametrize("how", ["robot", "text"])
def test_another_urdf(bundle: Path, experiment: Experiment, how: str) -> None:
    text = experiment.robot.description.replace("0.4", "0.41", 1)
    arguments = {"robot": {"robot": replace(experiment.robot, description=text)}, "text": {"robot_description": text}}
    message = refusal(bundle, **arguments[how])
    assert "another URDF" in message and hash_description(text)[:12] in message


def test_description_that_is_none(bundle: Path) -> None:
    assert "robot description: not valid XML" in refusal(bundle, robot_description="xacro failed")


@pytest.mark.parametrize("period", [0.01, 0.0200001, float("nan")])
def test_another_control_period(bundle: Path, period: float) -> None:
    message = refusal(bundle, control_period=period)
    assert "control period: given" in message and "trained at 0.02 s" in message


def test_robot_with_another_joint_set(bundle: Path, experiment: Experiment) -> None:
    joints = experiment.robot.joints
    renamed = replace(experiment.robot, joints=(*joints[:-1], replace(joints[-1], name="wrist_4_joint")))
    message = refusal(bundle, robot=renamed)
    assert "the robot lacks wrist_3_joint and the policy does not know wrist_4_joint" in message
    assert "the robot lacks wrist_3_joint" in refusal(bundle, robot=replace(experiment.robot, joints=joints[:-1]))


def test_robot_with_permuted_joints_is_matched_by_name(bundle: Path, experiment: Experiment) -> None:
    order = [3, 0, 5, 1, 4, 2]
    robot = replace(experiment.robot, joints=tuple(experiment.robot.joints[i] for i in order))
    loaded = load_bundle(bundle, robot)
    assert loaded.robot.joint_names == experiment.robot.joint_names
    assert "orders its joints otherwise" in loaded.notes[0]
    index = loaded.joint_index(robot.joint_names)
    assert [robot.joint_names[i] for i in index] == list(loaded.robot.joint_names)
    names = ["gripper", *robot.joint_names]
    assert [names[i] for i in loaded.joint_index(names)] == list(loaded.robot.joint_names)
    with pytest.raises(BundleError, match="needs wrist_1_joint too"):
        loaded.joint_index(robot.joint_names[1:])
    with pytest.raises(BundleError, match="given twice"):
        loaded.joint_index([*robot.joint_names, "elbow_joint"])


def test_robot_with_another_frame_or_pose(bundle: Path, experiment: Experiment) -> None:
    assert "tool_frame: the robot has 'flange'" in refusal(bundle, robot=replace(experiment.robot, tool_frame="flange"))
    joints = experiment.robot.joints
    moved = replace(experiment.robot, joints=(replace(joints[0], default_position=0.1), *joints[1:]))
    assert "default pose: joint shoulder_pan_joint" in refusal(bundle, robot=moved)


def test_robot_with_tighter_limits_is_noted(bundle: Path, experiment: Experiment) -> None:
    joints = experiment.robot.joints
    slower = replace(experiment.robot, joints=(replace(joints[0], velocity_limit=1.0), *joints[1:]))
    (note,) = load_bundle(bundle, slower).notes
    assert "shoulder_pan_joint has other limits" in note


def test_the_command_line_says_it_in_one_line(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (bundle / "golden.npz").unlink()
    assert main(["inspect", str(bundle)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and "golden.npz is missing" in err
