"""Tests for ppo_robot.safety.watch: what is tolerated for how long, at the bounds themselves."""

from __future__ import annotations

import numpy as np
import pytest

from ppo_robot.joint_input import JointReading
from ppo_robot.safety.limits import SafetyLimits
from ppo_robot.safety.reasons import Cause
from ppo_robot.safety.watch import BodyWatch, Lasting
from ppo_robot.spec.safety import SafetySpec

LIMITS = SafetyLimits(
    ("shoulder", "elbow"), (-1.0, -2.0), (1.0, 2.0), (2.0, 4.0), (15.0, 20.0), (300.0, 400.0), (50.0, 20.0)
)
SPEC = SafetySpec(
    tracking_error=0.25, tracking_time=0.5, overspeed=1.25, overspeed_time=0.125, effort_time=0.75, stray=0.0625
)
HERE = (0.0, 0.0)


def state(
    position: tuple[float, float] = HERE, velocity: tuple[float, float] = HERE, effort: tuple[float, float] = HERE
) -> JointReading:
    return JointReading(np.array(position), np.array(velocity), np.array(effort), 1.0, 10.0, 1.0)


def test_what_lasts_as_long_as_is_allowed_is_too_long() -> None:
    lasting = Lasting(0.25)
    assert not lasting.holds(True, 10.0)
    assert not lasting.holds(True, 10.125)
    assert lasting.holds(True, 10.25)
    assert lasting.holds(True, 11.0)
    assert not lasting.holds(False, 11.0)
    assert not lasting.holds(True, 11.125)  # it begins anew
    assert not lasting.holds(True, 11.25)
    assert lasting.holds(True, 11.375)


def test_what_is_never_allowed_is_too_long_at_once() -> None:
    assert Lasting(0.0).holds(True, 10.0)
    assert not Lasting(0.0).holds(False, 10.0)


@pytest.mark.parametrize(
    ("inside", "outside", "allowed", "cause", "detail"),
    [
        (state((0.25, -0.25)), state((0.125, -0.5)), 0.5, Cause.TRACKING, "elbow is 0.500 off"),
        (state((0.25, 0.0)), state((0.5, 0.25)), 0.5, Cause.TRACKING, "shoulder is 0.500 off"),
        (
            state(velocity=(2.5, -5.0)),
            state(velocity=(2.5, -6.0)),
            0.125,
            Cause.OVERSPEED,
            "elbow at 1.20 of what is tolerated",
        ),
        (
            state(velocity=(-2.5, 5.0)),
            state(velocity=(-3.0, 5.25)),
            0.125,
            Cause.OVERSPEED,
            "shoulder at 1.20 of what is tolerated",
        ),
        (state(effort=(49.9, 19.9)), state(effort=(0.0, -20.0)), 0.75, Cause.EFFORT, "elbow"),
        (state(effort=(49.9, 19.9)), state(effort=(0.0, 20.0)), 0.75, Cause.EFFORT, "elbow"),
        (state(effort=(49.9, 19.9)), state(effort=(60.0, 20.0)), 0.75, Cause.EFFORT, "shoulder"),
        (state(effort=(49.9, 19.9)), state(effort=(52.0, 22.0)), 0.75, Cause.EFFORT, "elbow"),
    ],
)
def test_each_is_tolerated_up_to_its_bound_and_beyond_it_for_its_time(
    inside: JointReading, outside: JointReading, allowed: float, cause: Cause, detail: str
) -> None:
    watch = BodyWatch(LIMITS, SPEC)
    for now in (10.0, 12.0, 14.0):
        assert watch.check(inside, HERE, now) == (None, "")
    assert watch.check(outside, HERE, 20.0) == (None, "")
    assert watch.check(outside, HERE, 20.0 + allowed - 1e-3) == (None, "")
    assert watch.check(outside, HERE, 20.0 + allowed) == (cause, detail)
    watch.forget()
    assert watch.check(outside, HERE, 30.0) == (None, "")


def test_the_tracking_error_is_held_against_the_setpoint() -> None:
    watch = BodyWatch(LIMITS, SPEC)
    for now in (10.0, 12.0):
        assert watch.check(state((0.75, -1.5)), (0.5, -1.25), now) == (None, "")
    watch.check(state((0.75, -1.5)), (0.75, -1.0), 20.0)
    assert watch.check(state((0.75, -1.5)), (0.75, -1.0), 20.5) == (Cause.TRACKING, "elbow is 0.500 off")
    watch.check(state((0.0, 0.25)), (0.0, -0.25), 30.0)
    assert watch.check(state((0.0, 0.25)), (0.0, -0.25), 30.5) == (Cause.TRACKING, "elbow is 0.500 off")


def test_what_is_at_its_bound_is_tolerated_also_beside_what_is_not() -> None:
    pushed = (50.0, 0.0)
    for at_bound in (state((0.25, -0.25), effort=pushed), state(velocity=(2.5, -5.0), effort=pushed)):
        watch = BodyWatch(LIMITS, SPEC)
        for now in (10.0, 10.125, 10.5):
            assert watch.check(at_bound, HERE, now) == (None, "")
        assert watch.check(at_bound, HERE, 10.75) == (Cause.EFFORT, "shoulder")


@pytest.mark.parametrize(
    ("start", "inside", "outside", "detail"),
    [
        (HERE, (1.0625, -2.0625), (1.125, -2.0625), "shoulder went 0.125 further out"),
        (HERE, (-1.0625, 2.0625), (-1.0625, 2.125), "elbow went 0.125 further out"),
        # Armed outside: from there no further, and from wherever it has come back to.
        ((1.5, 0.0), (1.5625, 0.0), (1.75, 0.0), "shoulder went 0.250 further out"),
        ((0.0, -2.25), (0.0, -2.3125), (0.0, -2.5), "elbow went 0.250 further out"),
    ],
)
def test_a_joint_may_stray_so_far_outside_its_limits_and_no_further(
    start: tuple[float, float], inside: tuple[float, float], outside: tuple[float, float], detail: str
) -> None:
    watch = BodyWatch(LIMITS, SPEC)

    def check(position: tuple[float, float], now: float) -> tuple[Cause | None, str]:
        return watch.check(state(position), position, now)

    check(start, 9.0)
    for now in (10.0, 12.0):
        assert check(inside, now) == (None, "")
    assert check(outside, 20.0) == (None, "")
    assert check(outside, 20.499) == (None, "")
    assert check(outside, 20.5) == (Cause.OUTSIDE, detail)
    watch.forget()
    check(outside, 30.0)
    assert check(outside, 31.0) == (None, "")  # that is where it now starts from


def test_on_the_way_back_in_the_limit_follows() -> None:
    watch = BodyWatch(LIMITS, SPEC)
    for now, at in ((10.0, 1.5), (11.0, 1.25), (12.0, 1.3125)):
        assert watch.check(state((at, 0.0)), (at, 0.0), now) == (None, "")
    for now in (13.0, 13.25):
        assert watch.check(state((1.375, 0.0)), (1.375, 0.0), now) == (None, "")
    assert watch.check(state((1.375, 0.0)), (1.375, 0.0), 13.5)[0] is Cause.OUTSIDE


def test_a_joint_that_strays_after_something_else_was_wrong_inside_is_found_too() -> None:
    watch = BodyWatch(LIMITS, SPEC)
    assert watch.check(state(velocity=(3.0, 0.0)), HERE, 9.0) == (None, "")  # too fast, but no joint is outside
    for now in (10.0, 10.25):
        assert watch.check(state((1.125, 0.0)), (1.125, 0.0), now) == (None, "")
    assert watch.check(state((1.125, 0.0)), (1.125, 0.0), 10.5) == (Cause.OUTSIDE, "shoulder went 0.125 further out")


def test_a_motor_at_its_limit_pushes_in_a_direction() -> None:
    watch = BodyWatch(LIMITS, SPEC)
    assert watch.pushing(state(effort=(-50.0, 19.9))) == [-1.0, 0.0]
    assert watch.pushing(state(effort=(49.9, 25.0))) == [0.0, 1.0]
