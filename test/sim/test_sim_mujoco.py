"""Tests for ppo_robot.sim.mujoco_plant and mujoco_model: the URDF as MuJoCo loads it, joint dynamics, drive, reset."""

from __future__ import annotations

import dataclasses
import math

import mujoco
import numpy as np
import pinocchio
import pytest
from numpy.typing import NDArray

from ppo_robot.errors import BadInputError
from ppo_robot.kinematics import RobotModel
from ppo_robot.sim.mujoco_model import DriveSpec, joint_dofs, mass_matrix
from ppo_robot.sim.mujoco_plant import MujocoPlant
from ppo_robot.spec.robot import RobotSpec, load_robot
from ppo_robot.spec.task import SimulationSpec

Array = NDArray[np.float64]
MODELS = {name: RobotModel(load_robot(name)) for name in ("arm6", "franka_panda", "kuka_iiwa")}
ARM = MODELS["arm6"]
ONE = np.arange(1)
every_robot = pytest.mark.parametrize("robot", MODELS)

TURNED = """
<robot name="turned">
  <link name="world"/>
  <joint name="mount" type="fixed">
    <parent link="world"/><child link="base"/><origin xyz="0 0 0.3" rpy="0.2 0.1 0.4"/>
  </joint>
  <link name="base"/>
  <joint name="swing" type="revolute">
    <parent link="base"/><child link="upper"/><origin xyz="0.1 0 0.2" rpy="0.3 -0.5 1.0"/><axis xyz="0 1 0"/>
    <limit lower="-2" upper="2" velocity="3" effort="40"/><dynamics damping="0"/>
  </joint>
  <link name="upper"><inertial><origin xyz="0 0.1 0.1"/><mass value="2"/>
    <inertia ixx="0.02" ixy="0" ixz="0" iyy="0.03" iyz="0" izz="0.02"/></inertial></link>
  <joint name="locked_turn" type="continuous">
    <parent link="upper"/><child link="lower"/><origin xyz="0 0 0.3" rpy="-0.7 0.2 0.9"/><axis xyz="0.6 0 0.8"/>
  </joint>
  <link name="lower"><inertial><origin xyz="0.1 0 0"/><mass value="1"/>
    <inertia ixx="0.01" ixy="0" ixz="0" iyy="0.01" iyz="0" izz="0.01"/></inertial></link>
  <joint name="locked_slide" type="prismatic">
    <parent link="lower"/><child link="tool"/><origin xyz="0.2 0 0" rpy="0.1 0.8 -0.4"/><axis xyz="0 0 1"/>
    <limit lower="0" upper="0.5" velocity="1" effort="10"/><mimic joint="locked_turn"/>
  </joint>
  <link name="tool"/>
</robot>
"""


def make(model: RobotModel = ARM, batch: int = 1, drive: DriveSpec | None = None, **spec: object) -> MujocoPlant:
    return MujocoPlant(model, SimulationSpec(**spec), batch, drive)  # type: ignore[arg-type]


def hold(plant: MujocoPlant, reference: Array, periods: int) -> Array:
    """Hold references (B, J) for some control periods; return the positions (periods, B, J)."""
    out = []
    for _ in range(periods):
        plant.step(np.repeat(reference[None], 4, axis=0))
        out.append(plant.truth.joint_position.copy())
    return np.array(out)


def swing(plant: MujocoPlant, steps: int = 25) -> Array:
    """Return a trajectory (steps, 3 J) from the default pose, the same whatever was before."""
    model = plant.model
    plant.reset(model.default_position[None], ONE)
    out = []
    for step in range(steps):
        time = 0.02 * step + 0.005 * np.arange(1, 5)[:, None, None]
        plant.step(model.default_position + 0.2 * np.sin(4.0 * time) * np.cos(np.arange(model.joints)))
        truth = plant.truth
        out.append(np.concatenate([truth.joint_position[0], truth.joint_velocity[0], truth.joint_effort[0]]))
    return np.array(out)


def turned(**changes: object) -> RobotSpec:
    """Return a robot whose frames are all turned and whose second and third joints are locked."""
    joint = dataclasses.replace(
        ARM.spec.joints[0], name="swing", position_lower=-2.0, position_upper=2.0, effort_limit=40.0
    )
    values = {
        "name": "turned",
        "base_link": "base",
        "tool_frame": "tool",
        "joints": (joint,),
        "description": TURNED,
        "locked_joints": {"locked_turn": 0.8, "locked_slide": 0.15},
        "self_collision_pairs": (),
        "urdf_directory": None,
    }
    return dataclasses.replace(ARM.spec, **{**values, **changes})  # type: ignore[arg-type]


def pinocchio_inertia(model: RobotModel, position: Array) -> Array:
    upper = np.triu(pinocchio.crba(model._model, model._data, position[np.argsort(model._index)]))
    return (upper + np.triu(upper, 1).T)[np.ix_(model._index, model._index)]


@pytest.mark.parametrize("model", [*MODELS.values(), RobotModel(turned())], ids=lambda model: model.spec.name)
def test_kinematics_and_inertia_are_those_of_pinocchio(model: RobotModel) -> None:
    plant, rng = make(model), np.random.default_rng(0)
    engine, data = plant.engine, plant._data[0]
    dofs = joint_dofs(engine, model.spec.joint_names)
    assert engine.nq == engine.nv == engine.nu == model.joints  # locked joints are rigid
    assert engine.neq == 0
    base, tool = (engine.body(name).id for name in (model.spec.base_link, model.spec.tool_frame))
    for position in rng.uniform(model.lower, model.upper, (20, model.joints)):
        plant.reset(position[None], ONE)
        reached = data.xmat[base].reshape(3, 3).T @ (data.xpos[tool] - data.xpos[base])
        assert reached == pytest.approx(model.tool_position(position[None])[0], abs=1e-9)
        expected = pinocchio_inertia(model, position) + np.diag(engine.dof_armature[dofs])
        assert mass_matrix(engine, data)[np.ix_(dofs, dofs)] == pytest.approx(expected, abs=1e-9)


@every_robot
def test_the_drives_hold_the_default_pose_against_gravity(robot: str) -> None:
    model = MODELS[robot]
    plant, start = make(model), model.default_position[None]
    plant.reset(start, ONE)
    rest = hold(plant, start, 50)[-1]
    assert np.linalg.norm(model.tool_position(rest) - model.tool_position(start)) < 1e-5  # m
    gravity = pinocchio.computeGeneralizedGravity(model._model, model._data, model.default_position)[model._index]
    assert plant.truth.joint_effort[0] == pytest.approx(gravity, abs=1e-3)


def test_a_payload_is_more_load_than_the_drives_know_of() -> None:
    plant, start = make(), ARM.default_position[None]
    plant.reset(start, ONE)
    plant.set_payload(2.0)
    rest = hold(plant, start, 50)[-1]
    droop = (ARM.tool_position(rest) - ARM.tool_position(start))[0, 2]
    assert -2e-3 < droop < -5e-5  # m
    gravity = pinocchio.computeGeneralizedGravity(ARM._model, ARM._data, ARM.default_position)[ARM._index]
    assert np.abs(plant.truth.joint_effort[0] - gravity).max() > 5.0
    plant.set_payload(0.0)
    assert np.array_equal(swing(plant), swing(make()))


@every_robot
def test_a_step_of_the_reference_is_reached_without_much_overshoot(robot: str) -> None:
    model = MODELS[robot]
    plant, goal = make(model), model.default_position[None] + 0.01
    plant.reset(model.default_position[None], ONE)
    path = hold(plant, goal, 30)[:, 0] - model.default_position
    assert path[-1] == pytest.approx(np.full(model.joints, 0.01), abs=2e-4)
    assert np.abs(path[15:] - 0.01).max() < 5e-4  # 0.3 s
    assert path.max() < 0.016  # joints push each other


def test_rows_follow_their_own_references_and_time_runs() -> None:
    plant, goals = make(batch=2), np.array([ARM.default_position + 0.1, ARM.default_position - 0.1])
    plant.reset(np.tile(ARM.default_position, (2, 1)), np.arange(2))
    assert hold(plant, goals, 30)[-1] == pytest.approx(goals, abs=1e-3)
    assert plant.truth.stamp == pytest.approx([0.6, 0.6])
    assert plant._data[0].time == pytest.approx(0.6)
    alone = make()
    alone.reset(ARM.default_position[None], ONE)
    hold(alone, goals[1:], 30)
    assert np.array_equal(alone.truth.joint_position[0], plant.truth.joint_position[1])


@pytest.mark.parametrize(("period", "inner"), [(0.005, 5), (0.001, 1), (0.0004, 1), (0.0025, 3), (0.05, 50)])
def test_the_drives_run_at_a_whole_fraction_of_the_physics_period(period: float, inner: int) -> None:
    plant = make(physics_period=period)
    assert plant._inner_steps == inner
    assert plant._inner_steps * plant.engine.opt.timestep == pytest.approx(period)
    plant.reset(ARM.default_position[None], ONE)
    assert hold(plant, ARM.default_position[None] + 0.02, math.ceil(0.1 / period))[-1, 0] == pytest.approx(
        ARM.default_position + 0.02, abs=1e-3
    )


@every_robot
def test_the_effort_limit_is_respected_and_the_drives_do_not_chatter(robot: str) -> None:
    model = MODELS[robot]
    plant, target = make(model), model.default_position + 0.3
    plant.reset(model.default_position[None], ONE)
    efforts = []
    for _ in range(200):
        plant.step(target[None, None])
        efforts.append(plant.truth.joint_effort[0] / model.effort_limit)
    shares = np.array(efforts)
    assert np.abs(shares).max() == pytest.approx(1.0, rel=1e-9)  # reached, and never passed
    ends = np.where(np.abs(shares) > 0.999, np.sign(shares), 0.0)
    assert (ends[1:] * ends[:-1] < 0.0).sum() <= 3 * model.joints  # from one end to the other: to brake, not to buzz


def test_an_effort_is_applied_as_given_within_the_limit() -> None:
    plant = make(gravity=0.0, drive=DriveSpec(armature_per_effort=1.0))
    plant.engine.dof_damping[:] = plant.engine.dof_frictionloss[:] = 0.0
    plant.reset(ARM.default_position[None], ONE)
    effort = np.array([3.0, 0.0, -2.0, 0.0, 0.0, 400.0])
    plant.step_effort(np.tile(effort, (2, 1, 1)))
    expected = np.minimum(effort, ARM.effort_limit)
    assert np.array_equal(plant.truth.joint_effort[0], expected)
    inertia = mass_matrix(plant.engine, plant._data[0])
    assert inertia @ plant.truth.joint_velocity[0] == pytest.approx(expected * 0.01, abs=0.02)
    assert plant.truth.stamp[0] == pytest.approx(0.01)
    plant.reset(ARM.default_position[None], ONE)
    assert hold(plant, ARM.default_position[None], 5)[-1, 0] == pytest.approx(ARM.default_position, abs=1e-9)


@every_robot
def test_a_reset_leaves_no_trace(robot: str) -> None:
    model = MODELS[robot]
    plant, rng = make(model), np.random.default_rng(0)
    first = swing(plant)
    for _ in range(10):  # fast and far: into limits and into itself
        plant.reset(rng.uniform(model.lower, model.upper)[None], ONE)
        plant.step(np.repeat(rng.uniform(model.lower, model.upper, (4, 1, model.joints)), 4, axis=0))
        plant.step_effort(rng.uniform(-9.0, 9.0, (4, 1, model.joints)))
    assert np.array_equal(swing(plant), first)
    assert np.array_equal(swing(make(model)), first)


def test_a_reset_moves_no_other_row() -> None:
    plant = make(batch=3)
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


def test_the_urdf_says_damping_and_friction_and_the_drive_the_rest() -> None:
    engine = make().engine
    assert engine.dof_damping[:, ...].reshape(6, -1)[:, 0].tolist() == [1.0, 1.0, 0.6, 0.2, 0.2, 0.2]
    assert engine.dof_frictionloss.tolist() == [0.5, 0.5, 0.3, 0.1, 0.1, 0.1]
    assert engine.dof_armature == pytest.approx(np.array([150.0, 150.0, 80.0, 28.0, 28.0, 28.0]) * 0.1 / 150.0)
    drive = DriveSpec(armature_per_effort=0.002, damping_per_effort=0.01, friction_per_effort=0.02)
    panda, model = make(MODELS["franka_panda"], drive=drive).engine, MODELS["franka_panda"]  # its URDF says nothing
    assert panda.dof_armature == pytest.approx(0.002 * model.effort_limit)
    assert panda.dof_damping.reshape(7, -1)[:, 0] == pytest.approx(0.01 * model.effort_limit)
    assert panda.dof_frictionloss == pytest.approx(0.02 * model.effort_limit)
    half = make(RobotModel(turned()), drive=drive).engine  # says damping="0" and nothing of friction
    assert half.dof_damping.reshape(-1)[0] == 0.0
    assert half.dof_frictionloss[0] == pytest.approx(0.8)


def test_dry_friction_holds_what_is_lighter_than_it() -> None:
    plant = make(gravity=0.0)
    moved = []
    for effort in (0.4, 1.0):  # N·m; the joint's friction is 0.5
        plant.reset(ARM.default_position[None], ONE)
        plant.step_effort(np.tile([effort, 0.0, 0.0, 0.0, 0.0, 0.0], (100, 1, 1)))
        moved.append(abs(plant.truth.joint_position[0, 0]))
    assert moved[0] < 1e-3  # rad in half a second; MuJoCo's friction creeps
    assert moved[1] > 0.01


@pytest.mark.parametrize("description", ["<robot>", TURNED.replace('izz="0.02"', 'izz="-1"')])
def test_a_urdf_that_mujoco_refuses_is_one_line(description: str) -> None:
    model = RobotModel(turned())
    model.spec = dataclasses.replace(model.spec, description=description)
    with pytest.raises(BadInputError, match="robot turned: MuJoCo cannot load its URDF") as caught:
        make(model)
    assert "\n" not in str(caught.value)


def test_the_integrator_is_the_one_that_damps_implicitly() -> None:
    engine = make().engine
    assert engine.opt.integrator == mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    assert engine.opt.gravity.tolist() == [0.0, 0.0, -9.81]
