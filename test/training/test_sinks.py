"""Where the figures of a run go, and what a killed run left there."""

from __future__ import annotations

import json
import math
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import HISTOGRAMS, EventAccumulator

from ppo_robot.training.sinks import JsonLinesSink, ProgressSink, TensorBoardSink, read_records


def record(iteration: int, **changes: object) -> dict:
    return {
        "iteration": iteration,
        "steps": 100 * iteration,
        "wall_s": 0.5 * iteration,
        "episodes": 2,
        "episode_return_mean": -1.25,
        "episode_length_mean": 100.0,
        "success_rate": 0.5,
        "final_error_mean_m": 0.02,
        "reward_variance": 0.1,
        "reward_terms": {"tool_distance": -1.0},
        "policy_kl": 0.0123,
        "policy_loss": -0.01,
        "value_loss": 0.3,
        "clip_fraction": 0.2,
        "entropy": 4.0,
        "explained_variance": 0.6,
        "gradient_norm": 1.5,
        "learning_rate": 3e-4,
        "epochs_run": 2,
        "action_std": 0.5,
        "action_histogram": [0] * 9 + [30, 10] + [0] * 9,
        "steps_per_s": {"total": 200.0, "simulation": 300.0, "inference": 900.0, "learning": 800.0},
        "memory_mb": 400.0,
    } | changes


def lines(path: Path) -> list[int]:
    return [json.loads(line)["iteration"] for line in path.read_text().splitlines()]


def test_every_iteration_of_a_run_has_every_figure(straight) -> None:
    records = read_records(straight.directory / "metrics.jsonl")
    assert [entry["iteration"] for entry in records] == list(range(1, 13))
    assert [entry["steps"] for entry in records] == list(range(192, 2305, 192))
    always = (
        *("reward_variance", "policy_kl", "clip_fraction", "entropy", "explained_variance", "gradient_norm"),
        *("learning_rate", "memory_mb", "policy_loss", "value_loss", "wall_s", "action_std"),
    )
    for entry in records:
        assert entry.keys() - {"evaluation"} == record(1).keys()
        assert all(math.isfinite(entry[name]) for name in always)
        assert entry["steps_per_s"].keys() == {"total", "simulation", "inference", "learning"}
        assert 0.0 < entry["steps_per_s"]["total"] < min(entry["steps_per_s"][n] for n in ("simulation", "learning"))
        assert sum(entry["action_histogram"]) == 192 * 6 and len(entry["action_histogram"]) == 20
        assert ("evaluation" in entry) == (entry["iteration"] % 4 == 0)
        for name in ("episode_return_mean", "success_rate", "episode_length_mean", "final_error_mean_m"):
            assert (entry[name] is None) == (entry["episodes"] == 0)
    ended = [entry for entry in records if entry["episodes"]]
    assert ended
    for entry in ended:
        assert sum(entry["reward_terms"].values()) == pytest.approx(entry["episode_return_mean"])
        assert 0.0 <= entry["success_rate"] <= 1.0 < entry["episode_length_mean"] <= 100.0


def test_json_lines_of_iterations_that_a_kill_undid_are_dropped(tmp_path: Path) -> None:
    sink = JsonLinesSink(tmp_path)
    sink.on_start(0, 0, 900)
    for iteration in range(1, 6):
        sink.on_iteration(record(iteration))
        assert lines(sink.path)[-1] == iteration, "not yet with the operating system"
    sink.on_end()
    with sink.path.open("a") as file:
        file.write('{"iteration": 6, "ste')  # as a kill leaves it
    before = sink.path.read_text().splitlines()
    assert [entry["iteration"] for entry in read_records(sink.path)] == [1, 2, 3, 4, 5]

    sink = JsonLinesSink(tmp_path)
    sink.on_start(3, 300, 900)
    sink.on_iteration(record(4, wall_s=9.0))
    sink.on_end()
    assert lines(sink.path) == [1, 2, 3, 4]
    assert sink.path.read_text().splitlines()[:3] == before[:3]
    assert read_records(sink.path)[3]["wall_s"] == 9.0


def test_json_lines_of_a_new_run_and_of_no_file(tmp_path: Path) -> None:
    assert read_records(tmp_path / "metrics.jsonl") == []
    sink = JsonLinesSink(tmp_path)
    sink.on_start(0, 0, 900)
    sink.on_end()
    assert sink.path.read_text() == ""


def test_json_lines_say_null_for_what_is_no_number(tmp_path: Path) -> None:
    sink = JsonLinesSink(tmp_path)
    sink.on_start(0, 0, 900)
    settle = {"evaluation": {"settle": [math.inf, 1.0], "rate": math.nan}}
    sink.on_iteration(record(1, explained_variance=-math.inf, success_rate=None, **settle))
    sink.on_end()
    (entry,) = read_records(sink.path)
    assert entry["explained_variance"] is None and entry["success_rate"] is None
    assert entry["evaluation"] == {"settle": [None, 1.0], "rate": None}


def events(directory: Path) -> EventAccumulator:
    accumulator = EventAccumulator(str(directory / "tensorboard"), size_guidance={HISTOGRAMS: 0})  # 0: keep all
    accumulator.Reload()
    return accumulator


def test_tensorboard_of_a_run_holds_scalars_and_the_histogram_of_actions(straight) -> None:
    accumulator, records = events(straight.directory), read_records(straight.directory / "metrics.jsonl")
    tags = set(accumulator.Tags()["scalars"])
    policy = ("policy_kl", "clip_fraction", "entropy", "explained_variance", "gradient_norm", "learning_rate")
    rollout = ("episode_return_mean", "reward_variance", "success_rate", "episode_length_mean")
    parts = ("total", "simulation", "inference", "learning")
    wanted = {f"policy/{name}" for name in policy} | {f"rollout/{name}" for name in rollout}
    wanted |= {f"speed/steps_per_s_{part}" for part in parts} | {"speed/memory_mb", "evaluation/success_rate"}
    assert wanted <= tags
    shown = accumulator.Scalars("policy/policy_kl")
    assert [event.step for event in shown] == [entry["steps"] for entry in records]
    assert [event.value for event in shown] == pytest.approx([entry["policy_kl"] for entry in records], rel=1e-6)
    assert len(accumulator.Scalars("evaluation/success_rate")) == 3
    histograms = accumulator.Histograms("policy/action")
    assert [event.step for event in histograms] == [entry["steps"] for entry in records]
    values = histograms[0].histogram_value
    assert list(values.bucket) == records[0]["action_histogram"]
    assert list(values.bucket_limit) == pytest.approx(np.linspace(-0.9, 1.0, 20).tolist())
    assert values.num == 192 * 6


def test_tensorboard_hides_what_a_kill_undid(tmp_path: Path) -> None:
    sink = TensorBoardSink(tmp_path)
    sink.on_start(0, 0, 900)
    for iteration in range(1, 6):
        sink.on_iteration(record(iteration))
    sink.on_end()
    sink = TensorBoardSink(tmp_path)
    sink.on_start(3, 300, 900)
    sink.on_iteration(record(4, entropy=7.0))
    sink.on_end()
    shown = events(tmp_path).Scalars("policy/entropy")
    assert [(event.step, event.value) for event in shown] == [(100, 4.0), (200, 4.0), (300, 4.0), (400, 7.0)]


def test_progress_without_a_terminal_is_a_line_now_and_then_and_one_at_the_end(capsys, monkeypatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr("ppo_robot.training.sinks.time.monotonic", lambda: clock[0])
    sink = ProgressSink(Console(file=StringIO(), force_terminal=False))
    sink.on_start(0, 0, 500)
    for iteration in range(1, 6):
        evaluation = {"evaluation": {"success_rate": 0.995}} if iteration == 4 else {}
        sink.on_iteration(record(iteration, success_rate=None if iteration == 1 else 0.5, **evaluation))
        clock[0] += 4.0
    sink.on_end()
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "      100 steps · 200 steps/s · return -1.25 · success – · KL 0.0123 · 2 s left",
        "      400 steps · 200 steps/s · return -1.25 · success 50% · KL 0.0123 · evaluated 99.5% · 0 s left",
        "      500 steps · 200 steps/s · return -1.25 · success 50% · KL 0.0123 · evaluated 99.5% · 0 s left",
    ]


def test_progress_on_a_terminal_is_a_bar(capsys) -> None:
    screen = StringIO()
    sink = ProgressSink(Console(file=screen, force_terminal=True, width=160))
    sink.on_start(1, 100, 400)
    sink.on_iteration(record(3))
    sink.on_end()
    text = screen.getvalue()
    assert "75%" in text
    assert "200 steps/s · return -1.25 · success 50% · KL 0.0123" in text
    assert capsys.readouterr() == ("", "")


def test_progress_of_a_run_goes_to_standard_error(straight) -> None:
    assert "2,304 steps · " in straight.stderr and "steps/s" in straight.stderr and "s left" in straight.stderr
    assert "steps/s" not in straight.stdout
