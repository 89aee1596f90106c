"""What a run is: a robot, a task, a training file and a seed, with the user's overrides applied."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ppo_robot.errors import SpecError
from ppo_robot.spec.kinds import (
    AnyRobot,
    AnyTask,
    any_robot_from_mapping,
    as_arm,
    as_arm_task,
    build_task,
    check_kinds,
)
from ppo_robot.spec.robot import RobotSpec, find_config
from ppo_robot.spec.strict import build, nearest, parse_yaml, plain, read_yaml, setting
from ppo_robot.spec.task import TaskSpec
from ppo_robot.spec.training import TrainingSpec

CONFIG_FILE = "config.yaml"
DESCRIPTION_FILE = "robot.urdf"

_ROOMS = ("robot", "task", "training")


@dataclass(frozen=True)
class Experiment:
    """Everything that decides the outcome of a training run."""

    robot: AnyRobot
    task: AnyTask
    training: TrainingSpec
    seed: int = setting(low=0)

    def __post_init__(self) -> None:
        check_kinds(self.robot, self.task)

    @property
    def arm(self) -> RobotSpec:
        """The robot, where it has joints.

        Raises:
            SpecError: if it is a floating one.
        """
        return as_arm(self.robot)

    @property
    def arm_task(self) -> TaskSpec:
        """The task, where it is for a robot with joints.

        Raises:
            SpecError: if it is for a floating one.
        """
        return as_arm_task(self.task)


def load_experiment(
    task: str, robot: str, training: str, seed: int = 0, overrides: Sequence[str] = ()
) -> Experiment:
    """Load the three files (bare names in `config/`, or paths) and apply overrides such as `training.ppo.epochs=4`.

    Raises:
        SpecError: one line that names the file or override, the key, what was given and what is allowed.
    """
    paths = {"robot": find_config("robots", robot), "task": find_config("tasks", task)}
    paths["training"] = find_config("training", training)
    data = {room: read_yaml(path) for room, path in paths.items()}
    for override in overrides:
        apply_override(data, override)
    return Experiment(
        robot=any_robot_from_mapping(data["robot"], str(paths["robot"])),
        task=build_task(data["task"], str(paths["task"])),
        training=build(TrainingSpec, data["training"], str(paths["training"])),
        seed=seed,
    )


def apply_override(data: dict[str, dict[str, Any]], override: str) -> None:
    """Set one `room.key.path=value` in the mappings of the rooms robot, task and training; the value is YAML.

    Raises:
        SpecError: if it has another form, or names an unknown room.
    """
    path, equals, text = override.partition("=")
    room, *keys = path.strip().split(".")
    if not equals or not keys or not all(keys):
        raise SpecError(f"--set {override}: expected key.path=value, for example training.ppo.epochs=4")
    if room not in _ROOMS:
        close = difflib.get_close_matches(room, _ROOMS, n=1)
        raise SpecError(
            f"--set {override}: unknown room '{room}'; expected one of {', '.join(_ROOMS)}"
            + (f"; did you mean '{close[0]}.{'.'.join(keys)}'?" if close else "")
        )
    try:
        value = parse_yaml(text)
    except ValueError:
        raise SpecError(f"--set {override}: the value is not valid YAML") from None
    node: Any = data[room]
    for depth, key in enumerate(keys[:-1]):
        if node.get(key) is None:
            node[key] = {}
        node = node[key]
        if not isinstance(node, dict):
            raise SpecError(f"--set {override}: '{'.'.join([room, *keys[: depth + 1]])}' has no keys of its own")
    node[keys[-1]] = value


def save_experiment(experiment: Experiment, directory: Path) -> None:
    """Write the resolved configuration to `config.yaml` and the URDF, as it was, to `robot.urdf`."""
    data = plain(experiment)
    (directory / DESCRIPTION_FILE).write_text(data["robot"].pop("description"), encoding="utf-8")
    text = yaml.safe_dump(data, sort_keys=False, width=120)
    (directory / CONFIG_FILE).write_text(text, encoding="utf-8")


def restore_experiment(directory: Path) -> Experiment:
    """Read back what `save_experiment` wrote, equal to what was saved.

    Raises:
        SpecError: if the directory is no run directory, or its files were damaged.
    """
    path = directory / CONFIG_FILE
    if not path.is_file():
        beside = [entry.parent.name for entry in directory.parent.glob(f"*/{CONFIG_FILE}")]
        hint = nearest(directory.name, beside) if beside else ""
        raise SpecError(f"{directory}: not a run directory (no {CONFIG_FILE}){hint}")
    data = read_yaml(path)
    try:
        description = (directory / DESCRIPTION_FILE).read_text(encoding="utf-8")
    except OSError:
        raise SpecError(f"{directory}: {DESCRIPTION_FILE} is missing; this run directory is incomplete") from None
    except UnicodeDecodeError as error:
        raise SpecError(f"{directory}: {DESCRIPTION_FILE} is damaged ({error})") from None
    if not isinstance(data.get("robot"), dict):
        raise SpecError(f"{path}: robot: expected a mapping")
    data["robot"]["description"] = description
    return build(Experiment, data, str(path))
