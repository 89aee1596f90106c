"""Tests for ppo_robot.sim.plants: both plants side by side, MuJoCo's files and collisions, and the way to either."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ppo_robot.errors import BadInputError, RunFailedError
from ppo_robot.kinematics import RobotModel
from ppo_robot.sim.batch_env import BatchEnv
from ppo_robot.sim.mujoco_plant import MujocoPlant
from ppo_robot.sim.plant import PybulletPlant
from ppo_robot.sim.plants import make_plant
from ppo_robot.sim.vector_env import WorkerVectorEnv
from ppo_robot.spec.robot import load_robot
from ppo_robot.spec.task import SimulationSpec, load_task

Array = NDArray[np.float64]
MODELS = {name: RobotModel(load_robot(name)) for name in ("arm6", "franka_panda", "kuka_iiwa")}
ARM = MODELS["arm6"]
ONE = np.arange(1)


def make(model: RobotModel = ARM, batch: int = 1, **spec: object) -> MujocoPlant:
    return MujocoPlant(model, SimulationSpec(**spec), batch)  # type: ignore[arg-type]


def hold(plant: MujocoPlant | PybulletPlant, reference: Array, periods: int) -> Array:
    """Hold references (B, J) for some control periods; return the positions (periods, B, J)."""
    out = []
    for _ in range(periods):
        plant.step(np.repeat(reference[None], 4, axis=0))
        out.append(plant.truth.joint_position.copy())
    return np.array(out)


def swing(plant: MujocoPlant | PybulletPlant, steps: int = 25) -> Array:
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


def test_both_plants_follow_the_same_references_alike_but_not_equally() -> None:
    for model in MODELS.values():
        unseen, seen = make(model), PybulletPlant(model, SimulationSpec(), 1)
        positions = [swing(plant, 50)[:, : model.joints] for plant in (unseen, seen)]
        seen.close()
        apart = np.linalg.norm(model.tool_position(positions[0]) - model.tool_position(positions[1]), axis=1)
        assert 1e-4 < apart.max() < 5e-3  # m


@pytest.mark.parametrize("robot", ["arm6", "franka_panda"])
def test_listed_pairs_touch_as_they_do_in_pybullet(robot: str) -> None:
    model = MODELS[robot]
    plants, rng = (make(model), PybulletPlant(model, SimulationSpec(), 1)), np.random.default_rng(0)
    flags = []
    for position in rng.uniform(model.lower, model.upper, (300, model.joints)):
        for plant in plants:
            plant.reset(position[None], ONE)
        flags.append([bool(plant.self_collision[0]) for plant in plants])
    plants[1].close()
    ours, theirs = np.array(flags).T
    assert theirs.sum() >= 5
    assert (ours != theirs).sum() <= 3  # on the skin itself two algorithms may differ


def colliding_pose(plant: MujocoPlant) -> Array:
    rng = np.random.default_rng(1)
    while True:
        pose = rng.uniform(ARM.lower, ARM.upper)
        plant.reset(pose[None], ONE)
        if plant.self_collision[0]:
            return pose


def test_collision_is_seen_while_moving_and_only_where_it_is_asked_for() -> None:
    plant = make()
    pose = colliding_pose(plant)
    plant.reset(ARM.default_position[None], ONE)
    assert not plant.self_collision[0]
    seen = False
    for _ in range(100):
        hold(plant, pose[None], 1)
        seen |= bool(plant.self_collision[0])
    assert seen
    unlisted = make(RobotModel(dataclasses.replace(ARM.spec, self_collision_pairs=())))
    for each in (make(self_collision=False), unlisted):
        each.reset(pose[None], ONE)
        assert not each.self_collision[0]
        assert hold(each, pose[None], 5)[-1, 0] == pytest.approx(pose, abs=1e-3)  # nothing pushes the links apart
        assert not each.self_collision[0]


def test_a_trajectory_depends_on_no_number_of_workers() -> None:
    robot, task = load_robot("arm6"), load_task("reach")
    actions = np.random.default_rng(0).uniform(-1.0, 1.0, (12, 3, 6)).astype(np.float32)
    runs = []
    for workers in (1, 2):
        env = WorkerVectorEnv(robot, task, 3, workers, seed=5, plant="mujoco")
        try:
            observations = [env.reset()[0].copy()]
            for action in actions:
                observations.append(env.step(action)[0].copy())
            snapshot = env.snapshot()
            assert np.array_equal(env.restore(snapshot), snapshot["observation"])
        finally:
            env.close()
        runs.append(np.array(observations))
    assert np.array_equal(runs[0], runs[1])
    other = BatchEnv(robot, task, range(3), 5)
    assert np.array_equal(other.reset(), runs[0][0])  # the same start and goals in either plant
    assert not np.array_equal(other.step(actions[0]).observation, runs[0][1])
    other.close()


def test_a_number_that_is_not_finite_is_no_silent_reset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    env = BatchEnv(load_robot("arm6"), load_task("reach"), range(2), 0, "mujoco")
    env.reset()
    assert isinstance(env.plant, MujocoPlant)
    env.plant._data[1].qpos[2] = np.nan
    with pytest.raises(RunFailedError, match="'tool_distance' is not finite in environment 1"):
        env.step(np.zeros((2, 6)))  # the observation is of a moment before, the reward is of now
    assert not list(tmp_path.iterdir())  # no MUJOCO_LOG.TXT


def test_a_urdf_that_changed_on_disk_changes_no_robot(tmp_path: Path) -> None:
    spec = load_robot("franka_panda")
    assert spec.urdf_directory is not None
    shutil.copytree(spec.urdf_directory, tmp_path / "robot")
    moved = dataclasses.replace(spec, urdf_directory=str(tmp_path / "robot"))
    assert moved.urdf_path is not None
    moved.urdf_path.unlink()
    assert np.array_equal(swing(make(RobotModel(moved)), 5), swing(make(MODELS["franka_panda"]), 5))
    shutil.rmtree(tmp_path / "robot" / "meshes")
    with pytest.raises(BadInputError, match=r"names the mesh package://meshes/collision/link0\.obj, which was not"):
        make(RobotModel(moved))
    with pytest.raises(BadInputError, match="which was not found"):
        make(RobotModel(dataclasses.replace(moved, urdf_directory=None)))


def test_a_mesh_is_found_in_its_package(tmp_path: Path) -> None:
    found = MODELS["franka_panda"].spec
    assert found.urdf_directory is not None
    (tmp_path / "my_robot" / "urdf").mkdir(parents=True)
    shutil.copytree(Path(found.urdf_directory) / "meshes", tmp_path / "my_robot" / "meshes")
    spec = dataclasses.replace(
        found,
        description=found.description.replace("package://meshes", "package://my_robot/meshes"),
        urdf_directory=str(tmp_path / "my_robot" / "urdf"),
    )
    assert make(RobotModel(spec)).engine.nmesh == 10


def test_an_mjcf_extension_in_the_urdf_is_no_part_of_the_robot() -> None:
    extension = '<mujoco><compiler fusestatic="true" inertiafromgeom="true"/></mujoco></robot>'
    spec = dataclasses.replace(ARM.spec, description=ARM.spec.description.replace("</robot>", extension))
    assert np.array_equal(swing(make(RobotModel(spec)), 5), swing(make(), 5))


def test_closing_is_harmless_when_repeated() -> None:
    plant = make_plant("mujoco", ARM, SimulationSpec(), 2)
    assert isinstance(plant, MujocoPlant)
    plant.close()
    plant.close()


def test_an_unknown_plant_is_one_line() -> None:
    with pytest.raises(BadInputError, match="plant: given 'gazebo'; expected one of pybullet, mujoco"):
        make_plant("gazebo", ARM, SimulationSpec(), 1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "extra", "other"), [("mujoco", "mujoco", "pybullet"), ("pybullet", "train", "mujoco")]
)
def test_a_missing_simulator_says_what_to_install_and_the_other_works(name: str, extra: str, other: str) -> None:
    program = f"""
import sys
sys.modules[{name!r}] = None
from ppo_robot.errors import BadInputError
from ppo_robot.sim.batch_env import BatchEnv
from ppo_robot.spec.robot import load_robot
from ppo_robot.spec.task import load_task
robot, task = load_robot("arm6"), load_task("reach")
BatchEnv(robot, task, range(1), 0, {other!r}).reset()
try:
    BatchEnv(robot, task, range(1), 0, {name!r})
except BadInputError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"plant {name}: {name} is not installed; pip install 'ppo_robot[{extra}]'\n"
