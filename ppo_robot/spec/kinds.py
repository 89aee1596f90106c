"""The kinds of robots and of their tasks: a robot with joints, such as an arm, and a floating one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from ppo_robot.errors import SpecError
from ppo_robot.spec.flight import FlightTaskSpec
from ppo_robot.spec.floating import FloatingSpec, floating_from_mapping
from ppo_robot.spec.robot import RobotSpec, find_config, robot_from_mapping
from ppo_robot.spec.strict import build, of_kind, read_yaml
from ppo_robot.spec.task import TaskSpec

AnyRobot: TypeAlias = RobotSpec | FloatingSpec
AnyTask: TypeAlias = TaskSpec | FlightTaskSpec

FLOATING = "floating"
"""What the key `kind` of a file says where it is not about a robot with joints, which need no such key."""

DEFAULT_ROBOT = "arm6"
"""Where neither the user nor the task names a robot."""


def is_floating(data: Mapping[str, Any]) -> bool:
    """Return whether the mapping of a robot or a task is about a floating robot."""
    return data.get("kind") == FLOATING


def any_robot_from_mapping(data: Mapping[str, Any], source: str) -> AnyRobot:
    """Build a robot from the mapping of its YAML.

    Raises:
        SpecError: for a wrong key or value, or a URDF that does not fit.
    """
    return floating_from_mapping(data, source) if is_floating(data) else robot_from_mapping(data, source)


def load_any_robot(name_or_path: str) -> AnyRobot:
    """Load a robot by the name of a file in `config/robots`, or by the path of a YAML file."""
    path = find_config("robots", name_or_path)
    return any_robot_from_mapping(read_yaml(path), str(path))


def build_robot(data: Any, source: str, path: str = "") -> AnyRobot:
    """Build a robot from its own fields, as `plain` gives them."""
    kinds: tuple[type[AnyRobot], ...] = (RobotSpec, FloatingSpec)
    return build(of_kind(kinds, data), data, source, path)


def build_task(data: Any, source: str, path: str = "") -> AnyTask:
    """Build a task from the mapping of its YAML, or from what `plain` gives."""
    kinds: tuple[type[AnyTask], ...] = (TaskSpec, FlightTaskSpec)
    return build(of_kind(kinds, data), data, source, path)


def default_robot(task: str) -> str:
    """Return the robot that a task, by name or path, is for where the user names none.

    Raises:
        SpecError: if there is no such task.
    """
    data = read_yaml(find_config("tasks", task))
    robot = data.get("robot") if is_floating(data) else None
    return robot if isinstance(robot, str) else DEFAULT_ROBOT


def check_kinds(robot: AnyRobot, task: AnyTask) -> None:
    """Refuse a task that is for the other kind of robot.

    Raises:
        SpecError: if it is.
    """
    if isinstance(robot, FloatingSpec) != isinstance(task, FlightTaskSpec):
        kinds = {True: "floating robots", False: "robots with joints"}
        wanted = isinstance(task, FlightTaskSpec)
        hint = f"; try --robot {task.robot}" if isinstance(task, FlightTaskSpec) else ""
        raise SpecError(f"task {task.name}: is for {kinds[wanted]}; {robot.name} is one of {kinds[not wanted]}{hint}")


def as_arm(robot: AnyRobot) -> RobotSpec:
    """Return the robot where it has joints.

    Raises:
        SpecError: if it is a floating one.
    """
    if isinstance(robot, FloatingSpec):
        raise SpecError(f"robot {robot.name}: is a floating robot; this works on robots with joints alone")
    return robot


def as_arm_task(task: AnyTask) -> TaskSpec:
    """Return the task where it is for a robot with joints.

    Raises:
        SpecError: if it is for a floating one.
    """
    if isinstance(task, FlightTaskSpec):
        raise SpecError(f"task {task.name}: is for floating robots; this works on robots with joints alone")
    return task
