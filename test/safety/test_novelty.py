"""Tests for ppo_robot.safety.novelty, alone and inside the envelope."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ppo_robot.joint_input import JointMessage
from ppo_robot.safety.actions import Action
from ppo_robot.safety.envelope import Envelope
from ppo_robot.safety.limits import SafetyLimits
from ppo_robot.safety.novelty import Novelty
from ppo_robot.safety.reasons import Cause, State
from ppo_robot.spec.safety import SafetySpec

NAMES = ("joint_position/elbow", "goal/0")


def novelty(allowed: float = 0.25) -> Novelty:
    return Novelty(NAMES, (-1.0, 0.0), (1.0, 2.0), allowed)


def rows(*values: tuple[float, ...]) -> np.ndarray:
    return np.array(values)


def test_bounds_themselves_are_inside() -> None:
    watch = novelty(0.0)
    assert watch.check(rows((-1.0, 0.0), (1.0, 2.0)), 0.0) == (0, "")
    assert watch.check(rows((1.0, 2.0 + 1e-9)), 0.0)[0] == 1


def test_what_lasts_is_named_with_value_and_bounds() -> None:
    watch = novelty()
    assert watch.check(rows((1.5, 0.0), (1.5, 5.0)), 10.0) == (2, "")
    assert watch.check(rows((1.5, 5.0)), 10.24) == (1, "")
    count, detail = watch.check(rows((1.5, 5.0)), 10.25)
    assert (count, detail) == (1, "goal/0 is 5.000, outside 0.000 to 2.000")


def test_the_component_that_is_furthest_out_for_its_range_is_named() -> None:
    watch = Novelty(("wide", "narrow"), (0.0, 0.0), (100.0, 1.0), 0.0)
    assert watch.check(rows((130.0, 1.5)), 0.0)[1].startswith("narrow is 1.500")
    assert watch.check(rows((-160.0, 1.5)), 0.0)[1].startswith("wide is -160.000")


def test_a_component_that_hardly_moved_in_training_is_soon_far_out() -> None:
    watch = Novelty(("wide", "narrow", "fixed"), (0.0, 0.0, 1.0), (0.5, 0.01, 1.0), 0.0)
    assert watch.check(rows((0.75, 0.02, 1.0)), 0.0)[1].startswith("narrow is 0.020")  # by 1 of its range, and 0.5
    assert watch.check(rows((0.75, 0.02, 1.001)), 0.0)[1].startswith("fixed is 1.001")


def test_one_observation_inside_ends_it() -> None:
    watch = novelty()
    watch.check(rows((1.5, 0.0)), 10.0)
    assert watch.check(rows((1.5, 0.0), (0.0, 0.0), (1.5, 0.0)), 10.2) == (2, "")
    assert watch.check(rows((1.5, 0.0)), 10.3) == (1, "")
    assert watch.check(rows((1.5, 0.0)), 10.55)[1]


def test_no_observations_say_nothing() -> None:
    watch = novelty(0.0)
    assert watch.check(np.empty((0, 2)), 0.0) == (0, "")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_outside_and_the_worst(value: float) -> None:
    count, detail = novelty(0.0).check(rows((value, 9.0)), 0.0)
    assert count == 1
    assert detail.startswith("joint_position/elbow is ")


def test_it_can_begin_anew() -> None:
    watch = novelty()
    watch.check(rows((1.5, 0.0)), 10.0)
    watch.forget()
    assert watch.check(rows((1.5, 0.0)), 10.3) == (1, "")


LIMITS = SafetyLimits(("elbow",), (-1.0,), (1.0,), (2.0,), (15.0,), (300.0,), (50.0,))


class Bench:
    """An armed envelope of one joint that stands still."""

    def __init__(self, watch: Novelty | None) -> None:
        self.envelope = Envelope(LIMITS, SafetySpec(), 0.02, novelty=watch)
        self.now = 100.0
        self.cycle()

    def cycle(self) -> None:
        self.now += self.envelope.period
        ros_now = 1.7e9 + self.now
        self.envelope.take_state(JointMessage(("elbow",), (0.0,), (0.0,), (0.0,), ros_now), ros_now, self.now)
        self.envelope.take_action(Action(("elbow",), (0.0,), ros_now), ros_now, self.now)
        self.envelope.cycle(ros_now, self.now)

    def see(self, seconds: float, *values: tuple[float, float]) -> None:
        for _ in range(round(seconds / self.envelope.period)):
            self.envelope.take_observations(rows(*values), self.now)
            self.cycle()


def test_a_policy_that_sees_what_it_was_not_trained_for_is_stopped() -> None:
    bench = Bench(novelty())
    assert bench.envelope.arm(bench.now) is None
    bench.see(1.0, (0.5, 1.0))
    bench.see(0.2, (1.5, 1.0))
    assert bench.envelope.state is State.ACTIVE
    bench.see(0.1, (1.5, 1.0))
    assert (bench.envelope.state, bench.envelope.cause) == (State.STOPPED, Cause.NOT_TRAINED_FOR)
    assert bench.envelope.detail == "joint_position/elbow is 1.500, outside -1.000 to 1.000"
    assert bench.envelope.counters["novel"] == 75


def test_a_disarmed_robot_is_not_stopped_and_an_arming_begins_anew() -> None:
    bench = Bench(novelty())
    bench.see(1.0, (1.5, 1.0))
    assert bench.envelope.state is State.DISARMED
    assert bench.envelope.arm(bench.now) is None
    bench.see(0.2, (1.5, 1.0))
    assert bench.envelope.cause is None


def test_observations_of_another_width_are_counted_and_not_used() -> None:
    bench = Bench(novelty(0.0))
    assert bench.envelope.arm(bench.now) is None
    bench.envelope.take_observations(np.full((3, 1), 9.0), bench.now)
    assert bench.envelope.counters["observation_refused"] == 1
    assert bench.envelope.cause is None


def test_without_statistics_nothing_is_watched() -> None:
    bench = Bench(None)
    assert bench.envelope.arm(bench.now) is None
    bench.see(0.5, (9.0, 9.0))
    assert bench.envelope.state is State.ACTIVE
    assert "novel" not in bench.envelope.counters
