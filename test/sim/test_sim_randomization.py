"""Tests for ppo_robot.sim.randomization: when values are drawn, that they reach the robot, and that nothing stays."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ppo_robot.sim.batch_env import BatchEnv
from ppo_robot.sim.vector_env import WorkerVectorEnv
from ppo_robot.spec.randomization import RandomizationSpec
from ppo_robot.spec.robot import load_robot
from ppo_robot.spec.task import TaskSpec, load_task

Array = NDArray[np.float64]
Make = Callable[..., BatchEnv]
ROBOT = load_robot("arm6")
PERIOD = 0.02  # s


def short(name: str) -> TaskSpec:
    """Fifteen steps without an early end."""
    whole = load_task(name)
    success = dataclasses.replace(whole.success, hold=0.1)
    return dataclasses.replace(whole, episode_length=0.3, terminations={}, success=success)


REACH, FULL = short("reach"), short("reach_randomized")
QUIET = dataclasses.replace(
    REACH,
    simulation=dataclasses.replace(
        REACH.simulation, sensors=dataclasses.replace(REACH.simulation.sensors, delay_spread=0.0)
    ),
)


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[BatchEnv] = []

    def build(task: TaskSpec, indices: Any = range(2), seed: int = 0, plant: Any = "pybullet") -> BatchEnv:
        made.append(BatchEnv(ROBOT, task, indices, seed, plant))
        return made[-1]

    yield build
    for env in made:
        env.close()


def task(base: TaskSpec = QUIET, **entries: RandomizationSpec) -> TaskSpec:
    return dataclasses.replace(base, simulation=dataclasses.replace(base.simulation, randomization=entries))


def draw(low: float, high: float, **others: Any) -> RandomizationSpec:
    return RandomizationSpec(range=(low, high), **others)


BIAS = draw(-0.01, 0.01, parameter="joint_position_error")


def actions(steps: int, batch: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(-1, 1, (steps, batch, 6)).astype(np.float32)


def history(env: BatchEnv, chosen: NDArray[np.float32]) -> list[Array]:
    """Step, and return all that can be seen of each step."""
    out = []
    for action in chosen:
        result = env.step(action)
        out.append(np.concatenate([result.observation, result.reward[:, None], result.episode, env.drawn], axis=1))
    return out


def truths(env: BatchEnv, chosen: NDArray[np.float32]) -> Array:
    """Begin an episode and return the true positions, velocities and efforts of each step, (steps, B, 3 J)."""
    env.reset()
    out = []
    for action in chosen:
        env.step(action)
        truth = env.plant.truth
        out.append(np.concatenate([truth.joint_position, truth.joint_velocity, truth.joint_effort], axis=1))
    return np.array(out)


def test_the_same_seed_draws_the_same_and_environments_differ(make: Make) -> None:
    env, twin, single = make(FULL, range(3)), make(FULL, range(3)), make(FULL, [1])
    assert np.array_equal(env.reset(), twin.reset())
    single.reset()
    chosen = actions(33, 3)
    histories = history(env, chosen), history(twin, chosen), history(single, chosen[:, [1]])
    for one, other, alone in zip(*histories, strict=True):
        assert np.array_equal(one, other)
        assert np.array_equal(one[[1]], alone)
    changing = [column for column, name in enumerate(env.drawn_names) if not name.startswith(("push", "torque"))]
    assert (np.ptp(env.drawn[:, changing], axis=0) > 0.0).mean() > 0.95
    assert len(set(env.drawn_names)) == env.drawn.shape[1]


def test_trajectories_depend_on_no_number_of_workers_and_replay(make: Make) -> None:
    chosen, runs = actions(24, 3), []
    for workers in (1, 2):
        env = WorkerVectorEnv(ROBOT, FULL, 3, workers, seed=5)
        try:
            seen = [env.reset()[0].copy(), *(env.step(action)[0].copy() for action in chosen)]
            snapshot = env.snapshot()
            after = env.step(chosen[0])[0].copy()
            assert np.array_equal(env.restore(snapshot), snapshot["observation"])
            assert np.array_equal(env.step(chosen[0])[0], after)
        finally:
            env.close()
        runs.append(np.array(seen))
    assert np.array_equal(runs[0], runs[1])


def test_a_replay_draws_again_what_was_drawn(make: Make) -> None:
    env = make(FULL, range(3))
    env.reset()
    history(env, actions(22, 3))
    drawn, observation = env.drawn.copy(), env.replay(env.episode_step.copy())
    assert np.array_equal(env.drawn, drawn)
    assert np.isfinite(observation).all()


def test_starts_and_goals_are_those_of_an_episode_without_randomization(make: Make) -> None:
    plain, drawn = make(REACH), make(task(REACH, link_mass=draw(0.5, 2.0), bias=BIAS))
    for _ in range(3):
        plain.reset()
        drawn.reset()
        assert np.array_equal(plain.plant.truth.joint_position, drawn.plant.truth.joint_position)
        assert np.array_equal(plain.goal_position, drawn.goal_position)


@pytest.mark.parametrize("plant", ["pybullet", "mujoco"])
def test_nothing_is_left_of_many_episodes(plant: str, make: Make) -> None:
    if plant == "mujoco":
        pytest.importorskip("mujoco", reason="needs MuJoCo: pip install 'ppo_robot[mujoco]'")
    chosen = actions(15, 2)
    env, reach = make(FULL, plant=plant), make(REACH, plant=plant)
    for seed in range(6):
        env.seed(seed)
        truths(env, chosen[:4])
    env.randomization.set_share(np.zeros((len(env.randomization.entries), 2)))
    env.seed(9)
    reach.seed(9)
    assert np.array_equal(truths(env, chosen), truths(reach, chosen))


@pytest.mark.slow
@pytest.mark.parametrize("plant", ["pybullet", "mujoco"])
def test_nothing_is_left_of_a_thousand_episodes(plant: str, make: Make) -> None:
    if plant == "mujoco":
        pytest.importorskip("mujoco", reason="needs MuJoCo: pip install 'ppo_robot[mujoco]'")
    chosen = actions(15, 2)
    env, reach = make(FULL, plant=plant), make(REACH, plant=plant)
    for seed in range(500):  # of two robots
        env.seed(seed)
        truths(env, chosen[:4])
    env.randomization.set_share(np.zeros((len(env.randomization.entries), 2)))
    env.seed(9)
    reach.seed(9)
    assert np.array_equal(truths(env, chosen), truths(reach, chosen))


def columns(env: BatchEnv, name: str) -> Array:
    """Return the columns of an entry, (B, w)."""
    return env.drawn[:, [place for place, label in enumerate(env.drawn_names) if label.partition("/")[0] == name]]


def test_each_is_drawn_at_its_time(make: Make) -> None:
    env = make(
        task(
            once=draw(0.0, 1.0, parameter="payload", when="start"),
            gravity=draw(0.9, 1.1),
            load=draw(-0.1, 0.1, parameter="joint_load", when="interval", interval=(0.05, 0.09)),
            noise=draw(-0.1, 0.1, parameter="joint_velocity_error", when="step"),
        )
    )
    env.reset()
    seen: dict[str, list[Array]] = {"once": [], "gravity": [], "load": [], "noise": []}
    for action in actions(60, 2):
        for name, values in seen.items():
            values.append(columns(env, name)[:, 0].copy())
        env.step(action)
    counts = {name: [len(np.unique(np.array(values)[:, row])) for row in range(2)] for name, values in seen.items()}
    assert counts["once"] == [1, 1]
    assert counts["gravity"] == [4, 4]  # episodes of 15 steps
    assert all(13 <= count <= 24 for count in counts["load"])  # each lasts two to five periods
    assert counts["noise"] == [60, 60]
    assert seen["once"][0][0] != seen["once"][0][1]
    env.seed(0)
    env.reset()
    assert np.array_equal(columns(env, "once")[:, 0], seen["once"][0])
    env.seed(1)
    env.reset()
    assert not np.array_equal(columns(env, "once")[:, 0], seen["once"][0])


def test_a_push_comes_after_a_while_and_ends(make: Make) -> None:
    push = draw(-30.0, 30.0, when="interval", interval=(0.08, 0.08), duration=0.04)
    env = make(task(push=push))
    env.reset()
    acting = []
    for action in np.zeros((14, 2, 6), np.float32):
        env.step(action)
        acting.append(bool(columns(env, "push")[0].any()))
        load = env.randomization.load
        assert load is not None
        jacobian = env.model.tool_jacobian(env.plant.truth.joint_position)
        assert load[0] == pytest.approx(columns(env, "push")[0] @ jacobian[0], abs=0.5)
    assert acting == [False] * 3 + [True, True, False, False] * 2 + [True, True, False]


def test_entries_with_spans_that_do_not_overlap_never_meet(make: Make) -> None:
    env = make(
        task(
            noise=draw(0.05, 0.1, parameter="joint_load", when="step", episodes=(0.0, 0.5)),
            bias=draw(0.2, 0.3, parameter="joint_load", episodes=(0.5, 1.0)),
        ),
        range(12),
    )
    env.reset()
    noise, bias = columns(env, "noise").any(axis=1), columns(env, "bias").any(axis=1)
    assert (noise ^ bias).all()
    assert 2 <= noise.sum() <= 10
    assert np.array_equal(env.randomization.values["joint_load"], columns(env, "noise") + columns(env, "bias"))


def test_several_entries_of_a_parameter_are_combined(make: Make) -> None:
    env = make(
        task(
            all=draw(0.8, 1.2, parameter="link_mass", shared=True),
            one=draw(2.0, 3.0, parameter="link_mass", only=("forearm_link",)),
        )
    )
    env.reset()
    value, place = env.randomization.values["link_mass"], ROBOT.massive_links.index("forearm_link")
    assert np.array_equal(value[:, place], columns(env, "all")[:, 0] * columns(env, "one")[:, 0])
    others = np.delete(np.arange(value.shape[1]), place)
    assert (value[:, others] == columns(env, "all")[:, :1]).all()


def steady(env: BatchEnv, steps: int = 12) -> Array:
    """Hold still and return what is measured beside the truth at each step, (steps, B, J) rad."""
    env.reset()
    out = []
    for _ in range(steps):
        env.step(np.zeros((env.batch, 6), np.float32))
        out.append(env.sensors.measured.joint_position - env.plant.truth.joint_position)
    return np.array(out)


def silent(base: TaskSpec = QUIET) -> TaskSpec:
    """A task whose sensors tell the truth but for what is drawn."""
    sensors = base.simulation.sensors
    still = dataclasses.replace(
        sensors,
        joint_position=dataclasses.replace(sensors.joint_position, noise=0.0),
        joint_velocity=dataclasses.replace(sensors.joint_velocity, noise=0.0),
    )
    return dataclasses.replace(base, simulation=dataclasses.replace(base.simulation, sensors=still))


def test_errors_are_added_to_what_is_measured_and_steps_are_rounded_to(make: Make) -> None:
    env = make(task(silent(), bias=BIAS))
    assert steady(env) == pytest.approx(np.tile(columns(env, "bias"), (12, 1, 1)), abs=1e-12)
    env = make(task(silent(), grain=draw(0.01, 0.02, parameter="joint_position_step")))
    steady(env)
    counts = env.sensors.measured.joint_position / columns(env, "grain")
    assert counts == pytest.approx(np.round(counts), abs=1e-9)


def test_an_encoder_with_a_wrong_zero_leads_the_robot_astray_and_does_not_know(make: Make) -> None:
    env, right = make(task(silent(), joint_zero=draw(0.005, 0.02))), make(silent())
    beside = steady(env)
    assert beside == pytest.approx(np.tile(columns(env, "joint_zero"), (12, 1, 1)), abs=1e-12)
    start, goal = env.actions.joint_target, env.plant.truth.joint_position
    # It stands where it was put, and its drives hold what their encoders say.
    assert start == pytest.approx(goal + columns(env, "joint_zero"), abs=2e-3)
    steady(right)
    assert env.plant.truth.joint_position == pytest.approx(right.plant.truth.joint_position, abs=1e-3)


def test_latency_of_actions_and_observations(make: Make) -> None:
    chosen = np.ones((8, 2, 6), np.float32)
    late, now = make(task(silent(), action_latency=draw(0.04, 0.04))), make(silent())
    slow, fast = truths(late, chosen)[:, :, :6], truths(now, chosen)[:, :, :6]
    assert slow[2:] == pytest.approx(fast[:-2], abs=1e-4)  # the servo sags a little while it waits
    env = make(task(silent(), observation_latency=draw(0.03, 0.03)))
    true = truths(env, chosen)[:, :, :6]
    assert env.sensors.measured.joint_position == pytest.approx(0.5 * (true[-2] + true[-3]), abs=1e-12)
    assert env.sensors.measured.age == pytest.approx([0.03, 0.03])
    assert env.sensors.measured.stamp == pytest.approx(env.plant.truth.stamp - 0.03)


def test_control_periods_take_longer_and_shorter(make: Make) -> None:
    env = make(task(silent(), control_period=draw(-0.01, 0.01, when="step"), observation_latency=draw(0.013, 0.013)))
    env.reset()
    lengths, before, true, stamps = [], env.plant.truth.stamp.copy(), [], []
    wanted = np.zeros(2)
    for action in actions(14, 2):
        env.step(action)
        truth, measured = env.plant.truth, env.sensors.measured
        lengths.append(truth.stamp - before)
        before = truth.stamp.copy()
        wanted += PERIOD + columns(env, "control_period")[:, 0]
        assert truth.stamp == pytest.approx(wanted, abs=0.0026)  # half a physics step
        true.append(truth.joint_position.copy())
        stamps.append(truth.stamp.copy())
        if len(stamps) > 4:
            for row in range(2):
                times, positions = [s[row] for s in stamps], np.array([p[row] for p in true])
                expected = [np.interp(times[-1] - 0.013, times, positions[:, joint]) for joint in range(6)]
                assert measured.joint_position[row] == pytest.approx(expected, abs=1e-9)
    steps = np.rint(np.array(lengths) / 0.005)
    assert {2.0, 4.0, 6.0} <= set(steps.ravel())
    assert steps.min() >= 2.0
    assert steps.max() <= 6.0
    assert not np.array_equal(steps[:, 0], steps[:, 1])


def test_a_dropout_repeats_the_last_state_which_grows_old(make: Make) -> None:
    env = make(task(silent(), dropout_probability=draw(0.3, 0.3), dropout_hold=draw(0.06, 0.06)))
    env.reset()
    before, dropped, ages = env.sensors.measured.copy(), [], []
    for action in actions(14, 2):
        env.step(action)
        measured, lost = env.sensors.measured, env.randomization.dropped
        assert lost is not None
        for name in ("joint_position", "joint_velocity", "stamp"):
            kept, now = getattr(before, name), getattr(measured, name)
            assert np.array_equal(now[lost], kept[lost])
            assert not (now[~lost] == kept[~lost]).any()
        assert measured.age == pytest.approx(env.plant.truth.stamp - measured.stamp, abs=1e-12)
        before = measured.copy()
        dropped.append(lost.copy())
        ages.append(measured.age.copy())
    assert np.max(ages) == pytest.approx(0.06)
    runs = "".join("x" if lost else "." for lost in np.array(dropped)[:, 0])
    assert {len(run) for run in runs.strip("x").split(".") if run} <= {3}
    assert "x" in runs


def test_starts_are_shifted_and_may_move(make: Make) -> None:
    plain = make(QUIET)
    env = make(task(shift=draw(0.05, 0.1, parameter="start_position"), start_velocity=draw(0.1, 0.2)))
    for each in (plain, env):
        each.reset()
    moved = env.plant.truth.joint_position - plain.plant.truth.joint_position
    assert moved == pytest.approx(columns(env, "shift"))
    assert env.plant.truth.joint_velocity == pytest.approx(columns(env, "start_velocity") * env.model.velocity_limit)


def test_the_envelope_begins_with_a_moving_robot(make: Make) -> None:
    base = dataclasses.replace(QUIET, simulation=dataclasses.replace(QUIET.simulation, command="envelope"))
    env = make(task(base, start_velocity=draw(0.02, 0.05), joint_zero=draw(0.001, 0.002)), [0])
    env.reset()
    for action in actions(5, 1):
        env.step(action)
    assert env.command.intervention is not None
    assert env.command.intervention[0] < 1.0
