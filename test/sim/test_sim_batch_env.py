"""Tests for ppo_robot.sim.batch_env: seeds, endings, summaries, replay, and the naming of a number that is not one."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ppo_robot.errors import BadInputError, RunFailedError, SpecError
from ppo_robot.mdp.observations import OBSERVATIONS
from ppo_robot.mdp.rewards import REWARDS
from ppo_robot.sim.batch_env import EPISODE_METRICS, BatchEnv, StepResult
from ppo_robot.spec.robot import load_robot
from ppo_robot.spec.task import (
    ObservationTermSpec,
    RewardTermSpec,
    SensorSpec,
    SensorsSpec,
    TaskSpec,
    TermSpec,
    load_task,
)

ROBOT = load_robot("arm6")
REACH = load_task("reach")
SHORT = dataclasses.replace(
    REACH, episode_length=0.2, success=dataclasses.replace(REACH.success, tolerance=0.4, hold=0.06)
)
"""Ten steps, and a tolerance that some episodes meet by chance."""

Make = Callable[..., BatchEnv]


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[BatchEnv] = []

    def build(task: TaskSpec = SHORT, indices: Any = range(3), seed: int = 0) -> BatchEnv:
        made.append(BatchEnv(ROBOT, task, indices, seed))
        return made[-1]

    yield build
    for env in made:
        env.close()


def actions(steps: int, batch: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(-1, 1, (steps, batch, 6)).astype(np.float32)


def run(env: BatchEnv, chosen: NDArray[np.float32]) -> list[StepResult]:
    """Step and keep copies."""
    out = []
    for action in chosen:
        result = env.step(action)
        out.append(StepResult(**{name: value.copy() for name, value in vars(result).items()}))
    return out


def same(one: StepResult, other: StepResult) -> bool:
    return all(np.array_equal(value, getattr(other, name)) for name, value in vars(one).items())


def test_the_same_seed_gives_the_same_bits_over_several_episodes(make: Make) -> None:
    env, twin, other = make(), make(), make(seed=1)
    first = env.reset()
    assert np.array_equal(twin.reset(), first)
    assert not np.array_equal(other.reset(), first)
    chosen = actions(25, 3)
    history = run(env, chosen)
    assert all(itertools.starmap(same, zip(history, run(twin, chosen), strict=True)))
    env.seed(0)
    assert np.array_equal(env.reset(), first)
    assert all(itertools.starmap(same, zip(history, run(env, chosen), strict=True)))


def test_an_environment_does_not_depend_on_those_beside_it(make: Make) -> None:
    whole, single = make(indices=range(4)), make(indices=[2])
    assert np.array_equal(whole.reset()[2], single.reset()[0])
    chosen = actions(25, 4)
    for one, other in zip(run(whole, chosen), run(single, chosen[:, [2]]), strict=True):
        assert all(np.array_equal(value[[2]], getattr(other, name)) for name, value in vars(one).items())


def test_environments_and_episodes_differ(make: Make) -> None:
    env = make()
    first = env.reset()
    goals = env.goal_position.copy()
    run(env, actions(10, 3))
    assert len(np.unique(np.concatenate([goals, env.goal_position]), axis=0)) == 6
    assert len(np.unique(first, axis=0)) == 3


def test_shapes_and_types(make: Make) -> None:
    env = make()
    observation = env.reset()
    result = env.step(actions(1, 3)[0])
    assert env.reset(np.array([1])).shape == (1, observation.shape[1])
    expected = {
        "observation": (np.float32, observation.shape),
        "final_observation": (np.float32, observation.shape),
        "reward": (np.float64, (3,)),
        "terminated": (np.bool_, (3,)),
        "truncated": (np.bool_, (3,)),
        "episode": (np.float64, (3, len(EPISODE_METRICS) + len(SHORT.rewards))),
    }
    for name, (dtype, shape) in expected.items():
        array = getattr(result, name)
        assert array.dtype == dtype
        assert array.shape == shape
        assert array.flags.c_contiguous
    assert len(env.metric_names) == result.episode.shape[1]
    assert np.array_equal(result.observation, result.final_observation)


def test_time_runs_out_after_the_episodes_length(make: Make) -> None:
    env = make()
    env.reset()
    history = run(env, actions(23, 3))
    truncated = [result.truncated.tolist() for result in history]
    assert truncated == [[step % 10 == 9] * 3 for step in range(23)]
    assert not any(result.terminated.any() for result in history)
    assert env.episode_step.tolist() == [3, 3, 3]


def test_the_final_observation_is_the_last_one_of_the_episode_that_ended(make: Make) -> None:
    env, longer = make(), make(dataclasses.replace(SHORT, episode_length=2.0))
    env.reset()
    longer.reset()
    chosen = actions(10, 3)
    last, expected = run(env, chosen)[-1], run(longer, chosen)[-1]
    assert last.truncated.all()
    assert not expected.truncated.any()
    assert np.array_equal(last.final_observation, expected.observation)
    assert np.array_equal(last.reward, expected.reward)
    assert not np.array_equal(last.observation, last.final_observation)
    # And the observation is the first of the next: as if the episode had been begun by hand.
    by_hand = make()
    by_hand.reset()
    for action in chosen:
        by_hand.step(action, autoreset=False)
    assert np.array_equal(by_hand.reset(), last.observation)


def test_without_autoreset_an_episode_waits(make: Make) -> None:
    env = make()
    env.reset()
    for action in actions(10, 3):
        result = env.step(action, autoreset=False)
    assert result.truncated.all()
    assert env.episode_step.tolist() == [10, 10, 10]
    assert np.array_equal(result.observation, result.final_observation)


def below(height: float) -> TaskSpec:
    return dataclasses.replace(SHORT, terminations={"low": TermSpec("tool_below", {"height": height})})


def test_a_termination_ends_one_robot_and_no_other(make: Make) -> None:
    probe = make()
    probe.reset()
    heights = []
    for action in actions(10, 3):
        probe.step(action)
        heights.append(probe.model.tool_position(probe.plant.truth.joint_position)[:, 2])
    lowest = np.array(heights[:-1]).min(axis=0)
    order = np.argsort(lowest)
    env = make(below(float(lowest[order[:2]].mean())))  # between the lowest robot and the next
    env.reset()
    history = run(env, actions(10, 3))
    step = next(index for index, result in enumerate(history) if result.terminated.any())
    ended = history[step]
    assert step < 9
    assert ended.terminated.tolist() == [row == order[0] for row in range(3)]
    assert not ended.truncated.any()
    assert ended.episode[order[0], 1] == step + 1
    assert not np.array_equal(ended.observation[order[0]], ended.final_observation[order[0]])
    assert np.array_equal(ended.observation[order[1:]], ended.final_observation[order[1:]])


def test_a_termination_at_the_last_step_is_no_truncation_and_no_success(make: Make) -> None:
    easy = dataclasses.replace(below(10.0).success, tolerance=10.0, hold=0.0)
    one_step = dataclasses.replace(below(10.0), episode_length=0.02, success=easy)
    env = make(one_step)
    env.reset()
    result = env.step(actions(1, 3)[0])
    assert result.terminated.tolist() == [True] * 3
    assert result.truncated.tolist() == [False] * 3
    assert result.episode[:, env.metric_names.index("success")].tolist() == [0.0] * 3


def test_the_summary_of_an_episode(make: Make) -> None:
    env = make(indices=range(6))
    env.reset()
    chosen = actions(10, 6)
    goals, rewards, errors, efforts = env.goal_position.copy(), np.zeros(6), [], []
    for action in chosen:
        result = env.step(action, autoreset=False)
        rewards += result.reward
        efforts.append(env.plant.truth.joint_effort / env.model.effort_limit)
        errors.append(
            np.linalg.norm(env.model.tool_position(env.plant.truth.joint_position) - env.goal_position, axis=1)
        )
    within = np.array(errors) <= 0.4
    summary = dict(zip(env.metric_names, result.episode.T, strict=True))
    assert summary["return"] == pytest.approx(rewards)
    assert summary["length"].tolist() == [10.0] * 6
    assert summary["final_error"] == pytest.approx(errors[-1])
    assert np.array_equal(np.stack([summary[f"goal_{axis}"] for axis in "xyz"], axis=1), goals)
    change = np.diff(np.concatenate([np.zeros((1, 6, 6)), chosen]), axis=0)
    assert summary["action_rate"] == pytest.approx(np.sqrt((change**2).mean(axis=(0, 2))) / 0.02)
    assert summary["effort"] == pytest.approx(np.sqrt(np.square(efforts).mean(axis=(0, 2))))
    assert summary["effort"].min() > 0.0 and summary["effort"].max() < 1.0
    assert np.array_equal(summary["success"].astype(bool), within[-3:].all(axis=0))
    assert 0 < summary["success"].sum() < 6  # both outcomes are among them
    shares = np.stack([summary[f"reward/{name}"] for name in SHORT.rewards], axis=1)
    assert shares.sum(axis=1) == pytest.approx(rewards)


def test_a_summary_forgets_the_episode_before(make: Make) -> None:
    env = make()
    env.reset()
    first = run(env, np.concatenate([actions(10, 3), np.zeros((10, 3, 6), np.float32)]))
    rate = env.metric_names.index("action_rate")
    assert first[9].episode[:, rate].min() > 1.0
    assert first[19].episode[:, rate].tolist() == [0.0, 0.0, 0.0]
    rewards = np.sum([result.reward for result in first[10:]], axis=0)
    assert first[19].episode[:, 0] == pytest.approx(rewards)


@pytest.mark.parametrize("stop", [0, 1, 7, 10, 14])
def test_a_replay_is_exact_mid_episode(make: Make, stop: int) -> None:
    history = dataclasses.replace(
        SHORT, observations={**SHORT.observations, "past": ObservationTermSpec("joint_velocity", history=3)}
    )
    sensors = dataclasses.replace(history.simulation.sensors, delay=0.03)
    task = dataclasses.replace(history, simulation=dataclasses.replace(history.simulation, sensors=sensors))
    env, other = make(task), make(task, seed=5)
    env.reset()
    # Robots at different steps of their episodes, as terminations leave them.
    last = run(env, actions(4, 3, seed=1))[-1].observation
    last[1] = env.reset(np.array([1]))
    for result in run(env, actions(stop, 3, seed=2)):
        last = result.observation
    other.episode_random[:], other.episode_action[:] = env.episode_random, env.episode_action
    steps = env.episode_step.copy()
    observation = other.replay(steps)
    assert np.array_equal(other.episode_step, steps)
    assert np.array_equal(other.episode_random, env.episode_random)
    assert len(set(steps.tolist())) == 2
    assert np.array_equal(observation, last)
    chosen = actions(25, 3, seed=3)
    assert all(itertools.starmap(same, zip(run(env, chosen), run(other, chosen), strict=True)))


def test_what_is_kept_for_replay_is_what_was_acted_upon(make: Make) -> None:
    env, other = make(), make()
    env.reset()
    other.reset()
    double = np.random.default_rng(0).uniform(-1, 1, (3, 6))
    one, two = env.step(double), other.step(double.astype(np.float32))
    assert np.array_equal(one.observation, two.observation)
    assert np.array_equal(env.episode_action[:, 0], double.astype(np.float32))


def test_the_policy_sees_what_is_measured_and_is_judged_by_what_is_true(make: Make) -> None:
    sensors = SensorsSpec(SensorSpec(noise=0.05), SensorSpec(noise=0.1), delay=0.03)
    task = dataclasses.replace(
        SHORT,
        simulation=dataclasses.replace(SHORT.simulation, sensors=sensors),
        observations={"joint_position": ObservationTermSpec(), "joint_target_error": ObservationTermSpec()},
        rewards={"tool_distance": RewardTermSpec()},
    )
    env = make(task)
    observation = env.reset()
    for action in actions(4, 3):
        measured, truth = env.sensors.measured.joint_position, env.plant.truth.joint_position
        assert np.abs(measured - truth).max() > 0.01
        assert np.array_equal(observation[:, :6], (measured - env.model.default_position).astype(np.float32))
        assert np.array_equal(observation[:, 6:], (env.actions.joint_target - measured).astype(np.float32))
        if not env.episode_step.any():
            assert not observation[:, 6:].any()  # the first target is the measured pose
        result = env.step(action)
        observation = result.observation
        error = np.linalg.norm(env.model.tool_position(env.plant.truth.joint_position) - env.goal_position, axis=1)
        assert result.reward == pytest.approx(0.02 * error)


def test_start_poses_lie_in_their_range(make: Make) -> None:
    start = dataclasses.replace(SHORT.start, joint_position_range=0.3, minimum_tool_height=0.6)
    env = make(dataclasses.replace(SHORT, start=start), indices=range(25))
    env.reset()
    position = env.plant.truth.joint_position
    assert np.abs(position - env.model.default_position).max() <= 0.3
    assert np.abs(position - env.model.default_position).max() > 0.2
    assert (env.model.tool_position(position)[:, 2] >= 0.6).all()
    assert not env.plant.self_collision.any()


def test_a_start_that_cannot_be_found_says_so(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ppo_robot.sim.start.START_ATTEMPTS", 5)
    env = make(dataclasses.replace(SHORT, start=dataclasses.replace(SHORT.start, minimum_tool_height=5.0)))
    with pytest.raises(RunFailedError, match=r"no start pose .* in 5 draws; narrow the range"):
        env.reset()


def test_a_fixed_goal_is_kept_and_given_up(make: Make) -> None:
    env = make()
    goal = np.array([0.5, 0.0, 0.4])
    env.fix_goal(goal)
    env.reset()
    assert np.array_equal(env.goal_position, np.tile(goal, (3, 1)))
    run(env, actions(10, 3))
    assert np.array_equal(env.goal_position, np.tile(goal, (3, 1)))
    with pytest.raises(BadInputError, match=r"goal \[0, 0, 5\] m: outside the workspace"):
        env.fix_goal(np.array([0.0, 0.0, 5.0]))
    env.fix_goal(None)
    env.reset()
    assert len(np.unique(env.goal_position, axis=0)) == 3


def poison(view: Any) -> NDArray[np.float64]:
    """A term that breaks in row 1 alone."""
    value = np.ones(view.state.batch)
    value[1] = np.nan
    return value


@pytest.fixture
def poisonous(monkeypatch: pytest.MonkeyPatch) -> None:
    def huge(view: Any) -> NDArray[np.float64]:
        return np.full((view.state.batch, 2), 1e300)

    def later(view: Any) -> NDArray[np.float64]:
        return np.where(np.abs(view.action) > 0, np.inf, view.action)

    monkeypatch.setattr(REWARDS, "_functions", {**REWARDS._functions, "poison": poison})
    monkeypatch.setattr(OBSERVATIONS, "_functions", {**OBSERVATIONS._functions, "huge": huge, "later": later})
    facts = {"unit": "1", "frame": "x"}
    monkeypatch.setattr(OBSERVATIONS, "_facts", {**OBSERVATIONS._facts, "huge": facts, "later": facts})


@pytest.mark.usefixtures("poisonous")
def test_a_number_that_is_not_finite_names_its_term(make: Make) -> None:
    env = make(dataclasses.replace(SHORT, rewards={**SHORT.rewards, "bad": RewardTermSpec("poison")}), indices=[4, 7])
    env.reset()
    with pytest.raises(RunFailedError, match="^reward term 'bad' is not finite in environment 7$"):
        env.step(np.zeros((2, 6)))
    env = make(dataclasses.replace(SHORT, observations={**SHORT.observations, "l": ObservationTermSpec("later")}))
    env.reset()
    action = np.zeros((3, 6))
    action[2, 3] = 0.1
    with pytest.raises(RunFailedError, match="^observation term 'l' is not finite in environment 2$"):
        env.step(action)


@pytest.mark.usefixtures("poisonous")
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_an_observation_that_is_not_finite_at_the_start_names_its_term_too(make: Make) -> None:
    terms = {"joint_position": ObservationTermSpec(), "huge": ObservationTermSpec()}
    env = make(dataclasses.replace(SHORT, observations=terms))
    with pytest.raises(RunFailedError, match="^observation term 'huge' is not finite in environment 0$"):
        env.reset()


def test_an_action_that_is_not_finite_is_refused(make: Make) -> None:
    env = make()
    env.reset()
    with pytest.raises(ValueError, match="action: not finite"):
        env.step(np.full((3, 6), np.nan))


def test_an_unknown_term_is_refused_before_anything_runs() -> None:
    for change in (
        {"goal": TermSpec("nowhere")},
        {"rewards": {"tool_distnace": RewardTermSpec()}},
        {"terminations": {"x": TermSpec("self_colision")}},
        {"observations": {"joint_positon": ObservationTermSpec()}},
    ):
        with pytest.raises(SpecError, match=r"no (goal|reward|termination|observation) term"):
            BatchEnv(ROBOT, dataclasses.replace(SHORT, **change), [0])  # type: ignore[arg-type]
