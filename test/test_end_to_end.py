"""From a task's name to a bundle that is judged, inspected and exported again, through the command line alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ppo_robot.cli.main import main
from ppo_robot.policy.bundle import load_bundle


def test_train_says_where_everything_lies(straight) -> None:
    run = straight.directory
    lines = straight.stdout.splitlines()
    assert lines[0] == f"run directory: {run}"
    assert lines[-1] == f"bundle: {run / 'bundle'}"
    assert any(line.startswith("success rate") for line in lines)
    for name in ("config.yaml", "robot.urdf", "provenance.json", "metrics.jsonl", "result.json"):
        assert (run / name).stat().st_size > 0, name
    assert any((run / "tensorboard").iterdir())
    names = {path.stem for path in (run / "checkpoints").glob("*.json")}
    assert names == {"best", "iteration_00000006", "iteration_00000009", "iteration_00000012"}
    assert "Traceback" not in straight.stderr and "Warning" not in straight.stderr


def test_what_was_written_says_where_it_comes_from(straight) -> None:
    provenance = json.loads((straight.directory / "provenance.json").read_text())
    assert provenance["command"].startswith("ppo-robot train reach --robot arm6")
    assert "--set training.total_steps=2304" in provenance["command"]
    assert provenance["libraries"].keys() >= {"numpy", "torch", "pybullet", "onnxruntime"}
    assert {"git_commit", "git_dirty", "python", "machine"} <= provenance.keys()
    train = json.loads((straight.directory / "bundle" / "train.json").read_text())
    assert train["command"] == provenance["command"]
    assert (train["seed"], train["config"]["seed"]) == (0, 0)
    assert train["steps"] % 192 == 0 and train["cpu_seconds"] > 0.0
    assert provenance["command"] in (straight.directory / "bundle" / "MODEL_CARD.md").read_text()


def test_result_is_that_of_the_bundle(straight, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    result = json.loads((straight.directory / "result.json").read_text())
    out = tmp_path / "out.json"
    bundle = straight.directory / "bundle"
    assert main(["evaluate", str(bundle), "--episodes", "8", "--workers", "1", "--json", str(out)]) == 0
    figures = json.loads(out.read_text())
    assert {key: figures[key] for key in result["evaluation"]} == result["evaluation"]
    assert figures["bundle_id"] == load_bundle(bundle).id


def test_inspect_shows_the_bundle(straight, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    bundle, out = straight.directory / "bundle", tmp_path / "out.json"
    assert main(["inspect", str(bundle), "--robot", "arm6", "--json", str(out)]) == 0
    identifier = json.loads((bundle / "manifest.json").read_text())["id"]
    text = capsys.readouterr().out
    assert identifier in text and "over 8 episodes" in text and "tool_to_goal" in text
    assert json.loads(out.read_text())["manifest"]["id"] == identifier


def test_export_to_another_place_is_the_same_bundle(straight, tmp_path: Path, capsys) -> None:
    """The evaluation is part of what a bundle is; without it, it is another one."""
    run, evaluation = straight.directory, straight.directory / "bundle" / "eval.json"
    assert main(["export", str(run), "--out", str(tmp_path / "b"), "--evaluation", str(evaluation)]) == 0
    identifier = load_bundle(run / "bundle").id
    assert load_bundle(tmp_path / "b").id == identifier
    assert identifier[:12] in capsys.readouterr().out
    assert main(["export", str(run), "--out", str(tmp_path / "c")]) == 0
    assert load_bundle(tmp_path / "c").id != identifier
    assert (tmp_path / "c" / "policy.onnx").read_bytes() == (run / "bundle" / "policy.onnx").read_bytes()
