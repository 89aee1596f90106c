"""One process of a system, and what a system can be given."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Remappings = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Argument:
    """One `name:=value` of a system.

    Attributes:
        name: what stands before `:=`.
        default: what holds when it is not given; with `in_share`, a path below the package's share folder.
        description: one line for a person.
        choices: the allowed values; empty where any is.
        in_share: whether the default lies in the package's share folder.
    """

    name: str
    default: str
    description: str
    choices: tuple[str, ...] = ()
    in_share: bool = False


@dataclass(frozen=True)
class ProcessSpec:
    """One process of a system.

    Attributes:
        name: of the ROS node, and what stands before each line that it prints.
        module: what `python -m` runs.
        executable: what `ros2 run ppo_robot` runs.
        parameters: of the ROS node.
        remappings: of the ROS node: from, to.
        required: whether everything ends when this process does.
        arguments: of a process that is no ROS node: a command of `ppo-robot`, called as `executable`.
    """

    name: str
    module: str
    executable: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    remappings: Remappings = ()
    required: bool = True
    arguments: tuple[str, ...] = ()

    @property
    def is_node(self) -> bool:
        """Whether this is a ROS node and takes ROS arguments."""
        return not self.module.startswith("ppo_robot.cli")

    def command(self) -> list[str]:
        """Return the command line that runs it with this Python, without `ros2`."""
        python = [sys.executable, "-m", self.module]
        if not self.is_node:
            return [*python, self.executable, *self.arguments]
        return [*python, *self.arguments, *ros_arguments(self.parameters, self.remappings)]


def ros_arguments(parameters: Mapping[str, Any], remappings: Remappings = ()) -> list[str]:
    """Return a node's parameters and remappings as ROS arguments; JSON is YAML that keeps the type of a value."""
    given = [word for name, value in parameters.items() for word in ("-p", f"{name}:={json.dumps(value)}")]
    given += [word for source, target in remappings for word in ("-r", f"{source}:={target}")]
    return ["--ros-args", *given]
