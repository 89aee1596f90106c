"""An envelope of which a test gives every input, in numbers of which binary floating point holds every sum exactly."""

from __future__ import annotations

from ppo_robot.joint_input import JointMessage
from ppo_robot.safety.actions import Action
from ppo_robot.safety.envelope import Envelope, Verdict
from ppo_robot.safety.limits import SafetyLimits
from ppo_robot.safety.reasons import State
from ppo_robot.spec.safety import SafetySpec

NAMES = ("shoulder", "elbow")
LIMITS = SafetyLimits(NAMES, (-1.0, -2.0), (1.0, 2.0), (2.0, 3.0), (15.0, 20.0), (300.0, 400.0), (50.0, 20.0))
PERIOD = 1 / 256
CONTROL = 4 * PERIOD
EPOCH = 1024.0
SPEC = SafetySpec(
    rate=256.0,
    policy_timeout=0.125,
    hold_timeout=0.5,
    state_timeout=0.125,
    cycle_timeout=0.0625,
    future_tolerance=0.125,
    clock_jump=0.25,
    blend_time=0.5,
    blend_speed=0.25,
    blend_distance=1 / 64,
    standstill=0.0625,
    intervention=1 / 512,
    tilt_time=0.25,
)


class Bench:
    """An envelope whose every input the test gives, and a robot that is where the setpoint is."""

    def __init__(self, spec: SafetySpec = SPEC, limits: SafetyLimits = LIMITS, **parts: object) -> None:
        self.envelope = Envelope(limits, spec, CONTROL, **parts)
        self.names = limits.joint_names
        self.now = 100.0
        self.position = [0.0] * limits.joints
        self.effort = [0.0] * limits.joints
        self.target = [0.0] * limits.joints

    @property
    def ros_now(self) -> float:
        return EPOCH + self.now

    def take_state(self, velocity: float = 0.0) -> None:
        message = JointMessage(self.names, self.position, [velocity] * len(self.names), self.effort, self.ros_now)
        assert self.envelope.take_state(message, self.ros_now, self.now) is None

    def take_action(self) -> None:
        assert self.envelope.take_action(Action(self.names, self.target, self.ros_now), self.ros_now, self.now) is None

    def cycle(self, tick: float = PERIOD, state: bool = True, policy: bool = True, ros_ahead: float = 0.0) -> Verdict:
        self.now += tick
        if state:
            self.take_state()
        if policy and self.now % CONTROL == 0.0:
            self.take_action()
        verdict = self.envelope.cycle(self.ros_now + ros_ahead, self.now)
        if verdict.setpoint is not None:
            self.position = list(verdict.setpoint.position)
        return verdict

    def run(self, seconds: float, state: bool = True, policy: bool = True) -> Verdict:
        for _ in range(round(seconds / PERIOD)):
            verdict = self.cycle(state=state, policy=policy)
        return verdict

    def while_in(self, *states: State) -> Verdict:
        """Go on while it is in one of these states; return the first verdict of another."""
        for _ in range(2000):
            verdict = self.cycle()
            if verdict.state not in states:
                return verdict
        raise AssertionError(f"still {verdict.state} after 2000 cycles")

    def armed(self) -> Bench:
        self.cycle()
        assert self.envelope.arm(self.now) is None
        return self

    def active(self) -> Bench:
        self.armed().run(0.25)
        assert self.envelope.state is State.ACTIVE
        return self
