"""Everything that can be done to an envelope, in random order, and the witness's count of what came of it."""

from __future__ import annotations

import math
import time
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ppo_robot.joint_input import JointMessage
from ppo_robot.safety.actions import Action
from ppo_robot.safety.body import LinkBody
from ppo_robot.safety.envelope import Envelope
from ppo_robot.safety.limits import SafetyLimits
from ppo_robot.safety.novelty import Novelty
from ppo_robot.safety.reasons import Cause, State
from ppo_robot.safety.setpoint import Setpoint
from ppo_robot.safety.witness import Bounds, judge_setpoints
from ppo_robot.spec.safety import SafetySpec

Array = NDArray[np.float64]

EPOCH = 1.7e9
MOODS = ("still", "smooth", "jumps", "extremes", "drift", "garbage", "silence", "unseen")
"""What the policy does for a while."""

BODIES = ("follows",) * 5 + ("lags", "stuck", "runs_away", "silent", "garbage", "pushes", "tips", "strays")
"""What the robot does for a while; mostly it follows, or nothing else would ever be tried."""

OBSERVABLE = 1e7
"""What the policy may see of a joint: more than any target but garbage."""

GARBAGE = (math.nan, math.inf, -math.inf, 1e308, -1e308, 1e-308, 0.0)


@dataclass
class Tally:
    """What was tried and what was found."""

    cycles: int = 0
    setpoints: int = 0
    violations: Counter[str] = field(default_factory=Counter)
    used: dict[str, float] = field(default_factory=lambda: {"velocity": 0.0, "acceleration": 0.0, "jerk": 0.0})
    seen: Counter[str] = field(default_factory=Counter)
    first: str = ""

    def add(self, other: Tally) -> None:
        """Add what another one found."""
        self.cycles += other.cycles
        self.setpoints += other.setpoints
        self.violations.update(other.violations)
        self.seen.update(other.seen)
        self.used = {name: max(value, other.used[name]) for name, value in self.used.items()}
        self.first = self.first or other.first


def drawn_spec(seed: int) -> SafetySpec:
    """Return settings drawn from a seed: what must never happen must not happen under any of them."""
    draw = np.random.default_rng([seed, 1])
    return SafetySpec(
        rate=float(draw.choice([100.0, 250.0, 500.0])),
        latency=float(draw.choice([0.0, 0.004, 0.02, 0.1])),
        position_margin=float(draw.choice([0.0, 0.01, 0.1])),
        velocity_scale=float(draw.choice([0.1, 0.5, 1.0])),
        acceleration_scale=float(draw.choice([0.2, 1.0])),
        jerk_scale=float(draw.choice([0.2, 1.0])),
        blend_time=float(draw.choice([0.0, 0.1, 1.0])),
        hold_timeout=float(draw.choice([0.5, 5.0])),
        self_collision=bool(draw.choice([False, True])),
        tilt_limit=[None, 0.5][int(draw.integers(2))],
    )


class Adversary:
    """Drives one envelope: a policy, a robot, clocks and a person, none of which can be trusted."""

    def __init__(
        self, limits: SafetyLimits, spec: SafetySpec, control_period: float, seed: int, body: LinkBody | None = None
    ) -> None:
        """Begin with a fresh envelope; all that follows is drawn from `seed`."""
        self.limits, self.spec, self.seed = limits, spec, seed
        self.draw = np.random.default_rng(seed)
        everything = np.full(limits.joints, OBSERVABLE)
        novelty = Novelty(limits.joint_names, -everything, everything, spec.novelty_time)
        self.envelope = Envelope(limits, spec, control_period, body, novelty)
        self.every = max(1, round(control_period * spec.rate))
        self.now = 100.0
        self.ros_offset = EPOCH
        columns = (limits.lower, limits.upper, limits.velocity, limits.acceleration, limits.jerk)
        self.bounds = Bounds(*(np.array(column) for column in columns))
        self.tally = Tally()
        self.position = self.draw.uniform(self.bounds.lower, self.bounds.upper)
        self.velocity = np.zeros(limits.joints)
        self.target = self.position.copy()
        self.mood, self.body, self.angle = "still", "follows", math.nan
        self._stamped = EPOCH
        self._segment: list[Setpoint] = []
        self._start = self.position.copy()

    def run(self, cycles: int) -> Tally:
        """Do `cycles` cycles and return what was found."""
        for _ in range(cycles):
            if self.draw.random() < 0.002:
                self._change()
            self._cycle()
        self._judge()
        return self.tally

    def _change(self) -> None:
        self.mood = str(self.draw.choice(MOODS))
        self.body = str(self.draw.choice(BODIES))
        self.angle = float(self.draw.choice([0.6, math.nan, math.inf]))
        self.target = self.position.copy()

    def _cycle(self) -> None:
        self.now += self._tick()
        ros_now = self.now + self.ros_offset
        self._person()
        self._strangers()
        self._robot(ros_now)
        if self.tally.cycles % self.every == 0 or self.draw.random() < 0.01:
            self._policy(ros_now)
        begun = self.envelope.state
        broken = self.draw.random() < 2e-4
        times = (self._number(), self._number()) if broken else (ros_now, self.now)
        verdict = self.envelope.cycle(*times)
        self.tally.cycles += 1
        self.tally.seen[verdict.state.value] += 1
        if verdict.cause is not None and verdict.state is not begun:
            self.tally.seen[f"stop/{verdict.cause.name.lower()}"] += 1
        if verdict.setpoint is not None:
            self._segment.append(verdict.setpoint)
            if len(self._segment) >= 20_000:
                self._judge(keep=3)

    def _tick(self) -> float:
        """Return how far the clock moves in this cycle: mostly by the period, and sometimes as no clock should."""
        period, chance = self.envelope.period, self.draw.random()
        if chance < 0.999:
            return period * (1.0 + 0.05 * self.draw.standard_normal())
        if chance < 0.9995:
            self.ros_offset += float(self.draw.choice([-10.0, -0.5, 0.5, 1e4]))
            return period
        return float(self.draw.choice([0.0, -0.001, -5.0, 0.03, 0.2, 1e4]))

    def _person(self) -> None:
        envelope = self.envelope
        if envelope.state is State.DISARMED and self.draw.random() < 0.05:
            self.body = "follows"
            self.velocity[:] = 0.0
            self._judge()
            if envelope.arm(self.now) is None:
                self._start = np.array(envelope.stepper.setpoint.position)
        elif envelope.state is State.STOPPED and self.draw.random() < 0.05:
            self.body = "follows"
            self.velocity[:] = 0.0
            if self.draw.random() < 0.1:  # somebody moved it, perhaps beyond its limits
                width = self.bounds.upper - self.bounds.lower
                self.position = self.draw.uniform(self.bounds.lower - 0.05 * width, self.bounds.upper + 0.05 * width)
            envelope.reset(self.now)
        elif self.draw.random() < 2e-4:
            envelope.stop(Cause.REQUESTED, "", self.now)

    def _strangers(self) -> None:
        """Tell, as the node does now and then, how many publish; once in a while it is one too many."""
        chance = self.draw.random()
        if chance < 1e-2:
            self.envelope.take_publishers("policy/action", 2 if chance < 5e-5 else 1, self.now)

    def _robot(self, ros_now: float) -> None:
        if self.body != "silent":
            self.envelope.take_tilt(self.angle if self.body == "tips" else 0.0, self.now)
        setpoint = self.envelope.stepper.setpoint
        if (
            self.body in ("follows", "garbage", "silent", "pushes", "tips")
            and self.envelope.state is not State.DISARMED
            and self._segment
        ):
            self.position, self.velocity = np.array(setpoint.position), np.array(setpoint.velocity)
        elif self.body == "lags" and self._segment:
            self.position = self.position + 0.1 * (np.array(setpoint.position) - self.position)
        elif self.body == "runs_away":
            self.velocity = self.velocity + self.draw.standard_normal(self.limits.joints)
            self.position = self.position + self.envelope.period * self.velocity
        elif self.body == "strays":
            joint = int(np.argmin(self.bounds.upper - setpoint.position))
            self.position[joint] = self.bounds.upper[joint] + 2.0 * self.spec.stray
        if self.body == "silent":
            return
        names, position = list(self.limits.joint_names), self.position.tolist()
        velocity, effort = self.velocity.tolist(), np.zeros(self.limits.joints).tolist()
        if self.body == "pushes":
            effort[0] = self.limits.effort[0] * (1.0 if self.target[0] > self.position[0] else -1.0)
        stamp = ros_now - self.draw.exponential(0.002)
        if self.body == "garbage":
            self._spoil(names, position)
            velocity[self._joint()] = self._number()
            effort[self._joint()] = self._number()
            stamp = self._stamp(ros_now)
        refusal = self.envelope.take_state(JointMessage(names, position, velocity, effort, stamp), ros_now, self.now)
        self.tally.seen[f"state/{'accepted' if refusal is None else refusal.name.lower()}"] += 1

    def _policy(self, ros_now: float) -> None:
        mood, draw, joints = self.mood, self.draw, self.limits.joints
        if mood == "silence":
            return
        if mood == "smooth":
            self.target = self.target + 0.2 * self.bounds.velocity / self.spec.rate * draw.standard_normal(joints)
        elif mood == "jumps":
            self.target = draw.uniform(self.bounds.lower, self.bounds.upper)
        elif mood == "extremes":
            self.target = draw.choice([-1e6, -10.0, 10.0, 1e6], joints)
        elif mood == "drift":
            self.target = self.target + 0.05 * self.bounds.velocity
        names, position, stamp = list(self.limits.joint_names), self.target.tolist(), ros_now - draw.exponential(0.003)
        if mood == "garbage":
            self._spoil(names, position)
            stamp = self._stamp(ros_now)
        elif draw.random() < 0.2:
            order = draw.permutation(joints)
            names, position = [names[i] for i in order], [position[i] for i in order]
        seen = [2.0 * OBSERVABLE] * joints if mood == "unseen" else position
        self.envelope.take_observations(np.array([seen]), self.now)
        refusal = self.envelope.take_action(Action(names, position, stamp), ros_now, self.now)
        self.tally.seen[f"action/{'accepted' if refusal is None else refusal.name.lower()}"] += 1

    def _spoil(self, names: list[str], position: list[float]) -> None:
        kind = int(self.draw.integers(7))
        if kind == 0:
            position[self._joint()] = self._number()
        elif kind == 1:
            del position[self._joint()]
        elif kind == 2:
            names[self._joint()] = "nobody"
        elif kind == 3:
            names[0] = names[-1]
        elif kind == 4:
            del names[-1], position[-1]
        elif kind == 5:
            names.clear()
            position.clear()

    def _stamp(self, ros_now: float) -> float:
        choices = (ros_now, 0.0, -1.0, math.nan, math.inf, ros_now + 1e3, ros_now - 1e3, self._stamped, EPOCH, ros_now)
        self._stamped = choices[int(self.draw.integers(len(choices)))]
        return self._stamped

    def _number(self) -> float:
        return GARBAGE[int(self.draw.integers(len(GARBAGE)))]

    def _joint(self) -> int:
        return int(self.draw.integers(self.limits.joints))

    def _judge(self, keep: int = 0) -> None:
        """Let the witness judge the setpoints since the robot was armed, and forget all but the last `keep`."""
        segment = self._segment
        if len(segment) > keep:
            rows = (
                np.array([getattr(one, name) for one in segment]) for name in ("position", "velocity", "acceleration")
            )
            position, velocity, acceleration = rows
            wide = Bounds(
                np.minimum(self.bounds.lower, self._start),
                np.maximum(self.bounds.upper, self._start),
                *(self.bounds.velocity, self.bounds.acceleration, self.bounds.jerk),
            )
            found = judge_setpoints(position, wide, self.envelope.period, velocity, acceleration)
            self.tally.setpoints += len(segment) - keep
            for name in ("position", "velocity", "acceleration", "jerk", "stop"):
                self.tally.violations[name] += getattr(found, name)
            for name in self.tally.used:
                self.tally.used[name] = max(self.tally.used[name], getattr(found, f"{name}_used"))
            if found.total and not self.tally.first:
                self.tally.first = f"seed {self.seed}, before cycle {self.tally.cycles}: {found}"
        self._segment = segment[-keep:] if keep else []


def time_cycles(
    limits: SafetyLimits, spec: SafetySpec, control_period: float, cycles: int, body: LinkBody
) -> dict[str, float]:
    """Return p50 and p99 of a cycle in µs, inputs included, under a policy that keeps the robot moving."""
    adversary = Adversary(limits, spec, control_period, 0, body)
    costs = np.empty(cycles)
    envelope, names, period = adversary.envelope, limits.joint_names, adversary.envelope.period
    position, middle = adversary.position.tolist(), (adversary.bounds.lower + adversary.bounds.upper) / 2.0
    reach = 0.3 * (adversary.bounds.upper - adversary.bounds.lower) / 2.0
    rest = [0.0] * limits.joints
    for cycle in range(-2000, cycles):
        now = 200.0 + cycle * period
        ros_now = EPOCH + now
        target = (middle + reach * math.sin(0.8 * now)).tolist()
        began = time.perf_counter()
        envelope.take_state(JointMessage(names, position, rest, rest, ros_now), ros_now, now)
        if cycle % adversary.every == 0:
            envelope.take_action(Action(names, target, ros_now), ros_now, now)
        verdict = envelope.cycle(ros_now, now)
        if cycle >= 0:
            costs[cycle] = time.perf_counter() - began
        if verdict.setpoint is not None:
            position = list(verdict.setpoint.position)
        elif envelope.state is State.DISARMED:
            envelope.arm(now)
    p50, p99 = np.percentile(costs, [50, 99]) * 1e6
    return {"p50": float(p50), "p99": float(p99)}
