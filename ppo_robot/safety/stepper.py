"""One jerk-limited step after the other, from each of which a full stop inside the limits remains possible."""

from __future__ import annotations

import operator
from collections.abc import Sequence

from ruckig import ControlInterface, OutputParameter, Ruckig, Synchronization

from ppo_robot.safety.brake import ROUNDING, Brake, found, make_input
from ppo_robot.safety.by_joint import by_joint
from ppo_robot.safety.guard import Guard
from ppo_robot.safety.limits import SafetyLimits
from ppo_robot.safety.reasons import FREE
from ppo_robot.safety.setpoint import Setpoint

TARGET_SHARE = 0.98
"""Of the velocity limit, what a target may move at: the rest is for catching up with it."""

ACCELERATION_SHARE = 0.9
"""Of the acceleration limit, the same. Beyond it the limit, not the target, shapes the motion anyway."""


class Stepper:
    """Moves the setpoint of J joints period by period, always from the setpoint before, never from a measurement.

    Position, velocity, acceleration and jerk limits hold by construction: each step is either one of a time-optimal
    jerk-limited trajectory (Berscheid and Kröger 2021, ruckig) or one of the stop that was computed, and found to end
    inside the position limits, when the setpoint before was sent. A step towards the target is taken by a joint only if
    a stop that begins `latency` later still ends inside. A guard may forbid steps for other reasons; then the stop goes
    on by a step, too.

    Not thread-safe.
    """

    def __init__(self, limits: SafetyLimits, period: float, latency: float, guard: Guard | None = None) -> None:
        """Prepare; call `begin` before the first step. `period` and `latency` in s."""
        self.limits = limits
        self.guard = guard
        self.forbidden = FREE
        self.begun = False
        self.period = period
        self.latency = latency
        joints = limits.joints
        self._towards = Ruckig(joints, period)
        self._target = make_input(limits, ControlInterface.Position, Synchronization.No)
        self._next = OutputParameter(joints)
        self._stop = Brake(limits, Synchronization.No)
        self._stop_age = 0.0
        self._trial = Brake(limits, Synchronization.No)
        self._together = Brake(limits, Synchronization.Time)
        self._free = (False,) * joints
        self._room = list(by_joint(limits.lower, limits.upper, limits.velocity, limits.acceleration, limits.jerk))
        self.lower = limits.lower
        self.upper = limits.upper
        self.setpoint = Setpoint((0.0,) * joints, (0.0,) * joints, (0.0,) * joints)

    @property
    def at_rest(self) -> bool:
        """Whether the setpoint stands still."""
        return not any(self.setpoint.velocity) and not any(self.setpoint.acceleration)

    def begin(self, position: Sequence[float]) -> None:
        """Start at rest at a position (J,) rad.

        A joint outside its limits may stay where it is and move inward; as it does, its limit follows it.
        """
        limits = self.limits
        at = tuple(map(float, position))
        self.lower = tuple(map(min, limits.lower, at))
        self.upper = tuple(map(max, limits.upper, at))
        still = (0.0,) * limits.joints
        self.begun = True
        self._trial.plan(Setpoint(at, still, still))
        self._take(Setpoint(at, still, still))
        if self.guard is not None:
            self.guard.begin(at)

    def advance(
        self,
        position: Sequence[float],
        velocity: Sequence[float],
        acceleration: Sequence[float],
        speed: float | Sequence[float] = 1.0,
    ) -> tuple[bool, ...]:
        """Step towards where a moving target will be when the step ends. Everything given must be finite.

        Args:
            position: (J,) rad; clipped to the limits.
            velocity: (J,) rad/s; clipped to the limits.
            acceleration: (J,) rad/s^2; clipped to what the velocity leaves room for.
            speed: share of the velocity limits that is used, above 0 and at most 1; one for all joints or for each.

        Returns:
            Of each joint, whether it stops instead, because behind that step no stop would remain inside the limits.
            Where the guard forbade the step, `forbidden` says why, and all joints stop.
        """
        self.forbidden = FREE
        joints, shares = self.limits.joints, [speed] * self.limits.joints if isinstance(speed, float) else speed
        aims = self._see_from_targets(position, velocity, acceleration, shares)
        if found(self._towards.update, self._target, self._next):
            ahead = self._next
            new = by_joint(aims, ahead.new_position, ahead.new_velocity, ahead.new_acceleration)
            wanted = Setpoint(*by_joint(*[(aim[0] + p, aim[1] + v, aim[2] + a) for aim, p, v, a in new]))
            refused = self._no_stop_behind(wanted)
            if self._accept(_mixed(refused, self._next_of_stop(), wanted) if any(refused) else wanted):
                return refused
        self._go_on_stopping()
        return (True,) * joints

    def _see_from_targets(
        self,
        position: Sequence[float],
        velocity: Sequence[float],
        acceleration: Sequence[float],
        shares: Sequence[float],
    ) -> list[tuple[float, float, float, float]]:
        """Place ruckig's problem into the frames that move with the targets, where each target rests at 0.

        In the robot's own frame a planner takes a moving target for one that waits where it will be, always arrives too
        late, and oscillates about it. The frame's acceleration is constant for the step, so jerks are the same in both.

        Returns:
            Position, velocity and acceleration of each frame when the step ends, and the velocity limit.
        """
        problem, now, period = self._target, self.setpoint, self.period
        half = 0.5 * period**2
        aims, rows = [], []
        for room, target, rate, turning, share, at, v_now, a_now in by_joint(
            self._room, position, velocity, acceleration, shares, now.position, now.velocity, now.acceleration
        ):
            aim = p, v, a, fast = _aim(room, target, rate, turning, share, period)
            start = v - a * period  # of the frame: its velocity when the step begins
            fastest, slowest = (start, v) if start > v else (v, start)
            least, most = (1.0 - TARGET_SHARE) * fast, room[3]
            up, down = fast - fastest, fast + slowest
            aims.append(aim)
            rows.append(
                (
                    at - (p - v * period + half * a),
                    v_now - start,
                    a_now - a,
                    up if up > least else least,
                    -(down if down > least else least),
                    most - a,
                    -most - a,
                )
            )
        (
            problem.current_position,
            problem.current_velocity,
            problem.current_acceleration,
            problem.max_velocity,
            problem.min_velocity,
            problem.max_acceleration,
            problem.min_acceleration,
        ) = by_joint(*rows)
        return aims

    def stop(self) -> None:
        """Take one step of a stop: all joints come to rest together where the limits leave room for that."""
        brake = self._together
        self.forbidden = FREE
        possible = brake.plan(self.setpoint) and not any(brake.leaves(self.lower, self.upper))
        if not (possible and self._accept(brake.at(self.period))):
            self._go_on_stopping()

    def _next_of_stop(self) -> Setpoint:
        """Return where each joint is one period along the stop that belongs to the setpoint."""
        return self._stop.at(self._stop_age + self.period)

    def _no_stop_behind(self, wanted: Setpoint) -> tuple[bool, ...]:
        """Return of each joint whether a stop that begins `latency` after `wanted` would leave the limits.

        So would one whose velocity peaks beyond its limit before it falls: a setpoint where the target's own
        acceleration was reached within the period goes on with it to the period's end.
        """
        late = self.latency
        if _surely_stops(wanted, late, self.lower, self.upper, self.limits):
            return self._free
        peaks = _peak_velocity(wanted, self.limits)
        if late > 0.0:  # the acceleration of now goes on meanwhile
            motion = by_joint(wanted.position, wanted.velocity, wanted.acceleration)
            wanted = Setpoint(
                *by_joint(*[(p + v * late + 0.5 * a * late * late, v + a * late, a) for p, v, a in motion])
            )
        if not self._trial.plan(wanted):
            return (True,) * self.limits.joints
        return tuple(map(operator.or_, peaks, self._trial.leaves(self.lower, self.upper)))

    def _accept(self, setpoint: Setpoint) -> bool:
        """Make this the setpoint if a stop from it can be planned and no guard forbids it."""
        trial, stop, before = self._trial, self._stop, self.setpoint
        if not trial.plan(setpoint):
            return False
        if self.guard is not None:
            self.forbidden = self.guard.forbids(
                trial.end(setpoint, self.latency),
                lambda: trial.way(setpoint, 0.0),
                lambda: stop.end(before, self.latency),
                lambda: stop.way(before, self._stop_age),
            )
            if self.forbidden:
                return False
        self._take(setpoint)
        return True

    def _go_on_stopping(self) -> None:
        """Take the next step of the stop that belongs to the setpoint: no guard is asked, and it needs no plan."""
        setpoint = self._next_of_stop()
        if self._trial.plan(setpoint):
            self._take(setpoint)
        else:
            self._stop_age += self.period
            self._move_to(setpoint)

    def _take(self, setpoint: Setpoint) -> None:
        """Make this the setpoint, and the stop that was just planned from it the one that belongs to it."""
        self._stop, self._trial, self._stop_age = self._trial, self._stop, 0.0
        self._move_to(setpoint)

    def _move_to(self, setpoint: Setpoint) -> None:
        """Make this the setpoint; limits that were widened for a start outside follow it inward."""
        self.setpoint = setpoint
        limits = self.limits
        if self.lower != limits.lower:
            self.lower = tuple(map(min, limits.lower, map(max, self.lower, setpoint.position)))
        if self.upper != limits.upper:
            self.upper = tuple(map(max, limits.upper, map(min, self.upper, setpoint.position)))


def _mixed(choose: Sequence[bool], chosen: Setpoint, otherwise: Setpoint) -> Setpoint:
    return Setpoint(
        *(
            tuple([a if which else b for which, a, b in by_joint(choose, first, second)])
            for first, second in (
                (chosen.position, otherwise.position),
                (chosen.velocity, otherwise.velocity),
                (chosen.acceleration, otherwise.acceleration),
            )
        )
    )


def _peak_velocity(setpoint: Setpoint, limits: SafetyLimits) -> list[bool]:
    """Return of each joint whether bringing its acceleration to zero takes its velocity beyond the limit."""
    rows = by_joint(setpoint.velocity, setpoint.acceleration, limits.jerk, limits.velocity)
    return [abs(v + a * abs(a) / (2.0 * jerk)) > most * (1.0 + ROUNDING) for v, a, jerk, most in rows]


def _aim(
    room: tuple[float, ...], position: float, velocity: float, acceleration: float, share: float, period: float
) -> tuple[float, float, float, float]:
    """Return position, velocity and acceleration of a target that a joint can follow, and the velocity limit.

    Written without `min` and `max`, whose calls alone were a tenth of the envelope's cycle.
    """
    low, high, limit, largest, jerk = room
    fastest = share * limit
    if not low < position < high:  # a target does not move on beyond its limit; what is no number stays that
        return (low if position <= low else high if position >= high else position), 0.0, 0.0, fastest
    most = TARGET_SHARE * fastest
    moving = -most if velocity < -most else most if velocity > most else velocity
    turning = _reachable(acceleration, moving, fastest, largest, jerk)
    # A period ago it may not have been faster either, or nothing would be left for catching up with it.
    change = turning * period
    least, most = change - most, change + most
    return position, least if moving < least else most if moving > most else moving, turning, fastest


def _surely_stops(
    setpoint: Setpoint, late: float, lower: Sequence[float], upper: Sequence[float], limits: SafetyLimits
) -> bool:
    """Return whether it takes no plan to see that all joints keep to their limits if they stop `late` s later.

    Until the stop begins a velocity changes by late |a|, and by at most a^2 / 2 jerk before its fall begins: that sum
    is a speed `s` that is not exceeded. A stop takes no longer than |a| / jerk to bring the acceleration to zero and
    s / largest + largest / jerk to bring the velocity there. Mostly true, and a quarter of the work of planning.
    """
    for p, v, a, low, high, fastest, largest, jerk in by_joint(
        *setpoint, lower, upper, limits.velocity, limits.acceleration, limits.jerk
    ):
        bend = abs(a)
        speed = abs(v) + late * bend + bend * bend / (2.0 * jerk)
        way = speed * (late + bend / jerk + speed / largest + largest / jerk)
        if not (speed <= fastest and low <= p - way and p + way <= high):
            return False
    return True


def _reachable(acceleration: float, velocity: float, fastest: float, largest: float, jerk: float) -> float:
    """Return the acceleration nearest to the given at which a joint can move at `velocity` within its limits.

    It was reached from, and goes back to, zero at the jerk limit; the velocity changes by a^2 / 2 jerk meanwhile.
    """
    slack, most = fastest - abs(velocity), ACCELERATION_SHARE * largest
    room = (2.0 * jerk * TARGET_SHARE * slack) ** 0.5 if slack > 0.0 else 0.0
    room = most if room > most else room
    return -room if acceleration < -room else room if acceleration > room else acceleration
