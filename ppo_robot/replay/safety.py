"""The envelope's recorded rows, fed to a fresh envelope in their order, whose cycles must be the recorded ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from ppo_robot.errors import BadInputError
from ppo_robot.joint_input import JointMessage
from ppo_robot.replay.difference import Difference, Findings, Gap, differing
from ppo_robot.safety.actions import Action
from ppo_robot.safety.envelope import Envelope, Verdict
from ppo_robot.safety.reasons import ARMED, Cause, State
from ppo_robot.telemetry.matrix import SAFETY_ARRAYS, SAFETY_SCALARS, Kind

Array = NDArray[np.float64]

SETPOINT, LIMITS, STATE, CAUSE = "setpoint", "limits", "state", "cause"
STAGES = (STATE, CAUSE, SETPOINT, LIMITS)
"""Of a cycle, in the order in which they are told."""

CLOCKS_APART = 0.5
"""s that the policy's clock may be ahead of the envelope's: in simulated time each has its own."""

_STATES, _CAUSES = list(State), list(Cause)
_ARMED = frozenset(_STATES.index(state) for state in ARMED)
_DISARMED = _STATES.index(State.DISARMED)
_PLACES = 100
"""Added to the place of a trusted topic, a key that is no kind."""
_NOVEL = 1 + _CAUSES.index(Cause.NOT_TRAINED_FOR)


class Observations:
    """What the policy saw in all its activations, to be found by the number of a tick."""

    def __init__(self, ticks: Mapping[str, Array]) -> None:
        """Take the columns of `policy/telemetry`."""
        self._sequence, self._time, self._seen = ticks["sequence"], ticks["state_ros"], ticks["observation"]

    def find(self, sequence: int, count: int, ros_now: float) -> Array | None:
        """Return the observations (count, O) up to a tick that was told at `ros_now`, or None where one is missing.

        Every activation counts its ticks anew: the tick meant is the newest one of that number.
        """
        places = np.flatnonzero((self._sequence == sequence) & (self._time <= ros_now + CLOCKS_APART))
        if not len(places) or count < 1 or places[-1] + 1 < count:
            return None
        rows = slice(places[-1] + 1 - count, places[-1] + 1)
        whole = np.array_equal(self._sequence[rows], np.arange(sequence + 1 - count, sequence + 1))
        return self._seen[rows] if whole else None


class SafetyReplay:
    """Feeds the rows of `safety/telemetry` to an envelope.

    An envelope is known from where it is disarmed: what came before leaves no trace then but the newest state. So the
    comparison begins with the first disarmed cycle, and behind a gap in the recording with the next one. Where what the
    policy saw was not recorded, a stop because of it is taken as recorded, for the rows do not hold the observations.
    """

    def __init__(
        self, make: Callable[[], Envelope], rows: dict[str, Array], observations: Observations | None = None
    ) -> None:
        """Prepare.

        Args:
            make: builds the envelope as the deployment had it.
            rows: columns of `safety/telemetry`.
            observations: what the policy saw, for an envelope that judges it.

        Raises:
            BadInputError: if the rows are not those of this robot.
        """
        self._make, self._rows, self._observations = make, rows, observations
        self._envelope = make()
        self._names = self._envelope.limits.joint_names
        missing = [name for name in (*SAFETY_SCALARS, *SAFETY_ARRAYS) if name not in rows]
        if missing:
            raise BadInputError(f"safety/telemetry: no {', '.join(missing)}; expected the columns of this version")
        if rows["position"].shape[1] != len(self._names):
            raise BadInputError(
                f"safety/telemetry: has {rows['position'].shape[1]} joints; the bundle has {len(self._names)}"
            )
        spacings = np.diff(rows["now"][rows["kind"] == Kind.CYCLE])
        self._spacing = float(np.median(spacings)) if len(spacings) else 0.0
        self._lasting: dict[int, int] = {}  # the newest row of a kind that outlives a disarming
        self._synchronous = False
        self._blind = False  # something that the policy saw since the arming is missing
        self._gap: Gap | None = None

    def run(self) -> Findings:
        """Replay every row and return what was found."""
        kinds = self._rows["kind"].astype(int).tolist()
        findings = Findings(total=kinds.count(Kind.CYCLE))
        cycles, before = 0, -1
        for row, kind in enumerate(kinds):
            if kind != Kind.CYCLE:
                self._feed(row, kind)
                continue
            cycles += 1
            hole = before >= 0 and self._is_hole(before, row)
            if self._synchronous and hole and self._surely_missing(before, row):
                self._lose(row, cycles, findings)
            self._cycle(row, cycles, hole, findings)
            before = row
        self._close_gap(findings)
        return findings

    def _cycle(self, row: int, number: int, hole: bool, findings: Findings) -> None:
        """Run one cycle and compare it."""
        if not self._synchronous and self._rows["state"][row] == _DISARMED:
            self._begin(row)
            self._close_gap(findings)
        if not self._synchronous and self._gap is None:
            self._lose(row, number, findings)
        verdict = self._envelope.cycle(float(self._rows["ros_now"][row]), self._now(row))
        if not self._synchronous:
            self._count()
            return
        found = self._compare(row, number, verdict)
        if found and hole:  # not the envelope, but rows that are missing: nothing can be said until it is disarmed
            self._lose(row, number, findings)
            self._count()
            return
        findings.add(found)

    def _is_hole(self, before: int, row: int) -> bool:
        """Return whether rows may be missing between two cycles.

        In simulated time no cycle is skipped; in real time a machine that is busy skips some.
        """
        apart = self._now(row) - self._now(before)
        simulated = self._now(row) == self._rows["ros_now"][row]
        return apart > (1.5 * self._spacing if simulated else self._envelope.spec.cycle_timeout)

    def _surely_missing(self, before: int, row: int) -> bool:
        """Return whether rows are missing in a hole for certain: an armed envelope stops when it is late."""
        late = self._now(row) - self._now(before) > self._envelope.spec.cycle_timeout
        return bool(late and self._rows["state"][before] in _ARMED and self._rows["state"][row] in _ARMED)

    def _lose(self, row: int, number: int, findings: Findings) -> None:
        self._close_gap(findings)
        self._synchronous = False
        self._gap = Gap(number, float(self._rows["ros_now"][row]), 0, 0)

    def _count(self) -> None:
        if self._gap is not None:
            gap = self._gap
            self._gap = Gap(gap.number, gap.time, gap.missed, gap.uncompared + 1)

    def _close_gap(self, findings: Findings) -> None:
        if self._gap is not None:
            findings.gaps.append(self._gap)
            self._gap = None

    def _begin(self, row: int) -> None:
        """Begin with a fresh envelope, which knows what outlives a disarming."""
        self._synchronous = True
        self._envelope = self._make()
        for last in sorted(self._lasting.values()):
            if last < row:
                self._feed(last, int(self._rows["kind"][last]))

    def _feed(self, row: int, kind: int) -> None:
        """Give a row to the envelope that went into the recorded one."""
        rows, envelope, now = self._rows, self._envelope, self._now(row)
        ros_now, stamp = float(rows["ros_now"][row]), float(rows["stamp"][row])
        if kind == Kind.STATE:
            self._lasting[kind] = row
            position, velocity, effort = (rows[name][row].tolist() for name in ("position", "velocity", "acceleration"))
            envelope.take_state(JointMessage(self._names, position, velocity, effort, stamp), ros_now, now)
        elif kind == Kind.ACTION:
            envelope.take_action(Action(self._names, rows["position"][row].tolist(), stamp), ros_now, now)
        elif kind == Kind.ARM:
            envelope.arm(now)
            self._blind = False
        elif kind == Kind.STOP:
            envelope.stop(self._cause(row) or Cause.REQUESTED, "as recorded", now)
        elif kind == Kind.RESET:
            envelope.reset(now)
        elif kind == Kind.DISARM:
            envelope.disarm(now)
        elif kind == Kind.TILT:
            self._lasting[kind] = row
            envelope.take_tilt(float(rows["value"][row]), now)
        elif kind == Kind.PUBLISHERS:
            place = int(rows["sequence"][row])
            self._lasting[_PLACES + place] = row  # each of the topics has its own count
            envelope.take_publishers(str(place), int(rows["value"][row]), now)
        elif kind == Kind.OBSERVATION:
            self._see(row, ros_now, now)

    def _see(self, row: int, ros_now: float, now: float) -> None:
        """Give the envelope what the policy saw, or else what the envelope made of it.

        How long it saw what is new counts; so once something is missing, the rest is taken as recorded, until an arming
        begins anew.
        """
        sequence, count = (int(self._rows[name][row]) for name in ("sequence", "value"))
        seen = None
        if self._observations is not None and not self._blind:
            seen = self._observations.find(sequence, count, ros_now)
            self._blind = seen is None
        if seen is not None:
            self._envelope.take_observations(seen, now)
        elif self._rows["cause"][row] == _NOVEL and self._envelope.state in ARMED:
            self._envelope.stop(Cause.NOT_TRAINED_FOR, "as recorded", now)

    def _compare(self, row: int, number: int, verdict: Verdict) -> list[Difference]:
        rows, time = self._rows, float(self._rows["ros_now"][row])
        found: list[Difference] = []

        def add(stage: str, term: str, recorded: float | str, replayed: float | str) -> None:
            found.append(Difference(number, time, stage, term, recorded, replayed))

        if rows["state"][row] != _STATES.index(verdict.state):
            place = int(rows["state"][row])
            recorded = _STATES[place].value if 0 <= place < len(_STATES) else f"unknown ({place})"
            add(STATE, "state", recorded, verdict.state.value)
        if self._cause(row) is not verdict.cause:
            add(CAUSE, "cause", _name(self._cause(row)), _name(verdict.cause))
        unknown = np.full(len(self._names), math.nan)
        for name in ("position", "velocity", "acceleration"):
            sent = unknown if verdict.setpoint is None else np.array(getattr(verdict.setpoint, name), dtype=float)
            for place in differing(rows[name][row], sent).tolist():
                add(SETPOINT, f"{name}/{self._names[place]}", float(rows[name][row][place]), float(sent[place]))
        limits = np.array([float(limit) for limit in verdict.limits])
        for place in differing(rows["limits"][row], limits).tolist():
            add(LIMITS, f"limits/{self._names[place]}", float(rows["limits"][row][place]), float(limits[place]))
        if bool(rows["changed"][row]) != verdict.changed:
            add(LIMITS, "changed", float(rows["changed"][row]), float(verdict.changed))
        return found

    def _now(self, row: int) -> float:
        return float(self._rows["now"][row])

    def _cause(self, row: int) -> Cause | None:
        place = int(self._rows["cause"][row])
        return _CAUSES[place - 1] if 1 <= place <= len(_CAUSES) else None


def _name(cause: Cause | None) -> str:
    return "none" if cause is None else cause.name.lower()
