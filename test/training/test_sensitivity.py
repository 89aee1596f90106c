"""Sensitivity: where each entry is tried, what is lost there, and the command from a bundle to its plot, twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from ppo_robot.cli.main import main
from ppo_robot.errors import BadInputError
from ppo_robot.paths import share_directory
from ppo_robot.spec.kinds import build_task
from ppo_robot.spec.randomization import RandomizationSpec, check_randomization
from ppo_robot.spec.robot import load_robot
from ppo_robot.spec.strict import plain, read_yaml
from ppo_robot.spec.task import load_task
from ppo_robot.training.sensitivity.measure import by_importance, losses
from ppo_robot.training.sensitivity.sweep import plan_sweep, plan_sweeps, task_of_ranges
from ppo_robot.training.trial import nominal_values


def test_a_value_is_tried_across_its_range_and_beyond_but_not_where_it_means_nothing() -> None:
    sweep = plan_sweep("gravity", RandomizationSpec(range=(0.9, 1.3)), 1.0)
    assert (sweep.kind, sweep.unit, sweep.range) == ("value", "1", (0.9, 1.3))
    assert [point.x for point in sweep.points] == pytest.approx([0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5])
    assert [point.inside for point in sweep.points] == [False] * 2 + [True] * 5 + [False] * 2
    assert [point.entry is None for point in sweep.points] == [place == 3 for place in range(9)]
    payload = plan_sweep("payload", RandomizationSpec(range=(0.0, 2.0)), 0.0)
    assert [point.x for point in payload.points] == pytest.approx([0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0])


def test_a_disturbance_and_what_has_no_ends_are_scaled() -> None:
    push = RandomizationSpec("push", range=(-20.0, 20.0), when="interval", interval=(0.5, 2.0), duration=0.1)
    sweep = plan_sweep("push", push, 0.0)
    assert (sweep.kind, sweep.nominal) == ("scale", 0.0)
    assert [point.x for point in sweep.points] == [0.0, 0.5, 1.0, 1.5, 2.0]
    assert [point.inside for point in sweep.points] == [True, True, True, False, False]
    assert sweep.points[0].entry is None
    assert [point.entry.range[1] for point in sweep.points[1:] if point.entry and point.entry.range] == [10, 20, 30, 40]
    noise = plan_sweep("n", RandomizationSpec("joint_position_error", "normal", std=0.1, when="step"), 0.0)
    assert [point.entry.std for point in noise.points[1:] if point.entry] == pytest.approx([0.05, 0.1, 0.15, 0.2])


def test_every_point_of_the_full_set_is_allowed() -> None:
    task = load_task("reach_randomized")
    sweeps = plan_sweeps(task, nominal_values(load_robot("arm6"), task, "pybullet"))
    assert [sweep.name for sweep in sweeps] == list(task.simulation.randomization)
    for sweep in sweeps:
        for point in sweep.points:
            check_randomization({} if point.entry is None else {sweep.name: point.entry})
        assert [point.x for point in sweep.points] == sorted({point.x for point in sweep.points})
        assert sum(point.inside for point in sweep.points) >= 3


def test_what_is_lost_is_more_than_chance_or_not() -> None:
    def figures(rate: float, low: float, high: float) -> dict[str, Any]:
        return {"success_rate": rate, "success_ci95": [low, high]}

    nominal = figures(0.9, 0.85, 0.95)
    sweep = plan_sweep("push", RandomizationSpec("payload", range=(0.0, 2.0)), 0.0)
    steady = [nominal, *[figures(0.88, 0.8, 0.93)] * 5, figures(0.2, 0.1, 0.3)]
    one = losses(sweep, steady, nominal)
    assert (one.fall, one.fall_beyond) == pytest.approx((0.02, 0.7))
    assert (one.matters, one.matters_beyond) == (False, True)
    two = losses(sweep, [nominal, nominal, figures(0.5, 0.4, 0.6), *[nominal] * 4], nominal)
    assert (two.fall, two.matters) == (pytest.approx(0.4), True)
    assert by_importance([one, two]) == [two, one]


def test_whose_ranges_are_swept() -> None:
    plain_task, full = load_task("reach"), load_task("reach_randomized")
    assert task_of_ranges(plain_task, None) == full  # by its name
    assert task_of_ranges(full, None) is full
    assert task_of_ranges(plain_task, "reach_randomized") == full
    with pytest.raises(BadInputError, match="--ranges reach: has no simulation.randomization"):
        task_of_ranges(full, "reach")


def test_the_command_measures_each_point_once(
    tmp_path: Path, straight, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    task = plain(load_task("reach"))
    task |= {"episode_length": 0.1, "success": {"tolerance": 5.0, "hold": 0.02}}
    task["simulation"]["randomization"] = {
        "payload": {"range": [0.0, 1.0]},
        "position_noise": {"parameter": "joint_position_error", "when": "step", "distribution": "normal", "std": 0.01},
    }
    Path("ranges.yaml").write_text(yaml.safe_dump(task))
    bundle = str(straight.directory / "bundle")
    line = ["sensitivity", bundle, "--ranges", "ranges.yaml", "--episodes", "2", "--workers", "1", "--out", "here"]
    assert main([*line, "--only", "payload", "--json", "one.json"]) == 0
    one, points = json.loads(Path("one.json").read_text()), json.loads(Path("here/points.json").read_text())
    assert [parameter["name"] for parameter in one["parameters"]] == ["payload"]
    assert len(points) == 7  # nominal, and six values that are not
    assert one["nominal"]["success_rate"] == 1.0 and one["parameters"][0]["points"][0]["x"] == 0.0
    assert main([*line, "--json", "both.json"]) == 0
    both, more = json.loads(Path("both.json").read_text()), json.loads(Path("here/points.json").read_text())
    assert len(both["parameters"]) == 2 and len(more) == 7 + 4
    assert {key: more[key] for key in points} == points
    out = capsys.readouterr().out
    assert "position_noise" in out and "plot: here/sensitivity.png" in out
    assert Path("here/sensitivity.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads(Path("here/sensitivity.json").read_text()) == both
    before = Path("here/points.json").stat().st_mtime_ns
    assert main(line) == 0
    assert Path("here/points.json").stat().st_mtime_ns == before
    Path("here/points.json").write_text("[]")
    assert main(line) == 2
    assert "here/points.json: holds no results; move it away" in capsys.readouterr().err


def test_the_shipped_tasks_have_ranges() -> None:
    paths = list((share_directory() / "config" / "tasks").glob("*_randomized.yaml"))
    assert paths and all(build_task(read_yaml(path), str(path)).simulation.randomization for path in paths)
