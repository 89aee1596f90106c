"""Tests for ppo_robot.sim.mujoco_dynamics: what is drawn under MuJoCo, and that nothing of it stays."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from small_robots import BALL_OVER_GROUND, PENDULUM, small_robot

from ppo_robot.kinematics import RobotModel
from ppo_robot.sim.mujoco_dynamics import NOMINAL, damping_ratio
from ppo_robot.sim.mujoco_plant import MujocoPlant
from ppo_robot.spec.robot import load_robot
from ppo_robot.spec.task import SimulationSpec

Array = NDArray[np.float64]
ARM = RobotModel(load_robot("arm6"))
LINKS, JOINTS = len(ARM.spec.massive_links), ARM.joints
ONE = np.arange(1)


def apply(plant: MujocoPlant, row: int = 0, **values: Any) -> None:
    """Apply values of one robot."""
    batch = len(plant.dynamics.engines)
    table = {name: np.tile(np.atleast_1d(np.asarray(value, float)), (batch, 1)) for name, value in values.items()}
    plant.apply(table, np.array([row]))


def swing(plant: MujocoPlant, steps: int = 15) -> Array:
    """Return a trajectory (steps, 2 J) from the default pose."""
    plant.reset(ARM.default_position[None], ONE)
    out = []
    for step in range(steps):
        reference = ARM.default_position + 0.3 * np.sin(0.2 * step + np.arange(JOINTS))
        plant.step(np.repeat(reference[None, None], 4, axis=0))
        out.append(np.concatenate([plant.truth.joint_position[0], plant.truth.joint_effort[0]]))
    return np.array(out)


def drawn(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "link_mass": rng.uniform(0.7, 1.4, LINKS),
        "link_inertia": rng.uniform(0.7, 1.4, LINKS),
        "centre_of_mass": rng.uniform(-0.02, 0.02, 3 * LINKS),
        "payload": rng.uniform(0.0, 1.0),
        "gravity": rng.uniform(0.9, 1.1),
        "contact_friction": rng.uniform(0.3, 1.2),
        "contact_restitution": rng.uniform(0.1, 0.9),
        "joint_damping": rng.uniform(0.3, 3.0, JOINTS),
        "joint_friction": rng.uniform(0.3, 3.0, JOINTS),
        "motor_strength": rng.uniform(0.5, 1.5, JOINTS),
        "position_gain": rng.uniform(0.5, 1.5, JOINTS),
        "velocity_gain": rng.uniform(0.5, 1.5, JOINTS),
    }


def test_every_parameter_counts_and_nominal_values_give_the_nominal_bits() -> None:
    plant = MujocoPlant(ARM, SimulationSpec(), 1)
    nominal = swing(plant)
    rng = np.random.default_rng(0)
    whole = drawn(rng)
    rest = NOMINAL | dict.fromkeys(FACTORS, 1.0)
    none = {name: np.full(np.shape(value), rest.get(name, 0.0)) for name, value in whole.items()}
    for name, value in whole.items():
        apply(plant, **none | {name: value})
        assert np.array_equal(swing(plant), nominal) == name.startswith("contact")
    for _ in range(5):
        apply(plant, **drawn(rng))
        swing(plant, 3)
    apply(plant, **none)
    assert np.array_equal(swing(plant), nominal)


FACTORS = {
    *("link_mass", "link_inertia", "gravity", "joint_damping"),
    *("motor_strength", "position_gain", "velocity_gain"),
}


def test_a_robot_keeps_its_draws_to_itself() -> None:
    plant = MujocoPlant(ARM, SimulationSpec(), 2)
    apply(plant, 0, payload=1.5, motor_strength=np.full(JOINTS, 0.5))
    first, second = plant.dynamics.engines
    body = first.body(ARM.spec.payload_link).id
    assert first.body_mass[body] == second.body_mass[body] + 1.5
    assert (first.actuator_forcerange == 0.5 * second.actuator_forcerange).all()


def test_masses_centres_and_loads_pull_as_they_should(tmp_path: Path) -> None:
    model = small_robot(tmp_path, PENDULUM, ("swing",), "rod")
    plant = MujocoPlant(model, SimulationSpec(), 1)

    def holds(load: float = 0.0, **values: Any) -> float:
        apply(plant, **values)
        plant.reset(np.zeros((1, 1)), ONE)
        for _ in range(60):
            plant.step(np.zeros((4, 1, 1)), None, np.array([[load]]))
        return float(plant.truth.joint_effort[0, 0])

    still = {"joint_friction": 0.0, "centre_of_mass": np.zeros(3)}
    assert holds(**still) == pytest.approx(0.0, abs=1e-6)
    assert abs(holds(**still | {"centre_of_mass": [0.05, 0.0, 0.0]})) == pytest.approx(2.0 * 9.81 * 0.05, rel=0.02)
    assert holds(3.0, **still) == pytest.approx(-3.0, rel=0.02)


def test_friction_and_bounce_of_contacts(tmp_path: Path) -> None:
    model = small_robot(tmp_path, BALL_OVER_GROUND, ("along", "up"), "block", ("ground", "block"))
    plant = MujocoPlant(model, SimulationSpec(), 1)

    def free(start: list[float], velocity: list[float], steps: int, **values: float) -> Array:
        apply(plant, joint_damping=np.zeros(2), joint_friction=np.zeros(2), **values)
        plant.reset(np.array([start]), ONE, np.array([velocity]))
        out = []
        for _ in range(steps):
            plant.step_effort(np.zeros((1, 1, 2)))
            out.append(plant.truth.joint_velocity[0].copy())
        return np.array(out)

    # The drives' rotors slide along: both joints have an armature.
    heavy = 2.0 + 0.001 + plant.engine.dof_armature[0]
    for friction in (0.1, 0.4):
        slide = free([0.0, 0.0], [2.0, 0.0], 60, contact_friction=friction)
        slowing = (slide[20, 0] - slide[50, 0]) / (30 * 0.005)
        assert slowing == pytest.approx(friction * 9.81 * 2.0 / heavy, rel=0.1)
    bounces = [free([0.0, 0.1], [0.0, 0.0], 80, contact_restitution=value)[:, 1].max() for value in (0.0, 0.4, 0.8)]
    assert bounces[0] < bounces[1] < bounces[2]
    softer = free([0.0, 0.1], [0.0, 0.0], 80, contact_stiffness=2e3, contact_damping=1.0)
    assert not np.array_equal(softer, free([0.0, 0.1], [0.0, 0.0], 80, contact_stiffness=2e4, contact_damping=1.0))


def test_the_damping_ratio_of_a_bounce() -> None:
    assert damping_ratio(0.0) == 1.0
    assert damping_ratio(1.0) == 0.01
    ratio = damping_ratio(0.5)
    assert math.exp(-math.pi * ratio / math.sqrt(1.0 - ratio**2)) == pytest.approx(0.5)
