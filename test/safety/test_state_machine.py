"""Every path through the envelope's states that hypothesis finds: a latched stop is left by a valid reset alone."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ppo_robot.joint_input import JointMessage
from ppo_robot.safety.actions import Action
from ppo_robot.safety.envelope import Envelope, Verdict
from ppo_robot.safety.limits import SafetyLimits
from ppo_robot.safety.reasons import ARMED, Cause, State
from ppo_robot.spec.safety import SafetySpec

NAMES = ("shoulder", "elbow")
LIMITS = SafetyLimits(NAMES, (-1.0, -2.0), (1.0, 2.0), (2.0, 3.0), (15.0, 20.0), (300.0, 400.0), (50.0, 20.0))
SPEC = SafetySpec(blend_time=0.1, hold_timeout=0.3, tilt_limit=0.5)
EPOCH = 1.7e9


class Envelopes(RuleBasedStateMachine):
    """A person, a policy, a robot and clocks, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.envelope = Envelope(LIMITS, SPEC, 0.02)
        self.now = 100.0
        self.states, self.policy, self.tilt = True, True, 0.0
        self.velocity, self.effort = [0.0, 0.0], [0.0, 0.0]
        self.tilted = False
        self.target = [0.0, 0.0]
        self.first: Cause | None = None
        self.reset_allowed = False
        self.verdict: Verdict | None = None

    def cycle(self, tick: float | None = None) -> None:
        envelope = self.envelope
        self.now += envelope.period if tick is None else tick
        ros_now = EPOCH + self.now
        setpoint = envelope.stepper.setpoint
        if self.states:
            moved = [a + b for a, b in zip(setpoint.velocity, self.velocity, strict=True)]
            envelope.take_state(JointMessage(NAMES, setpoint.position, moved, self.effort, ros_now), ros_now, self.now)
        if self.policy:
            envelope.take_action(Action(NAMES, self.target, ros_now), ros_now, self.now)
        envelope.take_tilt(self.tilt, self.now)
        self.tilted = self.tilt > 0.5
        self.verdict = envelope.cycle(ros_now, self.now)

    @rule(cycles=st.sampled_from([1, 3, 30, 100]))
    def run(self, cycles: int) -> None:
        for _ in range(cycles):
            self.cycle()

    @rule(a=st.floats(-3, 3), b=st.floats(-3, 3))
    def aim(self, a: float, b: float) -> None:
        self.target = [a, b]

    @rule(states=st.booleans(), policy=st.booleans())
    def connect(self, states: bool, policy: bool) -> None:
        self.states, self.policy = states, policy

    @rule(speed=st.sampled_from([0.0, 0.2, 9.0]), effort=st.sampled_from([0.0, 60.0]), tilt=st.sampled_from([0.0, 1.0]))
    def disturb(self, speed: float, effort: float, tilt: float) -> None:
        self.velocity, self.effort, self.tilt = [speed, 0.0], [0.0, effort], tilt

    @rule(tick=st.sampled_from([-1.0, 0.0, 0.2, 1e4]))
    def jump(self, tick: float) -> None:
        self.cycle(tick)

    @rule(cause=st.sampled_from(list(Cause)))
    def stop(self, cause: Cause) -> None:
        before = self.envelope.state
        self.envelope.stop(cause, "asked", self.now)
        if before not in (State.STOPPING, State.STOPPED):
            assert self.envelope.cause is cause

    @rule()
    def arm(self) -> None:
        before, refusal = self.envelope.state, self.envelope.arm(self.now)
        if refusal is None:
            assert before is State.DISARMED
            state = self.envelope.states.state(self.now)
            assert state is not None and (abs(state.joint_velocity) <= SPEC.standstill).all()
        else:
            assert self.envelope.state is before

    @rule()
    def disarm(self) -> None:
        self.envelope.disarm(self.now)
        assert self.envelope.state not in ARMED

    @rule()
    def reset(self) -> None:
        before = self.envelope.state
        state = self.envelope.states.state(self.now)
        allowed = before is State.STOPPED and state is not None
        if state is not None:
            allowed &= bool((abs(state.joint_velocity) <= SPEC.standstill).all())
            allowed &= bool((abs(state.joint_effort[0]) < LIMITS.effort).all()) and not self.tilted
        assert (self.envelope.reset(self.now) is None) is allowed
        assert self.envelope.state is (State.DISARMED if allowed else before)
        if allowed:
            self.first = None

    @precondition(lambda self: self.verdict is not None)
    @invariant()
    def the_first_cause_is_kept(self) -> None:
        envelope: Any = self.envelope
        latched = envelope.state in (State.STOPPING, State.STOPPED)
        if self.first is not None:
            assert latched and envelope.cause is self.first
        assert latched == (envelope.cause is not None)
        self.first = envelope.cause

    @invariant()
    def disarmed_says_nothing_and_limits_hold(self) -> None:
        if self.verdict is None or self.verdict.setpoint is None:
            return
        rows = zip(self.verdict.setpoint.position, LIMITS.lower, LIMITS.upper, strict=True)
        assert all(low - 1e-6 <= at <= high + 1e-6 for at, low, high in rows)
        assert self.verdict.state is not State.DISARMED


Envelopes.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestEnvelopes = Envelopes.TestCase
