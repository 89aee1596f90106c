"""Tests of how ppo_robot.safety.envelope blends, and of why it says that it limited a joint."""

from __future__ import annotations

import dataclasses

import pytest
from envelope_bench import CONTROL, PERIOD, SPEC, Bench

from ppo_robot.safety.body import LinkBody
from ppo_robot.safety.curve import Reference
from ppo_robot.safety.limits import make_limits
from ppo_robot.safety.reasons import FREE, Cause, Limit, State
from ppo_robot.safety.setpoint import Setpoint
from ppo_robot.spec.robot import RobotSpec

# Blending.


def test_a_blend_grows_from_its_speed_to_all() -> None:
    bench = Bench()
    bench.position, bench.target = [-0.875, -1.75], [0.875, 1.75]
    bench.armed()
    bench.while_in(State.HOLDING)
    since = bench.now
    for along, share in ((0.25, 0.4375), (0.5, 0.625), (0.75, 0.8125)):
        while bench.now < since + along * SPEC.blend_time:
            verdict = bench.cycle()
        assert verdict.state is State.BLENDING
        assert verdict.limits == (Limit.BLEND, Limit.BLEND)
        # It lags by the time that the acceleration needs to get up: some hundredths.
        assert verdict.setpoint.velocity == pytest.approx((2.0 * share, 3.0 * share), rel=0.03)
    fastest = [0.0, 0.0]
    for _ in range(500):
        assert not any(limit & Limit.STOP for limit in verdict.limits)
        fastest = list(map(max, fastest, verdict.setpoint.velocity))
        verdict = bench.cycle()
        if verdict.state is not State.BLENDING:
            break
    assert fastest == pytest.approx([2.0, 3.0], rel=0.01)
    assert bench.now > since + SPEC.blend_time  # it had not arrived by then
    assert bench.envelope.state is State.ACTIVE
    assert bench.position == pytest.approx(bench.target, abs=SPEC.intervention)


def test_a_blend_to_a_policy_that_moves_lasts_for_its_time() -> None:
    bench = Bench(dataclasses.replace(SPEC, blend_speed=0.9))  # it catches up at once, but the newest target is ahead
    bench.position = [-0.9, 0.0]
    bench.armed()

    def cycle() -> State:
        bench.target = [1.4 * (bench.now - 100.0) - 0.9, 0.0]
        return bench.cycle().state

    state = cycle()
    for _ in range(100):
        if state is State.BLENDING:
            break
        state = cycle()
    since = bench.now
    while bench.now < since + SPEC.blend_time:
        assert state is State.BLENDING
        state = cycle()
    assert state is State.ACTIVE
    assert bench.envelope.stepper.setpoint.velocity[0] == pytest.approx(1.4, rel=0.01)


def test_without_a_blend_time_all_of_the_speed_is_there_at_once() -> None:
    bench = Bench(dataclasses.replace(SPEC, blend_time=0.0))
    bench.target = [0.875, 0.0]
    bench.armed()
    assert max(bench.cycle().setpoint.velocity[0] for _ in range(200)) == pytest.approx(2.0)


@pytest.mark.parametrize(("target", "blends"), [(1 / 64, False), (-1 / 64, False), (1 / 64 + 1e-4, True)])
def test_a_target_within_the_blend_distance_needs_no_blend(target: float, blends: bool) -> None:
    bench = Bench()
    bench.target = [0.0, target]
    bench.armed()
    seen = [bench.cycle().state for _ in range(8)]
    assert (State.BLENDING in seen) is blends


def test_the_setpoint_is_where_the_policys_curve_will_be_when_the_step_ends() -> None:
    bench = Bench().active()
    for step in range(256):
        bench.target = [0.001 * step, -0.002 * step]
        verdict = bench.cycle()
    ahead = bench.envelope.actions.reference(bench.now + PERIOD)
    assert ahead.velocity == pytest.approx([0.256, -0.512], rel=0.01)
    assert verdict.setpoint.position == pytest.approx(ahead.position, abs=1e-6)


# Why a joint is limited.


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_an_action_at_the_limit_is_not_outside_and_beyond_it_is(side: float) -> None:
    bench = Bench().active()
    bench.target = [0.9 * side, -1.8 * side]
    verdict = bench.run(2.0)
    assert (verdict.state, verdict.changed, verdict.limits) == (State.ACTIVE, False, (Limit(0), Limit(0)))
    bench.target = [1.0 * side, -2.0 * side]
    assert not any(limit & Limit.POSITION for limit in bench.run(1.0).limits)
    bench.target = [1.001 * side, -2.0 * side]
    verdict = bench.run(0.25)
    assert (verdict.state, verdict.changed) == (State.LIMITED, True)
    assert [bool(limit & Limit.POSITION) for limit in verdict.limits] == [True, False]


def test_a_joint_that_cannot_follow_is_limited_by_its_dynamics_alone() -> None:
    bench = Bench().active()
    bench.target = [0.5, 0.0]
    seen = {bench.cycle().limits for _ in range(256)}
    assert seen == {(Limit(0), Limit(0)), (Limit.DYNAMICS, Limit(0))}


def test_a_joint_that_must_stop_for_its_limit_says_so() -> None:
    bench = Bench().active()
    bench.target = [30.0, 0.0]
    seen = {bench.cycle().limits[0] for _ in range(256)}
    assert Limit.POSITION | Limit.STOP in seen


@pytest.mark.parametrize("push", [1.0, -1.0])
def test_a_motor_at_its_limit_holds_its_joint_until_a_state_says_otherwise(push: float) -> None:
    bench = Bench().active()
    bench.effort, bench.target = [50.0 * push, 0.0], [0.25 * push, 0.25]
    verdict = bench.run(0.25)
    assert verdict.limits[0] == Limit.EFFORT
    assert verdict.setpoint.position[0] == pytest.approx(0.0, abs=1e-3)
    assert verdict.setpoint.position[1] > 0.125
    bench.effort = [0.0, 0.0]
    assert bench.run(0.5).setpoint.position == pytest.approx((0.25 * push, 0.25), abs=1e-3)


def test_coming_back_from_a_motors_limit_is_not_limited_by_it() -> None:
    bench = Bench()
    bench.position, bench.target = [0.5, 0.5], [0.5, 0.5]
    bench.active()
    bench.effort, bench.target = [50.0, -20.0], [0.25, 0.75]
    bench.run(4 * CONTROL)  # until the curve has left for there
    for _ in range(20):
        assert not any(limit & Limit.EFFORT for limit in bench.cycle().limits)
    assert bench.position[0] < 0.49 and bench.position[1] > 0.51


def test_every_reason_is_named() -> None:
    bench = Bench().active()
    bench.effort, bench.target = [50.0, 0.0], [1.5, 0.0]
    assert bench.run(0.25).limits == (Limit.POSITION | Limit.EFFORT, Limit(0))


def test_beside_a_joint_that_is_held_the_others_follow_their_curve() -> None:
    bench = Bench().active()
    bench.effort = [50.0, 0.0]
    for step in range(128):
        bench.target = [0.001 * step, 0.002 * step]
        verdict = bench.cycle()
    ahead = bench.envelope.actions.reference(bench.now + PERIOD)
    assert verdict.limits == (Limit.EFFORT, Limit(0))
    assert verdict.setpoint.position[1] == pytest.approx(ahead.position[1], abs=1e-6)
    assert verdict.setpoint.velocity[1] == pytest.approx(0.512, rel=0.01)
    assert (verdict.setpoint.velocity[0], verdict.setpoint.acceleration[0]) == pytest.approx((0.0, 0.0), abs=1e-6)


def test_a_motor_at_its_limit_changes_nothing_about_a_joint_that_accelerates() -> None:
    ways = []
    for effort in (0.0, 50.0):
        bench, way = Bench().active(), []
        bench.effort = [effort, 0.0]
        for step in range(100):
            bench.target = [0.0, 0.0001 * step**2]  # 5 rad/s^2
            sent = bench.cycle().setpoint
            way.append((sent.position[1], sent.velocity[1], sent.acceleration[1]))
        ways.append(way)
    assert ways[0] == ways[1] and way[-1][2] > 1.0


# Links.


def rails(robot: RobotSpec, **changed: object) -> Bench:
    spec = dataclasses.replace(SPEC, clearance_stop=1 / 64, clearance_slow=5 / 64, position_margin=0.0, **changed)
    bench = Bench(spec, make_limits(robot, spec), body=LinkBody(robot))
    bench.position = [0.0, 0.5, 0.5]
    bench.target = list(bench.position)
    return bench


def test_the_share_that_near_links_leave_slows_all_joints_and_is_named(rail_robot: RobotSpec) -> None:
    bench = rails(rail_robot).active()
    bench.target = [0.0, 0.0, 0.5]  # the carriage would be in the base
    seen, fastest = {}, {}
    for _ in range(512):
        verdict = bench.cycle()
        share = bench.envelope.guard.share
        seen.setdefault((share < 1.0, verdict.state), set()).add(verdict.limits)
        fastest[share] = max(fastest.get(share, 0.0), -verdict.setpoint.velocity[1])
    free = Limit(0)
    assert (free, Limit.DYNAMICS, free) in seen[False, State.LIMITED]
    assert not any(limits[1] & Limit.CLEARANCE for limits in seen[False, State.LIMITED])
    # At last the guard forbids every step; that is a reason for all joints.
    assert seen[True, State.LIMITED] == {
        (free, Limit.CLEARANCE, free),
        (Limit.CLEARANCE | Limit.STOP,) * 3,
    }
    assert fastest[1.0] == pytest.approx(1.0, abs=0.01)
    assert max(speed for share, speed in fastest.items() if share < 0.5) < 0.65
    assert bench.position[1] == pytest.approx(0.125 + 1 / 64, abs=1e-3)


def test_what_the_guard_forbids_is_named_beside_what_else_is_wrong(rail_robot: RobotSpec) -> None:
    bench = rails(rail_robot, tool_lower=(-9.0, -9.0, -9.0), tool_upper=(1.375, 9.0, 9.0)).active()
    bench.target = [0.0, 2.0, 0.5]
    seen = {bench.cycle().limits for _ in range(256)}
    assert any(limits[1] & Limit.POSITION and limits[1] & Limit.WORKSPACE for limits in seen)
    assert any(limits[0] == Limit.WORKSPACE | Limit.STOP for limits in seen)


def test_a_blend_is_slow_far_from_any_link_too(rail_robot: RobotSpec) -> None:
    bench = rails(rail_robot)
    bench.target = [0.0, 0.99, 0.5]
    bench.armed().while_in(State.HOLDING)
    since = bench.now
    while bench.now < since + SPEC.blend_time / 4.0:
        verdict = bench.cycle()
    assert bench.envelope.guard.share == 1.0
    assert verdict.setpoint.velocity[1] == pytest.approx(0.4375, rel=0.05)


def test_links_measured_too_near_stop_the_robot(rail_robot: RobotSpec) -> None:
    bench = rails(rail_robot).active()
    bench.position = [0.0, 0.125 + 1 / 128, 0.5]
    bench.now += PERIOD
    bench.take_state()
    bench.now += PERIOD
    assert bench.envelope.cycle(bench.ros_now, bench.now).cause is None
    bench.position = [0.0, 0.125 + 1 / 256, 0.5]
    bench.take_state()
    bench.now += PERIOD
    verdict = bench.envelope.cycle(bench.ros_now, bench.now)
    assert (verdict.cause, verdict.detail) == (Cause.CLEARANCE, "base and carriage are 3.9 mm apart")


def test_without_a_body_links_may_do_as_they_like(rail_robot: RobotSpec) -> None:
    spec = dataclasses.replace(SPEC, position_margin=0.0)
    bench = Bench(spec, make_limits(rail_robot, spec))
    assert bench.active().envelope.guard is None


def test_a_joint_that_is_where_it_was_asked_to_be_may_be_limited_all_the_same() -> None:
    envelope = Bench().active().envelope
    envelope.stepper.setpoint = Setpoint((0.5, -0.25), (0.0, 0.0), (0.0, 0.0))
    still, near = [0.0, 0.0], SPEC.intervention / 2.0

    def why(position: list[float], refused: tuple[bool, bool] = (False, False)) -> tuple[Limit, ...]:
        return envelope._why(Reference(position, still, still), refused, blending=False)

    assert why([0.5 + near, -0.25 - near]) == (FREE, FREE)
    assert why([0.5, -0.25], (False, True)) == (FREE, Limit.STOP)
    assert why([-0.5, 0.25]) == (Limit.DYNAMICS, Limit.DYNAMICS)
    envelope._pushing = [0.0, 1.0]
    assert why([0.5, -0.25 + near]) == (FREE, Limit.EFFORT)
    assert why([0.5, -0.25 - near]) == (FREE, FREE)
