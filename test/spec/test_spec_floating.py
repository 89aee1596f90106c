"""Tests of floating robots and flight tasks as files: what they say, and what is wrong with them in one line."""

from __future__ import annotations

import dataclasses
import math
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from flights import flight_experiment, flight_task, quad

from ppo_robot.errors import SpecError
from ppo_robot.paths import share_directory
from ppo_robot.spec.experiment import load_experiment, restore_experiment, save_experiment
from ppo_robot.spec.flight import FlightTaskSpec
from ppo_robot.spec.floating import floating_from_mapping
from ppo_robot.spec.kinds import build_robot, build_task, default_robot, load_any_robot
from ppo_robot.spec.randomization import FLIGHT_PARAMETERS
from ppo_robot.spec.robot import RobotSpec, load_robot
from ppo_robot.spec.strict import plain, read_yaml
from ppo_robot.spec.task import TaskSpec, load_task

CONFIG = share_directory() / "config"
URDF = (share_directory() / "urdf" / "quad.urdf").read_text(encoding="utf-8")


def robot_file(tmp_path: Path, description: str = URDF, **changes: Any) -> tuple[dict[str, Any], str]:
    """Return the mapping of quad.yaml with some values changed, and the name of its file."""
    data = read_yaml(CONFIG / "robots" / "quad.yaml")
    (tmp_path / "quad.urdf").write_text(description, encoding="utf-8")
    return data | {"urdf": "quad.urdf"} | changes, str(tmp_path / "quad.yaml")


def test_the_inertia_of_the_urdf_is_that_of_its_parts() -> None:
    def box(mass: float, *size: float) -> np.ndarray:
        square = np.square(size)
        return mass / 12.0 * (square.sum() - square)

    arm = box(0.04, 0.28, 0.02, 0.01)
    across = np.array([(arm[0] + arm[1]) / 2.0, (arm[0] + arm[1]) / 2.0, arm[2]])  # at 45 degrees
    radius, length, mass = 0.014, 0.03, 0.055
    side = mass * (3.0 * radius**2 + length**2) / 12.0 + mass * 0.1**2
    motor = np.array([side, side, mass * radius**2 / 2.0 + mass * 2.0 * 0.1**2])
    assert quad().inertia == pytest.approx(box(0.5, 0.12, 0.12, 0.05) + 2.0 * across + 4.0 * motor, rel=1e-5)
    assert quad().mass == pytest.approx(0.5 + 2 * 0.04 + 4 * 0.055)
    root = ElementTree.fromstring(URDF)
    motors = [visual for visual in root.iter("visual") if visual.find("geometry/cylinder[@length='0.03']") is not None]
    shown = {tuple(map(float, str(visual.find("origin").get("xyz")).split()[:2])) for visual in motors}  # type: ignore[union-attr]
    assert shown == {rotor.position[:2] for rotor in quad().rotors}


def test_the_quad_can_lift_twice_its_weight() -> None:
    robot = quad()
    assert len(robot.rotors) * robot.motor.thrust_upper > 2.0 * robot.mass * 9.81
    assert robot == load_any_robot(str(CONFIG / "robots" / "quad.yaml")) == build_robot(plain(robot), "again")


WRONG = [
    ("key", {"rotor": {}}, None, "rotor: unknown key; did you mean 'rotors'?"),
    ("no motor", {"motor": {"thrust_upper": 4.0, "time_constant": 0.1}}, None, "motor.torque_per_thrust: missing"),
    ("limits", {"cage": {"lower": [0, 0, 1], "upper": [1, 1, 0]}}, None, "cage: lower z 1.0 is not below upper z 0.0"),
    ("three", {"rotors": {n: {"position": [0, 0, 0], "spin": "cw"} for n in "abc"}}, None, "rotors: given 3; expected"),
    (
        "one spin",
        {"rotors": {f"{x}{y}": {"position": [x, y, 0], "spin": "cw"} for x in (-1, 1) for y in (-1, 1)}},
        None,
        "rotors: expected as many that spin ccw as cw",
    ),
    (
        "lopsided",
        {"rotors": {n: {"position": [0.1, 0, 0], "spin": "cw" if n in "ab" else "ccw"} for n in "abcd"}},
        None,
        "rotors: their centre is 0.1 m off in x",
    ),
    ("link", {"base_link": "body"}, None, "base_link: no link 'body' in the URDF"),
    ("urdf", {"urdf": "missing.urdf"}, None, "urdf: no such file"),
    ("xml", {}, lambda text: text[:200], "not valid XML"),
    ("offset", {}, lambda text: text.replace('<origin xyz="0 0 0"', '<origin xyz="0 0 0.1"', 1), "expected the centre"),
    ("product", {}, lambda text: text.replace('ixy="0"', 'ixy="1e-4"'), "its axes along the principal ones"),
    ("inertia", {}, lambda text: text.replace('izz="0.00614689"', 'izz="0.1"'), "is no body's"),
    ("mass", {}, lambda text: text.replace('<mass value="0.8"/>', '<mass value="none"/>'), "inertial of 'base_link'"),
    (
        "two bodies",
        {},
        lambda text: text.replace(
            "</robot>",
            '<link name="arm"><inertial><mass value="1"/><inertia ixx="1" iyy="1" izz="1"/></inertial></link></robot>',
        ),
        "links with an inertial: base_link, arm; expected 'base_link' alone",
    ),
]


@pytest.mark.parametrize(("changes", "edit", "message"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_a_wrong_robot_is_one_line(tmp_path: Path, changes: dict[str, Any], edit: Any, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        floating_from_mapping(*robot_file(tmp_path, edit(URDF) if edit else URDF, **changes))
    assert message in str(caught.value) and "quad" in str(caught.value) and "\n" not in str(caught.value)


def test_a_urdf_that_is_a_folder_is_one_line(tmp_path: Path) -> None:
    data, source = robot_file(tmp_path)
    with pytest.raises(SpecError, match="cannot be read as a URDF"):
        floating_from_mapping(data | {"urdf": str(tmp_path)}, source)


def test_the_full_set_draws_every_parameter_and_is_the_task_but_for_that() -> None:
    full, task = flight_task("drone_waypoint_randomized"), flight_task()
    used = {entry.parameter or name for name, entry in full.simulation.randomization.items()}
    assert used == set(FLIGHT_PARAMETERS)
    simulation = dataclasses.replace(full.simulation, randomization={})
    assert dataclasses.replace(full, name=task.name, simulation=simulation) == task


def test_a_task_knows_its_robot() -> None:
    assert default_robot("drone_waypoint") == "quad" and default_robot("reach") == "arm6"
    with pytest.raises(SpecError, match="tasks: no 'drone' in config/tasks"):
        default_robot("drone")


def test_a_task_is_of_one_kind() -> None:
    data = read_yaml(CONFIG / "tasks" / "drone_waypoint.yaml")
    assert isinstance(build_task(data, "t"), FlightTaskSpec)
    assert isinstance(build_task(plain(load_task("reach")), "t"), TaskSpec)
    assert isinstance(build_robot(plain(load_robot("arm6")), "r"), RobotSpec)
    with pytest.raises(SpecError, match="t: kind: unknown key"):
        build_task(data | {"kind": "swimming"}, "t")
    with pytest.raises(SpecError, match="physics_period: given 0.015; expected a whole fraction of control_period"):
        build_task(data | {"simulation": {"physics_period": 0.015}}, "t")


def test_an_experiment_comes_back_equal(tmp_path: Path) -> None:
    experiment = flight_experiment("task.episode_length=1.5", "robot.motor.time_constant=0.02")
    save_experiment(experiment, tmp_path)
    assert restore_experiment(tmp_path) == experiment
    assert yaml.safe_load((tmp_path / "config.yaml").read_text())["robot"]["motor"]["time_constant"] == 0.02
    assert math.isclose(experiment.task.episode_length, 1.5)


def test_an_experiment_is_of_one_kind() -> None:
    with pytest.raises(SpecError, match="drone_waypoint: is for floating robots; arm6 is one of .*; try --robot quad"):
        load_experiment("drone_waypoint", "arm6", "default")
    for name in ("arm", "arm_task"):
        with pytest.raises(SpecError, match="this works on robots with joints alone"):
            getattr(flight_experiment(), name)
