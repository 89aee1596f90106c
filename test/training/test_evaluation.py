"""What a policy is judged by: the interval, the episodes that count, and figures that depend on the seed alone."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest

from ppo_robot.errors import BadInputError
from ppo_robot.policy.bundle import load_bundle
from ppo_robot.training import judge as judging
from ppo_robot.training.evaluation import Evaluation, evaluate, wilson_interval
from ppo_robot.training.judge import judge

NAMES = ("return", "length", "success", "final_error", "settle_time", "action_rate", "effort", "collision")


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        # 81 of 263 and 15 of 148 stand in Newcombe (1998), Statistics in Medicine 17, table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        # statsmodels.stats.proportion.proportion_confint(k, n, method="wilson")
        (0, 10, 0.0, 0.277533),
        (5, 10, 0.236593, 0.763407),
        (10, 10, 0.722467, 1.0),
        (990, 1000, 0.981690, 0.994559),
    ],
)
def test_wilson_interval_has_the_published_values(successes: int, trials: int, low: float, high: float) -> None:
    assert wilson_interval(successes, trials) == pytest.approx((low, high), abs=6e-5 if trials > 100 else 6e-5)


def test_wilson_interval_is_exact_at_its_ends_and_symmetric() -> None:
    assert wilson_interval(0, 7)[0] == 0.0 and wilson_interval(7, 7)[1] == 1.0
    for successes in range(8):
        low, high = wilson_interval(successes, 7)
        assert (1.0 - high, 1.0 - low) == pytest.approx(wilson_interval(7 - successes, 7))
        assert low <= successes / 7 <= high
    with pytest.raises(ValueError, match="at least 1"):
        wilson_interval(0, 0)


def test_a_summary_worked_out_by_hand() -> None:
    episodes = np.array(
        [
            # return, length, success, final error, settle time, action rate, effort, collision
            [1.0, 100, 1, 0.004, 0.5, 2.0, 0.1, 0],
            [3.0, 100, 1, 0.006, 0.7, 4.0, 0.2, 0],
            [-4.0, 30, 0, 0.200, math.inf, 6.0, 0.3, 1],
            [0.0, 100, 0, 0.010, 1.9, 8.0, 0.4, 0],  # arrived too late: its settling does not count
        ]
    )
    summary = Evaluation(NAMES, episodes).summary()
    assert summary == {
        "success_rate": 0.5,
        "success_ci95": [pytest.approx(0.1500, abs=1e-4), pytest.approx(0.8500, abs=1e-4)],
        "final_error_m": {"mean": pytest.approx(0.055), "p95": pytest.approx(0.1715), "max": 0.2},
        "settle_time_s": {"mean": pytest.approx(0.6), "p95": pytest.approx(0.69), "max": 0.7},
        "action_rate": 5.0,
        "effort": pytest.approx(0.25),
        "self_collisions": 1,
        "intervention_rate": None,
        "return_mean": 0.0,
        "episodes": 4,
    }
    assert Evaluation(NAMES, episodes[2:]).summary()["settle_time_s"] is None


class Clockwork:
    """A vector environment whose row r always runs episodes of r + 1 steps, worth their row and number."""

    num_envs, metric_names = 3, ("row", "number")

    def reset(self, seed: int) -> tuple[np.ndarray, dict]:
        self.seed, self.steps, self.numbers = seed, np.zeros(3, int), np.zeros(3)
        return np.zeros((3, 1), np.float32), {}

    def step(self, action: np.ndarray) -> tuple:
        self.steps += 1
        ended = self.steps == np.arange(1, 4)
        self.steps[ended] = 0
        info = {}
        if ended.any():
            info = {"_episode": ended, "episode": np.stack([np.arange(3.0), self.numbers], axis=1)}
        observation = np.zeros((3, 1), np.float32)
        result = observation, np.zeros(3), ended, ended, dict(info)
        self.numbers = self.numbers + ended
        return result


def test_each_environment_gives_its_share_whether_its_episodes_are_short_or_long() -> None:
    env, told = Clockwork(), []
    found = evaluate(env, lambda observation: observation, 8, 5, told.append)
    assert found.episodes.tolist() == [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2], [2, 0], [2, 1]]
    assert told[-1] == 8 and told == sorted(told)
    assert env.seed != 5, "the episodes that a run of seed 5 was trained on"
    assert len(evaluate(env, lambda observation: observation, 1, 0).episodes) == 1


@pytest.fixture(scope="module")
def bundle(straight):
    return load_bundle(straight.directory / "bundle")


def test_figures_depend_on_seed_and_kind_of_action_and_on_nothing_else(bundle) -> None:
    def rows(seed: int, action: str, workers: int) -> np.ndarray:
        return judge(bundle, 5, seed, action, workers).episodes

    mean, drawn = rows(3, "deterministic", 1), rows(3, "stochastic", 1)
    assert mean.shape[0] == 5
    assert rows(3, "deterministic", 2).tobytes() == mean.tobytes()
    assert rows(3, "stochastic", 2).tobytes() == drawn.tobytes()
    assert (mean[:, 0] != drawn[:, 0]).all()  # the return
    assert (rows(4, "deterministic", 1)[:, 0] != mean[:, 0]).all()


def test_the_final_figures_of_a_run_are_those_of_its_bundle(bundle, straight) -> None:
    again = judge(bundle, 8, 0, workers=1).summary()
    assert again == {key: bundle.evaluation["summary"][key] for key in again}


def test_no_more_workers_than_environments(bundle, monkeypatch) -> None:
    asked = []

    def refuse(robot: object, task: object, num_envs: int, num_workers: int, *others: object) -> None:
        asked.append((num_envs, num_workers))
        raise BadInputError("enough")

    monkeypatch.setattr(judging, "WorkerVectorEnv", refuse)
    for episodes, workers in ((1000, 500), (3, 2), (3, 8)):
        with pytest.raises(BadInputError):
            judge(bundle, episodes, 0, workers=workers)
    assert asked == [(64, 64), (3, 2), (3, 3)]


def test_a_fixed_goal_is_everyones_goal(bundle) -> None:
    evaluation = judge(bundle, 2, 0, workers=1, goal=(0.4, 0.1, 0.4))
    goals = np.stack([evaluation.column(f"goal_{axis}") for axis in "xyz"], axis=1)
    assert goals.tolist() == [[0.4, 0.1, 0.4]] * 2


def test_a_worker_is_left_nowhere_when_judging_fails(bundle, children_of, monkeypatch) -> None:
    import os

    before = children_of(os.getpid())
    broken = SimpleNamespace(robot=bundle.robot, task=bundle.task, runtime=None)
    with pytest.raises(AttributeError):
        judge(broken, 2, 0, workers=1)
    assert children_of(os.getpid()) == before
