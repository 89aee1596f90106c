"""spec.json and envelope.yaml: what the policy reads, what it says, and the limits it was trained under."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ppo_robot.errors import BadInputError, BundleError, SpecError
from ppo_robot.policy.control_path import ControlPath
from ppo_robot.policy.flight_contract import flight_action, flight_envelope, flight_facts
from ppo_robot.policy.flight_path import AnyPath, FlightPath, make_path
from ppo_robot.policy.manifest import DESCRIPTION, ENVELOPE, SPEC
from ppo_robot.spec.flight import FlightTaskSpec
from ppo_robot.spec.floating import FloatingSpec
from ppo_robot.spec.kinds import AnyRobot, AnyTask, as_arm, as_arm_task, build_robot, build_task
from ppo_robot.spec.robot import RobotSpec, hash_description, resolve_urdf
from ppo_robot.spec.strict import parse_yaml, plain
from ppo_robot.spec.task import TaskSpec

# Products and sums repeat exactly on another machine, exp() may differ in its last bit.
RELATIVE_TOLERANCE = 1e-12

_SPECS = ("robot", "task")
"""Keys of spec.json from which all the others follow."""


def describe(robot: AnyRobot, task: AnyTask) -> dict[str, Any]:
    """Return the whole contract of a policy, ready for JSON at full precision.

    `robot` and `task` rebuild the specs exactly; what stands beside them follows from them, so that a person or another
    program reads the contract without our code. Loading computes it again and refuses a bundle where both differ.

    Raises:
        SpecError: if the robot and the task do not fit together.
    """
    path = make_path(robot, task)
    facts = _facts(path, robot, task)
    return {
        "observation_size": sum(path.observer.sizes(path.example()).values()),
        "observations": _observations(path, robot),
        "action": facts.pop("action"),
        "control_period": task.control_period,
        **facts,
        "robot_description_hash": robot.description_hash,
        "robot": {k: v for k, v in plain(robot).items() if k not in ("description", "urdf_directory")},
        "task": plain(task),
    }


def _facts(path: AnyPath, robot: AnyRobot, task: AnyTask) -> dict[str, Any]:
    """Return what of a contract depends on the kind of robot."""
    if isinstance(path, FlightPath) and isinstance(robot, FloatingSpec) and isinstance(task, FlightTaskSpec):
        return {"action": flight_action(path, task), **flight_facts(path, robot, task)}
    arm, arm_task, simulation = as_arm(robot), as_arm_task(task), as_arm_task(task).simulation
    assert isinstance(path, ControlPath)  # noqa: S101 - made for an arm
    return {
        "action": _action(path, arm, arm_task),
        "assumed_latency": {
            "actuator_delay": simulation.actuator.delay,
            "actuator_lag": simulation.actuator.lag,
            "sensor_delay": simulation.sensors.delay,
        },
        "default_pose": {joint.name: joint.default_position for joint in arm.joints},
        "joint_limits": {joint.name: _limits(joint) for joint in arm.joints},
    }


def restore(data: Mapping[str, Any], description: str) -> tuple[AnyRobot, AnyTask]:
    """Rebuild the specs from spec.json and the text of the URDF, and hold all of spec.json against them.

    Raises:
        BundleError: if a key is missing or unknown, a value is malformed, the URDF is another one, or what is resolved
            does not follow from robot and task.
    """
    try:
        found = hash_description(description)
    except SpecError as error:
        raise BundleError(f"{DESCRIPTION}: {error}") from None
    expected = data.get("robot_description_hash")
    if found != expected:
        raise BundleError(
            f"{DESCRIPTION}: its hash is {found[:12]}; {SPEC} says that the policy was trained on {str(expected)[:12]}"
        )
    robot, task, recomputed = rebuild(data, description)
    # The specs themselves are strict already; one that has learnt a setting since fills in what held before.
    told, derived = ({key: tree[key] for key in tree if key not in _SPECS} for tree in (data, recomputed))
    wrong = difference(told, derived)
    if wrong:
        raise BundleError(f"{SPEC}: {wrong}; it was altered by hand")
    return robot, task


def rebuild(data: Mapping[str, Any], description: str) -> tuple[AnyRobot, AnyTask, dict[str, Any]]:
    """Rebuild the specs from the keys `robot` and `task` of spec.json, and what all of it would be for them.

    Raises:
        BundleError: if one of the two is missing or malformed, or they do not fit together or to the URDF.
    """
    for key in _SPECS:
        if not isinstance(data.get(key), dict):
            raise BundleError(f"{SPEC}: {key}: missing; expected a mapping")
    try:
        values = {**data["robot"], "description": description}
        robot = build_robot(values, SPEC, "robot")
        robot = build_robot({**values, "urdf_directory": _mesh_directory(robot)}, SPEC, "robot")
        task = build_task(data["task"], SPEC, "task")
        return robot, task, describe(robot, task)
    except SpecError as error:
        text = str(error)
        raise BundleError(text if text.startswith(SPEC) else f"{SPEC}: {text}") from None


def make_envelope(robot: AnyRobot, task: AnyTask) -> dict[str, Any]:
    """Return the limits that the policy was trained and evaluated under, SI units, ready for YAML.

    Positions are already narrowed by the task's margin: no target that the policy ever sent lies outside them.
    """
    path = make_path(robot, task)
    if isinstance(path, FlightPath) and isinstance(robot, FloatingSpec) and isinstance(task, FlightTaskSpec):
        return flight_envelope(path, robot, task)
    return _arm_envelope(as_arm(robot), as_arm_task(task))


def _arm_envelope(robot: RobotSpec, task: TaskSpec) -> dict[str, Any]:
    path = ControlPath(robot, task)
    joints = {}
    for index, joint in enumerate(robot.joints):
        joints[joint.name] = {
            "position_lower": float(path.actions.lower[index]),
            "position_upper": float(path.actions.upper[index]),
            "velocity_limit": joint.velocity_limit,
            "acceleration_limit": joint.acceleration_limit,
            "jerk_limit": joint.jerk_limit,
            "effort_limit": joint.effort_limit,
        }
    return {
        "robot": robot.name,
        "robot_description_hash": robot.description_hash,
        "control_period": task.control_period,
        "control_interface": robot.control_interface,
        "joint_margin": task.action.joint_margin,
        "joints": joints,
        "base_link": robot.base_link,
        "tool_frame": robot.tool_frame,
        "workspace": plain(robot.workspace),
        "self_collision_pairs": plain(robot.self_collision_pairs),
    }


def envelope_bytes(robot: AnyRobot, task: AnyTask) -> bytes:
    """Return envelope.yaml; PyYAML writes floats so that they read back exactly."""
    head = "# The limits this policy was trained and evaluated under: rad (m for prismatic joints), s, N.m (N).\n"
    return (head + yaml.safe_dump(make_envelope(robot, task), sort_keys=False, width=120)).encode()


def read_envelope(data: bytes, robot: AnyRobot, task: AnyTask) -> dict[str, Any]:
    """Read envelope.yaml and hold it against the specs.

    Raises:
        BundleError: if it is not YAML, or says anything else than the specs.
    """
    try:
        envelope = parse_yaml(data.decode())
    except ValueError as error:  # UnicodeDecodeError is one too
        raise BundleError(f"{ENVELOPE}: not valid YAML ({error})") from None
    wrong = difference(envelope, make_envelope(robot, task))
    if wrong:
        raise BundleError(f"{ENVELOPE}: {wrong}; it was altered by hand")
    return envelope


def difference(given: Any, expected: Any, path: str = "") -> str | None:
    """Return where and how two trees of plain values first differ, or None."""
    where = f"{path}: " if path else ""
    if isinstance(expected, Mapping) and isinstance(given, Mapping):
        for key in given:
            if key not in expected:
                return f"{where}unknown key '{key}'"
        for key, value in expected.items():
            if key not in given:
                return f"{where}key '{key}' is missing"
            found = difference(given[key], value, f"{path}.{key}" if path else str(key))
            if found:
                return found
        return None
    if isinstance(expected, list) and isinstance(given, list):
        if len(given) != len(expected):
            return f"{where}has {len(given)} entries; robot and task give {len(expected)}"
        pairs = enumerate(zip(given, expected, strict=True))
        return next(filter(None, (difference(one, other, f"{path}[{i}]") for i, (one, other) in pairs)), None)
    numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in (given, expected))
    same = _close(given, expected) if numbers else given == expected
    return None if same else f"{where}given {given!r}; robot and task give {expected!r}"


def _close(given: float, expected: float) -> bool:
    try:
        return math.isclose(given, expected, rel_tol=RELATIVE_TOLERANCE)
    except OverflowError:  # an integer that no float can hold
        return False


def _observations(path: AnyPath, robot: AnyRobot) -> list[dict[str, Any]]:
    terms = []
    joints = [] if isinstance(robot, FloatingSpec) else list(robot.joint_names)
    for term, size in zip(path.observer.terms, path.observer.sizes(path.example()).values(), strict=True):
        spec = term.spec
        terms.append(
            {
                "name": term.name,
                "term": spec.term or term.name,
                "params": dict(spec.params),
                "unit": term.unit,
                "frame": term.frame,
                "shape": [spec.history, size // spec.history],
                "size": size,
                "joint_names": joints if term.frame == "joint" else [],
                "scale": spec.scale,
                "offset": spec.offset,
                "clip": spec.clip,
                "history": spec.history,
                "maximum_age": spec.maximum_age,
            }
        )
    return terms


def _action(path: ControlPath, robot: RobotSpec, task: TaskSpec) -> dict[str, Any]:
    actions, spec = path.actions, task.action
    return {
        "type": spec.type,
        "size": path.model.joints,
        "unit": "rad per control period" if spec.type == "joint_position_increment" else "rad",
        "joint_names": list(robot.joint_names),
        "clip": [-1.0, 1.0],
        "scale": actions.scale.tolist(),
        "offset": actions.offset.tolist(),
        "filter_time_constant": spec.filter_time_constant,
        "filter_gain": actions.filter_gain,
        "joint_margin": spec.joint_margin,
        "position_lower": actions.lower.tolist(),
        "position_upper": actions.upper.tolist(),
    }


def _limits(joint: Any) -> dict[str, float]:
    return {name: value for name, value in plain(joint).items() if name not in ("name", "default_position")}


def _mesh_directory(robot: AnyRobot) -> str | None:
    """Return where the meshes of the URDF lie on this machine, if the same URDF is installed here."""
    if "://" not in robot.urdf:
        return None
    try:
        path = resolve_urdf(robot.urdf, SPEC)
        same = hash_description(path.read_text(encoding="utf-8")) == robot.description_hash
    except (BadInputError, OSError, ValueError):
        return None
    return str(Path(path).parent) if same else None
