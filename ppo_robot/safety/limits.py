"""The limits that hold for every setpoint: the bundle's, made tighter by the deployment, never wider."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

from ppo_robot.errors import SpecError
from ppo_robot.safety.by_joint import by_joint
from ppo_robot.spec.robot import JointSpec, RobotSpec
from ppo_robot.spec.safety import JointTightening, SafetySpec
from ppo_robot.spec.strict import nearest


@dataclass(frozen=True)
class SafetyLimits:
    """Limits of J joints, each (J,), in the order of `joint_names`. rad (m if prismatic), s, N·m (N)."""

    joint_names: tuple[str, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    velocity: tuple[float, ...]
    acceleration: tuple[float, ...]
    jerk: tuple[float, ...]
    effort: tuple[float, ...]

    @property
    def joints(self) -> int:
        """Number of joints."""
        return len(self.joint_names)


def make_limits(robot: RobotSpec, safety: SafetySpec) -> SafetyLimits:
    """Return the limits of a robot as a bundle holds it, tightened by a deployment.

    Raises:
        SpecError: if the deployment names an unknown joint, would loosen a limit, or leaves a joint no room.
    """
    for name in safety.joints:
        if name not in robot.joint_names:
            raise SpecError(f"safety.joints.{name}: no such joint{nearest(name, robot.joint_names)}")
    rows = [_joint_limits(joint, safety, safety.joints.get(joint.name, JointTightening())) for joint in robot.joints]
    return SafetyLimits(robot.joint_names, *_columns(rows))


def _joint_limits(joint: JointSpec, safety: SafetySpec, tighter: JointTightening) -> tuple[float, ...]:
    """Return lower, upper, velocity, acceleration, jerk and effort limit of one joint."""
    for field in fields(JointTightening):
        given, allowed = getattr(tighter, field.name), getattr(joint, field.name)
        if given is None:
            continue
        # Written so that NaN is refused, too.
        kept = given >= allowed if field.name == "position_lower" else given <= allowed
        if not kept:
            side = "at least" if field.name == "position_lower" else "at most"
            raise SpecError(
                f"safety.joints.{joint.name}.{field.name}: given {given}; expected {side} the bundle's {allowed}:"
                " a deployment may tighten a limit, never loosen it"
            )
    lower = _first(tighter.position_lower, joint.position_lower) + safety.position_margin
    upper = _first(tighter.position_upper, joint.position_upper) - safety.position_margin
    if not lower < upper:
        raise SpecError(
            f"safety.joints.{joint.name}: no room between {lower} and {upper}; expected a smaller position_margin"
            f" (given {safety.position_margin}) or wider limits"
        )
    return (
        lower,
        upper,
        _first(tighter.velocity_limit, joint.velocity_limit) * safety.velocity_scale,
        _first(tighter.acceleration_limit, joint.acceleration_limit) * safety.acceleration_scale,
        _first(tighter.jerk_limit, joint.jerk_limit) * safety.jerk_scale,
        _first(tighter.effort_limit, joint.effort_limit),
    )


def _first(given: float | None, otherwise: float) -> float:
    return otherwise if given is None else given


def _columns(rows: Iterable[tuple[float, ...]]) -> list[tuple[float, ...]]:
    return [tuple(column) for column in by_joint(*rows)]
