"""Tests for ppo_robot.safety.envelope at each of its bounds: exactly there, and just beyond, and what it then says."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from envelope_bench import CONTROL, PERIOD, SPEC, Bench

from ppo_robot.safety.envelope import Verdict
from ppo_robot.safety.novelty import Novelty
from ppo_robot.safety.reasons import Cause, Limit, State

# Arming, disarming, stopping and resetting.


def test_what_arming_waits_for_is_said() -> None:
    bench = Bench()
    assert bench.envelope.cycle(bench.ros_now, bench.now) == Verdict(
        State.DISARMED, None, (Limit(0), Limit(0)), False, None, ""
    )
    assert bench.envelope.arm(bench.now) == "no joint state within 0.125 s"
    for velocity in (0.0625 + 1e-6, -0.0625 - 1e-6):
        bench.now += PERIOD
        bench.take_state(velocity)
        assert bench.envelope.arm(bench.now) == "the robot moves; expected it to stand"
    bench.now += PERIOD
    bench.take_state(-0.0625)
    assert bench.envelope.arm(bench.now + 0.125 + 1e-6) == "no joint state within 0.125 s"
    assert bench.envelope.arm(bench.now + 0.125) is None
    assert bench.envelope.arm(bench.now) == "state is holding; expected disarmed"


def test_what_a_reset_waits_for_is_said() -> None:
    bench = Bench()
    assert bench.envelope.reset(bench.now) == "state is disarmed; expected stopped"
    bench.armed()
    bench.envelope.stop(Cause.ERROR, "by hand", bench.now)
    assert bench.envelope.reset(bench.now + 0.125 + 1e-6) == "no joint state within 0.125 s"
    bench.now += PERIOD
    bench.take_state(0.125)
    assert bench.envelope.reset(bench.now) == "the robot moves; expected it to stand"
    bench.effort = [0.0, -20.0]
    bench.cycle()
    assert bench.envelope.reset(bench.now) == "a motor is at its effort limit"
    bench.effort = [49.9, -19.9]
    assert bench.cycle().cause is Cause.ERROR
    bench.envelope.take_publishers("/b", 2, bench.now)
    bench.envelope.take_publishers("/a", 2, bench.now)
    assert bench.envelope.reset(bench.now) == "more than one publisher of /a, /b"
    for topic in ("/a", "/b"):
        bench.envelope.take_publishers(topic, 1, bench.now)
    assert bench.envelope.reset(bench.now) is None
    verdict = bench.cycle()
    assert verdict == Verdict(State.DISARMED, None, (Limit(0), Limit(0)), False, None, "")
    assert bench.envelope.counters["state/disarmed"] == 1


def test_disarming_is_a_stop_and_from_a_stop_it_changes_nothing() -> None:
    bench = Bench()
    bench.envelope.disarm(bench.now)
    assert bench.envelope.state is State.DISARMED
    bench.active().envelope.disarm(bench.now)
    verdict = bench.cycle()
    assert (verdict.state, verdict.cause, verdict.detail) == (State.STOPPED, Cause.REQUESTED, "disarm")
    bench.envelope.disarm(bench.now)
    assert bench.envelope.counters["stop/requested"] == 1


def test_a_stop_is_counted_each_time_and_reached_once() -> None:
    bench = Bench().active()
    bench.target = [0.5, 0.0]
    bench.run(0.125)
    for detail in ("first", "second"):
        bench.envelope.stop(Cause.REQUESTED, detail, bench.now)
    changed = bench.envelope.counters["changed"]
    verdict = bench.cycle()
    assert verdict.state is State.STOPPING
    assert (verdict.changed, verdict.detail, verdict.limits) == (True, "first", (Limit(0), Limit(0)))
    while verdict.state is State.STOPPING:
        changed += verdict.changed
        verdict = bench.cycle()
        assert bench.now < 103.0
    assert verdict.setpoint.velocity == (0.0, 0.0)
    assert not bench.cycle().changed
    counters = bench.envelope.counters
    assert (counters["stop/requested"], counters["state/stopping"], counters["state/stopped"]) == (2, 1, 1)
    assert counters["changed"] == changed + 1
    assert counters["cycles"] == round((bench.now - 100.0) / PERIOD)


@pytest.mark.parametrize(("policy", "rest"), [(False, State.STOPPED), (True, State.STOPPING)])
def test_a_stop_at_rest_is_done_at_once(policy: bool, rest: State) -> None:
    bench = Bench().armed()
    bench.target = [0.5, 0.0]
    bench.run(0.125, policy=policy)
    bench.envelope.stop(Cause.REQUESTED, "", bench.now)
    assert bench.envelope.state is rest


def test_after_a_reset_and_a_new_arming_it_begins_from_where_it_then_is() -> None:
    bench = Bench().active()
    bench.envelope.stop(Cause.REQUESTED, "", bench.now)
    bench.cycle()
    assert bench.envelope.reset(bench.now) is None
    bench.now += 50.0  # nobody calls it meanwhile, and the ROS clock is set
    bench.position, bench.target = [0.5, 0.25], [0.5, 0.25]
    bench.take_state()
    assert bench.envelope.arm(bench.now) is None
    verdict = bench.cycle(ros_ahead=5.0)
    assert (verdict.state, verdict.cause) == (State.HOLDING, None)
    assert verdict.setpoint.position == (0.5, 0.25)


# Clocks.


def test_a_cycle_may_be_as_late_as_its_timeout() -> None:
    bench = Bench().active()
    assert bench.cycle(0.0625).cause is None
    verdict = bench.cycle(0.0625 + PERIOD)
    assert (verdict.cause, verdict.detail) == (Cause.CYCLE_LATE, "0.066 s between two cycles")


@pytest.mark.parametrize(("tick", "moved"), [(0.0, "0.0000"), (-0.03125, "-0.0312")])
def test_the_own_clock_must_move_forward(tick: float, moved: str) -> None:
    bench = Bench().active()
    verdict = bench.cycle(tick, state=False, policy=False)
    assert (verdict.cause, verdict.detail) == (Cause.CLOCK_JUMPED, f"the clock moved by {moved} s in a cycle")
    assert bench.envelope.counters["cycle_without_time"] == 1
    bench.cycle(0.0, state=False, policy=False)
    assert bench.envelope.counters["cycle_without_time"] == 1  # it has stopped already
    bench.cycle(1.0)
    assert bench.envelope.reset(bench.now) is None
    bench.active().cycle(0.0, state=False, policy=False)
    assert bench.envelope.counters["cycle_without_time"] == 2


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_ros_clock_may_leave_the_own_one_so_far_and_no_further(sign: float) -> None:
    bench = Bench().active()
    assert bench.cycle(ros_ahead=sign * 0.25).cause is None
    verdict = bench.cycle(ros_ahead=sign * 0.5)  # 0.25 from the cycle before, but 0.5 from the arming
    assert (verdict.cause, verdict.detail) == (Cause.CLOCK_JUMPED, f"the ROS clock jumped by {sign * 0.5:.3f} s")


def test_a_time_that_is_none_is_told_and_does_not_count_as_the_last() -> None:
    bench = Bench().active()
    verdict = bench.envelope.cycle(math.inf, math.nan)
    assert (verdict.cause, verdict.detail) == (Cause.CLOCK_JUMPED, "not a time: nan, inf")


def test_while_disarmed_clocks_may_do_as_they_like() -> None:
    bench = Bench()
    for tick, ros_ahead in ((PERIOD, 0.0), (0.0, 0.0), (5.0, 7.0), (PERIOD, -7.0)):
        bench.now += tick
        assert bench.envelope.cycle(bench.ros_now + ros_ahead, bench.now).cause is None
    assert bench.envelope.cycle(math.nan, math.nan).cause is None
    assert bench.envelope.counters["cycle_without_time"] == 0
    bench.active()


# What is missing.


def test_the_joint_state_may_be_as_old_as_its_timeout() -> None:
    bench = Bench().active()
    assert bench.run(0.125, state=False).cause is None
    verdict = bench.cycle(state=False)
    assert (verdict.cause, verdict.detail) == (Cause.STATE_LOST, "none within 0.125 s")


def test_what_the_watches_find_is_told_with_its_joint() -> None:
    bench = Bench(dataclasses.replace(SPEC, tracking_error=0.25, tracking_time=0.0)).active()
    bench.position = [0.0, 0.5]
    verdict = bench.cycle()
    assert (verdict.cause, verdict.detail) == (Cause.TRACKING, "elbow is 0.500 off")


def tilted(bench: Bench, seconds: float, angle: float) -> Verdict:
    for _ in range(round(seconds / PERIOD)):
        bench.envelope.take_tilt(angle, bench.now + PERIOD)
        verdict = bench.cycle()
    return verdict


def test_the_tilt_may_be_as_old_as_the_joint_state() -> None:
    bench = Bench(dataclasses.replace(SPEC, tilt_limit=0.5))
    bench.cycle()
    bench.envelope.take_tilt(0.0, bench.now)
    assert bench.envelope.arm(bench.now) is None
    assert bench.run(0.125).cause is None
    verdict = bench.cycle()
    assert (verdict.cause, verdict.detail) == (Cause.STATE_LOST, "no tilt within 0.125 s")


def test_a_base_whose_tilt_was_never_told_stops() -> None:
    bench = Bench(dataclasses.replace(SPEC, tilt_limit=0.5)).armed()
    assert bench.cycle().detail == "no tilt within 0.125 s"


def test_a_base_may_tilt_to_its_limit_and_beyond_it_for_its_time() -> None:
    bench = Bench(dataclasses.replace(SPEC, tilt_limit=0.5))
    tilted(bench, 1.0, 0.75)  # disarmed: nothing is stopped, and time does not count
    assert bench.envelope.state is State.DISARMED
    assert bench.envelope.arm(bench.now) is None
    assert tilted(bench, 0.25, 0.75).cause is None
    assert tilted(bench, 0.5, 0.5).cause is None
    assert tilted(bench, 0.25, 0.75).cause is None
    verdict = tilted(bench, PERIOD, 0.75)
    assert (verdict.cause, verdict.detail) == (Cause.TILT, "by 0.75 rad")
    assert bench.envelope.reset(bench.now) == "the base is tilted"


def test_without_a_limit_no_tilt_matters() -> None:
    bench = Bench().active()
    assert tilted(bench, 1.0, 3.0).cause is None
    bench.envelope.stop(Cause.REQUESTED, "", bench.now)
    assert bench.envelope.reset(bench.now) is None


def test_publishers_are_counted_while_disarmed_and_stop_nothing() -> None:
    bench = Bench()
    for topic, count in (("/a", 2), ("/b", 3), ("/c", 1), ("/d", 0)):
        bench.envelope.take_publishers(topic, count, bench.now)
    assert bench.envelope.counters["second_publisher"] == 2
    assert bench.cycle().cause is None
    bench.active().envelope.take_publishers("/b", 3, bench.now)
    assert (bench.envelope.cause, bench.envelope.detail) == (Cause.SECOND_PUBLISHER, "3 on /b")


def test_an_action_may_be_as_old_as_its_timeout_and_then_it_holds() -> None:
    bench = Bench().active()
    bench.target = [0.25, 0.0]
    while bench.now % CONTROL:
        bench.cycle()
    bench.cycle(policy=False)  # a cycle after the newest action
    came = bench.envelope.actions.received
    while bench.now < came + 0.125:
        assert bench.cycle(policy=False).state is not State.HOLDING
    verdict = bench.cycle(policy=False)
    assert (verdict.state, verdict.changed, verdict.limits) == (State.HOLDING, False, (Limit(0), Limit(0)))
    since = bench.now
    bench.run(0.25, policy=False)
    assert bench.envelope.counters["held"] == 1
    while bench.now < since + 0.5:
        assert bench.cycle(policy=False).cause is None
    verdict = bench.cycle(policy=False)
    assert (verdict.cause, verdict.detail) == (Cause.POLICY_LOST, "no usable action for 0.5 s")
    assert verdict.changed


def test_an_action_that_was_old_before_the_first_cycle_is_none_and_a_better_one_is_waited_for() -> None:
    bench = Bench().armed()
    armed = bench.now
    bench.take_action()
    bench.now += 0.125
    bench.take_state()
    while bench.now < armed + 0.5:
        verdict = bench.cycle(policy=False)
        assert (verdict.state, verdict.cause) == (State.HOLDING, None)
    assert bench.cycle(policy=False).cause is Cause.POLICY_LOST


def test_each_hold_is_counted_once() -> None:
    bench = Bench().active()
    for held in (1, 2):
        bench.run(0.25, policy=False)
        counters = bench.envelope.counters
        assert (counters["held"], counters["state/holding"]) == (held, held + 1)
        bench.run(0.25)


def test_a_policy_that_never_came_is_waited_for() -> None:
    bench = Bench().armed()
    verdict = bench.run(2.0, policy=False)
    assert (verdict.state, verdict.changed) == (State.HOLDING, False)
    assert bench.envelope.counters["held"] == 0


def test_observations_are_counted_by_the_call() -> None:
    bench = Bench(novelty=Novelty(("a", "b"), (-1.0, -1.0), (1.0, 1.0), 10.0)).active()
    for _ in range(2):
        bench.envelope.take_observations(np.zeros((3, 1)), bench.now)
        bench.envelope.take_observations(np.array([[2.0, 0.0], [0.0, 0.0], [0.0, 2.0]]), bench.now)
    assert bench.envelope.counters["observation_refused"] == 2
    assert bench.envelope.counters["novel"] == 4


def test_novel_observations_stop_an_armed_robot_at_once_where_none_are_allowed() -> None:
    bench = Bench(novelty=Novelty(("a",), (-1.0,), (1.0,), 0.0))
    bench.envelope.take_observations(np.array([[2.0]]), bench.now)
    assert bench.cycle().cause is None
    bench.active().envelope.take_observations(np.array([[2.0]]), bench.now)
    verdict = bench.cycle()
    assert (verdict.cause, verdict.detail) == (Cause.NOT_TRAINED_FOR, "a is 2.000, outside -1.000 to 1.000")
