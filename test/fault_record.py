"""What is kept of a run with a fault in it, and how it is judged: by what the robot was told and what it did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ppo_robot.safety.witness import Bounds, judge_setpoints
from ppo_robot.spec.robot import RobotSpec

Array = NDArray[np.float64]

UNHEARD = 2
"""Setpoints at the end that the robot may have and the judge has not: they are judged as what was sent next."""

STANDSTILL = 0.05
"""rad/s, below which the robot stands: the envelope's own default."""


@dataclass
class Record:
    """What was heard since the arming.

    Attributes:
        sent: what the safety node published: the number that DDS gave it, and values (J,).
        taken: what the simulated robot says it took: when, s, and values (J,).
        truth: where it really was: when, s, positions and velocities (J,).
    """

    sent: list[tuple[int, Sequence[float]]] = field(default_factory=list)
    taken: list[tuple[float, Sequence[float]]] = field(default_factory=list)
    truth: list[tuple[float, Sequence[float], Sequence[float]]] = field(default_factory=list)

    def speed(self, since: float = 0.0) -> tuple[Array, Array]:
        """Return times (T,) in s from `since` on, and the fastest joint's true speed at each."""
        rows = [(time, np.abs(velocity).max()) for time, _, velocity in self.truth if time >= since]
        table = np.array(rows).reshape(-1, 2)
        return table[:, 0], table[:, 1]

    def stands(self, duration: float, since: float = 0.0) -> bool:
        """Return whether it stood for the last `duration` s, all of them after `since`; looks no further back."""
        for time, _, velocity in reversed(self.truth):
            if time < since or max(map(abs, velocity)) >= STANDSTILL:
                return False
            if self.truth[-1][0] - time >= duration:
                return True
        return False

    def standstill(self, since: float, until: float) -> float:
        """Return s from `since` until it stood and went on standing, as seen until `until`; infinity if it did not."""
        times, speeds = self.speed(since)
        times, speeds = times[times <= until], speeds[times <= until]
        moving = np.flatnonzero(speeds >= STANDSTILL)
        if not len(moving):
            return 0.0
        return float(times[moving[-1] + 1] - since) if moving[-1] + 1 < len(times) else float("inf")

    def braking(self, since: float, until: float, period: float) -> float:
        """Return the largest acceleration of any joint in rad/s^2 between two times, from the true velocities.

        From one truth to the next the robot's own time moves on by its state `period` in s, whatever the stamps say
        where the machine was busy.
        """
        velocities = [velocity for time, _, velocity in self.truth if since <= time <= until]
        return float(np.abs(np.diff(velocities, axis=0) / period).max()) if len(velocities) > 1 else 0.0

    def fastest(self, since: float) -> float:
        """Return the largest true speed of any joint in rad/s since a time."""
        return float(self.speed(since)[1].max(initial=0.0))

    def travel(self, since: float) -> float:
        """Return how far in rad any joint went from where it was at a time."""
        positions = np.array([position for time, position, _ in self.truth if time >= since])
        return float(np.abs(positions - positions[0]).max()) if len(positions) else 0.0


@dataclass
class Outcome:
    """What became of one fault.

    Attributes:
        failures: what is not as it must be, for a person; empty where all is well.
        standstill: s from the fault (or from the person's stop) until the robot stood.
        cause: of the latched stop.
        speed: rad/s of the fastest joint when the fault began.
        used: largest share of the velocity, acceleration and jerk limit that any setpoint used.
        sent: setpoints that were judged.
        holes: those that the judge did not hear.
        untaken: those that the robot did not take, because a newer one was there already.
        braking: rad/s^2, the largest that the joints really had from the fault to the stand.
        after: rad that the robot moved after the fault had gone.
        after_speed: rad/s that it reached then.
        disturbed: causes of stops that the fault had no part in: a machine that is too busy for a cycle in time.
    """

    failures: list[str] = field(default_factory=list)
    standstill: float = float("inf")
    cause: str = ""
    speed: float = 0.0
    used: tuple[float, float, float] = (0.0, 0.0, 0.0)
    sent: int = 0
    holes: int = 0
    untaken: int = 0
    braking: float = 0.0
    after: float = 0.0
    after_speed: float = 0.0
    disturbed: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Judgement:
    """What the setpoints amount to: violations by limit, the largest share of each limit, and what is not known.

    Attributes:
        violations: how many setpoints broke which limit.
        used: largest share of the velocity, acceleration and jerk limit.
        holes: setpoints that the listener missed; differences are not taken across them, but speeds are.
        untaken: setpoints that were sent and that the robot did not take: a newer one was there already.
        foreign: what the robot took and nobody sent.
    """

    violations: dict[str, int]
    used: tuple[float, float, float]
    holes: int
    untaken: int
    foreign: int


def bounds_of(robot: RobotSpec) -> Bounds:
    """Return the limits of a robot as its bundle holds them."""
    names = ("position_lower", "position_upper", "velocity_limit", "acceleration_limit", "jerk_limit")
    return Bounds(*(np.array([getattr(joint, name) for joint in robot.joints]) for name in names))


def judge(record: Record, bounds: Bounds, period: float) -> Judgement:
    """Judge setpoints that were sent one `period` in s after the other, by their positions alone."""
    matched, first, last = matches([row for _, row in record.taken], [row for _, row in record.sent])
    sent, late = list(record.sent), len(record.taken) - last - 1
    if matched and 0 < late <= UNHEARD:  # from a sender that died, or on the way to the judge
        sent += [(sent[-1][0] + 1 + at, row) for at, (_, row) in enumerate(record.taken[last + 1 :])]
        matched += late
    numbers = np.array([number for number, _ in sent], dtype=int)
    values = np.array([row for _, row in sent]).reshape(len(numbers), len(bounds.lower))
    steps = np.diff(numbers)
    violations = dict.fromkeys(("position", "velocity", "acceleration", "jerk"), 0)
    used = np.zeros(3)
    for part in np.split(values, np.flatnonzero(steps != 1) + 1):
        # Whether it can still stop needs the sender's own word for its velocity: `bench envelope` judges that.
        found = judge_setpoints(part, bounds, period, np.zeros_like(part), np.zeros_like(part))
        for name in violations:
            violations[name] += getattr(found, name)
        used = np.maximum(used, [found.velocity_used, found.acceleration_used, found.jerk_used])
    across = np.abs(np.diff(values, axis=0)) > bounds.velocity * period * steps[:, None] * (1.0 + 1e-6)
    violations["velocity"] += int(across[steps != 1].sum())
    holes = int((steps - 1).sum())
    shares = (float(used[0]), float(used[1]), float(used[2]))
    foreign = max(0, len(record.taken) - first - matched - holes)
    return Judgement(violations, shares, holes, len(numbers) + holes - matched, foreign)


def matches(taken: Sequence[Sequence[float]], sent: Sequence[Sequence[float]]) -> tuple[int, int, int]:
    """Return how many rows of `taken` are, in their order, among those sent, and where the first and the last are.

    What was taken before the first was sent before the record began.
    """
    places: list[int] = []
    begin = 0
    for at, row in enumerate(taken):
        found = next((other for other in range(begin, len(sent)) if list(sent[other]) == list(row)), None)
        if found is not None:
            places.append(at)
            begin = found + 1
    return len(places), places[0] if places else 0, places[-1] if places else -1
