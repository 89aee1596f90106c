"""Tests for ppo_robot.nodes.bench_telemetry: how ticks share what a message costs, and the whole of it once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="needs rclpy: pip install 'ppo_robot[ros]'")

from ros_harness import domain  # noqa: E402

from ppo_robot.cli.main import main  # noqa: E402
from ppo_robot.nodes.bench_telemetry import shares  # noqa: E402


def test_what_ticks_cost_is_shared_by_those_of_a_message() -> None:
    gathering, handing_over = (2e-6, 3e-6), (20e-6, 40e-6)
    costs = ([gathering] * 4 + [handing_over]) * 3 + [gathering]  # ends in the midst of a message
    found = shares(costs, [1.0, 1.0 + 100e-6, 1.0 + 300e-6], 5)
    assert found["telemetry_us_per_tick"] == pytest.approx({"p50": 5.6, "p99": 5.6, "mean": 5.6})
    assert found["telemetry_wall_us_per_tick"]["mean"] == pytest.approx(10.4)
    assert found["beside_us_per_tick"]["mean"] == pytest.approx(30.0)


@pytest.mark.slow
def test_bench_telemetry_measures_the_policy_node_at_two_rates(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("ROS_DOMAIN_ID", str(domain()))
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    path = tmp_path / "out.json"
    assert main(["bench", "telemetry", "--seconds", "1", "--json", str(path)]) == 0
    figures = json.loads(path.read_text())
    for one, rate in ((figures, 50.0), (figures["fast"], 200.0)):
        assert one["rate_hz"] == pytest.approx(rate)
        assert one["ticks"] >= 20
        assert 0.0 < one["telemetry_us_per_tick"]["p50"] <= one["telemetry_us_per_tick"]["p99"]
        assert one["telemetry_us_per_tick"]["p50"] < one["beside_us_per_tick"]["p50"]
