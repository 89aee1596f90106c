"""A stochastic run over ROS, recorded by the recorder, is the same again to the bit: policy and envelope."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

pytest.importorskip("rclpy", reason="needs rclpy: pip install 'ppo_robot[ros]'")

from ros_harness import node_process, until  # noqa: E402

from ppo_robot.cli.main import main  # noqa: E402
from ppo_robot.errors import BadInputError  # noqa: E402
from ppo_robot.recording.reader import BagReader  # noqa: E402

BUNDLE = Path(__file__).resolve().parents[2] / "config" / "policies" / "reach"
TICKS = 100


def telemetry_messages(bag: Path) -> int:
    """Return how many messages of the policy were flushed so far."""
    try:
        topic = BagReader(bag).topics.get("/policy/telemetry")
    except BadInputError:  # not begun yet
        return 0
    return topic.count if topic is not None else 0


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some seconds of a robot that is armed by itself and reaches, with actions that are drawn."""
    folder = tmp_path_factory.mktemp("replay_ros")
    bag = folder / "bag"
    with (
        node_process("ppo_robot.nodes.recorder", folder, out=bag, bundle=BUNDLE) as recorder,
        node_process("ppo_robot.nodes.sim_robot", folder, bundle=BUNDLE),
        node_process("ppo_robot.nodes.safety", folder, bundle=BUNDLE, arm=True),
        node_process(
            "ppo_robot.nodes.policy",
            folder,
            **{"bundle": BUNDLE, "autostart": True, "action": "stochastic", "seed": 11, "goal": "[0.45, 0.1, 0.4]"},
        ) as policy,
    ):
        until(lambda: telemetry_messages(bag) * 5 >= TICKS, "ticks in the recording")
        policy.end()
        recorder.end()
    return bag


def test_a_stochastic_run_over_ros_is_the_same_again(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", str(recorded), "--json", str(tmp_path / "found.json")]) == 0, capsys.readouterr()
    found = json.loads((tmp_path / "found.json").read_text())
    (policy,) = found["policy"]
    assert policy["differing"] == 0 and policy["gaps"] == [] and policy["total"] >= TICKS
    assert found["safety"]["differing"] == 0 and found["safety"]["gaps"] == [] and found["safety"]["total"] > TICKS
    assert found["notes"] == []


def test_one_changed_weight_is_named(recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed = Path(shutil.copytree(BUNDLE, tmp_path / "changed"))
    model = onnx.load(str(changed / "policy.onnx"))
    weight = next(one for one in model.graph.initializer if len(one.dims) == 2)
    values = numpy_helper.to_array(weight).copy()
    values[0, 0] = np.nextafter(values[0, 0] + 0.01, np.inf)
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    onnx.save(model, str(changed / "policy.onnx"))
    assert main(["replay", str(recorded), "--bundle", str(changed)]) == 1
    out = capsys.readouterr().out
    assert "first: tick 1 at" in out and ", inference: mean/" in out and "safety: 0 differing cycles" in out
