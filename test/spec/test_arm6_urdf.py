"""Tests for urdf/arm6.urdf: physically valid, within its own figures, and the same robot in PyBullet and pinocchio."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pinocchio
import pybullet
import pytest
from numpy.typing import NDArray

Array = NDArray[np.float64]

URDF = Path(__file__).resolve().parents[2] / "urdf" / "arm6.urdf"
ROOT = ElementTree.parse(URDF).getroot()
LINKS = {str(link.get("name")): link for link in ROOT.findall("link")}
JOINTS = {str(joint.get("name")): joint for joint in ROOT.findall("joint")}
SOLID_LINKS = [name for name in LINKS if name != "tool_frame"]
MOVABLE = [
    "shoulder_pan_joint",
    "shoulder_lift_joint",
    "elbow_joint",
    "wrist_1_joint",
    "wrist_2_joint",
    "wrist_3_joint",
]
STRETCHED = np.array([0.0, math.pi / 2, -math.pi / 2, 0.0, 0.0, 0.0])
GRAVITY = 9.81


def vector(text: str | None) -> Array:
    """Read a URDF triple."""
    return np.array([float(number) for number in (text or "0 0 0").split()])


def inertial(link: ElementTree.Element) -> tuple[float, Array, Array]:
    """Return a link's mass (kg), centre of mass (3,) m and inertia (3, 3) kg m^2 about it."""
    element = link.find("inertial")
    assert element is not None
    mass, origin, inertia = element.find("mass"), element.find("origin"), element.find("inertia")
    assert mass is not None and origin is not None and inertia is not None
    assert not vector(origin.get("rpy")).any()
    xx, xy, xz, yy, yz, zz = (float(inertia.get(key, "nan")) for key in ("ixx", "ixy", "ixz", "iyy", "iyz", "izz"))
    return (
        float(mass.get("value", "nan")),
        vector(origin.get("xyz")),
        np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]),
    )


def primitive(shape: ElementTree.Element) -> tuple[float, Array, Array]:
    """Return a shape's volume (m^3), centre (3,) m and inertia per mass (3, 3) m^2 about the centre, link's axes."""
    geometry, origin = shape.find("geometry"), shape.find("origin")
    assert geometry is not None and origin is not None
    rotation = pinocchio.rpy.rpyToMatrix(vector(origin.get("rpy")))
    kind = geometry[0]
    if kind.tag == "box":
        x, y, z = vector(kind.get("size"))
        volume, own = x * y * z, np.diag([y * y + z * z, x * x + z * z, x * x + y * y]) / 12
    elif kind.tag == "cylinder":
        radius, length = float(kind.get("radius", "nan")), float(kind.get("length", "nan"))
        across = (3 * radius**2 + length**2) / 12
        volume, own = math.pi * radius**2 * length, np.diag([across, across, radius**2 / 2])
    elif kind.tag == "sphere":
        radius = float(kind.get("radius", "nan"))
        volume, own = 4 / 3 * math.pi * radius**3, np.eye(3) * 0.4 * radius**2
    else:
        pytest.fail(f"{kind.tag} is not a primitive")
    return volume, vector(origin.get("xyz")), rotation @ own @ rotation.T


@pytest.fixture(scope="module")
def model() -> pinocchio.Model:
    """The arm in pinocchio."""
    return pinocchio.buildModelFromUrdf(str(URDF))


@pytest.fixture(scope="module")
def body() -> Iterator[tuple[int, int]]:
    """The arm in PyBullet: (client, body)."""
    client = pybullet.connect(pybullet.DIRECT)
    flags = pybullet.URDF_USE_INERTIA_FROM_FILE
    yield client, pybullet.loadURDF(str(URDF), useFixedBase=True, flags=flags, physicsClientId=client)
    pybullet.disconnect(client)


def configurations(model: pinocchio.Model, count: int) -> Array:
    """Return joint positions (count, 6) rad all over the limits."""
    return np.random.default_rng(6).uniform(model.lowerPositionLimit, model.upperPositionLimit, (count, model.nq))


def bullet_joints(client: int, body: int) -> dict[str, int]:
    """Return PyBullet's index of every joint, also of the fixed ones."""
    count = pybullet.getNumJoints(body, physicsClientId=client)
    infos = [pybullet.getJointInfo(body, index, physicsClientId=client) for index in range(count)]
    return {info[1].decode(): index for index, info in enumerate(infos)}


def test_has_the_joints_and_links_of_the_field() -> None:
    assert [name for name, joint in JOINTS.items() if joint.get("type") == "revolute"] == MOVABLE
    for joint, child in (("payload_joint", "payload_link"), ("tool_joint", "tool_frame")):
        element = JOINTS[joint].find("child")
        assert JOINTS[joint].get("type") == "fixed"
        assert element is not None and element.get("link") == child


def test_is_made_of_primitives_only() -> None:
    assert not list(ROOT.iter("mesh"))
    for name in SOLID_LINKS:
        assert LINKS[name].find("visual") is not None
        assert LINKS[name].find("collision") is not None


@pytest.mark.parametrize("name", SOLID_LINKS)
def test_inertia_is_possible(name: str) -> None:
    mass, _, inertia = inertial(LINKS[name])
    principal = np.linalg.eigvalsh(inertia)
    assert mass > 0
    assert principal[0] > 0
    assert principal[0] + principal[1] >= principal[2]


@pytest.mark.parametrize("name", SOLID_LINKS)
def test_inertia_is_that_of_the_collision_primitives(name: str) -> None:
    mass, centre, inertia = inertial(LINKS[name])
    shapes = [primitive(shape) for shape in LINKS[name].findall("collision")]
    total = sum(volume for volume, _, _ in shapes)
    expected_centre = sum((volume * at for volume, at, _ in shapes), np.zeros(3)) / total
    expected = np.zeros((3, 3))
    for volume, at, own in shapes:
        arm = at - expected_centre
        expected += mass * volume / total * (own + arm @ arm * np.eye(3) - np.outer(arm, arm))
    np.testing.assert_allclose(centre, expected_centre, rtol=0, atol=1e-6)
    np.testing.assert_allclose(inertia, expected, rtol=0, atol=1e-3 * np.abs(expected).max())


def test_tool_frame_has_no_mass() -> None:
    # Said in full: to a link without inertial PyBullet gives 1 kg.
    mass, _, inertia = inertial(LINKS["tool_frame"])
    assert mass == 0 and not inertia.any()


def test_total_mass_is_that_of_an_arm_this_size() -> None:
    assert 12.0 <= sum(inertial(link)[0] for link in LINKS.values()) <= 20.0
    assert inertial(LINKS["payload_link"])[0] == pytest.approx(0.5)


@pytest.mark.parametrize("name", MOVABLE)
def test_limits_and_dynamics_are_given(name: str) -> None:
    limit, dynamics = JOINTS[name].find("limit"), JOINTS[name].find("dynamics")
    assert limit is not None and dynamics is not None
    assert float(limit.get("lower", "nan")) < 0 < float(limit.get("upper", "nan"))
    assert 2.0 <= float(limit.get("velocity", "nan")) <= 3.5
    assert float(limit.get("effort", "nan")) > 0
    assert float(dynamics.get("damping", "nan")) > 0 and float(dynamics.get("friction", "nan")) > 0


def test_reaches_nine_tenths_of_a_metre(model: pinocchio.Model) -> None:
    data = model.createData()
    pinocchio.framesForwardKinematics(model, data, STRETCHED)
    shoulder = data.oMi[model.getJointId("shoulder_lift_joint")].translation * [1, 0, 1]
    stretched = np.linalg.norm(data.oMf[model.getFrameId("tool_frame")].translation - shoulder)
    assert stretched == pytest.approx(0.9, abs=0.03)
    farthest = 0.0
    for position in configurations(model, 2000):
        pinocchio.framesForwardKinematics(model, data, position)
        reach = np.linalg.norm(data.oMf[model.getFrameId("tool_frame")].translation - shoulder)
        farthest = max(farthest, float(reach))
    assert farthest <= stretched + 1e-9


def test_holds_two_kilograms_stretched_with_twice_the_effort_to_spare(model: pinocchio.Model) -> None:
    data = model.createData()
    still = np.zeros(model.nv)
    gravity = pinocchio.rnea(model, data, STRETCHED, still, still)
    frame = pinocchio.ReferenceFrame.LOCAL_WORLD_ALIGNED
    jacobian = pinocchio.computeFrameJacobian(model, data, STRETCHED, model.getFrameId("tool_frame"), frame)
    needed = np.abs(gravity + jacobian[2] * 2.0 * GRAVITY)
    assert (model.effortLimit > 2.0 * needed).all()


def test_tool_is_at_the_same_place_in_pybullet_and_pinocchio(model: pinocchio.Model, body: tuple[int, int]) -> None:
    client, arm = body
    data, table = model.createData(), bullet_joints(*body)
    for position in configurations(model, 30):
        for name, angle in zip(MOVABLE, position.tolist(), strict=True):
            pybullet.resetJointState(arm, table[name], angle, physicsClientId=client)
        pinocchio.framesForwardKinematics(model, data, position)
        expected = data.oMf[model.getFrameId("tool_frame")]
        state = pybullet.getLinkState(arm, table["tool_joint"], computeForwardKinematics=True, physicsClientId=client)
        # The frame of the link's mass, here the link's own, comes back in double precision; entries 4 and 5 do not.
        np.testing.assert_allclose(state[0], expected.translation, rtol=0, atol=1e-9)
        rotation = pinocchio.Quaternion(np.array(state[1])).toRotationMatrix()
        np.testing.assert_allclose(rotation, expected.rotation, rtol=0, atol=1e-9)


def test_mass_matrix_is_the_same_in_pybullet_and_pinocchio(model: pinocchio.Model, body: tuple[int, int]) -> None:
    client, arm = body
    data = model.createData()
    for position in configurations(model, 30):
        upper = np.triu(pinocchio.crba(model, data, position))
        expected = upper + np.triu(upper, 1).T
        given = np.array(pybullet.calculateMassMatrix(arm, position.tolist(), physicsClientId=client))
        np.testing.assert_allclose(given, expected, rtol=0, atol=1e-9)


def test_every_link_keeps_its_mass_in_pybullet(body: tuple[int, int]) -> None:
    client, arm = body
    for index in bullet_joints(*body).values():
        name = pybullet.getJointInfo(arm, index, physicsClientId=client)[12].decode()
        given = pybullet.getDynamicsInfo(arm, index, physicsClientId=client)[0]
        assert given == pytest.approx(inertial(LINKS[name])[0])
