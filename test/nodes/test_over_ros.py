"""Evaluation over ROS 2 and the node bench: the whole system, real processes, through the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs rclpy: pip install 'ppo_robot[ros]'")

from ros_harness import ros_environment  # noqa: E402

from ppo_robot.nodes.evaluation import Episode  # noqa: E402
from ppo_robot.paths import share_directory  # noqa: E402
from ppo_robot.spec.task import TaskSpec, load_task  # noqa: E402

BUNDLE = share_directory() / "config" / "policies" / "reach"


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ppo_robot.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=240,
        stdin=subprocess.DEVNULL,
        env=ros_environment(),
    )


def nodes_of(domain: str) -> list[str]:
    """Return the command lines of node processes in a domain."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            line = (entry / "cmdline").read_text().replace("\0", " ")
            environment = (entry / "environ").read_text()
        except OSError:
            continue
        if "ppo_robot.nodes" in line and f"ROS_DOMAIN_ID={domain}\0" in environment:
            found.append(line)
    return found


def test_goals_go_out_and_the_truth_comes_back(tmp_path: Path) -> None:
    """In simulated time, which waits for the nodes: what comes out does not depend on what else the machine does."""
    run = ("--episodes", 3, "--seed", 4, "--time", "simulated", "--json", tmp_path / "f.json")
    done = command("evaluate", BUNDLE, "--over", "ros2", *run)
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "f.json").read_text())
    assert (figures["over"], figures["time"], figures["episodes"]) == ("ros2", "simulated", 3)
    assert figures["success_rate"] == 1.0
    assert figures["final_error_m"]["mean"] < 0.003
    assert 0.0 <= figures["intervention_rate"] < 0.25  # it was measured; how much depends on when actions arrive
    assert nodes_of(ros_environment()["ROS_DOMAIN_ID"]) == []


def test_a_goal_outside_the_workspace_starts_nothing() -> None:
    done = command("evaluate", BUNDLE, "--over", "ros2", "--episodes", 1, "--goal", 9, 9, 9)
    assert done.returncode == 2
    assert "outside the workspace" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_the_node_bench_prints_its_figures_and_leaves_nothing(tmp_path: Path) -> None:
    done = command("bench", "node", "--seconds", 1, "--json", tmp_path / "f.json")
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "f.json").read_text())
    for key in ("inference_us", "tick_us", "bare_tick_us"):
        assert 0.0 < figures[key]["p50"] <= figures[key]["p99"]
    assert set(figures["deadline_misses"]) == {"50_hz", "200_hz"}
    assert nodes_of(ros_environment()["ROS_DOMAIN_ID"]) == []


@pytest.fixture(scope="module")
def task() -> TaskSpec:
    return load_task("reach")


def episode(task: TaskSpec, error_at: dict[float, float]) -> dict[str, float]:
    """Return the summary of an episode sampled at 100 Hz: the error of each time holds until the next."""
    times = np.arange(0.0, task.episode_length + 1e-9, 0.01)
    errors = [error_at[max(time for time in error_at if time <= now + 1e-9)] for now in times]
    return Episode(np.zeros(3), times.tolist(), errors, cycles=400, changed=3).summary(task)


def test_success_is_being_within_tolerance_for_the_last_half_second(task: TaskSpec) -> None:
    held = episode(task, {0.0: 0.3, 0.8: 0.004})
    assert held == {
        "success": 1.0,
        "final_error": 0.004,
        "settle_time": pytest.approx(0.8),
        "intervention": 0.0075,
    }
    late = episode(task, {0.0: 0.3, 1.52: 0.004})
    assert late["success"] == 0.0
    slipped = episode(task, {0.0: 0.3, 0.5: 0.004, 1.8: 0.02, 1.9: 0.004})
    assert slipped["success"] == 0.0
    assert slipped["settle_time"] == pytest.approx(1.9)
    missed = episode(task, {0.0: 0.3, 0.5: 0.02})
    assert missed["success"] == 0.0
    assert missed["settle_time"] == float("inf")
