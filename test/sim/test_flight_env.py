"""Tests of the environment of floating robots: what a seed means, what is drawn, how an episode ends."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from flights import flight_task, quad

from ppo_robot.errors import BadInputError, RunFailedError, SpecError
from ppo_robot.mdp.rotation import rotation_matrix, to_body
from ppo_robot.sim.environments import make_env
from ppo_robot.sim.flight_env import FLIGHT_METRICS, FlightEnv
from ppo_robot.sim.vector_env import WorkerVectorEnv
from ppo_robot.spec.flight import FlightTaskSpec
from ppo_robot.spec.robot import load_robot
from ppo_robot.spec.task import load_task

Make = Callable[..., FlightEnv]
SHORT = {"episode_length": 0.6}
ROBOT = quad()


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[FlightEnv] = []

    def build(task: FlightTaskSpec | None = None, indices: range = range(4), **options: Any) -> FlightEnv:
        made.append(FlightEnv(ROBOT, task or flight_task(), indices, **options))
        return made[-1]

    yield build
    for env in made:
        env.close()


def fly(env: FlightEnv, periods: int, first: int = 0) -> np.ndarray:
    """Return the observations (periods, B, O) under actions that depend on the environment's own index alone."""
    rows = []
    for period in range(first, first + periods):
        phase = np.array(env.indices)[:, None] + 0.3 * period + np.arange(4)
        rows.append(env.step(0.4 * np.sin(phase)).observation.copy())
    return np.array(rows)


def pilot(env: FlightEnv) -> np.ndarray:
    """Return actions (B, 4) of a plain controller: tilt towards where the acceleration should point."""
    truth, airframe = env.plant.truth, env.airframe
    error = env.tracker.current - truth.base_position
    wanted = 4.0 * (np.clip(2.5 * error, -2.0, 2.0) - truth.base_linear_velocity) + [0.0, 0.0, 9.81]
    rotation = rotation_matrix(truth.base_orientation)
    body = to_body(rotation, wanted)
    length = np.linalg.norm(wanted, axis=1, keepdims=True)
    rate = np.concatenate([-8.0 * body[:, 1:2], 8.0 * body[:, :1], np.zeros_like(length)], axis=1) / length
    command = np.concatenate([airframe.mass * body[:, 2:], rate], axis=1)
    return (command - env.actions.offset) / env.actions.scale


def test_a_plain_pilot_flies_through_the_waypoints(make: Make) -> None:
    """The task can be done, and its summary says so."""
    env = make(indices=range(8))
    env.reset()
    ended = np.zeros((8, len(env.metric_names)))
    for _ in range(env.task.episode_steps):
        result = env.step(pilot(env), autoreset=False)
        ended = result.episode
    names = env.metric_names
    assert ended[:, names.index("success")].mean() >= 0.75
    assert (ended[:, names.index("waypoints")] >= 2).all() and not ended[:, names.index("left_cage")].any()
    done = ended[:, names.index("success")] > 0.5
    finish = ended[:, names.index("settle_time")]
    assert (finish[done] < 6.0).all() and np.isinf(finish[~done]).all()
    assert (ended[done, names.index("final_error")] < 0.3).all() and result.truncated.all()
    assert names[: len(FLIGHT_METRICS)] == FLIGHT_METRICS and "reward/closing_speed" in names


def test_leaving_the_cage_ends_an_episode_for_good(make: Make) -> None:
    env = make(indices=range(2))
    env.reset()
    for _ in range(200):
        result = env.step(np.array([[-1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]), autoreset=False)
        if result.terminated[0]:
            break
    assert result.terminated.tolist() == [True, False] and not result.truncated[0] and env.episode_step[0] > 10
    assert result.reward[0] < -5.0 < result.reward[1]
    names = env.metric_names
    assert result.episode[0, names.index("left_cage")] == 1.0 and result.episode[0, names.index("success")] == 0.0


@pytest.mark.parametrize("name", ["drone_waypoint", "drone_waypoint_randomized"])
def test_no_row_depends_on_which_robots_are_beside_it(name: str, make: Make) -> None:
    task = flight_task(name, **SHORT)
    whole = make(task, range(5))
    whole.reset()
    together = fly(whole, 45)  # an episode and a half
    for part in (range(0, 1), range(1, 5)):
        alone = make(task, part)
        alone.reset()
        assert np.array_equal(fly(alone, 45), together[:, part.start : part.stop])


@pytest.mark.parametrize("plant", ["pybullet", "mujoco"])
def test_running_episodes_are_built_again_bit_for_bit(plant: str, make: Make) -> None:
    if plant == "mujoco":
        pytest.importorskip("mujoco", reason="needs MuJoCo: pip install 'ppo_robot[mujoco]'")
    task = flight_task("drone_waypoint_randomized", **SHORT)
    env = make(task, range(3), plant=plant)
    env.reset()
    before = fly(env, 41)[-1]
    again = make(task, range(3), plant=plant)
    for name in ("episode_random", "episode_action"):
        getattr(again, name)[:] = getattr(env, name)
    assert np.array_equal(again.replay(env.episode_step), before)
    assert np.array_equal(fly(again, 30, 41), fly(env, 30, 41))


def test_nominal_episodes_are_nominal_after_randomized_ones(make: Make) -> None:
    """Whatever was drawn, the plant goes back to the very values that were loaded."""
    draws = dict(flight_task("drone_waypoint_randomized").simulation.randomization)
    sometimes = {name: dataclasses.replace(spec, episodes=(0.0, 0.5)) for name, spec in draws.items()}
    simulation = dataclasses.replace(flight_task().simulation, randomization=sometimes)
    env = make(dataclasses.replace(flight_task(**SHORT), simulation=simulation), range(1))
    clean = make(flight_task(**SHORT), range(1))
    nominal = 0
    env.reset()
    for episode in range(8):
        words = env.episode_random[0].copy()
        clean.streams.unpack(0, words)
        clean.reset()
        own, plain = fly(env, 29), fly(clean, 29)
        drawn = dict(zip(env.drawn_names, env.drawn[0], strict=True))
        if drawn["body_mass"] == 1.0:
            nominal += 1
            assert np.array_equal(own, plain), episode
        else:
            assert not np.array_equal(own, plain)
        env.step(np.zeros((1, 4)))
    assert 0 < nominal < 8


@pytest.mark.slow
@pytest.mark.parametrize("plant", ["pybullet", "mujoco"])
def test_nothing_is_left_of_a_thousand_flights(plant: str, make: Make) -> None:
    if plant == "mujoco":
        pytest.importorskip("mujoco", reason="needs MuJoCo: pip install 'ppo_robot[mujoco]'")
    drawn = make(flight_task("drone_waypoint_randomized", **SHORT), range(2), plant=plant)
    clean = make(flight_task(**SHORT), range(2), plant=plant)
    for seed in range(500):  # of two robots
        drawn.seed(seed)
        drawn.reset()
        fly(drawn, 5)
    drawn.randomization.set_share(np.zeros((len(drawn.randomization.entries), 2)))
    for env in (drawn, clean):
        env.seed(9)
    assert np.array_equal(drawn.reset(), clean.reset())
    assert np.array_equal(fly(drawn, 29), fly(clean, 29))


EFFECTS = {
    "action_latency": {"range": [0.04, 0.04]},
    "observation_latency": {"range": [0.03, 0.03]},
    "control_period": {"when": "step", "range": [-0.01, 0.01]},
    "dropout_probability": {"range": [0.9, 0.9]},
    "rotor_strength": {"range": [0.8, 0.9]},
    "rotor_lag": {"range": [2.0, 2.0]},
    "body_inertia": {"range": [1.5, 1.5]},
    "wind": {"when": "interval", "range": [2.0, 3.0], "interval": [0.1, 0.2]},
    "body_force": {"when": "step", "range": [-1.0, 1.0]},
    "attitude_error": {"when": "step", "distribution": "normal", "std": 0.1},
    "flight_start_position": {"range": [0.1, 0.2]},
    "flight_start_attitude": {"range": [0.1, 0.2]},
}


@pytest.mark.parametrize("parameter", list(EFFECTS))
def test_what_is_drawn_is_felt(parameter: str, make: Make) -> None:
    task = flight_task(randomization={parameter: EFFECTS[parameter]})
    drawn, nominal = make(task, range(2)), make(indices=range(2))
    first, other = drawn.reset(), nominal.reset()
    begins = parameter.startswith("flight_start") or parameter.endswith("_error")
    assert np.array_equal(first, other) != begins
    assert not np.array_equal(fly(drawn, 20), fly(nominal, 20))
    per_robot = parameter.partition("_")[0] in ("action", "observation", "control", "dropout")
    count = 1 if per_robot else 4 if parameter.startswith("rotor") else 3
    assert len(drawn.drawn_names) == count and drawn.drawn.shape == (2, count)


def test_labels_are_rotors_and_axes(make: Make) -> None:
    draws = {
        "rotor_lag": {"range": [0.5, 2.0], "only": ["rear_left"]},
        "wind": {"range": [-1.0, 1.0]},
        "gust": {"parameter": "wind", "range": [1.0, 1.0]},
    }
    env = make(flight_task(randomization=draws))
    env.reset()
    axes = (f"{name}/{axis}" for name in ("wind", "gust") for axis in "xyz")
    assert env.drawn_names == ("rotor_lag/rear_left", *axes)
    assert env.randomization.values["rotor_lag"][:, [0, 2, 3]].tolist() == [[1.0] * 3] * 4
    assert np.array_equal(env.randomization.values["wind"], env.drawn[:, 1:4] + 1.0)


WRONG = [
    ({"link_mass": {"range": [1, 2]}}, "no parameter 'link_mass'"),
    ({"wind": {"range": [0, 1], "only": ["x"]}}, "only: given with wind; there is one of it"),
    ({"rotor_lag": {"range": [1, 2], "when": "step"}}, "rotor_lag is drawn at start or reset or interval"),
]


@pytest.mark.parametrize(("entries", "message"), WRONG, ids=[str(*row[0]) for row in WRONG])
def test_a_wrong_entry_is_one_line(entries: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match="drone_waypoint.yaml") as caught:
        flight_task(randomization=entries)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_an_unknown_rotor_is_one_line(make: Make) -> None:
    with pytest.raises(SpecError, match="has no rotor 'rear'; did you mean 'rear_"):
        make(flight_task(randomization={"rotor_lag": {"range": [1, 2], "only": ["rear"]}}))


def test_one_goal_for_all(make: Make) -> None:
    env = make(indices=range(2))
    env.fix_goal(np.array([0.5, -0.5, 1.0]))
    env.reset()
    assert (env.tracker.waypoints == [0.5, -0.5, 1.0]).all()
    with pytest.raises(BadInputError, match="outside the cage"):
        env.fix_goal(np.array([9.0, 0.0, 1.0]))
    env.fix_goal(None)
    env.reset()
    assert len(np.unique(env.tracker.waypoints[:, :, 0])) == 6


def test_a_number_that_is_none_is_named(make: Make) -> None:
    env = make()
    env.reset()
    env.plant.truth.base_linear_velocity[2] = np.nan
    env.plant._put(2)
    with pytest.raises(RunFailedError, match="observation term '.*' is not finite in environment 2"):
        env.step(np.zeros((4, 4)))


def test_arms_and_floating_robots_do_not_mix() -> None:
    with pytest.raises(SpecError, match="drone_waypoint: is for floating robots; arm6 is one of robots with joints;"):
        make_env(load_robot("arm6"), flight_task(), range(1))
    with pytest.raises(SpecError, match="task reach: is for robots with joints; quad is one of floating robots"):
        make_env(ROBOT, load_task("reach"), range(1))


def test_workers_do_not_matter(make: Make) -> None:
    task = flight_task("drone_waypoint_randomized", **SHORT)
    seen = []
    for workers in (1, 2):
        env = WorkerVectorEnv(ROBOT, task, 4, workers, seed=5)
        try:
            observation, _ = env.reset(seed=5)
            rows = [observation.copy()]
            for period in range(35):
                action = 0.4 * np.sin(np.arange(16).reshape(4, 4) + 0.3 * period)
                rows.append(env.step(action.astype(np.float32))[0].copy())
            seen.append(np.array(rows))
            if workers == 2:
                snapshot = env.snapshot()
                assert np.array_equal(env.restore(snapshot), rows[-1])
        finally:
            env.close()
    assert np.array_equal(*seen)
