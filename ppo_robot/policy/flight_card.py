"""What MODEL_CARD.md says of a policy that flies, where it differs from one for an arm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ppo_robot.policy.markdown import table
from ppo_robot.spec.flight import FlightTaskSpec
from ppo_robot.spec.floating import FloatingSpec


def flight_summary(robot: FloatingSpec, task: FlightTaskSpec, contract: Mapping[str, Any]) -> str:
    """Return what it does, in two sentences."""
    success = task.success
    return (
        f"Flies the {len(robot.rotors)}-rotor `{robot.name}` through {success.waypoints} waypoints in turn. An episode"
        f" of {task.episode_length:g} s is a success when `{robot.base_link}` was within"
        f" {1000.0 * success.tolerance:g} mm of each of them and neither left the cage nor tipped over.\n\n"
        f"Runs at {1.0 / task.control_period:g} Hz. Robot description (SHA-256 of the canonical URDF):"
        f" `{contract['robot_description_hash']}`.\n"
    )


def flight_action_section(contract: Mapping[str, Any], task: FlightTaskSpec) -> str:
    """Return what the policy's output means."""
    action, latency = contract["action"], contract["assumed_latency"]
    columns = (action["names"], action["unit"], action["scale"], action["offset"])
    rows = [
        [name, unit, f"{scale:.6g}", f"{offset:.6g}"] for name, unit, scale, offset in zip(*columns, strict=True)
    ]
    filtered = (
        f" A first-order filter of {1000.0 * task.action.filter_time_constant:g} ms follows."
        if task.action.filter_time_constant > 0.0
        else ""
    )
    note = (
        f"`{action['type']}`: offset + scale * clip(output, -1, 1), body rates about the axes of the base link, for a"
        f" flight controller whose own loop follows them.{filtered} Trained with"
        f" {1000 * latency['sensor_delay']:g} ms from robot to policy, {1000 * latency['actuator_delay']:g} ms dead"
        f" time and {1000 * latency['motor_lag']:g} ms lag of the motors, and with what `spec.json` lists under"
        " `task.simulation.randomization`.\n\n"
    )
    return "## What it does\n\n" + note + table(["command", "unit", "scale", "offset"], rows)


def flight_limits(robot: FloatingSpec) -> str:
    """Return the limits it was trained under."""
    motor, controller = robot.motor, robot.controller
    rows = [
        ["thrust of a rotor, N", f"{motor.thrust_lower:g} to {motor.thrust_upper:g}"],
        ["motor time constant, s", f"{motor.time_constant:g}"],
        ["body rates, rad/s", " ".join(f"{rate:g}" for rate in controller.rate_limit)],
        ["mass, kg", f"{robot.mass:g}"],
        ["cage, m", f"{list(robot.cage.lower)} to {list(robot.cage.upper)}"],
    ]
    return "## Limits it was trained under\n\n" + table(["", ""], rows)


def flight_use(task: FlightTaskSpec) -> str:
    """Return what it may be used for."""
    return (
        "## Intended use\n\n"
        f"Flying this very robot at {1.0 / task.control_period:g} Hz inside a netted cage of the size above, with a"
        " pilot who can take over and nobody inside.\n\n"
        "It is not a safety function and knows no obstacle. Nothing of ppo_robot stands between its commands and the"
        " flight controller: the safety envelope is for robots with joints. It was judged in simulation: `eval.json`"
        " says where.\n"
    )
