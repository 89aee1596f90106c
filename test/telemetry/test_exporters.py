"""The endpoint: what Prometheus reads is what the monitor holds, and a taken port is one line."""

from __future__ import annotations

import socket
import threading
import urllib.request
from collections.abc import Iterator

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from telemetry_rows import PERIOD, ROS, columns, moments, policy_row, safety_rows

from ppo_robot.errors import BadInputError
from ppo_robot.spec.telemetry import TelemetrySpec
from ppo_robot.telemetry.drift import Reference
from ppo_robot.telemetry.exporters import Endpoint, MonitorCollector
from ppo_robot.telemetry.monitor import Monitor

REFERENCE = Reference(
    ("observation/a", "action/b"), np.tile(np.arange(1.0, 10.0), (2, 1)), np.zeros(2), np.full(2, 10.0)
)
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture
def monitor() -> Monitor:
    made = Monitor(TelemetrySpec(prometheus_port=9464), PERIOD, 0.1, (2,), REFERENCE)
    made.policy_info = {"bundle_id": "abc", "action": "deterministic"}
    return made


@pytest.fixture
def endpoint(monitor: Monitor) -> Iterator[Endpoint]:
    served = Endpoint(MonitorCollector(monitor, threading.Lock(), lambda: 101.0), "127.0.0.1", 0)
    yield served
    served.close()


def scrape(endpoint: Endpoint) -> Samples:
    with urllib.request.urlopen(f"http://127.0.0.1:{endpoint.port}/metrics", timeout=10.0) as answer:
        text = answer.read().decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def feed(monitor: Monitor, ticks: int) -> None:
    at = [moments(tick) for tick in range(ticks)]
    rows = columns([policy_row(tick + 1, at[tick]) for tick in range(ticks)], observation=1, action=1, goal_position=3)
    monitor.policy(rows, 101.0)
    monitor.safety(
        columns([row for tick in range(ticks) for row in safety_rows(tick + 1, at[tick])], position=1), 101.0
    )
    for tick in range(ticks):
        monitor.timeline.arrived(tick + 1, ROS + at[tick]["stamp"], at[tick]["to_controller"], 101.0)
    monitor.timeline.settle(101.0)


def test_what_was_fed_is_read(monitor: Monitor, endpoint: Endpoint) -> None:
    feed(monitor, 50)
    monitor.diagnostics(
        "safety", {"stop/tracking": "2", "limit/elbow/position": "7", "cycles": "9", "other": "x"}, 101.0
    )
    monitor.diagnostics("recorder", {"dropped": "4", "lost": "1"}, 101.0)
    found = scrape(endpoint)
    assert found["ppo_robot_control_ticks_total", ()] == 50
    assert found["ppo_robot_deadline_misses_total", ()] == 0
    assert found["ppo_robot_safety_stops_total", (("cause", "tracking"),)] == 2
    assert found["ppo_robot_safety_limits_total", (("joint", "elbow"), ("reason", "position"))] == 7
    assert found["ppo_robot_recorder_drops_total", ()] == 5
    assert found["ppo_robot_policy_info", (("action", "deterministic"), ("bundle_id", "abc"))] == 1
    assert found["ppo_robot_intervention_ratio", ()] == 0
    assert found["ppo_robot_drift_outside_ratio", (("component", "action/b"),)] == 0
    assert found["ppo_robot_drift_psi", (("component", "observation/a"),)] > 1.0
    stage = (("stage", "inference"),)
    assert found["ppo_robot_stage_latency_seconds_count", stage] == 50
    assert found["ppo_robot_stage_latency_seconds_sum", stage] == pytest.approx(50 * 0.0002, rel=1e-6)
    assert found["ppo_robot_stage_latency_seconds_bucket", (("le", "0.0001"), *stage)] == 0
    assert found["ppo_robot_stage_latency_seconds_bucket", (("le", "0.0005"), *stage)] == 50
    # 7.9 ms, below the deadline of 10 ms and the watchdog's 100 ms, both of which are bounds.
    bucket = "ppo_robot_action_latency_seconds_bucket"
    assert [found[bucket, (("le", bound),)] for bound in ("0.005", "0.01", "0.1", "+Inf")] == [0, 50, 50, 50]


def test_a_silent_system_can_be_read_too(endpoint: Endpoint) -> None:
    found = scrape(endpoint)
    assert found["ppo_robot_control_ticks_total", ()] == 0
    assert found["ppo_robot_action_latency_seconds_count", ()] == 0
    assert ("ppo_robot_recorder_drops_total", ()) not in found


def test_counters_go_on_from_scrape_to_scrape(monitor: Monitor, endpoint: Endpoint) -> None:
    feed(monitor, 10)
    first = scrape(endpoint)
    feed(monitor, 10)
    second = scrape(endpoint)
    key = ("ppo_robot_control_ticks_total", ())
    assert (first[key], second[key]) == (10, 20)


def test_a_taken_port_is_one_line_that_names_it(monitor: Monitor, endpoint: Endpoint) -> None:
    collector = MonitorCollector(monitor, threading.Lock(), lambda: 0.0)
    with pytest.raises(BadInputError) as raised:
        Endpoint(collector, "127.0.0.1", endpoint.port)
    assert f"port {endpoint.port} of 127.0.0.1 cannot be used (Address already in use)" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_an_address_of_another_machine_is_one_line(monitor: Monitor) -> None:
    with pytest.raises(BadInputError, match=r"port 0 of 203\.0\.113\.1 cannot be used"):
        Endpoint(MonitorCollector(monitor, threading.Lock(), lambda: 0.0), "203.0.113.1", 0)


def test_only_this_machine_is_answered_and_nobody_after_the_end(monitor: Monitor) -> None:
    served = Endpoint(MonitorCollector(monitor, threading.Lock(), lambda: 0.0), "127.0.0.1", 0)
    assert served._server.server_address[0] == "127.0.0.1"
    served.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", served.port), timeout=5.0)
