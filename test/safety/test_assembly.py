"""Tests for ppo_robot.safety.assembly: a deployment's settings reach every part of the envelope."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from ppo_robot.joint_input import JointMessage
from ppo_robot.policy.statistics import Components
from ppo_robot.safety.assembly import assemble_envelope
from ppo_robot.safety.envelope import Envelope
from ppo_robot.safety.limits import make_limits
from ppo_robot.safety.reasons import Cause
from ppo_robot.spec.robot import RobotSpec
from ppo_robot.spec.safety import SafetySpec

SPEC = SafetySpec(rate=200.0, velocity_scale=0.5, novelty_margin=0.25, novelty_time=0.0)
MOVED, FIXED = (-1.0, 3.0), (2.0, 2.0)
"""The ranges in training of the two components."""


def observed() -> Components:
    """Return two components: one moved over 4, so that 1 beyond is allowed, one did not move; it counts as 0.05."""
    low, high = zip(MOVED, FIXED, strict=True)
    return Components(("moved", "fixed"), low, high, (0.0, 0.0), (1.0, 1.0), ((0.0,) * 9, (0.0,) * 9))


def novel(envelope: Envelope, moved: float, fixed: float) -> bool:
    before = envelope.counters["novel"]
    envelope.take_observations(np.array([[moved, fixed]]), 100.0)
    return envelope.counters["novel"] == before + 1


def test_its_parts_are_those_of_the_robot_and_of_the_deployment(rail_robot: RobotSpec) -> None:
    envelope = assemble_envelope(rail_robot, SPEC, 0.04)
    assert envelope.limits == make_limits(rail_robot, SPEC)
    assert envelope.spec is SPEC
    assert envelope.period == 0.005
    assert envelope.actions.control_period == 0.04
    assert envelope.guard is not None
    envelope.guard.begin([0.0, 0.15, 0.5])
    assert envelope.guard.clearance == pytest.approx(0.025)


def test_observations_may_lie_beyond_training_by_the_margin(rail_robot: RobotSpec) -> None:
    envelope = assemble_envelope(rail_robot, SPEC, 0.04, observed())
    for moved, fixed in ((-2.0, 2.0125), (4.0, 1.9875)):
        assert not novel(envelope, moved, fixed)
        assert novel(envelope, moved * 1.001, fixed)
    for fixed in (2.0126, 1.9874):
        assert novel(envelope, 0.0, fixed)


@pytest.mark.parametrize(("margin", "known"), [(None, True), (0.25, False)])
def test_without_a_margin_or_without_statistics_no_observation_is_watched(
    rail_robot: RobotSpec, margin: float | None, known: bool
) -> None:
    spec = dataclasses.replace(SPEC, novelty_margin=margin)
    envelope = assemble_envelope(rail_robot, spec, 0.04, observed() if known else None)
    assert not novel(envelope, 1e6, math.nan)


def test_observations_may_be_new_for_their_time(rail_robot: RobotSpec) -> None:
    envelope = assemble_envelope(rail_robot, dataclasses.replace(SPEC, novelty_time=0.5), 0.04, observed())
    still = [0.0] * 3
    state = JointMessage(rail_robot.joint_names, [0.0, 0.5, 0.5], still, still, 1000.0)
    assert envelope.take_state(state, 1000.0, 100.0) is None
    assert envelope.arm(100.0) is None
    for now, cause in ((100.0, None), (100.49, None), (100.5, Cause.NOT_TRAINED_FOR)):
        envelope.take_observations(np.array([[9.0, 2.0]]), now)
        assert envelope.cause is cause


def test_without_self_collision_meshes_need_not_be_there(rail_robot: RobotSpec) -> None:
    mesh = rail_robot.description.replace('<sphere radius="0.0625"/>', '<mesh filename="package://no/where.obj"/>')
    robot = dataclasses.replace(rail_robot, description=mesh)
    envelope = assemble_envelope(robot, dataclasses.replace(SPEC, self_collision=False), 0.04)
    assert envelope.guard is not None
    assert envelope.guard.too_near([0.0, 0.0, 0.0]) == ""
