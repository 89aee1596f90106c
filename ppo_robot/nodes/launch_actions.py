"""The rows of `nodes.system` as launch actions, for Humble to Lyrical; imported by `launch/*.launch.py` only."""

from __future__ import annotations

from typing import Any

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess, OpaqueFunction, Shutdown
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from ppo_robot.errors import PpoRobotError
from ppo_robot.nodes.system import ARGUMENTS, Argument, ProcessSpec, system

PACKAGE = "ppo_robot"
PATIENCE = "60"
"""Seconds that a training has after Ctrl-C to save itself; launch's own default is 5."""


def describe(name: str) -> LaunchDescription:
    """Return the launch description of a system: its arguments, and what they start."""
    return LaunchDescription([*map(declare, ARGUMENTS[name]), OpaqueFunction(function=start, args=[name])])


def declare(argument: Argument) -> DeclareLaunchArgument:
    """Return the launch argument for one row of the table."""
    default: Any = argument.default
    if argument.in_share:
        default = PathJoinSubstitution([FindPackageShare(PACKAGE), *argument.default.split("/")])
    choices = {"choices": list(argument.choices)} if argument.choices else {}
    return DeclareLaunchArgument(argument.name, default_value=default, description=argument.description, **choices)


def start(context: LaunchContext, name: str) -> list[ExecuteProcess]:
    """Return an action for each process; everything ends when one that is required does.

    Raises:
        RuntimeError: with one line, where the arguments cannot be used; launch prints it and ends with 1.
    """
    given = {row.name: LaunchConfiguration(row.name).perform(context) for row in ARGUMENTS[name]}
    try:
        processes = system(name, given)
    except PpoRobotError as error:
        raise RuntimeError(str(error)) from None
    return [_action(process) for process in processes]


def _action(process: ProcessSpec) -> ExecuteProcess:
    on_exit = [Shutdown(reason=f"{process.name} ended")] if process.required else []
    if not process.is_node:
        return ExecuteProcess(
            cmd=process.command(),
            name=process.name,
            output="screen",
            emulate_tty=True,
            sigterm_timeout=PATIENCE,
            on_exit=on_exit,
        )
    return Node(
        package=PACKAGE,
        executable=process.executable,
        name=process.name,
        output="screen",
        emulate_tty=True,
        parameters=[{name: _typed(value) for name, value in process.parameters.items()}],
        remappings=list(process.remappings),
        on_exit=on_exit,
    )


def _typed(value: Any) -> Any:
    """Keep a text a text, even where it looks like a number."""
    return ParameterValue(value, value_type=str) if isinstance(value, str) else value
