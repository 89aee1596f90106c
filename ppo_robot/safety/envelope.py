"""The safety envelope: each cycle one setpoint, and the reasons why it is not what the policy asked for."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ppo_robot.joint_input import JointInput, JointMessage, JointReading
from ppo_robot.joint_input import Refusal as StateRefusal
from ppo_robot.safety.actions import Action, ActionInput
from ppo_robot.safety.body import LinkBody
from ppo_robot.safety.by_joint import by_joint
from ppo_robot.safety.curve import Reference
from ppo_robot.safety.guard import Guard
from ppo_robot.safety.limits import SafetyLimits
from ppo_robot.safety.novelty import Novelty
from ppo_robot.safety.reasons import ARMED, FREE, Cause, Limit, Refusal, State
from ppo_robot.safety.setpoint import Setpoint
from ppo_robot.safety.stepper import Stepper
from ppo_robot.safety.watch import BodyWatch, Lasting
from ppo_robot.spec.safety import SafetySpec


class Verdict(NamedTuple):
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

    def __init__(
        self,
        limits: SafetyLimits,
        spec: SafetySpec,
        control_period: float,
        body: LinkBody | None = None,
        novelty: Novelty | None = None,
    ) -> None:
        """Prepare, disarmed. `control_period` is the policy's, s.

        Without a `body` no links are guarded, without a `novelty` no observation is.
        """
        self.limits = limits
        self.spec = spec
        self.period = 1.0 / spec.rate
        self.guard = Guard(body, spec) if body is not None else None
        self.stepper = Stepper(limits, self.period, spec.latency, self.guard)
        self.states = JointInput(limits.joint_names, spec.state_timeout, spec.future_tolerance)
        self.actions = ActionInput(limits.joint_names, control_period, spec.policy_timeout, spec.future_tolerance)
        self.counters: Counter[str] = Counter()
        self.state = State.DISARMED
        self.cause: Cause | None = None
        self.detail = ""
        self._watch = BodyWatch(limits, spec)
        self._novelty = novelty
        self._last_cycle: float | None = None
        self._clock_offset: float | None = None
        self._since = 0.0
        self._none = (FREE,) * limits.joints
        self._tilted = Lasting(spec.tilt_time)
        self._tilt_seen = -math.inf
        self._tilts = False
        self._crowded: set[str] = set()
        self._seen: float | None = None
        self._pushing = [0.0] * limits.joints

    # What comes in.

    def take_state(self, message: JointMessage, ros_now: float, now: float) -> StateRefusal | None:
        """Take a joint state; return why it was refused, or None."""
        return self.states.accept(message, ros_now, now)

    def take_action(self, action: Action, ros_now: float, now: float) -> Refusal | None:
        """Take a policy's action; return why it was refused, or None."""
        return self.actions.accept(action, ros_now, now)

    def take_tilt(self, angle: float, now: float) -> None:
        """Take the angle in rad of a floating base against the vertical; one that lasts too long stops the robot."""
        limit = self.spec.tilt_limit
        self._tilt_seen = now
        self._tilts = limit is not None and not angle <= limit  # written so that NaN counts as tilted
        if self._tilted.holds(self._tilts, now) and self.state in ARMED:
            self.stop(Cause.TILT, f"by {angle:.2f} rad", now)

    def take_observations(self, observations: NDArray[np.float64], now: float) -> None:
        """Take what the policy saw (m, O) since the last call; what is new to it for too long stops the robot."""
        if self._novelty is None:
            return
        if observations.shape[1:] != (len(self._novelty.names),):
            self.counters["observation_refused"] += 1
            return
        count, detail = self._novelty.check(observations, now)
        self.counters["novel"] += count
        if detail and self.state in ARMED:
            self.stop(Cause.NOT_TRAINED_FOR, detail, now)

    def take_publishers(self, topic: str, count: int, now: float) -> None:
        """Take how many publish a topic that only one may publish; a second one stops the robot."""
        self._crowded.discard(topic)
        if count > 1:
            self._crowded.add(topic)
            self.counters["second_publisher"] += 1
            if self.state in ARMED:
                self.stop(Cause.SECOND_PUBLISHER, f"{count} on {topic}", now)

    def arm(self, now: float) -> str | None:
        """Begin to blend from the measured pose; return why that is not possible, or None."""
        if self.state is not State.DISARMED:
            return f"state is {self.state.value}; expected disarmed"
        reading = self.states.reading(now)
        if reading is None:
            return f"no joint state within {self.spec.state_timeout} s"
        if not self._stands(reading):
            return "the robot moves; expected it to stand"
        self._begin(reading, now)
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
        """Leave a latched stop for disarmed; return why that is not possible yet, or None."""
        if self.state is not State.STOPPED:
            return f"state is {self.state.value}; expected stopped"
        reading = self.states.reading(now)
        if reading is None:
            return f"no joint state within {self.spec.state_timeout} s"
        if not self._stands(reading):
            return "the robot moves; expected it to stand"
        if any(self._watch.pushing(reading)):
            return "a motor is at its effort limit"
        if self._tilts:
            return "the base is tilted"
        if self._crowded:
            return f"more than one publisher of {', '.join(sorted(self._crowded))}"
        self.cause, self.detail = None, ""
        self._enter(State.DISARMED, now)
        return None

    # One cycle.

    def cycle(self, ros_now: float, now: float) -> Verdict:
        """Decide what to send now."""
        self.counters["cycles"] += 1
        self._check_clocks(ros_now, now)
        if self.state in ARMED:
            self._check_body(self.states.reading(now), now)
        limits, changed = self._none, False
        if self.state in ARMED:
            limits, changed = self._follow(now)
        elif self.state is State.STOPPING:
            self.stepper.stop()
            changed = True
            if self.stepper.at_rest:
                self._enter(State.STOPPED, now)
        self.counters["changed"] += changed
        sending = self.state is not State.DISARMED and self.stepper.begun
        setpoint = self.stepper.setpoint if sending else None
        return Verdict(self.state, setpoint, limits, changed, self.cause, self.detail)

    def _begin(self, reading: JointReading, now: float) -> None:
        self.stepper.begin(reading.position.tolist())
        self.actions.forget()
        self.actions.lead_from(self.stepper.setpoint.position)
        self._watch.forget()
        if self._novelty is not None:
            self._novelty.forget()
        self._tilted = Lasting(self.spec.tilt_time)
        self._seen = None
        self._last_cycle = None
        self._clock_offset = None
        self._enter(State.HOLDING, now)

    def _enter(self, state: State, now: float) -> None:
        if state is not self.state:
            self.state, self._since = state, now
            self.counters[f"state/{state.value}"] += 1

    def _stands(self, reading: JointReading) -> bool:
        return bool((np.abs(reading.velocity) <= self.spec.standstill).all())

    def _check_clocks(self, ros_now: float, now: float) -> None:
        """Stop where a clock is not a clock, or the own cycle comes too late; a frozen one is a cycle of no length.

        Only while armed: an arming begins with the clocks as they then are.
        """
        last, self._last_cycle = self._last_cycle, now
        if self.state not in ARMED:
            return
        if not (math.isfinite(now) and math.isfinite(ros_now)):
            self.stop(Cause.CLOCK_JUMPED, f"not a time: {now}, {ros_now}", self._since)
            return
        if last is not None and now <= last:
            self.counters["cycle_without_time"] += 1
            self.stop(Cause.CLOCK_JUMPED, f"the clock moved by {now - last:.4f} s in a cycle", now)
        elif last is not None and now - last > self.spec.cycle_timeout:
            self.stop(Cause.CYCLE_LATE, f"{now - last:.3f} s between two cycles", now)
        offset = ros_now - now
        if self._clock_offset is None:
            self._clock_offset = offset
        elif abs(offset - self._clock_offset) > self.spec.clock_jump:
            self.stop(Cause.CLOCK_JUMPED, f"the ROS clock jumped by {offset - self._clock_offset:.3f} s", now)

    def _check_body(self, reading: JointReading | None, now: float) -> None:
        if reading is None:
            self.stop(Cause.STATE_LOST, f"none within {self.spec.state_timeout} s", now)
            return
        if self.spec.tilt_limit is not None and now - self._tilt_seen > self.spec.state_timeout:
            self.stop(Cause.STATE_LOST, f"no tilt within {self.spec.state_timeout} s", now)
            return
        cause, detail = self._watch.check(reading, self.stepper.setpoint.position, now)
        if cause is not None:
            self.stop(cause, detail, now)
        elif reading.stamp != self._seen:
            self._seen = reading.stamp
            self._pushing = self._watch.pushing(reading)
            near = self.guard.too_near(reading.position.tolist()) if self.guard is not None else ""
            if near:
                self.stop(Cause.CLEARANCE, near, now)

    def _follow(self, now: float) -> tuple[tuple[Limit, ...], bool]:
        """Take one step for the policy; return the limits of each joint and whether they changed anything."""
        reference = self.actions.reference(now + self.period) if self.actions.fresh(now) else None
        if reference is None:
            self._hold(now)
            return self._none, self.state is not State.HOLDING
        if self.state is State.HOLDING:
            self._enter(State.BLENDING, now)
        blending = self.state is State.BLENDING
        asked, reference = reference, self._relieved(reference)
        speed = self._speed(now) if blending else 1.0
        if self.guard is not None:
            speed *= self.guard.share
        refused = self.stepper.advance(reference.position, reference.velocity, reference.acceleration, speed)
        limits = self._why(asked, refused, blending)
        changed = any(limits)
        if blending:  # at once over for a policy that starts from where the robot is
            near = not self._far(self.actions.newest, self.spec.blend_distance)
            if (near or now - self._since >= self.spec.blend_time) and not self._far(
                reference.position, self.spec.intervention
            ):
                self._enter(State.ACTIVE, now)
        else:
            self._enter(State.LIMITED if changed else State.ACTIVE, now)
        return limits, changed

    def _relieved(self, reference: Reference) -> Reference:
        """Return the reference with every joint that is at its effort limit where it is: it may not push further."""
        if not any(self._pushing):
            return reference
        rows = by_joint(self.stepper.setpoint.position, reference.position, self._pushing)
        kept = [(wanted - sent) * push > 0.0 for sent, wanted, push in rows]
        sent = self.stepper.setpoint.position
        return Reference(
            [at if keep else wanted for keep, at, wanted in by_joint(kept, sent, reference.position)],
            [0.0 if keep else v for keep, v in by_joint(kept, reference.velocity)],
            [0.0 if keep else a for keep, a in by_joint(kept, reference.acceleration)],
        )

    def _hold(self, now: float) -> None:
        """Come to rest for a policy that is silent, and stop for one that stays so."""
        was_moving = self.state is not State.HOLDING
        self._enter(State.HOLDING, now)
        self.stepper.stop()
        self.actions.lead_from(self.stepper.setpoint.position)
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

    def _far(self, position: Sequence[float], distance: float) -> bool:
        rows = by_joint(self.stepper.setpoint.position, position)
        return any(abs(sent - wanted) > distance for sent, wanted in rows)

    def _why(self, asked: Reference, refused: Sequence[bool], blending: bool) -> tuple[Limit, ...]:
        """Return of each joint why it is not where it was asked to be; mostly all of them are."""
        sent, limits, near = self.stepper.setpoint.position, self.limits, self.spec.intervention
        rows = by_joint(asked.position, sent, limits.lower, limits.upper)
        inside = [low <= wanted <= high and -near <= at - wanted <= near for wanted, at, low, high in rows]
        if all(inside) and not (self.stepper.forbidden or any(refused) or any(self._pushing)):
            return self._none
        return tuple(self._limit(joint, asked, refused[joint], blending) for joint in range(limits.joints))

    def _limit(self, joint: int, reference: Reference, refused: bool, blending: bool) -> Limit:
        wanted, sent = reference.position[joint], self.stepper.setpoint.position[joint]
        limit = self.stepper.forbidden
        if not self.limits.lower[joint] <= wanted <= self.limits.upper[joint]:
            limit |= Limit.POSITION
        if refused:
            limit |= Limit.STOP
        if (wanted - sent) * self._pushing[joint] > 0.0:
            limit |= Limit.EFFORT
        if abs(sent - wanted) > self.spec.intervention:
            if self.guard is not None and self.guard.share < 1.0:
                limit |= Limit.CLEARANCE
            limit |= Limit.BLEND if blending else (Limit.DYNAMICS if not limit else FREE)
        return limit
