"""The one list of processes: arguments, parameters, and what is refused."""

from __future__ import annotations

import importlib
import re
import runpy
import sys
from pathlib import Path

import pytest
import yaml

from ppo_robot.cli.main import main
from ppo_robot.errors import BadInputError
from ppo_robot.nodes.system import ARGUMENTS, ProcessSpec, parse_goal, parse_waypoints, system

ROOT = Path(__file__).resolve().parents[2]
BUNDLE = {"bundle": "/some/bundle"}


def by_name(processes: list[ProcessSpec]) -> dict[str, ProcessSpec]:
    return {process.name: process for process in processes}


def test_deploy_with_a_simulated_robot() -> None:
    found = by_name(system("deploy", {**BUNDLE, "plant": "mujoco", "seed": "3", "goal": "0.4 0.1 0.4"}))
    assert list(found) == ["sim_robot", "policy", "safety", "telemetry"]
    assert [name for name, process in found.items() if not process.required] == ["telemetry"]
    assert found["sim_robot"].parameters["plant"] == "mujoco"
    assert found["policy"].parameters["autostart"] is True
    assert found["policy"].parameters["goal"] == [0.4, 0.1, 0.4]
    assert {found[name].parameters["seed"] for name in ("sim_robot", "policy")} == {3}
    assert found["safety"].parameters == {**BUNDLE, "deployment": "sim", "arm": True}
    assert found["telemetry"].parameters == {**BUNDLE, "deployment": "sim"}
    assert {process.parameters["bundle"] for process in found.values()} == {"/some/bundle"}


def test_the_simulated_robot_has_the_controller_that_the_deployment_talks_to() -> None:
    parameters = system("deploy", {**BUNDLE, "plant": "sim", "config": "joint_trajectory"})[0].parameters
    assert parameters["controller_type"] == "joint_trajectory_controller"
    assert parameters["plant"] == "pybullet"
    assert "controller_joints" not in parameters  # ROS knows no empty list


def test_a_robot_that_runs_already_is_not_started() -> None:
    found = system("deploy", {**BUNDLE, "plant": "running"})
    assert [process.name for process in found] == ["policy", "safety", "telemetry"]


def test_telemetry_can_be_left_out() -> None:
    found = system("deploy", {**BUNDLE, "plant": "running", "telemetry": "false"})
    assert [process.name for process in found] == ["policy", "safety"]


def test_the_recorder_hears_the_first_word_of_all_others_and_its_end_ends_nobody() -> None:
    found = system("deploy", {**BUNDLE, "plant": "sim", "record": "true", "out": "somewhere"})
    assert [process.name for process in found] == ["recorder", "sim_robot", "policy", "safety", "telemetry"]
    assert not found[0].required
    assert found[0].parameters == {**BUNDLE, "deployment": "sim", "out": "somewhere"}


def test_a_recorder_alone_is_given_only_what_differs_from_the_deployment() -> None:
    (process,) = system("record", {"mode": "on_event", "topics": "/a /b:std_msgs/msg/String"})
    assert process.required
    assert process.parameters == {
        "deployment": "sim",
        "bundle": "",
        "out": "",
        "mode": "on_event",
        "topics": ["/a", "/b:std_msgs/msg/String"],
    }
    assert {"mode", "topics"}.isdisjoint(system("record", {})[0].parameters)


def test_in_simulated_time_every_node_follows_the_clock_of_the_simulated_robot() -> None:
    found = by_name(system("deploy", {**BUNDLE, "plant": "sim", "real_time": "false"}))
    assert found["sim_robot"].parameters["real_time"] is False
    assert found["policy"].parameters["use_sim_time"] is True
    assert found["safety"].parameters["use_sim_time"] is True
    assert found["telemetry"].parameters["use_sim_time"] is True
    real = by_name(system("deploy", {**BUNDLE, "plant": "sim"}))
    assert real["sim_robot"].parameters["real_time"] is True
    assert not any("use_sim_time" in process.parameters for process in real.values())


@pytest.mark.parametrize("given", [{}, {"plant": "hardware"}])
def test_the_simulated_robots_deployment_is_not_for_hardware(given: dict[str, str]) -> None:
    with pytest.raises(BadInputError, match="config:=sim, which is for the simulated robot; give plant:=sim"):
        system("deploy", given)


@pytest.mark.parametrize("config", ["forward_position", "joint_trajectory"])
def test_on_hardware_the_safety_node_is_there_and_waits_to_be_armed(config: str) -> None:
    found = by_name(system("deploy", {**BUNDLE, "config": config}))
    assert list(found) == ["policy", "safety", "telemetry"]
    assert found["safety"].parameters["arm"] is False
    assert found["safety"].required


def test_topics_of_the_deployment_become_remappings(tmp_path: Path) -> None:
    config = tmp_path / "deploy.yaml"
    data = {"controller": {"name": "arm"}, "hardware": False, "joint_state_topic": "/arm/states", "goal_topic": "/go"}
    config.write_text(yaml.safe_dump(data))
    found = by_name(system("deploy", {**BUNDLE, "plant": "sim", "config": str(config)}))
    states = ("/joint_states", "/arm/states")
    assert found["policy"].remappings == (states, ("goal_pose", "/go"))
    assert found["sim_robot"].remappings == found["safety"].remappings == (states,)


def test_train_is_the_command_with_its_arguments() -> None:
    (process,) = system("train", {"seed": "4", "out": "somewhere"})
    assert process.command() == [
        *(sys.executable, "-m", "ppo_robot.cli", "train", "reach", "--robot", "arm6", "--seed", "4"),
        *("--out", "somewhere"),
    ]


def test_a_node_gets_its_parameters_as_yaml_that_keeps_their_type() -> None:
    process = ProcessSpec("n", "some.module", "n", {"text": "3", "flag": True, "list": [1.0, 2.0]}, (("a", "b"),))
    assert process.command()[1:] == [
        *("-m", "some.module", "--ros-args", "-p", 'text:="3"', "-p", "flag:=true", "-p", "list:=[1.0, 2.0]"),
        *("-r", "a:=b"),
    ]


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("deplo", {}, "did you mean 'deploy'"),
        ("deploy", {"plnt": "sim"}, "unknown argument 'plnt:='; did you mean 'plant'"),
        ("deploy", {"plant": "mujco"}, "expected one of hardware, sim, mujoco, running; did you mean 'mujoco'"),
        ("deploy", {"plant": "sim", "seed": "x"}, "seed:=x: expected a whole number"),
        ("deploy", {"plant": "sim", "seed": "-1"}, "at least 0"),
        ("deploy", {"plant": "sim", "state_rate": "nan"}, "state_rate:=nan: expected a number"),
        ("deploy", {"plant": "sim", "goal": "0.4 0.1"}, "expected three numbers"),
        ("deploy", {"plant": "sim", "goal": "a b c"}, "expected three numbers"),
        ("deploy", {"plant": "sim", "config": "simm"}, "did you mean 'sim'"),
        ("sim", {"plant": "sim"}, "expected one of pybullet, mujoco"),
        ("train", {"seed": "1.5"}, "whole number"),
        ("deploy", {"plant": "sim", "out": "x"}, "where nothing is recorded; give record:=true, too"),
        ("record", {"mode": "on_evnt"}, "did you mean 'on_event'"),
    ],
)
def test_a_wrong_argument_is_named(name: str, given: dict[str, str], message: str) -> None:
    with pytest.raises(BadInputError, match=re.escape(message)) as raised:
        system(name, {**given})
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("text", ["0.4 0.1 0.4", "0.4,0.1,0.4", "[0.4, 0.1, 0.4]", " 0.4  0.1 0.4 "])
def test_a_goal_may_be_written_in_several_ways(text: str) -> None:
    assert parse_goal(text) == [0.4, 0.1, 0.4]


def test_every_argument_is_described_and_its_default_allowed() -> None:
    for arguments in ARGUMENTS.values():
        for argument in arguments:
            assert argument.description
            assert not argument.choices or argument.default in argument.choices


def test_setup_py_makes_an_executable_of_every_node(monkeypatch: pytest.MonkeyPatch) -> None:
    made: dict[str, object] = {}
    monkeypatch.setattr("setuptools.setup", lambda **given: made.update(given))
    monkeypatch.setattr(sys, "argv", ["setup.py", "install"])
    monkeypatch.chdir(ROOT)
    runpy.run_path(str(ROOT / "setup.py"))
    scripts = dict(line.split(" = ") for line in made["entry_points"]["console_scripts"])  # type: ignore[index]
    for process in system("deploy", {**BUNDLE, "plant": "sim", "record": "true"}):
        assert scripts[process.executable] == f"{process.module}:main"
        pytest.importorskip("rclpy", reason="rclpy is not installed")
        assert callable(importlib.import_module(process.module).main)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["deploy", "plnt:=sim"], "did you mean 'plant'"),
        (["depoy"], "did you mean 'deploy'"),
        (["deploy", "plant=sim"], "expected NAME:=VALUE"),
        (["deploy", "plant:=sim", "plant:=mujoco"], "given twice"),
        (["deploy"], "which is for the simulated robot"),
    ],
)
def test_up_refuses_bad_input_in_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["up", *arguments]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_up_lists_the_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["up", "deploy", "--show-args"]) == 0
    said = capsys.readouterr().out
    for argument in ARGUMENTS["deploy"]:
        assert f"{argument.name}:=" in said
        assert argument.description in said


def test_a_flight_with_a_simulated_robot() -> None:
    given = {**BUNDLE, "plant": "mujoco", "seed": "3", "waypoints": "0 0 1, 1 0 1.5", "odometry": "/vicon"}
    found = by_name(system("fly", given))
    assert list(found) == ["sim_flight", "flight"]
    assert found["flight"].parameters["waypoints"] == [0.0, 0.0, 1.0, 1.0, 0.0, 1.5]
    assert found["sim_flight"].parameters == {**BUNDLE, "plant": "mujoco", "seed": 3}
    assert found["flight"].remappings == found["sim_flight"].remappings == (("/odom", "/vicon"),)
    assert [process.name for process in system("fly", BUNDLE)] == ["flight"]


@pytest.mark.parametrize("words", ["0 0", "one two three", "", "0 0 1 2"])
def test_waypoints_that_are_none_are_one_line(words: str) -> None:
    with pytest.raises(BadInputError, match="expected x y z in m of each"):
        parse_waypoints(words)
