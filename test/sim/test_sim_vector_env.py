"""Tests for ppo_robot.sim.vector_env: gymnasium's conventions, and bits that no number of workers changes."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray

from ppo_robot.errors import BadInputError, RunFailedError, SpecError
from ppo_robot.sim.batch_env import BatchEnv
from ppo_robot.sim.vector_env import WorkerVectorEnv
from ppo_robot.spec.robot import load_robot
from ppo_robot.spec.task import RewardTermSpec, TaskSpec, TermSpec, load_task

ROBOT = load_robot("arm6")
REACH = load_task("reach")
SHORT = dataclasses.replace(REACH, episode_length=0.16, success=dataclasses.replace(REACH.success, hold=0.04))
"""Eight steps; some episodes of the tests below end earlier, by termination."""
LOW = dataclasses.replace(SHORT, terminations={"low": TermSpec("tool_below", {"height": 0.55})})

Make = Callable[..., WorkerVectorEnv]


@pytest.fixture(scope="module")
def shared_env() -> Iterator[WorkerVectorEnv]:
    """One for the tests that leave it usable."""
    env = WorkerVectorEnv(ROBOT, LOW, 5, 1, seed=3)
    yield env
    env.close()


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[WorkerVectorEnv] = []

    def build(task: TaskSpec = LOW, num_envs: int = 5, num_workers: int = 1, seed: int = 3) -> WorkerVectorEnv:
        made.append(WorkerVectorEnv(ROBOT, task, num_envs, num_workers, seed))
        return made[-1]

    yield build
    for env in made:
        env.close()


def actions(steps: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(-1, 1, (steps, 5, 6)).astype(np.float32)


def keep(value: Any) -> Any:
    return {name: item.copy() for name, item in value.items()} if isinstance(value, dict) else value.copy()


def run(env: WorkerVectorEnv, chosen: NDArray[np.float32]) -> list[tuple[Any, ...]]:
    return [tuple(keep(part) for part in env.step(action)) for action in chosen]


def assert_same(one: list[tuple[Any, ...]], other: list[tuple[Any, ...]]) -> None:
    for parts, others in zip(one, other, strict=True):
        for part, expected in zip(parts[:4], others[:4], strict=True):
            assert np.array_equal(part, expected)
        assert parts[4].keys() == others[4].keys()
        for name, value in parts[4].items():
            mask = parts[4]["_episode"]
            assert np.array_equal(value[mask], others[4][name][mask])


def test_it_is_a_gymnasium_vector_environment(shared_env: WorkerVectorEnv) -> None:
    env = shared_env
    assert isinstance(env, VectorEnv)
    assert env.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    assert env.num_envs == 5
    assert env.unwrapped is env
    assert env.single_action_space == gymnasium.spaces.Box(-1.0, 1.0, (6,), np.float32)
    assert env.action_space.shape == (5, 6)
    assert env.observation_space.shape == (5, env.observation_size)
    assert env.single_observation_space.shape == (env.observation_size,)
    observation, info = env.reset(seed=1)
    assert info == {}
    assert observation in env.observation_space
    env.action_space.seed(0)
    for _ in range(8):
        observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
        assert observation in env.observation_space
        for array, dtype, shape in (
            (observation, np.float32, env.observation_space.shape),
            (reward, np.float64, (5,)),
            (terminated, np.bool_, (5,)),
            (truncated, np.bool_, (5,)),
        ):
            assert isinstance(array, np.ndarray)
            assert array.dtype == dtype
            assert array.shape == shape
            assert array.flags.c_contiguous
    assert (terminated | truncated).any()
    assert info["final_obs"].shape == observation.shape
    assert info["_final_obs"].dtype == np.bool_
    assert np.array_equal(info["_final_obs"], terminated | truncated)
    assert np.array_equal(info["_episode"], terminated | truncated)
    assert info["episode"].shape == (5, len(env.metric_names))
    assert env.np_random_seed == 1


def test_gymnasiums_own_wrapper_counts_the_same_episodes(make: Make) -> None:
    env = make()
    wrapped = gymnasium.wrappers.vector.RecordEpisodeStatistics(env, stats_key="counted")
    wrapped.reset(seed=1)
    columns = [env.metric_names.index(name) for name in ("return", "length")]
    ended = 0
    for action in actions(30):
        _, _, _, _, info = wrapped.step(action)
        if "counted" in info:
            mask = info["_counted"]
            assert np.array_equal(mask, info["_episode"])
            assert info["counted"]["r"][mask] == pytest.approx(info["episode"][mask, columns[0]], rel=1e-5)
            assert np.array_equal(info["counted"]["l"][mask], info["episode"][mask, columns[1]])
            ended += int(mask.sum())
    assert ended > 10


def test_no_number_of_workers_changes_a_bit(make: Make, shared_env: WorkerVectorEnv) -> None:
    chosen = actions(30)  # more than three episodes
    first = shared_env.reset(seed=3)[0].copy()
    expected = run(shared_env, chosen)
    lengths = {length for step in expected if step[4] for length in step[4]["episode"][step[4]["_episode"], 1]}
    assert len(lengths) > 1  # environments end at different times
    for workers in (2, 3):
        env = make(num_workers=workers)
        assert np.array_equal(env.reset()[0], first)  # its own seed is the same
        assert_same(run(env, chosen), expected)


def test_it_is_the_batched_environment(shared_env: WorkerVectorEnv) -> None:
    env = BatchEnv(ROBOT, LOW, range(5), seed=11)
    assert np.array_equal(shared_env.reset(seed=11)[0], env.reset())
    for action, step in zip(actions(20), run(shared_env, actions(20)), strict=True):
        result = env.step(action)
        for array, name in zip(step, ("observation", "reward", "terminated", "truncated"), strict=False):
            assert np.array_equal(array, getattr(result, name))
        if step[4]:
            mask = step[4]["_final_obs"]
            assert np.array_equal(step[4]["final_obs"][mask], result.final_observation[mask])
            assert np.array_equal(step[4]["episode"][mask], result.episode[mask])
        else:
            assert not (result.terminated | result.truncated).any()
    env.close()


def test_a_seed_begins_anew_and_none_goes_on(shared_env: WorkerVectorEnv) -> None:
    first = shared_env.reset(seed=8)[0].copy()
    second = shared_env.reset()[0].copy()
    assert not np.array_equal(first, second)
    assert np.array_equal(shared_env.reset(seed=8)[0], first)
    assert np.array_equal(shared_env.reset()[0], second)
    assert not np.array_equal(shared_env.reset(seed=9)[0], first)


def test_a_snapshot_continues_exactly_with_other_workers(make: Make, shared_env: WorkerVectorEnv) -> None:
    shared_env.reset(seed=3)
    run(shared_env, actions(11))
    snapshot = shared_env.snapshot()
    assert len(set(snapshot["episode_step"].tolist())) > 1  # mid-episode, and not in step with each other
    expected = run(shared_env, actions(20, seed=1))
    other = make(num_workers=2, seed=77)
    assert np.array_equal(other.restore(snapshot), snapshot["observation"])
    assert_same(run(other, actions(20, seed=1)), expected)
    assert_same(run(other, actions(5, seed=2)), run(shared_env, actions(5, seed=2)))


def test_a_snapshot_of_something_else_is_refused(shared_env: WorkerVectorEnv) -> None:
    shared_env.reset(seed=3)
    run(shared_env, actions(6))
    for name, change in (("observation", np.float32(1e-6)), ("episode_action", np.float32(0.01))):
        snapshot = shared_env.snapshot()
        moved = int(snapshot["episode_step"].argmax())
        place = (moved, 0) if name == "observation" else (moved, 0, 0)
        snapshot[name][place] += change
        with pytest.raises(RunFailedError, match="the replayed episodes differ from those of the checkpoint"):
            shared_env.restore(snapshot)


def test_a_goal_may_be_fixed_for_all(make: Make) -> None:
    env = make(num_workers=2)
    columns = [env.metric_names.index(f"goal_{axis}") for axis in "xyz"]
    with pytest.raises(BadInputError, match=r"goal \[9, 0, 0\] m: outside the workspace"):
        env.fix_goal((9.0, 0.0, 0.0))
    env.fix_goal((0.5, 0.1, 0.4))  # the refusal before it cost nothing
    env.reset()
    for step in run(env, actions(8)):
        if step[4]:
            assert (step[4]["episode"][step[4]["_episode"]][:, columns] == [0.5, 0.1, 0.4]).all()


def test_actions_of_another_shape_are_refused(shared_env: WorkerVectorEnv) -> None:
    shared_env.reset(seed=0)
    for shape in ((6,), (1, 6), (5, 7), (5, 1)):
        with pytest.raises(ValueError, match=r"expected \(5, 6\)"):
            shared_env.step(np.zeros(shape))


def test_an_action_that_is_not_finite_is_one_error(make: Make) -> None:
    env = make(num_workers=2)
    env.reset()
    wrong = np.zeros((5, 6))
    wrong[4, 2] = np.nan
    with pytest.raises(RunFailedError, match="action: not finite"):
        env.step(wrong)


def test_more_workers_than_environments_are_refused() -> None:
    for workers in (0, 6):
        with pytest.raises(BadInputError, match=f"num_workers: given {workers}; expected 1 to num_envs"):
            WorkerVectorEnv(ROBOT, SHORT, 5, workers)


def test_a_task_that_cannot_be_built_is_refused_here() -> None:
    task = dataclasses.replace(SHORT, rewards={"nonsense": RewardTermSpec()})
    with pytest.raises(SpecError, match="no reward term 'nonsense'"):
        WorkerVectorEnv(ROBOT, task, 2, 1)


def test_closing_twice_is_harmless_and_arrays_outlive_it(make: Make) -> None:
    env = make()
    observation, _ = env.reset()
    kept = observation.copy()
    processes = [worker.process for worker in env._workers]
    env.close()
    env.close()
    assert env.closed
    assert [process.returncode for process in processes] == [0]
    assert np.array_equal(observation, kept)


def test_processor_time_is_counted(shared_env: WorkerVectorEnv) -> None:
    shared_env.reset(seed=0)
    shared_env.step(np.zeros((5, 6)))
    before = shared_env.cpu_seconds
    run(shared_env, actions(8))
    assert shared_env.cpu_seconds > before > 0.0


SCRIPT = """
import signal
handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
import ppo_robot.sim.vector_env
import ppo_robot.sim.worker
assert handlers == {number: signal.getsignal(number) for number in handlers}, "import changed a signal handler"
from ppo_robot.spec.robot import load_robot
from ppo_robot.spec.task import load_task
env = ppo_robot.sim.vector_env.WorkerVectorEnv(load_robot("arm6"), load_task("reach"), 1, 1)
assert handlers == {number: signal.getsignal(number) for number in handlers}, "use changed a signal handler"
print(env.reset(seed=0)[0].shape)
env.close()
"""


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 cannot leave the working directory off the path")
def test_signal_handlers_stay_and_the_working_directory_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong json')")
    root = str(Path(__file__).resolve().parents[2])
    start = f"import sys; sys.path.insert(0, {root!r})\n"
    command = [sys.executable, "-P", "-c", start + SCRIPT]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("(1, ")
