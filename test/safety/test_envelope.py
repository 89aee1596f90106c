"""Tests for ppo_robot.safety.envelope: states, watchdogs, latched stops, with clocks that the test turns."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field

import numpy as np
import pytest

from ppo_robot.joint_input import JointMessage
from ppo_robot.safety.actions import Action
from ppo_robot.safety.envelope import Envelope, Verdict
from ppo_robot.safety.limits import SafetyLimits
from ppo_robot.safety.reasons import Cause, Limit, Refusal, State
from ppo_robot.safety.setpoint import Setpoint
from ppo_robot.safety.witness import Bounds, judge_setpoints
from ppo_robot.spec.safety import SafetySpec

NAMES = ("shoulder", "elbow")
LIMITS = SafetyLimits(NAMES, (-1.0, -2.0), (1.0, 2.0), (2.0, 3.0), (15.0, 20.0), (300.0, 400.0), (50.0, 20.0))
SPEC = SafetySpec(blend_time=0.2, hold_timeout=0.5)
EPOCH = 1.7e9
CONTROL = 0.02


@dataclass
class Bench:
    """An envelope, its clocks, and a robot that follows its setpoints at once."""

    envelope: Envelope = field(default_factory=lambda: Envelope(LIMITS, SPEC, CONTROL))
    now: float = 100.0
    position: list[float] = field(default_factory=lambda: [0.1, -0.2])
    velocity: list[float] = field(default_factory=lambda: [0.0, 0.0])
    effort: list[float] = field(default_factory=lambda: [0.0, 0.0])
    target: list[float] = field(default_factory=lambda: [0.1, -0.2])
    sent: list[Setpoint] = field(default_factory=list)
    follows: bool = True
    states: bool = True
    policy: bool = True
    steps: int = 0

    @property
    def ros_now(self) -> float:
        return EPOCH + self.now

    def state(self, **changed: object) -> JointMessage:
        values = {"name": NAMES, "position": self.position, "velocity": self.velocity, "effort": self.effort}
        return JointMessage(**{**values, "stamp": self.ros_now, **changed})

    def action(self, **changed: object) -> Action:
        values = {"joint_names": NAMES, "position": self.target, "stamp": self.ros_now}
        return Action(**{**values, **changed})

    def cycle(self) -> Verdict:
        self.now += self.envelope.period
        self.steps += 1
        if self.states:
            self.envelope.take_state(self.state(), self.ros_now, self.now)
        if self.policy and self.steps % 5 == 0:
            self.envelope.take_action(self.action(), self.ros_now, self.now)
        verdict = self.envelope.cycle(self.ros_now, self.now)
        if verdict.setpoint is not None:
            self.sent.append(verdict.setpoint)
            if self.follows:
                self.position, self.velocity = list(verdict.setpoint.position), list(verdict.setpoint.velocity)
        return verdict

    def run(self, seconds: float) -> Verdict:
        for _ in range(round(seconds / self.envelope.period)):
            verdict = self.cycle()
        return verdict

    def armed(self) -> Bench:
        self.cycle()
        assert self.envelope.arm(self.now) is None
        return self

    def active(self) -> Bench:
        self.armed()
        while self.cycle().state is not State.ACTIVE:
            assert self.steps < 750
        return self

    def judged(self) -> int:
        names = ("lower", "upper", "velocity", "acceleration", "jerk")
        bounds = Bounds(*(np.array(getattr(LIMITS, name)) for name in names))
        columns = [np.array([getattr(one, name) for one in self.sent]) for name in ("position", *names[2:4])]
        return judge_setpoints(columns[0], bounds, self.envelope.period, columns[1], columns[2]).total


def test_disarmed_sends_nothing() -> None:
    bench = Bench()
    assert bench.run(0.1).setpoint is None
    assert bench.envelope.state is State.DISARMED


def test_it_blends_from_the_measured_pose_and_then_follows() -> None:
    bench = Bench(target=[0.6, 0.5]).armed()
    first = bench.cycle()
    assert first.setpoint is not None
    assert first.setpoint.position == pytest.approx((0.1, -0.2), abs=1e-6)
    seen = []
    for _ in range(400):
        verdict = bench.cycle()
        if verdict.state not in seen:
            seen.append(verdict.state)
    assert seen == [State.HOLDING, State.BLENDING, State.ACTIVE]
    assert not verdict.changed
    assert verdict.setpoint.position == pytest.approx((0.6, 0.5), abs=1e-6)
    assert bench.judged() == 0


def test_a_gentle_policy_is_not_changed_at_all() -> None:
    bench = Bench().active()
    changed = 0
    for step in range(500):
        bench.target = [0.1 + 0.2 * (1 - math.cos(2.0 * step * 0.004)), -0.2]
        changed += bench.cycle().changed
    assert changed == 0


def test_a_jump_of_the_policy_is_limited_and_says_why() -> None:
    bench = Bench().active()
    bench.target = [0.9, -0.2]
    verdicts = [bench.cycle() for _ in range(60)]
    limited = [verdict for verdict in verdicts if verdict.state is State.LIMITED]
    assert limited
    assert limited[0].limits[0] & Limit.DYNAMICS
    assert all(verdict.limits[1] == Limit(0) for verdict in verdicts)
    assert bench.run(1.5).state is State.ACTIVE
    assert bench.judged() == 0


def test_an_action_beyond_the_position_limits_is_held_at_them() -> None:
    bench = Bench().active()
    bench.target = [5.0, -0.2]
    verdict = bench.run(2.0)
    assert verdict.state is State.LIMITED
    assert verdict.limits[0] & Limit.POSITION
    assert verdict.setpoint.position[0] == pytest.approx(1.0, abs=0.02)
    assert bench.judged() == 0


def test_a_silent_policy_is_held_for_and_a_returning_one_blended_to() -> None:
    bench = Bench(target=[0.5, 0.5]).active()
    bench.target, bench.policy = [-0.5, -0.5], False
    held = bench.run(0.3)
    assert held.state is State.HOLDING
    assert held.setpoint.velocity == pytest.approx((0.0, 0.0), abs=1e-9)
    bench.policy = True
    bench.run(0.03)
    assert bench.envelope.state is State.BLENDING
    assert bench.run(2.0).state is State.ACTIVE
    assert bench.judged() == 0


def test_a_policy_that_stays_silent_ends_in_a_latched_stop() -> None:
    bench = Bench().active()
    bench.policy = False
    verdict = bench.run(1.0)
    assert (verdict.state, verdict.cause) == (State.STOPPED, Cause.POLICY_LOST)


def break_state(bench: Bench) -> None:
    bench.states = False


def break_tracking(bench: Bench) -> None:
    bench.follows = False
    bench.position = [0.8, -0.2]


def break_speed(bench: Bench) -> None:
    bench.follows = False
    bench.velocity = [2.6, 0.0]


def break_effort(bench: Bench) -> None:
    bench.effort = [0.0, -20.0]


def break_cycle(bench: Bench) -> None:
    bench.now += SPEC.cycle_timeout


def freeze_clock(bench: Bench) -> None:
    bench.now -= bench.envelope.period


def turn_clock_back(bench: Bench) -> None:
    bench.now -= 1.0


@pytest.mark.parametrize(
    ("break_it", "cause"),
    [
        (break_state, Cause.STATE_LOST),
        (break_tracking, Cause.TRACKING),
        (break_speed, Cause.OVERSPEED),
        (break_effort, Cause.EFFORT),
        (break_cycle, Cause.CYCLE_LATE),
        (freeze_clock, Cause.CLOCK_JUMPED),
        (turn_clock_back, Cause.CLOCK_JUMPED),
    ],
)
def test_each_fault_stops_inside_the_limits_and_its_cause_stays(break_it: object, cause: Cause) -> None:
    bench = Bench(target=[0.7, 1.0]).active()
    bench.target = [-0.7, -1.0]
    bench.run(0.1)  # in full motion
    break_it(bench)
    verdict = bench.run(1.2)
    assert (verdict.state, verdict.cause) == (State.STOPPED, cause)
    assert verdict.setpoint.velocity == (0.0, 0.0)
    bench.envelope.stop(Cause.REQUESTED, "", bench.now)
    assert bench.cycle().cause is cause
    assert bench.judged() == 0


@pytest.mark.parametrize("jump", [10.0, -10.0])
def test_a_jump_of_the_ros_clock_alone_stops(jump: float) -> None:
    bench = Bench().active()
    bench.now += bench.envelope.period
    verdict = bench.envelope.cycle(bench.ros_now + jump, bench.now)
    assert verdict.cause is Cause.CLOCK_JUMPED


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("which", ["ros", "own"])
def test_a_time_that_is_no_time_stops(broken: float, which: str) -> None:
    bench = Bench().active()
    bench.now += bench.envelope.period
    times = (broken, bench.now) if which == "ros" else (bench.ros_now, broken)
    assert bench.envelope.cycle(*times).cause is Cause.CLOCK_JUMPED
    assert bench.run(0.5).state is State.STOPPED
    assert bench.judged() == 0


@pytest.mark.parametrize("state", ["holding", "blending", "active", "limited"])
def test_the_stop_works_in_every_state_and_is_a_step_away(state: str) -> None:
    bench = Bench(target=[0.7, 1.0], policy=state != "holding").armed()
    bench.run({"holding": 0.1, "blending": 0.1, "active": 3.0, "limited": 3.0}[state])
    if state == "limited":
        bench.target = [-0.7, -1.0]
        bench.run(0.1)
    assert bench.envelope.state.value == state
    bench.envelope.stop(Cause.REQUESTED, "by hand", bench.now)
    assert bench.cycle().state in (State.STOPPING, State.STOPPED)
    assert bench.run(1.0).state is State.STOPPED
    assert bench.judged() == 0


def test_a_stop_while_disarmed_prevents_arming() -> None:
    bench = Bench()
    bench.cycle()
    bench.envelope.stop(Cause.REQUESTED, "", bench.now)
    assert bench.envelope.arm(bench.now) == "state is stopped; expected disarmed"
    assert bench.run(0.1).setpoint is None


def test_a_reset_waits_until_the_cause_is_gone() -> None:
    bench = Bench().active()
    assert bench.envelope.reset(bench.now) == "state is active; expected stopped"
    bench.states = False
    bench.run(1.0)
    assert "no joint state" in bench.envelope.reset(bench.now)
    bench.states, bench.follows = True, False
    bench.velocity = [0.5, 0.0]
    bench.run(0.1)
    assert "the robot moves" in bench.envelope.reset(bench.now)
    bench.velocity, bench.effort = [0.0, 0.0], [60.0, 0.0]
    bench.run(0.1)
    assert "effort limit" in bench.envelope.reset(bench.now)
    bench.effort, bench.follows = [0.0, 0.0], True
    bench.run(0.1)
    assert bench.envelope.reset(bench.now) is None
    assert bench.run(0.1).setpoint is None  # disarmed: nothing moves before it is armed again
    assert bench.envelope.arm(bench.now) is None
    assert bench.run(2.0).state is State.ACTIVE


def test_arming_needs_a_robot_that_is_seen_to_stand() -> None:
    bench = Bench(states=False)
    bench.cycle()
    assert "no joint state" in bench.envelope.arm(bench.now)
    bench.states, bench.velocity = True, [0.2, 0.0]
    bench.cycle()
    assert "the robot moves" in bench.envelope.arm(bench.now)


def test_a_start_outside_the_limits_moves_inward_only() -> None:
    bench = Bench(position=[1.2, 0.0], target=[1.5, 0.0]).armed()
    bench.run(1.0)
    assert max(setpoint.position[0] for setpoint in bench.sent) <= 1.2 + 1e-9
    bench.target = [0.5, 0.0]
    assert bench.run(2.0).setpoint.position[0] == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize(
    ("changed", "refusal"),
    [
        ({"position": [0.0]}, Refusal.WRONG_LENGTH),
        ({"joint_names": ("shoulder", "wrist")}, Refusal.JOINT_UNKNOWN),
        ({"joint_names": ("shoulder",), "position": [0.0]}, Refusal.JOINT_MISSING),
        ({"joint_names": ("shoulder", "shoulder")}, Refusal.JOINT_DUPLICATED),
        ({"position": [0.0, math.nan]}, Refusal.NOT_FINITE),
        ({"position": [math.inf, 0.0]}, Refusal.NOT_FINITE),
        ({"stamp": 0.0}, Refusal.STAMP_ZERO),
        ({"stamp": math.nan}, Refusal.STAMP_ZERO),
        ({"stamp": EPOCH + 1e6}, Refusal.STAMP_FUTURE),
        ({"stamp": EPOCH - 1e3}, Refusal.STALE),
    ],
)
def test_a_bad_action_is_refused_counted_and_moves_nothing(changed: dict[str, object], refusal: Refusal) -> None:
    bench = Bench().active()
    bench.policy = False
    bench.target = [0.9, 0.9]
    before = bench.envelope.stepper.setpoint.position
    assert bench.envelope.take_action(bench.action(**changed), bench.ros_now, bench.now) is refusal
    assert bench.envelope.actions.counters[refusal.name.lower()] == 1
    bench.run(0.05)
    assert bench.envelope.stepper.setpoint.position == pytest.approx(before, abs=1e-9)


def test_stamps_must_go_forward() -> None:
    bench = Bench().active()
    action = bench.action()
    bench.now += 0.001
    assert bench.envelope.take_action(bench.action(), bench.ros_now, bench.now) is None
    again = bench.envelope.take_action(bench.action(), bench.ros_now, bench.now)
    assert again is Refusal.STAMP_REPEATED
    assert bench.envelope.take_action(action, bench.ros_now, bench.now) is Refusal.STAMP_BACKWARD


def test_permuted_names_are_put_in_order() -> None:
    bench = Bench().active()
    bench.policy = False
    for _ in range(100):
        bench.run(0.02)
        swapped = bench.action(joint_names=NAMES[::-1], position=[1.2, 0.4])
        assert bench.envelope.take_action(swapped, bench.ros_now, bench.now) is None
    assert bench.envelope.stepper.setpoint.position == pytest.approx((0.4, 1.2), abs=1e-3)


def test_a_joint_at_its_effort_limit_is_not_driven_further_and_may_come_back() -> None:
    bench = Bench(target=[0.3, 0.0]).active()
    bench.effort, bench.target = [50.0, 0.0], [0.6, 0.3]
    at = bench.envelope.stepper.setpoint.position[0]
    verdict = bench.run(0.3)
    assert verdict.limits[0] & Limit.EFFORT and not verdict.limits[1] & Limit.EFFORT
    assert max(setpoint.position[0] for setpoint in bench.sent[-60:]) < at + 0.01
    assert bench.envelope.stepper.setpoint.position[1] > 0.1  # the other joint goes on
    bench.effort, bench.target = [50.0, 0.0], [0.0, 0.3]
    assert bench.run(0.15).setpoint.position[0] < at - 0.01
    assert bench.judged() == 0


def test_a_joint_that_strays_outside_its_limits_stops_the_robot() -> None:
    bench = Bench(target=[0.9, 0.0]).active()
    bench.follows = False
    bench.position = [1.04, 0.0]
    assert bench.run(0.5).state is not State.STOPPED
    bench.position = [1.06, 0.0]
    assert bench.run(0.5).cause is Cause.OUTSIDE


def test_from_outside_the_way_back_is_no_straying_and_further_out_is() -> None:
    bench = Bench(position=[1.3, 0.0], target=[0.5, 0.0]).armed()
    assert bench.run(2.0).state is State.ACTIVE
    again = Bench(position=[1.3, 0.0], target=[1.3, 0.0]).armed()
    again.run(0.2)
    again.follows, again.position = False, [1.36, 0.0]
    assert again.run(0.5).cause is Cause.OUTSIDE


@pytest.mark.parametrize("angle", [0.6, math.nan, math.inf])
def test_a_tilt_that_lasts_stops_a_floating_base_and_one_that_does_not_last_does_not(angle: float) -> None:
    spec = dataclasses.replace(SPEC, tilt_limit=0.5, tilt_time=0.1)
    bench = Bench(envelope=Envelope(LIMITS, spec, CONTROL))

    def tilted(seconds: float, by: float) -> Verdict:
        for _ in range(round(seconds / bench.envelope.period)):
            bench.envelope.take_tilt(by, bench.now)
            verdict = bench.cycle()
        return verdict

    tilted(0.1, 0.0)
    assert bench.envelope.arm(bench.now) is None
    tilted(0.05, angle)
    assert tilted(0.5, 0.4).cause is None
    assert tilted(0.2, angle).cause is Cause.TILT


def test_a_floating_base_whose_tilt_is_not_known_stops() -> None:
    spec = dataclasses.replace(SPEC, tilt_limit=0.5)
    bench = Bench(envelope=Envelope(LIMITS, spec, CONTROL))
    bench.cycle()
    bench.envelope.take_tilt(0.0, bench.now)
    assert bench.envelope.arm(bench.now) is None
    assert bench.run(0.5).cause is Cause.STATE_LOST


def test_no_reset_while_the_base_is_tilted_or_a_second_publisher_is_there() -> None:
    spec = dataclasses.replace(SPEC, tilt_limit=0.5, tilt_time=0.0)
    bench = Bench(envelope=Envelope(LIMITS, spec, CONTROL))
    envelope = bench.envelope
    bench.cycle()
    envelope.stop(Cause.REQUESTED, "", bench.now)
    envelope.take_tilt(0.51, bench.now)
    assert envelope.reset(bench.now) == "the base is tilted"
    envelope.take_tilt(0.5, bench.now)
    envelope.take_publishers("/joint_states", 2, bench.now)
    assert envelope.reset(bench.now) == "more than one publisher of /joint_states"
    assert envelope.state is State.STOPPED
    envelope.take_publishers("/joint_states", 1, bench.now)
    assert envelope.reset(bench.now) is None


def test_a_second_publisher_stops_and_one_does_not() -> None:
    bench = Bench().active()
    bench.envelope.take_publishers("/policy/action", 1, bench.now)
    assert bench.cycle().cause is None
    bench.envelope.take_publishers("/policy/action", 2, bench.now)
    verdict = bench.cycle()
    assert (verdict.cause, verdict.detail) == (Cause.SECOND_PUBLISHER, "2 on /policy/action")
    assert bench.envelope.counters["second_publisher"] == 1


def test_a_policy_that_starts_where_the_robot_is_needs_no_blend() -> None:
    bench = Bench().armed()
    seen = [bench.cycle().state for _ in range(12)]
    assert State.BLENDING not in seen
    assert seen[-1] is State.ACTIVE


def test_after_a_hold_the_curve_begins_where_the_robot_rests() -> None:
    bench = Bench(target=[0.5, 0.5]).active()
    bench.policy = False
    rest = bench.run(0.3).setpoint.position
    bench.policy, bench.target = True, list(rest)
    seen = [bench.cycle().setpoint.position for _ in range(30)]
    assert np.abs(np.array(seen) - rest).max() < 1e-9
