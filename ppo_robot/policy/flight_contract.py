"""What spec.json and envelope.yaml say of a policy that flies."""

from __future__ import annotations

from typing import Any

from ppo_robot.mdp.airframe import COMMAND_NAMES, COMMAND_UNITS
from ppo_robot.policy.flight_path import FlightPath
from ppo_robot.spec.flight import FlightTaskSpec
from ppo_robot.spec.floating import FloatingSpec
from ppo_robot.spec.strict import plain


def flight_action(path: FlightPath, task: FlightTaskSpec) -> dict[str, Any]:
    """Return the contract of the action: what the policy's output means."""
    actions = path.actions
    return {
        "type": task.action.type,
        "size": len(COMMAND_NAMES),
        "names": list(COMMAND_NAMES),
        "unit": list(COMMAND_UNITS),
        "clip": [-1.0, 1.0],
        "scale": actions.scale.tolist(),
        "offset": actions.offset.tolist(),
        "filter_time_constant": task.action.filter_time_constant,
        "filter_gain": actions.filter_gain,
        "lower": actions.lower.tolist(),
        "upper": actions.upper.tolist(),
    }


def flight_facts(path: FlightPath, robot: FloatingSpec, task: FlightTaskSpec) -> dict[str, Any]:
    """Return the rest of the contract that only a robot that floats has."""
    return {
        "assumed_latency": {
            "actuator_delay": task.simulation.actuator.delay,
            "motor_lag": robot.motor.time_constant,
            "sensor_delay": task.simulation.sensors.delay,
        },
        "body": {"mass": robot.mass, "inertia": list(robot.inertia), "hover_thrust": float(path.actions.offset[0])},
        "rotors": list(robot.rotor_names),
        "cage": plain(robot.cage),
    }


def flight_envelope(path: FlightPath, robot: FloatingSpec, task: FlightTaskSpec) -> dict[str, Any]:
    """Return the limits that the policy was trained and evaluated under, SI units, ready for YAML."""
    lower, upper = (path.actions.offset + sign * path.actions.scale for sign in (-1.0, 1.0))
    return {
        "robot": robot.name,
        "robot_description_hash": robot.description_hash,
        "control_period": task.control_period,
        "command": {
            name: {"unit": unit, "lower": float(low), "upper": float(high)}
            for name, unit, low, high in zip(COMMAND_NAMES, COMMAND_UNITS, lower, upper, strict=True)
        },
        "base_link": robot.base_link,
        "motor": plain(robot.motor),
        "cage": plain(robot.cage),
    }
