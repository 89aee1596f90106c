"""Which cycles of simulated time wait for the policy's action."""

from __future__ import annotations

import time

import pytest

from ppo_robot.nodes.action_wait import ActionWait

PERIOD = 0.02
STEP = 0.005


def test_before_the_first_action_nothing_waits() -> None:
    wait = ActionWait(PERIOD, 1.0)
    assert not any(wait.waits(step * STEP) for step in range(20))
    assert not wait.gave_up()


def test_the_cycle_of_each_control_period_waits_for_its_action_alone() -> None:
    wait = ActionWait(PERIOD, 1.0)
    assert not wait.acted(0.0, 0.0)
    for step in range(1, 41):
        now = step * STEP
        due = step % 4 == 0
        assert wait.waits(now) is due
        if due:
            assert wait.acted(now, now)
    assert wait.timeouts == 0


def test_an_action_that_does_not_come_is_given_up() -> None:
    wait = ActionWait(PERIOD, 0.05)
    wait.acted(0.0, 0.0)
    assert wait.waits(PERIOD)
    assert not wait.gave_up()
    time.sleep(0.06)
    assert wait.gave_up()
    assert not wait.gave_up()
    assert not wait.waits(2 * PERIOD)
    assert wait.timeouts == 1
    wait.acted(0.1, 0.1)  # the next one engages it again
    assert wait.waits(0.1 + PERIOD)


def test_a_simulation_that_goes_on_without_an_answer_is_not_held_up() -> None:
    wait = ActionWait(PERIOD, 60.0)
    wait.acted(0.0, 0.0)
    assert wait.waits(PERIOD)
    assert not wait.waits(PERIOD + STEP)
    assert not wait.waits(3 * PERIOD)
    assert wait.timeouts == 1


@pytest.mark.parametrize("now", [0.0199999999, 0.02, 0.0200000001])
def test_rounding_of_the_clock_decides_nothing(now: float) -> None:
    wait = ActionWait(PERIOD, 1.0)
    wait.acted(0.0, 0.0)
    assert wait.waits(now)


def test_an_action_that_overtakes_its_clock_counts_for_that_clock() -> None:
    wait = ActionWait(PERIOD, 1.0)
    wait.acted(0.015, 0.02)
    assert not any(wait.waits(0.02 + step * STEP) for step in range(4))
    assert wait.waits(0.04)


@pytest.mark.parametrize("stamp", [0.0, -1.0, 9.0, float("nan")])
def test_a_stamp_that_says_nothing_counts_for_now(stamp: float) -> None:
    wait = ActionWait(PERIOD, 1.0)
    wait.acted(0.02, stamp)
    assert not wait.waits(0.035)
    assert wait.waits(0.04)


def test_what_is_forgotten_is_not_waited_for() -> None:
    wait = ActionWait(PERIOD, 60.0)
    wait.acted(0.0, 0.0)
    assert wait.waits(PERIOD)
    wait.forget()
    assert not wait.engaged
    assert not wait.waits(2 * PERIOD)
    assert wait.timeouts == 0
