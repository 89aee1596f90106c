"""Tests for ppo_robot.sim.curriculum: ends that move, episodes that pin them, and replays under changing ranges."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ppo_robot.errors import SpecError
from ppo_robot.sim.batch_env import BatchEnv
from ppo_robot.sim.curriculum import AutomaticRandomization, Schedule, make_curriculum, ranges_in_force, share_figures
from ppo_robot.sim.draws import bind
from ppo_robot.sim.vector_env import WorkerVectorEnv
from ppo_robot.spec.curriculum import CurriculumSpec
from ppo_robot.spec.randomization import RandomizationSpec
from ppo_robot.spec.robot import load_robot
from ppo_robot.spec.strict import build, plain
from ppo_robot.spec.task import TaskSpec, load_task

ROBOT = load_robot("arm6")
REACH = load_task("reach")
ENTRIES = {
    "gravity": RandomizationSpec(range=(0.9, 1.2)),
    "payload": RandomizationSpec(range=(0.0, 2.0)),
    "lag": RandomizationSpec("servo_lag", "log_uniform", range=(0.5, 2.0)),
    "late": RandomizationSpec("action_latency", range=(0.0, 0.02), when="step"),
    "load": RandomizationSpec("joint_load", range=(-0.1, 0.1), when="interval", interval=(0.05, 0.1)),
    "noise": RandomizationSpec("joint_position_error", "normal", std=0.001, when="step"),
}
TASK = dataclasses.replace(
    REACH,
    episode_length=0.2,
    terminations={},
    success=dataclasses.replace(REACH.success, hold=0.04),
    simulation=dataclasses.replace(REACH.simulation, randomization=ENTRIES),
    curriculum=CurriculumSpec(),
)
BOUND = bind(ENTRIES, ROBOT, {})


def adr(**spec: Any) -> AutomaticRandomization:
    made = make_curriculum(CurriculumSpec(**spec), BOUND)
    assert isinstance(made, AutomaticRandomization)
    return made


def feed(curriculum: AutomaticRandomization, number: int, wins: list[int]) -> None:
    curriculum.advance(0.0, np.full(len(wins), float(number)), np.array(wins, dtype=float))


def test_an_end_moves_out_where_it_succeeds_and_in_where_it_fails() -> None:
    curriculum = adr(episodes=4, widen_from=0.75, narrow_below=0.5, delta=0.25, deltas={"lag": 0.5})
    assert curriculum.share[:5].tolist() == [[0.0, 0.0], [1.0, 0.0], [0.0, 0.0], [1.0, 0.0], [0.0, 0.0]]
    assert curriculum.share[5].tolist() == [1.0, 1.0]  # a normal distribution has no ends
    feed(curriculum, 1, [1, 1, 1])
    assert curriculum.share[0].tolist() == [0.0, 0.0]  # three are not enough
    feed(curriculum, 1, [0])
    assert curriculum.share[0].tolist() == [0.0, 0.25]  # three of four
    feed(curriculum, 1, [1, 1, 0, 0])
    assert curriculum.share[0].tolist() == [0.0, 0.25]  # between both thresholds
    feed(curriculum, 1, [1, 0, 0, 0])
    feed(curriculum, 1, [0, 0, 0, 0])
    assert curriculum.share[0].tolist() == [0.0, 0.0]  # never below nothing
    feed(curriculum, 4, [1] * 12)
    assert curriculum.share[2].tolist() == [1.0, 0.0]  # never beyond the range
    feed(curriculum, -1, [1] * 40)
    assert curriculum.share[0].tolist() == [0.0, 0.0]


def test_its_state_is_arrays() -> None:
    curriculum, other = adr(episodes=3), adr(episodes=3)
    feed(curriculum, 1, [1, 1, 1, 1, 1])
    other.load(curriculum.arrays())
    for each in (curriculum, other):
        feed(each, 1, [1])
    assert np.array_equal(curriculum.share, other.share)
    assert curriculum.share[0, 1] == pytest.approx(0.2)


def test_a_schedule_widens_all_alike() -> None:
    schedule = Schedule(CurriculumSpec(kind="schedule", begin=0.2, whole_after=0.5), BOUND)
    shares = []
    for progress in (0.0, 0.24, 0.25, 0.5, 1.0):
        schedule.advance(progress, np.zeros(0), np.zeros(0))
        assert (schedule.share == schedule.share[0, 0]).all()
        shares.append(schedule.share[0, 0])
    assert shares == pytest.approx([0.2, 0.56, 0.6, 1.0, 1.0])  # in steps of a twentieth
    assert schedule.pinned == 0.0


def test_ranges_in_force_are_in_the_entries_own_units() -> None:
    share = np.full((len(BOUND), 2), 0.5)
    ranges = ranges_in_force(BOUND, share)
    assert ranges["gravity"] == pytest.approx([0.95, 1.1])
    assert ranges["payload"] == pytest.approx([0.0, 1.0])
    assert ranges["lag"] == pytest.approx([0.5**0.5, 2.0**0.5])
    assert "noise" not in ranges
    share[0, 1] = 1.0
    assert share_figures(BOUND, share) == {"mean": pytest.approx(0.5 + 0.5 / 8), "least": 0.5, "most": 1.0}


def actions(steps: int, batch: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).uniform(-1, 1, (steps, batch, 6)).astype(np.float32)


def test_pinned_episodes_lie_on_an_end_all_the_while_and_say_which() -> None:
    env, share = BatchEnv(ROBOT, TASK, range(8), 2), np.full((len(BOUND), 2), 0.5)
    env.set_curriculum(share, 0.8)
    env.reset()
    ranges, names = ranges_in_force(BOUND, share), [name.partition("/")[0] for name in env.drawn_names]
    column, seen = env.metric_names.index("boundary"), set()
    for _ in range(3):
        for action in actions(10, 8):
            boundary = env.randomization.boundary.copy()
            for row in np.flatnonzero(boundary >= 0):
                entry, end = BOUND[boundary[row] // 2], boundary[row] % 2
                own = env.drawn[row, [place for place, name in enumerate(names) if name == entry.name]]
                assert own == pytest.approx(ranges[entry.name][end], abs=1e-12)
                seen.add((entry.name, int(end)))
            assert (np.abs(env.drawn[:, names.index("gravity")] - 1.025) <= 0.0751).all()
            result = env.step(action)
        assert result.truncated.all()
        assert np.array_equal(result.episode[:, column], boundary)
    assert {"gravity", "payload", "lag", "late", "load"} == {name for name, _ in seen}
    assert ("payload", 0) not in seen  # its low end is what holds without it
    env.close()


def test_corner_episodes_pin_an_end_of_every_range_all_the_while() -> None:
    env, share = BatchEnv(ROBOT, TASK, range(16), 2), np.full((len(BOUND), 2), 0.5)
    env.set_curriculum(share, 0.4, 1.0)
    env.reset()
    ranges, names = ranges_in_force(BOUND, share), [name.partition("/")[0] for name in env.drawn_names]
    corners: set[tuple[bool, ...]] = set()
    for action in actions(9, 16):  # the tenth begins new episodes
        corner = np.flatnonzero(env.randomization.boundary < 0)
        assert 5 <= len(corner) < 16  # those that pin one end are judged by it, and by no other
        ends = []
        for entry in BOUND[:5]:
            own = env.drawn[np.ix_(corner, [place for place, name in enumerate(names) if name == entry.name])]
            low, high = (np.isclose(own, end, atol=1e-12).all(axis=1) for end in ranges[entry.name])
            assert (low | high).all()
            ends.append(high)
        corners |= set(zip(*(end.tolist() for end in ends), strict=True))
        noise = env.drawn[np.ix_(corner, [place for place, name in enumerate(names) if name == "noise"])]
        assert len(np.unique(noise)) == noise.size  # what draws from no range goes on as ever
        env.step(action)
    assert {one[0] for one in corners} == {one[4] for one in corners} == {False, True}
    assert len(corners) > 5  # of 32, among some ten episodes: each entry's end is its own
    env.close()


def test_a_share_of_the_episodes_are_corners_and_entries_of_some_episodes_stay_so() -> None:
    some = dataclasses.replace(ENTRIES["gravity"], episodes=(0.0, 0.5))
    simulation = dataclasses.replace(TASK.simulation, randomization=ENTRIES | {"gravity": some})
    env = BatchEnv(ROBOT, dataclasses.replace(TASK, simulation=simulation), range(8), 2)
    env.set_curriculum(np.ones((len(BOUND), 2)), 0.0, 0.5)
    drawn = []
    for _ in range(50):
        env.reset()
        drawn.append(env.drawn.copy())
    payload, gravity = (np.concatenate(drawn)[:, env.drawn_names.index(name)] for name in ("payload", "gravity"))
    corner = np.isin(payload, (0.0, 2.0))
    assert 160 < corner.sum() < 240  # four standard deviations
    absent = gravity == 1.0
    assert 60 < (corner & absent).sum() < 140
    assert np.isin(gravity[corner & ~absent], (0.9, 1.2)).all()
    env.close()


def test_without_a_trainer_all_of_every_range_is_drawn_from_and_nothing_is_pinned() -> None:
    env = BatchEnv(ROBOT, TASK, range(6), 2)
    whole = BatchEnv(ROBOT, dataclasses.replace(TASK, curriculum=None), range(6), 2)
    assert np.array_equal(env.reset(), whole.reset())
    assert np.array_equal(env.drawn, whole.drawn)
    assert (env.randomization.boundary == -1).all()
    with pytest.raises(ValueError, match="the task has no curriculum"):
        whole.set_curriculum(np.ones((len(BOUND), 2)), 0.5)
    env.close()
    whole.close()


def test_episodes_that_began_under_other_ranges_come_back_under_them() -> None:
    chosen, runs = actions(24, 5), []
    for workers in (1, 2):
        env = WorkerVectorEnv(ROBOT, dataclasses.replace(TASK, terminations=REACH.terminations), 5, workers, seed=5)
        try:
            env.set_curriculum(np.full((len(BOUND), 2), 0.1), 0.5, 0.3)
            env.reset()
            seen = []
            for step, action in enumerate(chosen):
                if step % 4 == 2:
                    env.set_curriculum(np.full((len(BOUND), 2), 0.1 + 0.03 * step), 0.5, 0.3)
                seen.append(env.step(action)[0].copy())
            snapshot, after = env.snapshot(), env.step(chosen[0])[0].copy()
            assert np.array_equal(env.restore(snapshot), snapshot["observation"])
            assert np.array_equal(env.step(chosen[0])[0], after)
        finally:
            env.close()
        runs.append(np.array(seen))
    assert np.array_equal(runs[0], runs[1])


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"narrow_below": 0.9}, "narrow_below: given 0.9; expected at most widen_from (0.8)"),
    ({"delta": 0.0}, "curriculum.delta: given 0.0; expected a value > 0"),
    ({"deltas": {"gravty": 0.1}}, "curriculum.deltas.gravty: no such entry of randomization; did you mean 'gravity'?"),
]


@pytest.mark.parametrize(("curriculum", "message"), WRONG, ids=["order", "delta", "entry"])
def test_a_wrong_curriculum_is_one_line(curriculum: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        build(TaskSpec, plain(TASK) | {"curriculum": curriculum}, "task.yaml")
    assert message in str(caught.value)


def test_a_curriculum_needs_ranges_and_comes_back_equal() -> None:
    with pytest.raises(SpecError, match="curriculum: given without simulation.randomization"):
        build(TaskSpec, plain(REACH) | {"curriculum": {}}, "task.yaml")
    assert build(TaskSpec, plain(TASK), "again") == TASK
    assert build(TaskSpec, plain(REACH), "again") == REACH  # which has none
