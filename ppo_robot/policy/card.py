"""MODEL_CARD.md: one page about a policy for a person."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ppo_robot.policy.flight_card import flight_action_section, flight_limits, flight_summary, flight_use
from ppo_robot.policy.markdown import table
from ppo_robot.spec.flight import FlightTaskSpec
from ppo_robot.spec.floating import FloatingSpec
from ppo_robot.spec.kinds import AnyRobot, AnyTask, as_arm, as_arm_task
from ppo_robot.spec.robot import RobotSpec
from ppo_robot.spec.task import TaskSpec


def model_card(
    robot: AnyRobot,
    task: AnyTask,
    contract: Mapping[str, Any],
    provenance: Mapping[str, Any],
    evaluation: Mapping[str, Any],
    command: str,
) -> str:
    """Return the card; `contract` is spec.json and `command` what made the policy."""
    if isinstance(robot, FloatingSpec) and isinstance(task, FlightTaskSpec):
        summary, action = flight_summary(robot, task, contract), flight_action_section(contract, task)
        limits, use = flight_limits(robot), flight_use(task)
    else:
        arm, arm_task = as_arm(robot), as_arm_task(task)
        summary, action = _summary(arm, arm_task, contract), _action(contract, arm_task)
        limits, use = _joint_limits(contract, arm), _use(arm, arm_task)
    sections = (
        f"# Policy `{task.name}` for `{robot.name}`\n",
        summary,
        "## Made by\n\n```\n" + command + "\n```\n",
        _facts(provenance),
        "## How good it is\n\n" + gatetable(evaluation),
        _observation(contract),
        action,
        limits,
        use,
    )
    return "\n".join(section for section in sections if section)


def gatetable(evaluation: Mapping[str, Any]) -> str:
    """Return the gates and figures as Markdown."""
    gates = evaluation["gates"]
    if not gates:
        return "Not evaluated: no gate was run before this bundle was written. Evaluate it before you rely on it.\n"
    rows = []
    for gate in gates:
        interval = "" if gate["ci95"] is None else f"{gate['ci95'][0]:.4f} to {gate['ci95'][1]:.4f}"
        verdict = "passed" if gate["passed"] else "**failed**"
        seeds = ", ".join(map(str, gate["seeds"]))
        rows.append(
            [gate["name"], f"{gate['threshold']:g}", f"{gate['value']:.4f}", interval, gate["episodes"], seeds, verdict]
        )
    text = table(["gate", "threshold", "value", "95 % interval", "episodes", "seeds", ""], rows)
    error = evaluation.get("summary", evaluation).get("final_error_m")
    if isinstance(error, Mapping):
        shown = ", ".join(f"{name} {1000.0 * value:.1f} mm" for name, value in error.items())
        text += f"\nDistance from the goal at the end: {shown}.\n"
    return text


def _summary(robot: RobotSpec, task: TaskSpec, contract: Mapping[str, Any]) -> str:
    success = task.success
    return (
        f"Moves `{robot.tool_frame}` of a {len(robot.joints)}-joint `{robot.name}` to a goal position given in"
        f" `{robot.base_link}`. An episode of {task.episode_length:g} s is a success when the tool is within"
        f" {1000.0 * success.tolerance:g} mm of the goal for the last {success.hold:g} s of it.\n\n"
        f"Runs at {1.0 / task.control_period:g} Hz. Robot description (SHA-256 of the canonical URDF):"
        f" `{contract['robot_description_hash']}`.\n"
    )


def _facts(provenance: Mapping[str, Any]) -> str:
    """List the provenance that is one value; train.json has all of it."""
    rows = [[key, f"`{value}`"] for key, value in provenance.items() if isinstance(value, (str, int, float))]
    return table(["provenance", ""], rows) + "\n`train.json` holds all of it.\n" if rows else ""


def _observation(contract: Mapping[str, Any]) -> str:
    rows = []
    for term in contract["observations"]:
        clip = "" if term["clip"] is None else f"{term['clip']:g}"
        values = (term["name"], term["term"], term["size"], term["unit"], term["frame"], term["history"])
        rows.append([*values, f"{term['offset']:g}", f"{term['scale']:g}", clip])
    head = ["observation", "term", "size", "unit", "frame", "history", "offset", "scale", "clip"]
    note = f"{contract['observation_size']} numbers, in this order; value = clip((term - offset) * scale).\n\n"
    return "## What it sees\n\n" + note + table(head, rows)


def _action(contract: Mapping[str, Any], task: TaskSpec) -> str:
    action = contract["action"]
    rows = [
        [name, f"{scale:.6g}", f"{offset:.6g}"]
        for name, scale, offset in zip(action["joint_names"], action["scale"], action["offset"], strict=True)
    ]
    filtered = (
        f" A first-order filter of {1000.0 * task.action.filter_time_constant:g} ms follows."
        if task.action.filter_time_constant > 0.0
        else ""
    )
    latency = contract["assumed_latency"]
    note = (
        f"`{action['type']}`, in {action['unit']}: offset + scale * clip(output, -1, 1).{filtered} Targets stay"
        f" {action['joint_margin']:g} rad inside the position limits. Trained with"
        f" {1000 * latency['sensor_delay']:g} ms from joint to policy, {1000 * latency['actuator_delay']:g} ms dead"
        f" time and {1000 * latency['actuator_lag']:g} ms lag of the servos.\n\n"
    )
    return "## What it does\n\n" + note + table(["joint", "scale", "offset"], rows)


def _joint_limits(contract: Mapping[str, Any], robot: RobotSpec) -> str:
    rows = []
    for name, limit in contract["joint_limits"].items():
        span = f"{limit['position_lower']:.4g} to {limit['position_upper']:.4g}"
        rates = (limit[f"{key}_limit"] for key in ("velocity", "acceleration", "jerk", "effort"))
        rows.append([name, span, *(f"{rate:g}" for rate in rates)])
    head = ["joint", "position rad", "velocity rad/s", "acceleration rad/s²", "jerk rad/s³", "effort N·m"]
    space = robot.workspace
    degrees = " to ".join(f"{math.degrees(angle):.0f}" for angle in space.azimuth)
    note = (
        f"\nGoals were drawn {space.radius[0]:g} to {space.radius[1]:g} m from {list(space.centre)}, at azimuth"
        f" {degrees} degrees and height {space.height[0]:g} to {space.height[1]:g} m; others are refused.\n"
    )
    return "## Limits it was trained under\n\n" + table(head, rows) + note


def _use(robot: RobotSpec, task: TaskSpec) -> str:
    return (
        "## Intended use\n\n"
        f"Reaching with this very robot description at {1.0 / task.control_period:g} Hz, behind the safety envelope of"
        " ppo_robot, with nobody inside the robot's reach.\n\n"
        "It is not a safety function, knows no obstacle but its own links, does not see people, and was judged in"
        " simulation: `eval.json` says where. A robot with other links, limits, payload, latency or control period is"
        " another robot: train again.\n"
    )
