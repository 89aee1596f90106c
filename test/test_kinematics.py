"""Tests for ppo_robot.kinematics: against PyBullet and finite differences, by name, and bit for bit in any batch."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import pybullet
import pytest
from numpy.typing import NDArray

from ppo_robot.errors import SpecError
from ppo_robot.kinematics import RobotModel
from ppo_robot.sim.plant import joint_table, load_robot_body
from ppo_robot.spec.robot import RobotSpec, load_robot
from ppo_robot.spec.task import SimulationSpec

Array = NDArray[np.float64]


class Reference:
    """The same robot in PyBullet."""

    def __init__(self, model: RobotModel) -> None:
        self.spec = model.spec
        self.client, self.body = load_robot_body(model, SimulationSpec(self_collision=False))
        self.table = joint_table(self.client, self.body)
        count = pybullet.getNumJoints(self.body, physicsClientId=self.client)
        infos = [pybullet.getJointInfo(self.body, index, physicsClientId=self.client) for index in range(count)]
        self.links = {info[12].decode(): info[0] for info in infos}
        self.movable = [info[1].decode() for info in infos if info[2] != pybullet.JOINT_FIXED]

    def place(self, position: Array) -> None:
        for name, value in zip(self.spec.joint_names, position.tolist(), strict=True):
            pybullet.resetJointState(self.body, self.table[name], value, physicsClientId=self.client)

    def link_position(self, name: str) -> Array:
        state = pybullet.getLinkState(
            self.body, self.links[name], computeForwardKinematics=1, physicsClientId=self.client
        )
        return np.array(state[4])

    def jacobian(self) -> Array:
        """(3, J) of the tool frame's origin, columns in the spec's order."""
        indices = [self.table[name] for name in self.movable]
        states = [state[0] for state in pybullet.getJointStates(self.body, indices, physicsClientId=self.client)]
        state = pybullet.getLinkState(self.body, self.links[self.spec.tool_frame], physicsClientId=self.client)
        # PyBullet asks for the point in the frame of the centre of mass.
        inverse = pybullet.invertTransform(state[2], state[3])
        zeros = [0.0] * len(states)
        linear, _ = pybullet.calculateJacobian(
            self.body,
            self.links[self.spec.tool_frame],
            inverse[0],
            states,
            zeros,
            zeros,
            physicsClientId=self.client,
        )
        columns = [self.movable.index(name) for name in self.spec.joint_names]
        return np.array(linear)[:, columns]


@pytest.fixture(scope="module", params=["arm6", "franka_panda"])
def model(request: pytest.FixtureRequest) -> RobotModel:
    return RobotModel(load_robot(request.param))


@pytest.fixture(scope="module")
def reference(model: RobotModel) -> Iterator[Reference]:
    robot = Reference(model)
    yield robot
    pybullet.disconnect(robot.client)


def positions(model: RobotModel, count: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).uniform(model.lower, model.upper, (count, model.joints))


def test_tool_position_is_pybullets(model: RobotModel, reference: Reference) -> None:
    batch = positions(model, 20)
    tool = model.tool_position(batch)
    for row, position in enumerate(batch):
        reference.place(position)
        assert tool[row] == pytest.approx(reference.link_position(model.spec.tool_frame), abs=1e-6)


def test_jacobian_is_pybullets(model: RobotModel, reference: Reference) -> None:
    batch = positions(model, 10, seed=1)
    jacobian = model.tool_jacobian(batch)
    assert jacobian.shape == (10, 3, model.joints)
    for row, position in enumerate(batch):
        reference.place(position)
        assert jacobian[row] == pytest.approx(reference.jacobian(), abs=1e-5)


def test_jacobian_is_the_derivative(model: RobotModel) -> None:
    batch, step = positions(model, 10, seed=2), 1e-6
    jacobian = model.tool_jacobian(batch)
    for joint in range(model.joints):
        change = np.zeros(model.joints)
        change[joint] = step
        slope = (model.tool_position(batch + change) - model.tool_position(batch - change)) / (2 * step)
        assert jacobian[:, :, joint] == pytest.approx(slope, abs=1e-8)


def test_the_order_of_joints_is_by_name(model: RobotModel) -> None:
    order = np.random.default_rng(3).permutation(model.joints)
    spec = dataclasses.replace(model.spec, joints=tuple(model.spec.joints[index] for index in order))
    shuffled, batch = RobotModel(spec), positions(model, 5, seed=4)
    assert (order != np.arange(model.joints)).any()
    assert np.array_equal(shuffled.tool_position(batch[:, order]), model.tool_position(batch))
    assert np.array_equal(shuffled.tool_jacobian(batch[:, order]), model.tool_jacobian(batch)[:, :, order])
    for name in ("lower", "upper", "default_position", "velocity_limit", "effort_limit"):
        assert np.array_equal(getattr(shuffled, name), getattr(model, name)[order])


def test_a_row_does_not_depend_on_the_batch(model: RobotModel) -> None:
    batch = positions(model, 17, seed=5)
    tool, jacobian = model.tool_position(batch), model.tool_jacobian(batch)
    for row in reversed(range(17)):
        assert np.array_equal(model.tool_position(batch[row : row + 1])[0], tool[row])
        assert np.array_equal(model.tool_jacobian(batch[row : row + 1])[0], jacobian[row])


def on_a_pedestal(spec: RobotSpec, origin: str) -> RobotSpec:
    """Return the robot standing on a root link of its own, at `origin` in the root's frame."""
    pedestal = (
        '<link name="pedestal"/><joint name="pedestal_joint" type="fixed"><parent link="pedestal"/>'
        f'<child link="{spec.base_link}"/><origin {origin}/></joint></robot>'
    )
    return dataclasses.replace(spec, description=spec.description.replace("</robot>", pedestal))


def test_a_base_that_is_not_the_root_carries_its_frame_along() -> None:
    spec = load_robot("arm6")
    model = RobotModel(spec)
    moved = RobotModel(on_a_pedestal(spec, 'xyz="0.3 -0.2 1.5" rpy="0.3 -0.4 2.0"'))
    batch = positions(model, 9, seed=6)
    assert moved.tool_position(batch) == pytest.approx(model.tool_position(batch), abs=1e-12)
    assert moved.tool_jacobian(batch) == pytest.approx(model.tool_jacobian(batch), abs=1e-12)
    for row in range(9):  # the turn back must not depend on the batch either
        assert np.array_equal(moved.tool_position(batch[[row]])[0], moved.tool_position(batch)[row])
        assert np.array_equal(moved.tool_jacobian(batch[[row]])[0], moved.tool_jacobian(batch)[row])


def test_a_locked_joint_moves_the_tool_but_is_no_column() -> None:
    spec = load_robot("franka_panda")
    model = RobotModel(dataclasses.replace(spec, tool_frame="panda_leftfinger"))
    wider = RobotModel(dataclasses.replace(model.spec, locked_joints={"panda_finger_joint1": 0.04}))
    batch = model.default_position[None]
    assert model.joints == 7
    moved = np.linalg.norm(wider.tool_position(batch) - model.tool_position(batch))
    assert moved == pytest.approx(0.04 - spec.locked_joints["panda_finger_joint1"], abs=1e-9)


def test_a_description_that_is_no_robot_is_refused() -> None:
    spec = load_robot("arm6")
    for description, message in (
        ("<robot", "its URDF is not readable"),
        ("<robot name='a'><link name='base_link'/><link name='b'/></robot>", "not readable"),
        (spec.description.replace('joint name="elbow_joint"', 'joint name="elbow"'), "no movable joint 'elbow_joint'"),
        (spec.description.replace("tool_frame", "tool_link"), "no link 'tool_frame'"),
    ):
        with pytest.raises(SpecError, match=message):
            RobotModel(dataclasses.replace(spec, description=description))
