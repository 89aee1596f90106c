"""Output adapters: by name, inside limits, and refused where joints do not fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppo_robot.errors import BadInputError, SpecError
from ppo_robot.nodes.commands import CommandAdapter, JointTarget
from ppo_robot.paths import share_directory
from ppo_robot.spec.deployment import ControllerSpec, DeploymentSpec, JointGains, load_deployment
from ppo_robot.spec.robot import JointSpec, load_robot
from ppo_robot.spec.strict import build

JOINTS = tuple(
    JointSpec(name, -3.0, 3.0, velocity_limit=limit, effort_limit=10.0 * limit, acceleration_limit=1.0, jerk_limit=1.0)
    for name, limit in (("a", 1.0), ("b", 2.0), ("c", 3.0))
)
PERIOD = 0.02
CONTROLLER = ControllerSpec("arm", joints=("c", "a", "b"))


def adapter(**changes: object) -> CommandAdapter:
    return CommandAdapter(replace(CONTROLLER, **changes), JOINTS, PERIOD)  # type: ignore[arg-type]


def target(a: float, b: float, c: float, stamp: float = 1.0) -> JointTarget:
    return JointTarget(("b", "c", "a"), (b, c, a), stamp)


@given(st.permutations(["a", "b", "c"]), st.permutations(["a", "b", "c"]))
def test_values_follow_their_names_whatever_the_orders(given_order: list[str], configured: list[str]) -> None:
    value = {"a": 0.1, "b": 0.2, "c": 0.3}
    made = adapter(joints=tuple(configured))
    made.take(JointTarget(given_order, [value[name] for name in given_order], 1.0))
    command = made.command()
    assert command is not None
    assert command.names == tuple(configured)
    assert command.values == tuple(value[name] for name in configured)
    assert command.duration == PERIOD


def test_without_a_configured_order_it_is_that_of_the_policy() -> None:
    assert adapter(joints=()).names == ("a", "b", "c")


@pytest.mark.parametrize(
    ("names", "positions", "message"),
    [
        (("a", "b"), (0.0, 0.0), "c: missing"),
        (("a", "b", "c", "d"), (0.0,) * 4, "d: unknown"),
        (("a", "b", "b"), (0.0,) * 3, "b: given twice"),
        (("a", "b", "c"), (0.0, 0.0), "3 names, 2 positions"),
        (("a", "b", "c"), (0.0, np.nan, 0.0), "b: the position is not finite"),
        (("a", "b", "c"), (0.0, 0.0, np.inf), "c: the position is not finite"),
        ((), (), "missing"),
    ],
)
def test_an_action_that_does_not_fit_is_refused_and_the_one_before_stands(
    names: tuple[str, ...], positions: tuple[float, ...], message: str
) -> None:
    made = adapter()
    made.take(target(0.1, 0.2, 0.3))
    with pytest.raises(BadInputError, match=message):
        made.take(JointTarget(names, positions, 1.0))
    command = made.command()
    assert command is not None
    assert command.values == (0.3, 0.1, 0.2)


@pytest.mark.parametrize(
    ("joints", "message"), [(("a", "b"), "c: missing"), (("a", "b", "c", "finger"), "finger: unknown")]
)
def test_a_controller_of_other_joints_is_refused(joints: tuple[str, ...], message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        adapter(joints=joints)


def test_nothing_is_commanded_before_the_first_target() -> None:
    assert adapter().command() is None
    assert adapter(interface="velocity").command() is None


def test_velocity_is_the_difference_over_the_period_inside_the_limits() -> None:
    made = adapter(interface="velocity")
    made.take(target(0.0, 0.0, 0.0))
    assert made.command().values == (0.0, 0.0, 0.0)
    made.take(target(0.01, -0.01, 0.3))
    np.testing.assert_allclose(made.command().values, (3.0, 0.5, -0.5))  # c at its limit of 3 rad/s
    made.hold()
    assert made.command().values == (0.0, 0.0, 0.0)


def test_velocity_with_a_gain_pulls_to_the_target() -> None:
    made = adapter(interface="velocity", gains={"a": JointGains(proportional=5.0)})
    assert made.needs_state
    made.take(target(0.1, 0.2, 0.3))
    assert made.command() is None
    np.testing.assert_allclose(made.command(np.zeros(3)).values, (0.0, 0.5, 0.0))
    np.testing.assert_allclose(made.command(np.full(3, -3.0)).values, (0.0, 1.0, 0.0))  # limit


def test_effort_is_proportional_and_derivative_inside_the_limits() -> None:
    gains = {name: JointGains(proportional=20.0, derivative=2.0) for name in "abc"}
    made = adapter(interface="effort", gains=gains)
    made.take(target(0.1, 0.2, 0.3))
    assert made.command() is None
    position, velocity = np.array([0.2, 0.1, 0.0]), np.array([0.0, 1.0, 0.5])  # c, a, b
    np.testing.assert_allclose(made.command(position, velocity).values, (2.0, -2.0, 3.0))
    np.testing.assert_allclose(made.command(np.full(3, -9.0), np.zeros(3)).values, (30.0, 10.0, 20.0))


@pytest.mark.parametrize("interface", ["position", "velocity", "effort"])
def test_a_trajectory_controller_gets_positions_on_every_interface(interface: str) -> None:
    """It closes the loop itself; a velocity at the last point is refused from Iron on."""
    made = adapter(type="joint_trajectory_controller", interface=interface)
    made.take(target(0.1, 0.2, 0.3))
    assert made.command().values == (0.3, 0.1, 0.2)
    assert not made.needs_state
    assert not made.must_end_motion


def test_the_end_stops_all_that_would_go_on() -> None:
    assert adapter().end() is None
    for interface, gains in (("velocity", {}), ("effort", {name: JointGains(1.0) for name in "abc"})):
        made = adapter(interface=interface, gains=gains)
        made.take(target(1.0, 1.0, 1.0))
        assert made.end().values == (0.0, 0.0, 0.0)
        assert made.command(np.zeros(3)) is None


def test_effort_needs_a_gain_for_each_joint() -> None:
    with pytest.raises(BadInputError, match="gains: c, b: missing"):
        adapter(interface="effort", gains={"a": JointGains(1.0)})
    with pytest.raises(BadInputError, match="gains: unknown joint d"):
        adapter(interface="velocity", gains={"d": JointGains(1.0)})


BASE = {"name": "arm", "joints": ["a"]}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"controller": {**BASE, "gains": {"a": {"proportional": 1.0}}}}, "the loop is closed by the controller"),
        (
            {"controller": {**BASE, "interface": "velocity", "gains": {"a": {"derivative": 1.0}}}},
            "derivative has no meaning",
        ),
        ({"controller": {**BASE, "interface": "effort", "gains": {"a": {"proportional": -1.0}}}}, ">= 0"),
        ({"controller": {**BASE, "name": "/arm/commands"}}, "without slashes"),
        ({"controller": {**BASE, "joints": ["a", "a"]}}, "named twice"),
        ({"controller": {"name": "arm"}}, "controller.joints: missing"),
        ({"controller": {**BASE, "interfce": "effort"}}, "did you mean 'interface'"),
        ({"controller": {**BASE, "type": "forward"}}, "expected one of"),
        ({}, "controller: missing"),
    ],
)
def test_a_wrong_deployment_is_refused_in_one_line(data: dict, message: str) -> None:
    with pytest.raises(SpecError, match=message) as raised:
        build(DeploymentSpec, data, "deploy.yaml")
    assert "\n" not in str(raised.value)


DEPLOYMENTS = sorted((share_directory() / "config" / "deploy").glob("*.yaml"))


@pytest.mark.parametrize("path", DEPLOYMENTS, ids=lambda path: path.stem)
def test_the_shipped_deployments_fit_the_shipped_arm(path: Path) -> None:
    deployment = load_deployment(path.stem)
    assert deployment == load_deployment(str(path))
    made = CommandAdapter(deployment.controller, load_robot("arm6").joints, PERIOD)
    assert set(made.names) == set(load_robot("arm6").joint_names)
    assert deployment.hardware == (path.stem != "sim")
