"""A transfer matrix: what is pooled, where it is written, and the command from its file to its page, twice."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from ppo_robot.cli.main import main
from ppo_robot.spec.experiment import restore_experiment
from ppo_robot.training.evaluation import Evaluation, wilson_interval
from ppo_robot.training.transfer.cells import badness
from ppo_robot.training.transfer.page import put_section
from ppo_robot.training.transfer.pool import Pooled, best_row, pool

TRAINING = {
    **{"num_envs": 6, "rollout_steps": 16, "total_steps": 576, "learner_threads": 1},
    **{"ppo.minibatch_size": 48, "ppo.epochs": 1, "checkpoint.interval_iterations": 1, "evaluation.episodes": 6},
}
ROW = {"task.episode_length": 0.2}
COLUMN = {"task.episode_length": 0.2, "task.success.hold": 0.04}
MATRIX: dict[str, Any] = {
    **{"name": "small", "task": "reach_randomized", "bar": 0.5},
    "set": {f"training.{key}": value for key, value in TRAINING.items()},
    "rows": {
        "none": {"title": "nothing drawn", "ranges": 0, "set": ROW | {"task.success.hold": 0.04}},
        "adr": {
            "set": ROW
            | {"task.success.hold": 0.04, "task.curriculum": {"episodes": 2}}
            | {"task.observations.joint_velocity": {"history": 2}, "task.critic_observations": {"drawn": {}}}
        },
    },
    "columns": {
        "beyond": {"ranges": 1.25, "set": COLUMN},
        "worst": {"set": COLUMN, "search": {"iterations": 1, "candidates": 2, "elites": 1, "episodes": 2}},
        "mujoco": {"plant": "mujoco", "without": ["action_jitter"], "set": COLUMN},
    },
}


def cell(rate: float, episodes: int, **more: Any) -> dict[str, Any]:
    figures = {"success_rate": rate, "episodes": episodes, "action_rate": 2.0, "effort": 0.1}
    return figures | {"final_error_m": {"mean": 0.004}} | more


def test_cells_are_pooled_over_episodes() -> None:
    pooled = pool([cell(0.9, 100), cell(0.5, 300, action_rate=4.0, final_error_m={"mean": 0.008})])
    assert pooled.success_rate == 240 / 400
    assert pooled.interval == wilson_interval(240, 400)
    assert pooled.by_seed == (0.9, 0.5)
    assert (pooled.action_rate, pooled.effort, pooled.final_error) == pytest.approx((3.5, 0.1, 0.007))
    assert pool([cell(1.0, 3, effort=None)]).effort is None  # a robot that measures none
    with pytest.raises(ValueError, match="no cells"):
        pool([])


def test_the_best_row_is_best_in_its_worst_column() -> None:
    def made(*rates: float) -> dict[str, Pooled]:
        return {name: pool([cell(rate, 100)]) for name, rate in zip("ab", rates, strict=False)}

    table = {"one": made(1.0, 0.2), "two": made(0.7, 0.6), "unfinished": made(1.0)}
    assert best_row(table, ["a", "b"]) == ("two", 0.6)
    assert best_row({"unfinished": made(1.0)}, ["a", "b"]) is None


def test_badness_tells_robots_apart_on_which_all_fails() -> None:
    def of(successes: list[int], errors: list[float]) -> float:
        return badness(Evaluation(("success", "final_error"), np.array([successes, errors], dtype=float).T), 0.01)

    assert of([1, 1], [0.0, 0.0]) == 1.0
    assert of([1, 0], [0.01, 0.01]) == pytest.approx(0.0)
    assert -1.0 < of([0, 0], [0.5, 0.5]) < of([0, 0], [0.02, 0.02]) < of([1, 0], [0.0, 0.02])


def test_a_section_is_replaced_and_the_others_stay() -> None:
    page = put_section("# Head\n", "one", "first \\1\n")
    page = put_section(page, "two", "second")
    one, two = "<!-- begin one -->\nfirst \\1\n<!-- end one -->", "<!-- begin two -->\nsecond\n<!-- end two -->"
    assert page == f"# Head\n\n{one}\n\n{two}\n"
    assert put_section(page, "one", "other \\2") == page.replace("first \\1", "other \\2")


def test_an_interrupted_matrix_goes_on_and_a_finished_one_measures_nothing_again(
    tmp_path: Path, launch, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("small.yaml").write_text(yaml.safe_dump(MATRIX))
    Path("docs/results").mkdir(parents=True)
    page = Path("docs/results/transfer.md")
    page.write_text("# Mine\n\n<!-- begin other -->\nkept\n<!-- end other -->\n")
    line = ("transfer", "small.yaml", "--seeds", "1", "--episodes", "3", "--workers", "1", "--out", "runs")
    command = launch(*line)
    command.until(lambda: list(Path("runs").glob("none-seed0/checkpoints/iteration_*.json")), "a checkpoint")
    command.process.send_signal(signal.SIGINT)
    assert command.wait() in (3, 130), command.stderr  # while it trained, or a moment later
    assert "begin small" not in page.read_text()

    assert main([*line, "--json", "out.json"]) in (0, 1)
    figures, text = json.loads(Path("out.json").read_text()), page.read_text()
    assert set(figures["table"]) == {"none", "adr"}
    assert all(set(cells) == {"beyond", "worst", "mujoco"} for cells in figures["table"].values())
    assert all(cell["effort"] > 0.0 and cell["episodes"] == 3 for cell in figures["cells"])
    worst = next(cell for cell in figures["cells"] if cell["column"] == "worst")
    assert 0.8 <= worst["worst"]["link_mass"] <= 1.2 and "joint_zero" not in worst["worst"]  # a normal one has no ends
    assert "<!-- begin other -->\nkept\n<!-- end other -->" in text and text.startswith("# Mine\n")
    assert "## small" in text and "| nothing drawn |" in text and "`link_mass`" in text
    assert Path("docs/images/transfer-small.png").read_bytes().startswith(b"\x89PNG")
    assert restore_experiment(Path("runs/none-seed0")).task.simulation.randomization == {}
    assert "--set" in json.loads(Path("runs/adr-seed0/provenance.json").read_text())["command"]

    kept = {path: path.stat().st_mtime_ns for path in Path("runs").rglob("*") if path.is_file()}
    capsys.readouterr()
    assert main([*line, "--finished", "--json", "again.json"]) in (0, 1)
    assert "training in" not in capsys.readouterr().out
    assert json.loads(Path("again.json").read_text()) == figures
    assert {path: path.stat().st_mtime_ns for path in Path("runs").rglob("*") if path.is_file()} == kept
    assert page.read_text() == text

    changed = yaml.safe_load(Path("small.yaml").read_text())
    changed["rows"]["none"]["set"]["training.ppo.epochs"] = 2
    Path("small.yaml").write_text(yaml.safe_dump(changed))
    assert main(list(line)) == 2
    error = capsys.readouterr().err
    assert "runs/none-seed0: was trained as something else: its training.ppo.epochs is not that of row none" in error
