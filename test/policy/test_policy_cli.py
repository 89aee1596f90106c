"""`ppo-robot inspect` and `ppo-robot export` as a person calls them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ppo_robot.cli.main import main
from ppo_robot.policy.bundle import load_bundle
from ppo_robot.spec.experiment import Experiment
from ppo_robot.training import run as training_run


def test_inspect_shows_all_that_matters(
    bundle_path: Path, tmp_path: Path, experiment: Experiment, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(bundle_path), "--robot", "arm6", "--json", str(tmp_path / "out.json")]) == 0
    out = capsys.readouterr().out
    wanted = [load_bundle(bundle_path).id, "arm6", "0.9950", "passed", "0" * 40, "unsigned", "every 20 ms"]
    for text in (*wanted, *experiment.task.observations, *experiment.robot.joint_names):
        assert text in out
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["spec"]["robot"]["name"] == "arm6" and found["evaluation"]["gates"][0]["passed"]


def test_inspect_against_another_robot(bundle_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(bundle_path), "--robot", "kuka_iiwa"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and "another URDF" in err


@pytest.fixture
def a_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, experiment: Experiment, make_actor: Any) -> Path:
    """A run directory whose best policy is an untrained actor."""
    origin = {"steps": 7, "command": "ppo-robot train reach --seed 3"}
    monkeypatch.setattr(training_run, "load_policy", lambda directory: (make_actor(), experiment, origin))
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


def test_export_writes_beside_the_run(a_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(a_run)]) == 0
    bundle = load_bundle(a_run / "bundle")
    assert bundle.id[:12] in capsys.readouterr().out
    assert bundle.train["steps"] == 7 and bundle.evaluation == {"gates": []}
    assert "ppo-robot train reach --seed 3" in (a_run / "bundle" / "MODEL_CARD.md").read_text()


def test_export_takes_the_figures_of_evaluate(a_run: Path, tmp_path: Path) -> None:
    figures = tmp_path / "eval.json"
    figures.write_text(json.dumps({"success_rate": 0.98, "success_ci95": [0.97, 0.99], "episodes": 1000, "seed": 5}))
    assert main(["export", str(a_run), "--out", str(tmp_path / "b"), "--evaluation", str(figures)]) == 0
    (gate,) = load_bundle(tmp_path / "b").evaluation["gates"]
    assert gate["passed"] is False and gate["seeds"] == [5] and gate["threshold"] == 0.99


@pytest.mark.parametrize(
    ("content", "expected"),
    [(None, "cannot be read"), ("{", "not valid JSON"), ("{}", "expected success_rate"), ('{"gates": 3}', "gates")],
)
def test_export_refuses_bad_figures(
    a_run: Path, tmp_path: Path, content: str | None, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = tmp_path / "eval.json"
    if content is not None:
        figures.write_text(content)
    assert main(["export", str(a_run), "--evaluation", str(figures)]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and expected in err
    assert not (a_run / "bundle").exists()


def test_export_never_overwrites_something_else(
    a_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("keep")
    assert main(["export", str(a_run), "--out", str(tmp_path / "mine")]) == 2
    assert "nothing was overwritten" in capsys.readouterr().err
    assert (tmp_path / "mine" / "file").read_text() == "keep"


def test_export_of_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(tmp_path / "nowhere")]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "nowhere" in err
