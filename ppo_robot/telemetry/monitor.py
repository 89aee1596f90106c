"""All that is known of a running system, and what a person should be told of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ppo_robot.spec.telemetry import TelemetrySpec
from ppo_robot.telemetry.drift import Drift, DriftFigures, Reference, worst
from ppo_robot.telemetry.matrix import Kind
from ppo_robot.telemetry.ratio import Ratio
from ppo_robot.telemetry.response import Response
from ppo_robot.telemetry.timeline import Timeline

Array = NDArray[np.float64]
Columns = Mapping[str, Array]

OK, WARN, ERROR = 0, 1, 2
"""As diagnostic_msgs counts levels."""


@dataclass(frozen=True)
class Status:
    """One line of diagnostics: a level, a name, what is the matter, and figures."""

    level: int
    name: str
    message: str
    values: dict[str, str] = field(default_factory=dict)


class Monitor:
    """Takes what the nodes say and judges it by the thresholds of the deployment. Times are monotonic s."""

    def __init__(
        self,
        spec: TelemetrySpec,
        control_period: float,
        policy_timeout: float,
        following: Sequence[int],
        reference: Reference | None = None,
        simulated: bool = False,
    ) -> None:
        """Prepare.

        Args:
            spec: thresholds and windows.
            control_period: of the policy, s.
            policy_timeout: s, after which the envelope no longer waits for an action.
            following: the numbers of the envelope's states in which the policy leads, as rows give them.
            reference: what the observations and then the actions were like in training; None: drift is not measured.
            simulated: whether the nodes are on /clock.
        """
        self.spec = spec
        marks = bounds(control_period, policy_timeout) if spec.prometheus_port is not None else ()
        self.timeline = Timeline(control_period, spec.window, marks, simulated)
        self.response = Response(spec.window)
        self.drift = Drift(reference, spec.drift_window) if reference is not None else None
        self.intervention = Ratio(spec.window)
        self.misses = Ratio(spec.window)
        self.drops = Ratio(spec.window)
        self.counters: dict[str, dict[str, int]] = {}
        self.policy_info: dict[str, str] = {}
        self.envelope_state = ""
        self.refused = 0
        self._following = np.array(following, dtype=float)

    # What comes in.

    def policy(self, columns: Columns, now: float) -> None:
        """Take rows of `policy/telemetry`."""
        counters = self.timeline.schedule.counters
        missed, periods = counters.missed, counters.periods
        self.timeline.policy(columns, now)
        self.misses.record(counters.missed - missed, counters.periods - periods, now)
        if self.drift is not None:
            values = np.hstack([columns["observation"], columns["action"]])
            if values.shape[1] == len(self.drift.names):
                self.drift.record(values, columns["goal_position"], now)
            else:
                self.refused += 1

    def safety(self, columns: Columns, now: float) -> None:
        """Take rows of `safety/telemetry`."""
        self.timeline.safety(columns, now)
        self.response.safety(columns, now)
        led = (columns["kind"] == Kind.CYCLE) & np.isin(columns["state"], self._following)
        self.intervention.record(int(columns["changed"][led].sum()), int(led.sum()), now)

    def diagnostics(self, name: str, values: Mapping[str, str], now: float) -> None:
        """Take the counters of a node from its status in /diagnostics; what is no whole number is passed over."""
        found = {key: int(value) for key, value in values.items() if value.isascii() and value.isdecimal()}
        before = self.counters.get(name)
        if name == "recorder":
            lost = drops(found) - (drops(before) if before is not None else 0)
            self.drops.record(max(0, lost), 1, now)  # it may have been started anew
        self.counters[name] = found

    # What goes out.

    def statuses(self, now: float) -> list[Status]:
        """Return a status of everything together and one of each concern, from the recent window."""
        parts = [self._latency(now), self._deadlines(now), self._envelope(now), self._drift(now), self._recorder(now)]
        parts.append(self._joining())
        loudest = max(parts, key=lambda part: part.level)
        message = f"{loudest.name.partition('/')[2]}: {loudest.message}" if loudest.level else "all is well"
        return [Status(loudest.level, "telemetry", message), *parts]

    def latencies(self, now: float) -> list[Status]:
        """Return a status for each stage, with the quantiles since the start and those of the recent window."""
        distributions = dict(self.timeline.stages) | {"response": self.response.times}
        found = []
        for name, distribution in distributions.items():
            values: dict[str, str] = {}
            for when, histogram in (("", distribution.all), ("recent_", distribution.recent(now))):
                summary = histogram.summary()
                figures = summary.quantiles | {"max": summary.maximum}
                values |= {f"{when}{key}": f"{value:.9g}" for key, value in figures.items()}
                values |= {f"{when}count": str(summary.count), f"{when}refused": str(summary.refused)}
            median, tail, count = values["recent_p50"], values["recent_p99"], values["recent_count"]
            message = f"p50 {_milli(median)}, p99 {_milli(tail)} of the last {count}" if count != "0" else "nothing yet"
            found.append(Status(OK, name, message, values))
        return found

    def drift_figures(self, now: float) -> DriftFigures | None:
        """Return what the window of drift shows; None where the bundle has no statistics."""
        return self.drift.figures(now) if self.drift is not None else None

    def _latency(self, now: float) -> Status:
        name = "telemetry/latency"
        distribution = self.timeline.stages.get("end_to_end")
        if distribution is None:
            return Status(OK, name, "not measured in simulated time")
        summary = distribution.recent(now).summary()
        if not summary.count:
            return Status(OK, name, "no command came of a tick")
        tail = summary.quantiles["p99"]
        level = _level(tail, self.spec.latency_warn, self.spec.latency_error)
        message = f"p99 {1000.0 * tail:.1f} ms from sensor stamp to controller"
        return Status(level, name, message, {"p99": f"{tail:.6g}", "max": f"{summary.maximum:.6g}"})

    def _deadlines(self, now: float) -> Status:
        missed, periods = self.misses.recent(now)
        counters = self.timeline.schedule.counters
        level = _level(self.misses.share(now), self.spec.misses_warn, self.spec.misses_error)
        values = {
            "ticks": str(self.timeline.ticks),
            "missed": str(counters.missed),
            "longest_run": str(counters.longest_run),
        }
        return Status(level, "telemetry/deadlines", f"{missed} of {periods} periods without an action in time", values)

    def _envelope(self, now: float) -> Status:
        changed, cycles = self.intervention.recent(now)
        share = self.intervention.share(now)
        level = _level(share, self.spec.intervention_warn, self.spec.intervention_error)
        message = f"the envelope changed {100.0 * share:.1f} % of {cycles} cycles"
        values = {"changed": str(changed), "cycles": str(cycles), "state": self.envelope_state}
        return Status(level, "telemetry/intervention", message, values)

    def _drift(self, now: float) -> Status:
        name, spec = "telemetry/drift", self.spec
        figures = self.drift_figures(now)
        if figures is None or self.drift is None:
            return Status(OK, name, "not measured: the bundle holds no statistics")
        moved, psi = worst(self.drift.names, figures.psi)
        strayed, outside = worst(self.drift.names, figures.outside)
        values = {"ticks": str(figures.ticks), "goals": str(figures.goals)}
        values |= {"worst_psi": moved, "psi": f"{psi:.6g}", "worst_outside": strayed, "outside": f"{outside:.6g}"}
        if figures.ticks < spec.drift_ticks:
            return Status(OK, name, f"{figures.ticks} ticks, too few to tell", values)
        level = _level(outside, spec.outside_warn, spec.outside_error)
        message = f"{strayed}: {100.0 * outside:.1f} % of the ticks are outside all that training saw"
        if figures.goals >= spec.drift_goals:
            shifted = _level(psi, spec.drift_warn, spec.drift_error)
            if shifted > level:
                level, message = shifted, f"{moved}: stability index {psi:.2f} against training"
        return Status(level, name, message if level else "like training", values)

    def _recorder(self, now: float) -> Status:
        name, counters = "telemetry/recorder", self.counters.get("recorder")
        if counters is None:
            return Status(OK, name, "not running")
        lost, _ = self.drops.recent(now)
        values = {"dropped": str(drops(counters))}
        return Status(WARN if lost else OK, name, f"{lost} messages dropped lately" if lost else "no drops", values)

    def _joining(self) -> Status:
        """Tell how well the rows of different processes found each other; never a fault of the robot."""
        line = self.timeline
        values = {f"unpaired/{part}": str(count) for part, count in sorted(line.unpaired.items())}
        values |= {"lost_rows": str(line.lost_rows), "sessions": str(line.sessions), "pending": str(line.pending)}
        values |= {"refused": str(self.refused), "unanswered": str(self.response.unanswered)}
        return Status(OK, "telemetry/timeline", f"{line.ticks} ticks seen", values)


def drops(counters: Mapping[str, int]) -> int:
    """Return how many messages a recorder, whose counters these are, did not write."""
    return counters.get("dropped", 0) + counters.get("lost", 0)


def bounds(control_period: float, policy_timeout: float) -> tuple[float, ...]:
    """Return bounds (s) for a monitor's buckets, 10 us to 1 s; one on the deadline, one on the watchdog's time."""
    steps = {digit * 10.0**power for power in range(-5, 0) for digit in (1.0, 2.0, 5.0)}
    exact = {control_period, policy_timeout}
    near = {step for step in steps for mark in exact if abs(step - mark) < 1e-6 * mark}
    return tuple(sorted((steps - near) | exact | {1.0}))


def _level(value: float, warn: float | None, error: float | None) -> int:
    if error is not None and value > error:
        return ERROR
    return WARN if warn is not None and value > warn else OK


def _milli(text: str) -> str:
    return f"{1000.0 * float(text):.3g} ms"
