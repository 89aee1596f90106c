"""The safety envelope: each cycle one setpoint, and the reasons why it is not what the policy asked for."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np

from ppo_robot.joint_input import JointInput, JointMessage
from ppo_robot.joint_input import Refusal as StateRefusal
from ppo_robot.safety.actions import Action, ActionInput, Reference
from ppo_robot.safety.limits import SafetyLimits
from ppo_robot.safety.reasons import ARMED, Cause, Limit, Refusal, State
from ppo_robot.safety.stepper import Setpoint, Stepper
from ppo_robot.safety.watch import BodyWatch
from ppo_robot.spec.safety import SafetySpec
from ppo_robot.state import RobotState


@dataclass(frozen=True)
class Verdict:
    """What one cycle decided.

    Attributes:
        state: of the envelope, after the cycle.
        setpoint: what to send, or None while nothing may be sent: disarmed, and before the first arming.
        limits: a `Limit` for each joint.
        changed: whether the setpoint differs from what the policy asked for.
        cause: of a stop, the first one; it stays until a reset.
        detail: of the cause, for a person.
    """

    state: State
    setpoint: Setpoint | None
    limits: tuple[Limit, ...]
    changed: bool
    cause: Cause | None
    detail: str


class Envelope:
    """Stands between a policy and a robot. Plain Python with the clocks given by the caller; not thread-safe.

    `now` is always the monotonic time in s, `ros_now` the time of the stamps.
    """

    def __init__(self, limits: SafetyLimits, spec: SafetySpec, control_period: float) -> None:
        """Prepare, disarmed. `control_period` is the policy's, s."""
        self.limits = limits
        self.spec = spec
        self.period = 1.0 / spec.rate
        self.stepper = Stepper(limits, self.period, spec.latency)
        self.states = JointInput(limits.joint_names, spec.state_timeout, spec.future_tolerance)
        self.actions = ActionInput(limits.joint_names, control_period, spec.policy_timeout, spec.future_tolerance)
        self.counters: Counter[str] = Counter()
        self.state = State.DISARMED
        self.cause: Cause | None = None
        self.detail = ""
        self._watch = BodyWatch(limits, spec)
        self._last_cycle: float | None = None
        self._clock_offset: float | None = None
        self._since = 0.0
        self._none = (Limit(0),) * limits.joints

    # What comes in.

    def take_state(self, message: JointMessage, ros_now: float, now: float) -> StateRefusal | None:
        """Take a joint state; return why it was refused, or None."""
        return self.states.accept(message, ros_now, now)

    def take_action(self, action: Action, ros_now: float, now: float) -> Refusal | None:
        """Take a policy's action; return why it was refused, or None."""
        return self.actions.accept(action, ros_now, now)

    def arm(self, now: float) -> str | None:
        """Begin to blend from the measured pose; return why that is not possible, or None."""
        if self.state is not State.DISARMED:
            return f"state is {self.state.value}; expected disarmed"
        state = self.states.state(now)
        if state is None:
            return f"no joint state within {self.spec.state_timeout} s"
        if not self._stands(state):
            return "the robot moves; expected it to stand"
        self._begin(state, now)
        return None

    def disarm(self, now: float) -> None:
        """Stop, and send nothing once the robot stands; from a latched stop only a reset leads away."""
        if self.state in ARMED:
            self.stop(Cause.REQUESTED, "disarm", now)

    def stop(self, cause: Cause, detail: str, now: float) -> None:
        """Stop the robot and stay stopped. The first cause is kept; harmless when repeated."""
        self.counters[f"stop/{cause.name.lower()}"] += 1
        if self.state in (State.STOPPING, State.STOPPED):
            return
        self.cause, self.detail = cause, detail
        moving = self.state in ARMED and not self.stepper.at_rest
        self._enter(State.STOPPING if moving else State.STOPPED, now)

    def reset(self, now: float) -> str | None:
        """Leave a latched stop for disarmed; return why that is not possible, or None."""
        if self.state is not State.STOPPED:
            return f"state is {self.state.value}; expected stopped"
        state = self.states.state(now)
        if state is None:
            return f"no joint state within {self.spec.state_timeout} s"
        if not self._stands(state):
            return "the robot moves; expected it to stand"
        if self._watch.at_effort_limit(state).any():
            return "a motor is at its effort limit"
        self.cause, self.detail = None, ""
        self._clock_offset = None
        self._enter(State.DISARMED, now)
        return None

    # One cycle.

    def cycle(self, ros_now: float, now: float) -> Verdict:
        """Decide what to send now."""
        self.counters["cycles"] += 1
        self._check_clocks(ros_now, now)
        state = self.states.state(now) if math.isfinite(now) else None
        if self.state in ARMED:
            self._check_body(state, now)
        limits, changed = self._none, False
        if self.state in ARMED:
            limits, changed = self._follow(now)
        elif self.state is State.STOPPING:
            self.stepper.stop()
            changed = True
            if self.stepper.at_rest:
                self._enter(State.STOPPED, now)
        self.counters["changed"] += changed
        sending = self.state is not State.DISARMED and self._begun
        setpoint = self.stepper.setpoint if sending else None
        return Verdict(self.state, setpoint, limits, changed, self.cause, self.detail)

    _begun = False

    def _begin(self, state: RobotState, now: float) -> None:
        self.stepper.begin(state.joint_position[0].tolist())
        self._begun = True
        self.actions.forget()
        self._watch.forget()
        self._last_cycle = None
        self._clock_offset = None
        self._enter(State.HOLDING, now)

    def _enter(self, state: State, now: float) -> None:
        if state is not self.state:
            self.state, self._since = state, now
            self.counters[f"state/{state.value}"] += 1

    def _stands(self, state: RobotState) -> bool:
        return bool((np.abs(state.joint_velocity[0]) <= self.spec.standstill).all())

    def _check_clocks(self, ros_now: float, now: float) -> None:
        """Stop where a clock is not a clock, or the own cycle comes too late; a frozen one is a cycle of no length."""
        last, self._last_cycle = self._last_cycle, now
        armed = self.state in ARMED
        if not (math.isfinite(now) and math.isfinite(ros_now)):
            self._last_cycle = last
            if armed:
                self.stop(Cause.CLOCK_JUMPED, f"not a time: {now}, {ros_now}", self._since)
            return
        if armed and last is not None:
            if now <= last:
                self.counters["cycle_without_time"] += 1
                self.stop(Cause.CLOCK_JUMPED, f"the clock moved by {now - last:.4f} s in a cycle", now)
            elif now - last > self.spec.cycle_timeout:
                self.stop(Cause.CYCLE_LATE, f"{now - last:.3f} s between two cycles", now)
        offset = ros_now - now
        if self._clock_offset is not None and abs(offset - self._clock_offset) > self.spec.clock_jump:
            if armed:
                self.stop(Cause.CLOCK_JUMPED, f"the ROS clock jumped by {offset - self._clock_offset:.3f} s", now)
            self._clock_offset = offset
        elif self._clock_offset is None:
            self._clock_offset = offset

    def _check_body(self, state: RobotState | None, now: float) -> None:
        if state is None:
            self.stop(Cause.STATE_LOST, f"none within {self.spec.state_timeout} s", now)
            return
        cause, detail = self._watch.check(state, self.stepper.setpoint.position, now)
        if cause is not None:
            self.stop(cause, detail, now)

    def _follow(self, now: float) -> tuple[tuple[Limit, ...], bool]:
        """Take one step for the policy; return the limits of each joint and whether they changed anything."""
        reference = self.actions.reference(now + self.period) if self.actions.fresh(now) else None
        if reference is None:
            self._hold(now)
            return self._none, self.state is not State.HOLDING
        if self.state is State.HOLDING:
            self._enter(State.BLENDING, now)
        blending = self.state is State.BLENDING
        refused = self.stepper.advance(
            reference.position, reference.velocity, reference.acceleration, self._speed(now) if blending else 1.0
        )
        limits = tuple(self._limit(joint, reference, refused[joint], blending) for joint in range(self.limits.joints))
        changed = any(limits)
        if blending:
            if now - self._since >= self.spec.blend_time and not changed:
                self._enter(State.ACTIVE, now)
            elif not self._far(reference):
                self._enter(State.ACTIVE if now - self._since >= self.spec.blend_time else State.BLENDING, now)
        else:
            self._enter(State.LIMITED if changed else State.ACTIVE, now)
        return limits, changed

    def _hold(self, now: float) -> None:
        """Come to rest for a policy that is silent, and stop for one that stays so."""
        was_moving = self.state is not State.HOLDING
        self._enter(State.HOLDING, now)
        self.stepper.stop()
        if was_moving:
            self.counters["held"] += 1
        if self.actions.received > -math.inf and now - self._since > self.spec.hold_timeout:
            self.stop(Cause.POLICY_LOST, f"no usable action for {self.spec.hold_timeout} s", now)

    def _speed(self, now: float) -> float:
        """Return the share of the velocity limits that a blend may use by now."""
        spec = self.spec
        if spec.blend_time <= 0.0:
            return 1.0
        along = min(1.0, max(0.0, (now - self._since) / spec.blend_time))
        return spec.blend_speed + (1.0 - spec.blend_speed) * along

    def _far(self, reference: Reference) -> bool:
        rows = zip(self.stepper.setpoint.position, reference.position, strict=True)
        return any(abs(sent - wanted) > self.spec.intervention for sent, wanted in rows)

    def _limit(self, joint: int, reference: Reference, refused: bool, blending: bool) -> Limit:
        wanted, sent = reference.position[joint], self.stepper.setpoint.position[joint]
        limit = Limit(0)
        if not self.limits.lower[joint] <= wanted <= self.limits.upper[joint]:
            limit |= Limit.POSITION
        if refused:
            limit |= Limit.STOP
        if abs(sent - wanted) > self.spec.intervention:
            limit |= Limit.BLEND if blending else (Limit.DYNAMICS if not limit else Limit(0))
        return limit
