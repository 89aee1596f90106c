"""Tests for ppo_robot.sim.plant: resets without a trace, servo and limits, self-collision, what cannot be loaded."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pinocchio
import pybullet
import pytest
from numpy.typing import NDArray

from ppo_robot.errors import BadInputError
from ppo_robot.kinematics import RobotModel
from ppo_robot.sim import plant as plant_module
from ppo_robot.sim.plant import PybulletPlant, joint_table
from ppo_robot.spec.robot import RobotSpec, load_robot
from ppo_robot.spec.task import SimulationSpec

Array = NDArray[np.float64]
MODELS = {name: RobotModel(load_robot(name)) for name in ("arm6", "franka_panda")}
ARM = MODELS["arm6"]
ONE = np.arange(1)


@pytest.fixture
def plants() -> Iterator[list[PybulletPlant]]:
    made: list[PybulletPlant] = []
    yield made
    for plant in made:
        plant.close()
        plant.close()  # harmless when repeated


def make(plants: list[PybulletPlant], model: RobotModel = ARM, batch: int = 1, **spec: object) -> PybulletPlant:
    plants.append(PybulletPlant(model, SimulationSpec(**spec), batch))  # type: ignore[arg-type]
    return plants[-1]


def hold(plant: PybulletPlant, reference: Array, periods: int) -> Array:
    """Hold references (B, J) for some control periods; return the positions (periods, B, J)."""
    out = []
    for _ in range(periods):
        plant.step(np.repeat(reference[None], 4, axis=0))
        out.append(plant.truth.joint_position.copy())
    return np.array(out)


def swing(plant: PybulletPlant, steps: int = 25) -> Array:
    """Return a trajectory (steps, 3 J) from the default pose, the same whatever was before."""
    model = plant.model
    plant.reset(model.default_position[None], ONE)
    out = []
    for step in range(steps):
        reference = model.default_position + 0.3 * np.sin(0.2 * step + np.arange(model.joints))
        plant.step(np.repeat(reference[None, None], 4, axis=0))
        truth = plant.truth
        out.append(np.concatenate([truth.joint_position[0], truth.joint_velocity[0], truth.joint_effort[0]]))
    return np.array(out)


@pytest.mark.parametrize("robot", MODELS)
def test_a_reset_leaves_no_trace(robot: str, plants: list[PybulletPlant]) -> None:
    model = MODELS[robot]
    plant, rng = make(plants, model), np.random.default_rng(0)
    first = swing(plant)
    touched = 0
    for _ in range(20):  # fast and far: into limits and into itself
        plant.reset(rng.uniform(model.lower, model.upper)[None], ONE)
        for _ in range(8):
            plant.step(np.repeat(rng.uniform(model.lower, model.upper)[None, None], 4, axis=0))
            touched += int(plant.self_collision[0])
    assert touched > 0
    assert np.array_equal(swing(plant), first)
    assert np.array_equal(swing(make(plants, model)), first)


def test_a_reset_puts_its_rows_at_rest_and_moves_no_other(plants: list[PybulletPlant]) -> None:
    plant = make(plants, batch=3)
    start = np.tile(ARM.default_position, (3, 1))
    plant.reset(start, np.arange(3))
    hold(plant, start + 0.2, 3)
    before = plant.truth.copy()
    plant.reset(start[:2] - 0.1, np.array([2, 0]))
    assert np.array_equal(plant.truth.joint_position[[0, 2]], start[:2] - 0.1)
    assert not plant.truth.joint_velocity[[0, 2]].any()
    assert not plant.truth.joint_effort[[0, 2]].any()
    assert plant.truth.stamp.tolist() == [0.0, before.stamp[1], 0.0]
    for name in ("joint_position", "joint_velocity", "joint_effort"):
        assert np.array_equal(getattr(plant.truth, name)[1], getattr(before, name)[1])


def test_rows_follow_their_own_references(plants: list[PybulletPlant]) -> None:
    plant, goals = make(plants, batch=2), np.array([ARM.default_position + 0.1, ARM.default_position - 0.1])
    plant.reset(np.tile(ARM.default_position, (2, 1)), np.arange(2))
    assert hold(plant, goals, 30)[-1] == pytest.approx(goals, abs=5e-3)
    assert plant.truth.stamp == pytest.approx([0.6, 0.6])


@pytest.mark.parametrize("robot", MODELS)
def test_the_servo_holds_the_default_pose_against_gravity(robot: str, plants: list[PybulletPlant]) -> None:
    model = MODELS[robot]
    plant = make(plants, model)
    plant.reset(model.default_position[None], ONE)
    assert np.abs(hold(plant, model.default_position[None], 50)[-1] - model.default_position).max() < 2e-3  # rad
    assert np.abs(plant.truth.joint_velocity).max() < 1e-2
    # What the motors give is what gravity takes.
    position = plant.truth.joint_position[0]
    gravity = pinocchio.computeGeneralizedGravity(model._model, model._data, position)[model._index]
    assert plant.truth.joint_effort[0] == pytest.approx(gravity, abs=0.02 * np.abs(gravity).max())


def test_without_gravity_the_motors_rest(plants: list[PybulletPlant]) -> None:
    plant = make(plants, gravity=0.0)
    plant.reset(ARM.default_position[None], ONE)
    hold(plant, ARM.default_position[None], 10)
    assert np.abs(plant.truth.joint_effort).max() < 1e-6


def test_the_effort_limit_is_respected(plants: list[PybulletPlant]) -> None:
    weak = tuple(dataclasses.replace(joint, effort_limit=3.0) for joint in ARM.spec.joints)
    plant = make(plants, RobotModel(dataclasses.replace(ARM.spec, joints=weak)))
    strong = make(plants)
    for each in (plant, strong):
        each.reset(ARM.default_position[None], ONE)
    target = ARM.default_position + 0.8
    efforts = []
    for _ in range(20):
        hold(plant, target[None], 1)
        hold(strong, target[None], 1)
        efforts.append(np.abs(plant.truth.joint_effort).max())
        assert (np.abs(strong.truth.joint_effort[0]) <= ARM.effort_limit * (1 + 1e-6)).all()
    assert max(efforts) == pytest.approx(3.0, rel=1e-6)  # reached, and never passed
    assert np.abs(plant.truth.joint_position[0] - target).max() > 0.1  # and so it cannot follow


def test_links_of_a_listed_pair_touch_and_others_do_not(plants: list[PybulletPlant]) -> None:
    plant = make(plants)
    client, body = plant._clients[0], plant._bodies[0]
    links = plant_module._link_table(client, body)
    near = {True: 0, False: 0}
    rng = np.random.default_rng(0)
    for _ in range(1600):
        plant.reset(rng.uniform(ARM.lower, ARM.upper)[None], ONE)
        distance = 1.0
        for one, other in ARM.spec.self_collision_pairs:
            points = pybullet.getClosestPoints(body, body, 0.01, links[one], links[other], physicsClientId=client)
            distance = min([distance, *(point[8] for point in points)])
        if abs(distance) > 1e-9:
            assert bool(plant.self_collision[0]) is (distance < 0.0), distance
            near[distance < 0.0] += abs(distance) < 0.003  # where Bullet has contacts already
    assert min(near.values()) >= 5  # close calls on both sides


def colliding_pose(plant: PybulletPlant) -> Array:
    rng = np.random.default_rng(1)
    while True:
        pose = rng.uniform(ARM.lower, ARM.upper)
        plant.reset(pose[None], ONE)
        if plant.self_collision[0]:
            return pose


def test_collision_is_seen_while_moving_and_only_where_it_is_asked_for(plants: list[PybulletPlant]) -> None:
    plant = make(plants)
    pose = colliding_pose(plant)
    plant.reset(ARM.default_position[None], ONE)
    assert not plant.self_collision[0]
    seen = False
    for _ in range(100):
        hold(plant, pose[None], 1)
        seen |= bool(plant.self_collision[0])
    assert seen
    without = make(plants, self_collision=False)
    unlisted = make(plants, RobotModel(dataclasses.replace(ARM.spec, self_collision_pairs=())))
    for each in (without, unlisted):
        each.reset(pose[None], ONE)
        assert not each.self_collision[0]
        assert hold(each, pose[None], 5)[-1, 0] == pytest.approx(pose, abs=0.02)  # nothing pushes the links apart
        assert not each.self_collision[0]


def test_locked_joints_stay(plants: list[PybulletPlant]) -> None:
    model = MODELS["franka_panda"]
    plant = make(plants, model)
    table = joint_table(plant._clients[0], plant._bodies[0])
    swing(plant)
    for name, position in model.spec.locked_joints.items():
        state = pybullet.getJointState(plant._bodies[0], table[name], physicsClientId=plant._clients[0])
        assert state[0] == pytest.approx(position, abs=1e-4)


def copy_of(robot: str, folder: Path) -> RobotSpec:
    """Return a robot whose URDF and meshes lie in a folder of the test's own."""
    spec = load_robot(robot)
    assert spec.urdf_directory is not None
    shutil.copytree(spec.urdf_directory, folder / "robot")
    return dataclasses.replace(spec, urdf_directory=str(folder / "robot"))


@pytest.mark.parametrize("robot", ["arm6", "franka_panda"])
def test_a_urdf_that_changed_on_disk_changes_no_robot(
    robot: str, tmp_path: Path, plants: list[PybulletPlant], capfd: pytest.CaptureFixture[str]
) -> None:
    spec = copy_of(robot, tmp_path)
    assert spec.urdf_path is not None
    for text in ("<robot name='another'><link name='a'/></robot>", None):
        if text is None:
            spec.urdf_path.unlink()
        else:
            spec.urdf_path.write_text(text)
        assert np.array_equal(swing(make(plants, RobotModel(spec)), 5), swing(make(plants, MODELS[robot]), 5))


def test_a_missing_mesh_is_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    spec = copy_of("franka_panda", tmp_path)
    shutil.rmtree(tmp_path / "robot" / "meshes")
    with pytest.raises(BadInputError, match=r"franka_panda: PyBullet cannot load its URDF .*panda\.urdf") as caught:
        PybulletPlant(RobotModel(spec), SimulationSpec(), 1)
    assert "\n" not in str(caught.value)


def test_a_urdf_that_only_pybullet_refuses_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    model = RobotModel(load_robot("arm6"))
    model.spec = dataclasses.replace(model.spec, description="<robot>")
    with pytest.raises(BadInputError, match="PyBullet cannot load its URDF"):
        PybulletPlant(model, SimulationSpec(), 1)


def test_a_process_without_a_client_left_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plant_module.pybullet, "connect", lambda mode: -1)
    with pytest.raises(BadInputError, match="raise num_workers"):
        PybulletPlant(ARM, SimulationSpec(), 1)


def test_loading_prints_nothing(capfd: pytest.CaptureFixture[str], plants: list[PybulletPlant]) -> None:
    make(plants, MODELS["franka_panda"])
    assert capfd.readouterr().out == ""
