"""The telemetry node as a process: known delays come back as known quantiles, on topics and over HTTP."""

from __future__ import annotations

import math
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

rclpy = pytest.importorskip("rclpy", reason="needs rclpy: pip install 'ppo_robot[ros]'")

from prometheus_client.parser import text_string_to_metric_families  # noqa: E402
from ros_harness import NodeProcess, node_process  # noqa: E402
from telemetry_rows import DELAYS  # noqa: E402
from telemetry_script import Script  # noqa: E402

from ppo_robot.nodes.ros_support import controllers_of  # noqa: E402
from ppo_robot.paths import share_directory  # noqa: E402
from ppo_robot.policy.bundle import Bundle, load_bundle  # noqa: E402
from ppo_robot.safety.reasons import State  # noqa: E402
from ppo_robot.spec.deployment import ControllerSpec  # noqa: E402

BUNDLE = share_directory() / "config" / "policies" / "reach"
MODULE = "ppo_robot.nodes.telemetry"
CONTROLLER = ControllerSpec("arm")
TICKS = 100
ACTIVE = list(State).index(State.ACTIVE)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def deployment_file(folder: Path, port: int) -> Path:
    path = folder / "deploy.yaml"
    thresholds = {"prometheus_port": port, "drift_ticks": TICKS, "drift_goals": 1, "window": 60.0}
    path.write_text(yaml.safe_dump({"hardware": False, "controller": {"name": "arm"}, "telemetry": thresholds}))
    return path


class Running:
    """The node, what plays before it, and where it serves."""

    def __init__(self, process: NodeProcess, script: Script, deployment: Path, port: int, bundle: Bundle) -> None:
        self.process, self.script, self.deployment, self.port = process, script, deployment, port
        self.period = bundle.task.control_period

    def scrape(self) -> dict[tuple[str, ...], float]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10.0) as answer:
            text = answer.read().decode()
        return {
            (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder, port = tmp_path_factory.mktemp("telemetry"), free_port()
    deployment = deployment_file(folder, port)
    bundle = load_bundle(BUNDLE)
    runtime = bundle.runtime
    script = Script(CONTROLLER, len(bundle.robot.joints), runtime.action_size, runtime.observation_size)
    try:
        with node_process(MODULE, folder, bundle=BUNDLE, deployment=deployment) as process:
            script.wait_for_listener()
            yield Running(process, script, deployment, port, bundle)
    finally:
        script.close()


@pytest.fixture(scope="module")
def played(running: Running) -> Running:
    """A hundred ticks, ten of which were slow in the network, and what other nodes count."""
    script = running.script
    slow = DELAYS | {"inference": 0.003}
    script.tell_state("active")
    script.play([slow if tick % 10 == 9 else DELAYS for tick in range(TICKS)], running.period, ACTIVE, changed=20)
    script.tell_counters("safety", {"stop/tracking": 1, "limit/elbow_joint/dynamics": 5})
    script.wait(lambda: script.latency.get("end_to_end", {}).get("count") == str(TICKS), "every tick")
    cycles = f" of {TICKS} cycles"  # a verdict from before the last batch may still be under way
    script.wait(lambda: script.message("telemetry/intervention").endswith(cycles), "the verdict on them")
    script.wait(lambda: running.scrape().get(("ppo_robot_safety_stops_total", "tracking")), "the counters of safety")
    return running


@pytest.mark.parametrize("stage", [stage for stage in DELAYS if stage != "to_controller"])
def test_a_stage_has_the_quantiles_that_it_was_given(played: Running, stage: str) -> None:
    told = played.script.latency[stage]
    slow = 0.003 if stage == "inference" else DELAYS[stage]
    # A double holds the stamps' seconds to a quarter of a microsecond.
    assert told["count"] == str(TICKS)
    assert float(told["p50"]) == pytest.approx(DELAYS[stage], rel=0.011, abs=1e-6)
    assert float(told["p90"]) == pytest.approx(DELAYS[stage], rel=0.011, abs=1e-6)
    assert float(told["p99"]) == pytest.approx(slow, rel=0.011, abs=1e-6)
    assert float(told["max"]) == pytest.approx(slow, abs=1e-6)


def test_what_really_travelled_adds_to_what_was_given(played: Running) -> None:
    told, found = played.script.latency, played.scrape()
    given = sum(delay for stage, delay in DELAYS.items() if stage != "to_controller")
    assert told["to_controller"]["count"] == str(TICKS)
    assert float(told["end_to_end"]["p50"]) > given
    stages = sum(found["ppo_robot_stage_latency_seconds_sum", stage] for stage in DELAYS)
    assert found["ppo_robot_action_latency_seconds_sum",] == pytest.approx(stages, abs=1e-6 * TICKS)


def test_periods_and_ages_are_those_of_the_ticks(played: Running) -> None:
    told = played.script.latency
    assert float(told["period"]["max"]) == pytest.approx(played.period, abs=1e-6)
    assert float(told["period_jitter"]["max"]) < 1e-6
    assert float(told["observation_age"]["p50"]) == pytest.approx(0.005, rel=0.011)
    assert told["response"]["count"] == "0"


def test_verdicts_are_in_the_diagnostics(played: Running) -> None:
    told = played.script.told
    assert told["telemetry/intervention"].level == b"\x01"
    assert told["telemetry/intervention"].message == f"the envelope changed 20.0 % of {TICKS} cycles"
    assert told["telemetry/deadlines"].message == f"0 of {TICKS} periods without an action in time"
    # The policy is said to have seen nothing but zeros, which training did not.
    assert told["telemetry/drift"].level in (b"\x01", b"\x02")
    assert told["telemetry/drift"].message.startswith(("observation/", "action/"))
    assert told["telemetry"].level >= told["telemetry/drift"].level
    assert told["telemetry/recorder"].message == "not running"
    values = {pair.key: pair.value for pair in told["telemetry/intervention"].values}
    assert values["state"] == "active"


def test_prometheus_reads_the_same(played: Running) -> None:
    found = played.scrape()
    assert found["ppo_robot_control_ticks_total",] == TICKS
    assert found["ppo_robot_deadline_misses_total",] == 0
    assert found["ppo_robot_stage_latency_seconds_bucket", "0.0005", "inference"] == 90
    assert found["ppo_robot_stage_latency_seconds_count", "inference"] == TICKS
    assert found["ppo_robot_action_latency_seconds_count",] == TICKS
    deadline = found["ppo_robot_action_latency_seconds_bucket", str(played.period)]
    watchdog = found["ppo_robot_action_latency_seconds_bucket", "0.1"]
    assert 0 < deadline <= watchdog <= TICKS
    assert found["ppo_robot_safety_stops_total", "tracking"] == 1
    assert found["ppo_robot_safety_limits_total", "elbow_joint", "dynamics"] == 5
    assert found["ppo_robot_intervention_ratio",] == pytest.approx(0.2)
    assert found["ppo_robot_policy_info", "deterministic", "abc", "3"] == 1
    assert all(math.isfinite(value) for value in found.values())


def test_who_only_listens_is_no_controller(played: Running) -> None:
    """Or nobody would be told that the controller is missing."""
    node = played.script.node
    assert [info.node_name for info in node.get_subscriptions_info_by_topic("/arm/commands")] == ["telemetry"]
    assert controllers_of(node, "/arm/commands") == []


def test_a_second_one_on_the_same_port_is_refused_in_one_line(played: Running, tmp_path: Path) -> None:
    with node_process(MODULE, tmp_path, bundle=BUNDLE, deployment=played.deployment) as second:
        assert second.process.wait(60.0) == 2
        said = second.output
    assert f"telemetry.prometheus_port: port {played.port} of 127.0.0.1 cannot be used" in said
    assert "Traceback" not in said


def test_nonsense_is_refused_and_a_restarted_policy_is_followed(played: Running) -> None:
    """Last, for it adds to the counts that the others look at."""
    script = played.script
    script.spoil()
    script.play([DELAYS] * 10, played.period, ACTIVE)
    script.wait(lambda: script.latency["end_to_end"]["count"] == str(TICKS + 10), "the ticks after the restart")

    def values() -> dict[str, str]:
        return {pair.key: pair.value for pair in script.told["telemetry/timeline"].values}

    script.wait(lambda: values()["sessions"] == "2", "the second session")
    assert values()["refused"] == "2"
    assert played.process.process.poll() is None
    assert played.process.end() == 0
