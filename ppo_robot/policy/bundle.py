"""A policy bundle: the one way in which a trained policy reaches a robot, refused unless everything fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppo_robot.errors import BundleError, RunFailedError, SpecError
from ppo_robot.policy import golden
from ppo_robot.policy.contract import read_envelope, restore
from ppo_robot.policy.gates import check_evaluation
from ppo_robot.policy.manifest import (
    DESCRIPTION,
    ENVELOPE,
    EVALUATION,
    GOLDEN,
    POLICY,
    SIGNATURE,
    SPEC,
    STATISTICS,
    TRAIN,
    parse_json,
    read_files,
    read_manifest,
)
from ppo_robot.policy.runner import PolicyRunner
from ppo_robot.policy.runtime import PolicyRuntime
from ppo_robot.policy.statistics import Statistics, read_statistics
from ppo_robot.spec.flight import FlightTaskSpec
from ppo_robot.spec.floating import FloatingSpec
from ppo_robot.spec.kinds import AnyRobot, AnyTask, as_arm
from ppo_robot.spec.robot import RobotSpec, hash_description
from ppo_robot.spec.task import TaskSpec

SAME_PERIOD = 1e-9
"""Relative; two control periods closer than this are one."""


@dataclass(frozen=True)
class Bundle:
    """A bundle that has passed every check.

    Attributes:
        path: its directory; nothing is read from there any more.
        id: content hash of its files.
        manifest: manifest.json.
        any_robot: the robot it was trained on, of whatever kind.
        any_task: the task it was trained for.
        runtime: its network.
        contract: spec.json.
        train: train.json.
        evaluation: eval.json.
        statistics: statistics.json, or None where the policy was not evaluated.
        envelope: envelope.yaml.
        signed: whether a signature was verified.
        golden_deviation: largest deviation of each quantity in the replay, as a share of its tolerance.
        notes: differences from the given robot that do not matter to the policy, for a person to read.
    """

    path: Path
    id: str
    manifest: dict[str, Any]
    any_robot: AnyRobot
    any_task: AnyTask
    runtime: PolicyRuntime
    contract: dict[str, Any]
    train: dict[str, Any]
    evaluation: dict[str, Any]
    statistics: Statistics | None
    envelope: dict[str, Any]
    signed: bool
    golden_deviation: dict[str, float]
    notes: tuple[str, ...]

    @property
    def robot(self) -> RobotSpec:
        """The robot it was trained on, where it has joints: every array of the policy is in their order.

        Raises:
            BundleError: if it is a floating one.
        """
        if isinstance(self.any_robot, FloatingSpec):
            raise BundleError(
                f"{self.path}: flies the floating robot {self.any_robot.name}; this works with robots with joints alone"
            )
        return self.any_robot

    @property
    def task(self) -> TaskSpec:
        """The task it was trained for, where that is one for robots with joints.

        Raises:
            BundleError: if it is for floating ones.
        """
        if isinstance(self.any_task, FlightTaskSpec):
            raise BundleError(
                f"{self.path}: flies the task {self.any_task.name}; this works with tasks for robots with joints alone"
            )
        return self.any_task

    def runner(self, batch: int = 1) -> PolicyRunner:
        """Return the policy at the controls of `batch` robots."""
        return PolicyRunner(self.any_robot, self.any_task, self.runtime, batch)

    def joint_index(self, names: Sequence[str]) -> NDArray[np.intp]:
        """Return where each joint of the policy stands in `names`: array[..., index] is in the policy's order.

        Raises:
            BundleError: if a joint of the policy is not among them, or a name is given twice.
        """
        positions = {name: place for place, name in enumerate(names)}
        if len(positions) != len(names):
            raise BundleError(f"joint names {list(names)}: a joint is given twice")
        missing = [name for name in self.robot.joint_names if name not in positions]
        if missing:
            raise BundleError(f"joint names {list(names)}: the policy needs {', '.join(missing)} too")
        return np.array([positions[name] for name in self.robot.joint_names], dtype=np.intp)


def load_bundle(
    path: Path | str,
    robot: AnyRobot | None = None,
    control_period: float | None = None,
    robot_description: str | None = None,
    require_signature: bool = False,
) -> Bundle:
    """Load a bundle and check all of it: files, hashes, description, joints, period, graph, golden vectors.

    Args:
        path: its directory.
        robot: the robot that it shall run on; its joints are matched by name, in whatever order it has them.
        control_period: the period (s) at which it shall run.
        robot_description: the URDF of that robot, where only that is known (from `robot_state_publisher`).
        require_signature: refuse a bundle without a valid signature.

    Raises:
        BundleError: one line that names what does not fit.
    """
    directory = Path(path)
    manifest = read_manifest(directory)
    if require_signature:
        _refuse_unverified(directory)
    files = read_files(directory, manifest)
    try:
        contract = parse_json(files[SPEC], SPEC)
        own_robot, task = restore(contract, _text(files[DESCRIPTION], DESCRIPTION))
        envelope = read_envelope(files[ENVELOPE], own_robot, task)
        evaluation = check_evaluation(parse_json(files[EVALUATION], EVALUATION))
        statistics = read_statistics(parse_json(files[STATISTICS], STATISTICS), contract)
        train = parse_json(files[TRAIN], TRAIN)
        notes = check_robot(own_robot, task, robot, control_period, robot_description)
        runtime = PolicyRuntime(files[POLICY])
        _check_sizes(runtime, contract)
        deviation = golden.replay(files[GOLDEN], own_robot, task, runtime.infer)
        _check_scaled(runtime, contract)
    except (BundleError, RunFailedError) as error:
        raise BundleError(f"{directory}: {error}") from None
    return Bundle(
        path=directory,
        id=manifest["id"],
        manifest=manifest,
        any_robot=own_robot,
        any_task=task,
        runtime=runtime,
        contract=contract,
        train=train,
        evaluation=evaluation,
        statistics=statistics,
        envelope=envelope,
        signed=False,
        golden_deviation=deviation,
        notes=notes,
    )


def check_robot(
    own: AnyRobot,
    task: AnyTask,
    robot: AnyRobot | None,
    control_period: float | None,
    robot_description: str | None,
) -> tuple[str, ...]:
    """Hold the robot that a policy was trained on against the one it shall run on; return harmless differences.

    Raises:
        BundleError: if description, joints, frames, locked joints, default pose or control period differ.
    """
    descriptions = [robot.description] if robot is not None else []
    descriptions += [robot_description] if robot_description is not None else []
    for text in descriptions:
        try:
            found = hash_description(text)
        except SpecError as error:
            raise BundleError(str(error)) from None
        if found != own.description_hash:
            raise BundleError(
                f"the robot's description has hash {found[:12]}; the policy was trained on"
                f" {own.description_hash[:12]} ({own.name}): another URDF, train for this one"
            )
    notes = _check_same(own, robot) if robot is not None else ()
    if control_period is not None and not np.isclose(control_period, task.control_period, rtol=SAME_PERIOD, atol=0.0):
        raise BundleError(
            f"control period: given {control_period:g} s; the policy was trained at {task.control_period:g} s"
            " and must run at it"
        )
    return notes


def _check_same(own: AnyRobot, robot: AnyRobot) -> tuple[str, ...]:
    if isinstance(own, FloatingSpec) != isinstance(robot, FloatingSpec):
        raise BundleError(f"robot {robot.name}: is of another kind than {own.name}, on which the policy was trained")
    if isinstance(own, FloatingSpec) and isinstance(robot, FloatingSpec):
        return _check_floating(own, robot)
    return _check_joints(as_arm(own), as_arm(robot))


def _check_floating(own: FloatingSpec, robot: FloatingSpec) -> tuple[str, ...]:
    for key in ("base_link", "rotors", "controller"):
        ours, theirs = getattr(own, key), getattr(robot, key)
        if ours != theirs:
            raise BundleError(f"{key}: the robot has {theirs!r}; the policy was trained with {ours!r}")
    others = ("motor", "drag", "cage")
    return tuple(f"{key}: another one than in training" for key in others if getattr(own, key) != getattr(robot, key))


def _check_joints(own: RobotSpec, robot: RobotSpec) -> tuple[str, ...]:
    missing = [name for name in own.joint_names if name not in robot.joint_names]
    added = [name for name in robot.joint_names if name not in own.joint_names]
    if missing or added:
        parts = [f"the robot lacks {', '.join(missing)}"] if missing else []
        parts += [f"the policy does not know {', '.join(added)}"] if added else []
        raise BundleError(f"joints: {' and '.join(parts)}")
    for key in ("base_link", "tool_frame", "locked_joints", "control_interface"):
        ours, theirs = getattr(own, key), getattr(robot, key)
        if ours != theirs:
            raise BundleError(f"{key}: the robot has {theirs!r}; the policy was trained with {ours!r}")
    notes = []
    if robot.joint_names != own.joint_names:
        notes.append(f"the robot orders its joints otherwise; the policy's order is {', '.join(own.joint_names)}")
    if robot.workspace != own.workspace:
        notes.append("the robot has another workspace than in training; goals outside the trained one are a risk")
    given = {joint.name: joint for joint in robot.joints}
    for joint in own.joints:
        other = given[joint.name]
        if other.default_position != joint.default_position:
            raise BundleError(
                f"default pose: joint {joint.name} of the robot is at {other.default_position:g};"
                f" the policy was trained with {joint.default_position:g}"
            )
        if other != joint:
            notes.append(f"joint {joint.name} has other limits than in training: {other}")
    return tuple(notes)


def _refuse_unverified(directory: Path) -> None:
    """Refuse every bundle, with the reason: no signature is verified by this version."""
    if not (directory / SIGNATURE).is_file():
        raise BundleError(f"{directory}: {SIGNATURE} is missing; this deployment accepts only signed bundles")
    raise BundleError(
        f"{directory}: {SIGNATURE} cannot be verified: this version of ppo_robot has no signing yet;"
        " allow unsigned bundles, or update"
    )


def _check_sizes(runtime: PolicyRuntime, contract: dict[str, Any]) -> None:
    if runtime.observation_size != contract["observation_size"]:
        raise BundleError(
            f"{POLICY}: takes observations of {runtime.observation_size}; {SPEC} has {contract['observation_size']}"
        )
    if runtime.action_size != contract["action"]["size"]:
        raise BundleError(
            f"{POLICY}: gives actions of {runtime.action_size}; {SPEC} has {contract['action']['size']}"
        )


def _check_scaled(runtime: PolicyRuntime, contract: dict[str, Any]) -> None:
    """Refuse a graph whose own action scaling is not that of spec.json."""
    rows = np.linspace(-3.0, 3.0, 16, dtype=np.float32)[:, None] * np.ones(runtime.observation_size, dtype=np.float32)
    action = contract["action"]
    mean = np.clip(runtime.infer(rows)[0], *action["clip"])
    expected = np.array(action["offset"]) + np.array(action["scale"]) * mean
    if not np.allclose(runtime.scaled(rows), expected, rtol=1e-5, atol=1e-6):
        raise BundleError(f"{POLICY}: its action scaling is not that of {SPEC}")


def _text(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise BundleError(f"{name}: not UTF-8 text") from None
