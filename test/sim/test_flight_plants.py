"""Tests of both flight plants: the motion of a free body, against formulas."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from flights import flight_task, quad, random_states

from ppo_robot.errors import BadInputError
from ppo_robot.mdp.airframe import Airframe
from ppo_robot.mdp.rotation import from_vector, rotation_matrix, to_body
from ppo_robot.sim.flight_plant import CommandLine, FlightPlant, make_flight_plant
from ppo_robot.spec.flight import FlightSimulationSpec
from ppo_robot.state import RobotState

AIRFRAME = Airframe(quad())
WEIGHT = AIRFRAME.mass * 9.81
PLANTS = ("pybullet", "mujoco")
Make = Callable[..., FlightPlant]


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[FlightPlant] = []

    def build(name: str, batch: int = 1, airframe: Airframe = AIRFRAME, **spec: Any) -> FlightPlant:
        if name == "mujoco":
            pytest.importorskip("mujoco", reason="needs MuJoCo: pip install 'ppo_robot[mujoco]'")
        made.append(make_flight_plant(name, airframe, FlightSimulationSpec(**spec), batch))  # type: ignore[arg-type]
        return made[-1]

    yield build
    for plant in made:
        plant.close()


def start(batch: int = 1, turned: tuple[float, ...] = (0.0, 0.0, 0.0), **values: Any) -> RobotState:
    state = RobotState.zeros(batch, 0)
    state.base_position[:, 2] = 1.0
    state.base_orientation[:] = from_vector(np.array([turned], dtype=float))
    for name, value in values.items():
        getattr(state, name)[:] = value
    return state


def put(plant: FlightPlant, state: RobotState) -> None:
    plant.reset(state, np.arange(state.batch))


def draw(plant: FlightPlant, **values: Any) -> None:
    batch = plant.truth.batch
    plant.apply({name: np.tile(np.atleast_2d(value), (batch, 1)) for name, value in values.items()}, np.arange(batch))


def commands(*command: float, steps: int = 4, batch: int = 1) -> np.ndarray:
    return np.tile(np.array(command), (steps, batch, 1))


def push(plant: FlightPlant, force: Any = (0, 0, 0), torque: Any = (0, 0, 0)) -> None:
    """Let a wrench in body axes act for one physics step, past rotors and air."""
    batch = plant.truth.batch
    plant._advance(np.tile(np.array(force, float), (batch, 1)), np.tile(np.array(torque, float), (batch, 1)), None)


@pytest.mark.parametrize("name", PLANTS)
def test_a_force_and_a_torque_act_along_the_axes_of_the_body_and_are_forgotten(name: str, make: Make) -> None:
    """PyBullet's frames of a base's torque were swapped once, and a wrench lasts one step."""
    plant = make(name, gravity=1e-9)
    turned = (0.3, 1.2, -0.7)
    rotation = rotation_matrix(from_vector(np.array([turned])))[0]
    put(plant, start(turned=turned))
    push(plant, force=(1.0, 2.0, 3.0))
    velocity = plant.truth.base_linear_velocity[0].copy()
    assert velocity == pytest.approx(rotation @ [1.0, 2.0, 3.0] * 0.005 / 0.8, rel=1e-3)
    assert np.abs(plant.truth.base_angular_velocity).max() < 1e-9  # through the centre of mass
    push(plant)
    assert plant.truth.base_linear_velocity[0] == pytest.approx(velocity, rel=1e-3)
    put(plant, start(turned=turned))
    push(plant, torque=(0.01, 0.02, 0.03))
    expected = rotation @ (np.array([0.01, 0.02, 0.03]) * 0.005 / AIRFRAME.inertia)
    assert plant.truth.base_angular_velocity[0] == pytest.approx(expected, rel=3e-3, abs=1e-6)
    assert np.abs(plant.truth.base_linear_velocity).max() < 1e-9


@pytest.mark.parametrize("name", PLANTS)
def test_nothing_but_gravity_and_air_slows_a_body(name: str, make: Make) -> None:
    """PyBullet damps by 0.04 unless told not to."""
    plant = make(name)
    put(plant, start(base_linear_velocity=(1.0, 0.0, 0.0)))
    for _ in range(100):
        push(plant)
    air = 0.03 if name == "mujoco" else 1e-6
    assert plant.truth.base_linear_velocity[0] == pytest.approx([1.0, 0.0, -9.81 * 0.5], rel=air)


@pytest.mark.parametrize("name", PLANTS)
def test_a_body_that_spins_keeps_its_angular_momentum(name: str, make: Make) -> None:
    plant = make(name, gravity=1e-9)
    draw(plant, body_inertia=(1.0, 1.3, 1.0))  # no two axes alike, or nothing would change

    def momentum() -> np.ndarray:
        rotation = rotation_matrix(plant.truth.base_orientation)
        rate = to_body(rotation, plant.truth.base_angular_velocity)[0]
        return rotation[0] @ (AIRFRAME.inertia * [1.0, 1.3, 1.0] * rate)

    put(plant, start(base_angular_velocity=(1.5, 3.0, 1.5)))
    before, rate = momentum(), plant.truth.base_angular_velocity.copy()
    for _ in range(200):
        push(plant)
    assert momentum() == pytest.approx(before, rel=0.05, abs=3e-4)
    assert np.abs(plant.truth.base_angular_velocity - rate).max() > 0.3  # it tumbles: the rates changed


@pytest.mark.parametrize("name", PLANTS)
def test_the_weight_hovers_and_rates_are_followed(name: str, make: Make) -> None:
    plant = make(name)
    put(plant, start())
    for _ in range(50):
        plant.step(commands(WEIGHT, 0.0, 0.0, 0.0))
    assert plant.truth.base_position[0] == pytest.approx([0.0, 0.0, 1.0], abs=1e-3)
    for wanted in ((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, 1.0)):
        put(plant, start())
        for _ in range(25):
            plant.step(commands(WEIGHT, *wanted))
        rate = to_body(rotation_matrix(plant.truth.base_orientation), plant.truth.base_angular_velocity)
        assert rate[0] == pytest.approx(wanted, abs=0.05)
        assert plant.truth.stamp[0] == pytest.approx(0.5)


@pytest.mark.parametrize("name", PLANTS)
def test_mass_inertia_and_gravity_are_drawn_from_nominal_values_and_come_back(name: str, make: Make) -> None:
    plant = make(name)

    def accelerations() -> list[float]:
        put(plant, start())
        push(plant, force=(0.0, 0.0, 8.0), torque=(0.01, 0.01, 0.01))
        found = [plant.truth.base_linear_velocity[0, 2], *plant.truth.base_angular_velocity[0]]
        return (np.array(found) / 0.005).tolist()

    nominal = accelerations()
    assert nominal == pytest.approx([8.0 / 0.8 - 9.81, *(0.01 / AIRFRAME.inertia)], rel=1e-3)
    draw(plant, body_mass=2.0, body_inertia=(1.0, 1.5, 0.5), gravity=0.5)
    drawn = [8.0 / 1.6 - 9.81 / 2, *(0.01 / (AIRFRAME.inertia * 2.0 * [1.0, 1.5, 0.5]))]
    for _ in range(2):  # from the nominal ones, not from those before
        draw(plant, body_mass=2.0, body_inertia=(1.0, 1.5, 0.5), gravity=0.5)
        assert accelerations() == pytest.approx(drawn, rel=1e-3)
    draw(plant, body_mass=1.0, body_inertia=(1.0, 1.0, 1.0), gravity=1.0)
    assert accelerations() == nominal


@pytest.mark.parametrize("name", PLANTS)
def test_wind_carries_the_robot_along(name: str, make: Make) -> None:
    plant = make(name)
    draw(plant, wind=(2.0, 0.0, 0.0), drag=(2.0, 1.0, 1.0))
    put(plant, start())
    plant.step(commands(WEIGHT, 0.0, 0.0, 0.0, steps=1))
    assert plant.truth.base_linear_velocity[0, 0] == pytest.approx(0.005 * 2.0 * 0.25 * 2.0 / 0.8, rel=0.12)
    for _ in range(400):
        plant.step(commands(WEIGHT, 0.0, 0.0, 0.0))
    assert plant.truth.base_linear_velocity[0] == pytest.approx([2.0, 0.0, 0.0], abs=0.05)
    draw(plant, wind=(0.0, 0.0, 0.0), drag=(1.0, 1.0, 1.0), body_force=(0.0, 0.4, 0.0))
    put(plant, start())
    plant.step(commands(WEIGHT, 0.0, 0.0, 0.0, steps=1))
    assert plant.truth.base_linear_velocity[0] == pytest.approx([0.0, 0.005 * 0.4 / 0.8, 0.0], abs=1e-4)


@pytest.mark.parametrize("name", PLANTS)
def test_a_reset_leaves_no_trace(name: str, make: Make) -> None:
    plant, state = make(name, batch=3), random_states(3)
    rng = np.random.default_rng(0)
    told = rng.uniform([2.0, -3.0, -3.0, -1.0], [14.0, 3.0, 3.0, 1.0], (40, 4, 3, 4))

    def fly() -> np.ndarray:
        put(plant, state)
        rows = []
        for command in told:
            plant.step(command)
            parts = plant.truth.base_position, plant.truth.base_orientation, plant.truth.base_angular_velocity
            rows.append(np.concatenate(parts, axis=1))
        return np.array(rows)

    first = fly()
    draw(plant, body_mass=1.3, wind=(3.0, 0.0, 0.0), rotor_lag=(2.0,) * 4, drag=(2.0,) * 3, rotor_strength=(0.8,) * 4)
    assert not np.array_equal(fly(), first)
    nominal = {"body_mass": 1.0, "wind": (0.0,) * 3, "rotor_lag": (1.0,) * 4, "drag": (1.0,) * 3}
    draw(plant, **nominal, rotor_strength=(1.0,) * 4)
    assert np.array_equal(fly(), first)


def test_robots_whose_period_is_shorter_wait(make: Make) -> None:
    plant = make("pybullet", batch=2)
    put(plant, start(batch=2))
    plant.step(commands(10.0, 1.0, 0.0, 0.0, steps=5, batch=2), np.array([3, 5]))
    found, thrust = plant.truth.copy(), plant.rotor_thrust.copy()
    for row, steps in ((0, 3), (1, 5)):
        put(plant, start(batch=2))
        plant.step(commands(10.0, 1.0, 0.0, 0.0, steps=steps, batch=2))
        assert np.array_equal(found.base_position[row], plant.truth.base_position[row])
        assert np.array_equal(found.base_angular_velocity[row], plant.truth.base_angular_velocity[row])
        assert np.array_equal(thrust[row], plant.rotor_thrust[row])
        assert found.stamp[row] == pytest.approx(steps * 0.005)


def test_both_plants_fly_alike(make: Make) -> None:
    ends = []
    for name in PLANTS:
        plant = make(name)
        put(plant, start())
        for step in range(50):
            plant.step(commands(WEIGHT, 0.8 * np.cos(step / 8.0), -0.5 * np.sin(step / 8.0), 0.3))
        ends.append(plant.truth.base_position[0].copy())
    assert np.linalg.norm(ends[0] - ends[1]) < 0.03 < np.linalg.norm(ends[0] - [0.0, 0.0, 1.0])
    assert not np.array_equal(*ends)


def test_commands_come_late() -> None:
    line = CommandLine(0.01, 0.005, 4, 2, longest=0.05)
    hover, told = np.tile([8.0, 0.0, 0.0, 0.0], (2, 1)), np.tile([9.0, 1.0, 1.0, 1.0], (2, 1))
    line.reset(hover, np.arange(2))
    line.apply({"action_latency": np.array([[0.0], [0.02]])}, np.arange(2))
    out = np.concatenate([line.advance(told), line.advance(told)])
    assert (out[:, 0, 0] == 9.0).tolist() == [False] * 2 + [True] * 6
    assert (out[:, 1, 0] == 9.0).tolist() == [False] * 6 + [True] * 2


def test_an_unknown_plant_is_one_line() -> None:
    with pytest.raises(BadInputError, match="plant: given 'gazebo'; expected one of pybullet, mujoco"):
        make_flight_plant("gazebo", AIRFRAME, flight_task().simulation, 1)  # type: ignore[arg-type]
