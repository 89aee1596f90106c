"""Tests for ppo_robot.replay: recorded ticks of the policy, run again; on a difference the first tick and its stage."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from ppo_robot.cli.main import main
from ppo_robot.errors import BadInputError
from ppo_robot.policy.bundle import Bundle
from ppo_robot.policy.unchecked import load_unchecked
from ppo_robot.recording.bag import BagWriter
from ppo_robot.recording.reader import BagReader, RawMessage
from ppo_robot.recording.run_data import Activation, RunData, activations_of, read_run
from ppo_robot.recording.schemas import Schemas
from ppo_robot.replay.difference import Findings
from ppo_robot.replay.policy import PolicyReplay
from ppo_robot.replay.run import replay

TELEMETRY = "/policy/telemetry"


@pytest.fixture(scope="module")
def data(drawn: Path) -> RunData:
    return read_run(BagReader(drawn))


@pytest.fixture
def changed(tmp_path: Path, shipped: Bundle) -> Path:
    return Path(shutil.copytree(shipped.path, tmp_path / "changed"))


def copied(
    source: Path,
    target: Path,
    keep: Callable[[int, RawMessage], bool],
    info: dict[str, Any] | None = None,
    run: dict[str, Any] | None = None,
) -> Path:
    """Copy a recording, less the messages that are not kept, with other words of the policy and the recorder."""
    reader, schemas, counts = BagReader(source), Schemas(), dict.fromkeys(BagReader(source).topics, -1)
    with BagWriter(target, schemas=schemas, sync=False) as writer:
        for message in reader.messages():
            counts[message.topic] += 1
            if not keep(counts[message.topic], message):
                continue
            data = message.data
            if info is not None and message.topic == "/policy/info":
                told = schemas.store.types[message.type](json.dumps(info))
                data = schemas.encode(told, message.type)
            writer.add_topic(message.topic, message.type)
            writer.write(message.topic, message.log_time, data)
        told = json.loads(reader.attachments()["run.json"]) | (run or {})
        writer.attach("run.json", "application/json", json.dumps(told).encode())
    return target


def all_of(count: int, message: RawMessage) -> bool:
    return True


def changed_ticks(activation: Activation, column: str, row: int, change: float) -> Activation:
    """Return the ticks with one number changed."""
    values = activation.ticks[column].copy()
    values[row] += change
    return dataclasses.replace(activation, ticks={**activation.ticks, column: values})


def found_in(bundle: Bundle, activation: Activation) -> Findings:
    return PolicyReplay(bundle, activation).run()


def change_spec(bundle: Path, change: Callable[[dict[str, Any]], None]) -> Bundle:
    spec = json.loads((bundle / "spec.json").read_text())
    change(spec["task"])
    (bundle / "spec.json").write_text(json.dumps(spec))
    return load_unchecked(bundle)


def test_a_drawn_run_is_the_same_again_to_the_bit(data: RunData, shipped: Bundle, drawn: Path) -> None:
    (activation,) = data.activations
    ticks = activation.ticks
    assert activation.info == {"bundle_id": shipped.id, "action": "stochastic", "seed": 4, "maximum_std": None}
    assert ticks["begun"].sum() == 2 and len(np.unique(ticks["goal_position"], axis=0)) == 2
    assert ticks["std"].min() > 0.0 and not np.array_equal(ticks["action"], ticks["mean"])
    found = replay(drawn)
    (findings,) = found.policy
    assert (findings.total, found.differing, findings.gaps) == (len(ticks["sequence"]), 0, [])
    assert findings.total >= 50


def test_one_changed_weight_is_named_as_inference(
    changed: Path, drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = onnx.load(str(changed / "policy.onnx"))
    weight = next(one for one in model.graph.initializer if len(one.dims) == 2)
    values = numpy_helper.to_array(weight).copy()
    values[3, 5] += 1e-3
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    onnx.save(model, str(changed / "policy.onnx"))
    assert main(["replay", str(drawn), "--bundle", str(changed), "--json", str(tmp_path / "found.json")]) == 1
    out = capsys.readouterr().out
    assert "first: tick 1 at" in out and "inference: mean/" in out
    assert "note: not checked, for it would be refused:" in out and "policy.onnx does not match its hash" in out
    (findings,) = json.loads((tmp_path / "found.json").read_text())["policy"]
    assert set(findings["stages"]) == {"inference"} and findings["first"]["number"] == 1
    assert findings["differing"] == findings["stages"]["inference"]
    # Without --bundle the recorded one counts, which is intact.
    assert main(["replay", str(drawn)]) == 0
    assert "policy: 0 differing ticks" in capsys.readouterr().out


def test_a_changed_scale_is_named_with_its_term(changed: Path, data: RunData) -> None:
    bundle = change_spec(changed, lambda task: task["observations"]["joint_velocity"].update(scale=0.123))
    findings = found_in(bundle, data.activations[0])
    assert findings.first is not None and findings.first.number == 1
    assert findings.first.stage == "observation" and findings.first.term.startswith("joint_velocity/")
    assert findings.stages == {"observation": findings.total}


def test_a_changed_action_scale_is_found_in_the_action_path(changed: Path, data: RunData) -> None:
    # So much, because the limit on jerk alone decides the first increment of a joint that is to go far.
    bundle = change_spec(changed, lambda task: task["action"].update(scale=0.01 * task["action"]["scale"]))
    findings = found_in(bundle, data.activations[0])
    assert findings.first is not None
    assert (findings.first.number, findings.first.stage) == (1, "action path")
    assert findings.first.term.startswith("joint_target/")
    assert set(findings.stages) <= {"action path", "observation"}  # what the policy sees of its own targets


def test_another_seed_is_found_in_the_draws(data: RunData, shipped: Bundle) -> None:
    (activation,) = data.activations
    other = dataclasses.replace(activation, info={**activation.info, "seed": 5})
    findings = found_in(shipped, other)
    assert findings.stages == {"sampling": findings.total}
    assert findings.first is not None and findings.first.term.startswith("action/")


def test_a_cap_below_the_std_is_found_in_inference(data: RunData, shipped: Bundle) -> None:
    (activation,) = data.activations
    other = dataclasses.replace(activation, info={**activation.info, "maximum_std": 1e-4})
    findings = found_in(shipped, other)
    assert findings.stages == {"inference": findings.total}
    assert findings.first is not None and findings.first.term.startswith("std/")


@pytest.mark.parametrize(
    ("column", "stage"),
    [
        ("joint_position", "observation"),
        ("goal_position", "observation"),
        ("observation", "observation"),
        ("mean", "inference"),
        ("std", "inference"),
        ("action", "sampling"),
        ("log_probability", "sampling"),
        ("joint_target", "action path"),
    ],
)
def test_one_recorded_number_that_was_changed_is_found_where_it_stands(
    column: str, stage: str, data: RunData, shipped: Bundle
) -> None:
    (activation,) = data.activations
    findings = found_in(shipped, changed_ticks(activation, column, 7, 0.0625))
    assert findings.first is not None
    assert (findings.first.number, findings.first.stage) == (8, stage)
    assert findings.first.time == activation.ticks["state_stamp"][7]


def test_a_target_that_differs_in_its_last_bit_is_found(data: RunData, shipped: Bundle) -> None:
    (activation,) = data.activations
    ticks = dict(activation.ticks)
    target = ticks["joint_target"].copy()
    target[30, 2] = np.nextafter(target[30, 2], np.inf)
    findings = found_in(shipped, dataclasses.replace(activation, ticks={**ticks, "joint_target": target}))
    assert (findings.differing, findings.stages) == (1, {"action path": 1})
    assert findings.first is not None and findings.first.term == f"joint_target/{shipped.robot.joint_names[2]}"


@pytest.mark.parametrize("before", [1, 3, None])
def test_what_the_policy_says_of_itself_may_come_late(
    before: int | None, drawn: Path, data: RunData, tmp_path: Path
) -> None:
    """Behind one or three messages of its ticks, or behind them all, the run is known to be stochastic all the same."""
    reader, schemas, count = BagReader(drawn), Schemas(), 0
    (info,) = (message for message in reader.messages() if message.topic == "/policy/info")
    others = [message for message in reader.messages() if message.topic != "/policy/info"]
    begins = [place for place, message in enumerate(others) if message.topic == TELEMETRY]
    others.insert(len(others) if before is None else begins[before], info)
    with BagWriter(tmp_path / "late", schemas=schemas, sync=False) as writer:
        for count, message in enumerate(others):
            writer.add_topic(message.topic, message.type)
            writer.write(message.topic, others[0].log_time + count, message.data)
        writer.attach("run.json", "application/json", reader.attachments()["run.json"])
    (activation,) = read_run(BagReader(tmp_path / "late")).activations
    assert activation.info == data.activations[0].info


def test_a_dropped_batch_is_a_gap_and_no_difference(drawn: Path, data: RunData, tmp_path: Path) -> None:
    path = copied(drawn, tmp_path / "torn", lambda count, raw: raw.topic != TELEMETRY or count != 2)
    batch = len(data.activations[0].ticks["sequence"]) - len(read_run(BagReader(path)).activations[0].ticks["sequence"])
    second = int(np.flatnonzero(data.activations[0].ticks["begun"])[1])  # where the policy begins anew
    (findings,) = replay(path).policy
    assert findings.differing == 0 and batch > 1
    (gap,) = findings.gaps
    assert (gap.number, gap.missed) == (3 * batch + 1, batch)
    assert gap.uncompared == second - 3 * batch
    # Behind it the network is compared all the same, and the draws go on where they would be.
    (activation,) = read_run(BagReader(path)).activations
    findings = found_in(replay(path).bundle, changed_ticks(activation, "action", 2 * batch, 0.5))
    assert findings.stages["sampling"] == 1


def test_a_recording_that_begins_late_is_compared_from_where_the_policy_begins(
    data: RunData, shipped: Bundle
) -> None:
    (activation,) = data.activations
    late = dataclasses.replace(activation, ticks={name: column[10:] for name, column in activation.ticks.items()})
    findings = found_in(shipped, late)
    assert findings.differing == 0 and [gap.missed for gap in findings.gaps] == [10]


def test_each_activation_draws_anew(data: RunData, shipped: Bundle) -> None:
    (activation,) = data.activations
    half = len(activation.ticks["sequence"]) // 2
    rows = np.r_[0:half, 0:half]
    twice = {name: column[rows] for name, column in activation.ticks.items()}
    parts = activations_of([(dict(activation.info), twice)], "test")
    assert [len(part.ticks["sequence"]) for part in parts] == [half, half]
    assert [found_in(shipped, part).differing for part in parts] == [0, 0]


def test_a_torn_recording_is_refused_with_the_way_to_mend_it(
    drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torn = Path(shutil.copytree(drawn, tmp_path / "torn"))
    file = next(torn.glob("*.mcap"))
    file.write_bytes(file.read_bytes()[:-5000])
    assert main(["replay", str(torn)]) == 2
    complaint = capsys.readouterr().err
    assert complaint.count("\n") == 1 and "ppo-robot record recover" in complaint


def test_what_cannot_be_replayed_is_refused_in_one_line(
    drawn: Path, shipped: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    silent = copied(drawn, tmp_path / "silent", lambda count, raw: raw.topic == "/joint_states")
    info = {"bundle_id": "0" * 64, "action": "stochastic", "seed": 4, "maximum_std": None}
    other = copied(drawn, tmp_path / "other", all_of, info)
    unsaid = copied(drawn, tmp_path / "unsaid", lambda count, raw: raw.topic != "/policy/info")
    for path, why in (
        (tmp_path / "nowhere", "no such recording"),
        (shipped.path / "MODEL_CARD.md", "no recording; give the directory"),
        (silent, "holds neither policy/telemetry nor safety/telemetry"),
        (other, f"was made by bundle 000000000000; {shipped.path} is {shipped.id[:12]} now"),
        (unsaid, "neither action mode nor seed of these ticks was recorded"),
    ):
        assert main(["replay", str(path)]) == 2
        complaint = capsys.readouterr().err
        assert why in complaint and complaint.count("\n") == 1
    assert main(["replay", str(other), "--bundle", str(shipped.path)]) == 0
    assert "the recording was made by bundle 000000000000" in capsys.readouterr().out


def test_other_versions_and_bundles_that_have_moved_are_told(
    drawn: Path, shipped: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    versions = {"libraries": {"numpy": "1.0", "onnxruntime": None, "ruckig": importlib.metadata.version("ruckig")}}
    moved = {"bundle": {"path": "/nowhere", "id": shipped.id}, "versions": versions}
    found = replay(copied(drawn, tmp_path / "moved", all_of, run=moved))
    assert found.bundle.path == shipped.path and found.differing == 0  # one of the shipped bundles has the id
    assert [note.partition(" (")[0] for note in found.notes] == ["recorded with numpy 1.0"]
    info = {"bundle_id": "0" * 64, "action": "stochastic", "seed": 4, "maximum_std": None}
    lost = copied(drawn, tmp_path / "lost", all_of, info, {"bundle": {"path": "/nowhere", "id": "0" * 64}})
    assert main(["replay", str(lost)]) == 2
    assert "its bundle 000000000000 is not at /nowhere any more; give the one" in capsys.readouterr().err
    spec = {"action": {"joint_names": ["a", "b"]}}
    other = copied(drawn, tmp_path / "robot", all_of, run={"bundle": {"path": str(shipped.path), "spec": spec}})
    assert main(["replay", str(other)]) == 2
    assert "its joints are a, b; the bundle" in capsys.readouterr().err


def test_a_policy_of_another_shape_is_refused(changed: Path, data: RunData, shipped: Bundle) -> None:
    (activation,) = data.activations
    narrow = {**activation.ticks, "observation": activation.ticks["observation"][:, :-1]}
    with pytest.raises(BadInputError, match="observation has .* components; the bundle .* it is another policy's"):
        PolicyReplay(shipped, dataclasses.replace(activation, ticks=narrow))
    short = {name: column for name, column in activation.ticks.items() if name != "begun"}
    with pytest.raises(BadInputError, match="no begun; expected the columns of this version"):
        PolicyReplay(shipped, dataclasses.replace(activation, ticks=short))


def test_evaluate_records_what_it_judges(
    tmp_path: Path, shipped: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bag"
    asked = ["evaluate", str(shipped.path), "--episodes", "1", "--workers", "1", "--seed", "9", "--record", str(path)]
    assert main(asked) == 0
    assert f"recorded: {path} (1 episodes)" in capsys.readouterr().out
    data = read_run(BagReader(path))
    names = set(BagReader(path).topics)
    assert {"/policy/telemetry", "/policy/info", "/joint_states", "/goal_pose", "/robot_description"} <= names
    assert data.description == shipped.robot.description and data.run["bundle"]["id"] == shipped.id
    ticks = data.activations[0].ticks
    assert data.joint_states is not None and np.array_equal(data.joint_states.stamp, ticks["state_stamp"])
    assert np.array_equal(data.joint_states.position, ticks["joint_position"])
    assert np.array_equal(data.goals[:, 1:], ticks["goal_position"][:1])
    (commands,) = data.commands
    substeps = round(shipped.task.control_period / shipped.task.simulation.physics_period)
    assert np.array_equal(commands.sequence, np.repeat(ticks["sequence"], substeps))
    assert np.array_equal(commands.stamp, np.repeat(ticks["state_stamp"], substeps))
    assert main(["replay", str(path)]) == 0
    assert main(asked) == 2
    assert "exists already" in capsys.readouterr().err
