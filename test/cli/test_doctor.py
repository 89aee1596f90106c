"""`ppo-robot doctor`: each row says what is wrong and what to do; with `goal` and `up` over real ROS."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ppo_robot.cli.main import main
from ppo_robot.nodes.health import Row, environment_rows, graph_rows
from ppo_robot.paths import share_directory
from ppo_robot.policy.bundle import Bundle, load_bundle
from ppo_robot.spec.deployment import load_deployment

BUNDLE = share_directory() / "config" / "policies" / "reach"


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_bundle(BUNDLE)


def probe(bundle: Bundle, **changes: object) -> SimpleNamespace:
    """What a healthy simulated robot looks like, with changes."""
    seen = {
        "rmw": "rmw_fastrtps_cpp",
        "publishers": 1,
        "arrivals": tuple(np.arange(300) * 0.01),
        "ages": (0.001,) * 300,
        "joint_names": tuple(sorted(bundle.robot.joint_names)),
        "description": bundle.robot.description,
        "listeners": {"/forward_position_controller/commands": ("sim_robot",)},
        "policy_state": "active",
    }
    return SimpleNamespace(**{**seen, **changes})


def rows(bundle: Bundle | None, seen: SimpleNamespace, config: str = "sim") -> dict[str, Row]:
    return {row.name: row for row in graph_rows(seen, load_deployment(config), bundle)}  # type: ignore[arg-type]


def test_a_healthy_robot_is_all_ok(bundle: Bundle) -> None:
    found = rows(bundle, probe(bundle))
    assert {row.verdict for row in found.values()} == {"ok"}
    assert "100.0 Hz" in found["state rate"].found
    assert {row.verdict for row in rows(None, probe(bundle)).values()} == {"ok"}


@pytest.mark.parametrize(
    ("changes", "row", "verdict", "found", "advice"),
    [
        ({"publishers": 0}, "joint states", "fail", "nobody publishes", "joint_state_broadcaster"),
        ({"publishers": 2}, "joint states", "fail", "2 publishers", "end all but one"),
        ({"arrivals": ()}, "state rate", "fail", "0 messages", "silent"),
        ({"arrivals": tuple(np.arange(100) * 0.05)}, "state rate", "warn", "20.0 Hz", "runs at 50 Hz"),
        ({"arrivals": (0.0, 0.01, 0.02, 0.5, 0.51)}, "state rate", "warn", "longest gap 480.0 ms", "load and network"),
        ({"ages": (3.0,) * 300}, "state rate", "fail", "3.000 s old", "clocks"),
        ({"ages": (-3.0,) * 300}, "state rate", "fail", "-3.000 s old", "clocks"),
        ({"joint_names": ()}, "joints", "fail", "no joint state", "above"),
        ({"joint_names": ("a", "b", "a")}, "joints", "fail", "named twice: a", "publisher"),
        ({"joint_names": ("a", "b")}, "joints", "fail", "missing: shoulder_pan_joint", "is this that robot"),
        ({"description": None}, "description", "warn", "not published", "robot_state_publisher"),
        ({"description": "<robot name='other'/>"}, "description", "fail", "the bundle's is", "train a bundle"),
        ({"description": "no xml"}, "description", "fail", "not valid XML", "robot_state_publisher"),
        ({"listeners": {}}, "controller", "fail", "nobody listens", "activate forward_position_controller"),
        ({"listeners": {"/x/commands": ("y",)}}, "controller", "fail", "on /x/commands", "--config"),
        ({"policy_state": None}, "policy node", "warn", "does not run", "deploy.launch.py"),
        ({"policy_state": "inactive"}, "policy node", "warn", "inactive", "activate"),
    ],
)
def test_what_is_wrong_is_named_with_what_to_do(
    bundle: Bundle, changes: dict, row: str, verdict: str, found: str, advice: str
) -> None:
    result = rows(bundle, probe(bundle, **changes))[row]
    assert result.verdict == verdict
    assert found in result.found
    assert advice in result.advice


def test_joints_that_the_policy_does_not_know_are_named_and_harmless(bundle: Bundle) -> None:
    seen = probe(bundle, joint_names=(*bundle.robot.joint_names, "finger"))
    assert rows(bundle, seen)["joints"] == Row("joints", "ok", "all 6 of the bundle; extra and ignored: finger")


@pytest.mark.parametrize(
    ("environment", "row", "verdict"),
    [
        ({"ROS_DISTRO": "humble"}, "distribution", "ok"),
        ({"ROS_DISTRO": "dashing"}, "distribution", "warn"),
        ({}, "domain", "ok"),
        ({"ROS_DOMAIN_ID": "42"}, "domain", "ok"),
        ({"ROS_DOMAIN_ID": "150"}, "domain", "warn"),
        ({"ROS_DOMAIN_ID": "233"}, "domain", "fail"),
        ({"ROS_DOMAIN_ID": "x"}, "domain", "fail"),
        ({}, "discovery", "ok"),
        ({"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}, "discovery", "ok"),
        ({"ROS_AUTOMATIC_DISCOVERY_RANGE": "OFF"}, "discovery", "fail"),
        ({"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCAL"}, "discovery", "fail"),
        ({"ROS_LOCALHOST_ONLY": "1"}, "discovery", "warn"),
    ],
)
def test_the_environment(environment: dict[str, str], row: str, verdict: str) -> None:
    found = {entry.name: entry for entry in environment_rows(environment)}
    assert found[row].verdict == verdict
    assert bool(found[row].advice) == (verdict != "ok")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["doctor", "--seconds", "0"], "--seconds"),
        (["doctor", "--config", "simm"], "did you mean 'sim'"),
        (["doctor", "--bundle", "/no/such"], "/no/such"),
        (["doctor", "--json", "/no/such/file"], "no such directory"),
        (["goal", "0.4", "0.1", "nan"], "finite"),
        (["goal", "0.4", "0.1", "0.4", "--wait"], "--bundle"),
        (["goal", "0.4", "0.1", "0.4", "--timeout", "0"], "--timeout"),
        (["goal", "9", "0", "0", "--bundle", str(BUNDLE)], "outside the workspace"),
        (["goal", "0.4", "0.1", "0.4", "--bundle", str(BUNDLE), "--frame", "map"], "expected 'base_link'"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_without_rclpy_the_doctor_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "rclpy", None)
    monkeypatch.delitem(__import__("sys").modules, "ppo_robot.nodes.probe", raising=False)
    path = tmp_path / "rows.json"
    assert main(["doctor", "--json", str(path)]) == 1
    assert "pip install 'ppo_robot[ros]'" in capsys.readouterr().out
    written = json.loads(path.read_text())
    assert not written["good"]
    assert written["rows"][-1]["verdict"] == "fail"


@pytest.fixture
def own_domain(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rclpy", reason="needs rclpy: pip install 'ppo_robot[ros]'")
    from ros_harness import domain

    monkeypatch.setenv("ROS_DOMAIN_ID", str(domain()))
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")


def test_an_empty_domain(own_domain: None, launch, tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    doctor = launch("doctor", "--seconds", "0.5", "--json", path)
    goal = launch("goal", 0.4, 0.1, 0.4, "--timeout", 0.5)
    assert doctor.wait() == 1
    assert {row["name"]: row["verdict"] for row in json.loads(path.read_text())["rows"]}["joint states"] == "fail"
    assert goal.wait() == 4
    assert "nobody listens on /goal_pose" in goal.stderr
    assert goal.stderr.count("\n") == 1


def test_a_whole_system_is_found_good_reaches_a_goal_and_ends(
    own_domain: None, launch, tmp_path: Path, children_of, alive, eventually
) -> None:
    up = launch("up", "deploy", "plant:=sim", "seed:=1")
    words = ("active, deterministic", "[sim_robot]", "[safety]", "armed by itself")
    up.until(lambda: all(word in up.stdout for word in words), "policy, robot and an armed safety node")
    path = tmp_path / "rows.json"
    doctor = launch("doctor", "--bundle", BUNDLE, "--seconds", 2, "--json", path)
    assert doctor.wait() == 0, doctor.stdout
    written = {row["name"]: row for row in json.loads(path.read_text())["rows"]}
    assert written["policy node"]["found"] == "active"
    assert written["controller"]["found"] == "/forward_position_controller/commands: sim_robot"
    goal = launch("goal", 0.45, 0.2, 0.4, "--bundle", BUNDLE, "--wait", "--timeout", 30)
    assert goal.wait() == 0, goal.stdout + goal.stderr + up.stdout + up.stderr
    assert "sent to /policy" in goal.stdout
    assert "there after" in goal.stdout
    leashes = children_of(up.process.pid)
    nodes = [pid for leash in leashes for pid in children_of(leash)]
    assert len(nodes) == 4
    up.process.send_signal(signal.SIGINT)
    assert up.wait() == 0, up.stdout
    eventually(lambda: not any(map(alive, [*leashes, *nodes])), "the end of all")


def test_kill_9_of_up_leaves_no_node(own_domain: None, launch, children_of, alive, eventually) -> None:
    up = launch("up", "deploy", "plant:=sim", "config:=joint_trajectory")
    up.until(lambda: "active, deterministic" in up.stdout, "the policy")
    nodes = [pid for leash in children_of(up.process.pid) for pid in children_of(leash)]
    assert len(nodes) == 4
    up.process.kill()
    eventually(lambda: not any(map(alive, nodes)), "the end of the nodes")


def test_the_end_of_one_node_is_the_end_of_up(own_domain: None, launch) -> None:
    """A bundle that is refused ends its node, and with it all."""
    up = launch("up", "deploy", "plant:=sim", "bundle:=/no/such/bundle")
    assert up.wait() == 2
    assert "ending the rest" in up.stdout
    assert "Traceback" not in up.stdout


def test_a_deployment_without_a_known_joint_is_not_good(bundle: Bundle) -> None:
    deployment = load_deployment("sim")
    other = replace(deployment, joint_state_topic="/arm/states")
    found = graph_rows(probe(bundle, publishers=0), other, bundle)  # type: ignore[arg-type]
    assert any("/arm/states" in row.found for row in found)
