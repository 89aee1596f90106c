"""Where the time of a tick goes, from the sensor's stamp to the command: exact, from every tick that was recorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ppo_robot.report.chart import Chart, Mark, Series
from ppo_robot.report.decimate import with_gaps
from ppo_robot.report.recorded import Recorded
from ppo_robot.telemetry.matrix import Kind

Array = NDArray[np.float64]

STAGES = {
    "sensor_to_policy": "sensor's stamp to receipt by the policy node",
    "wait_for_tick": "receipt to the start of the tick",
    "observe": "building the observation",
    "inference": "the network, and the draw",
    "act": "from the action to the targets, and publishing them",
    "policy_to_safety": "to receipt by the safety node",
    "wait_for_cycle": "receipt to the end of the first cycle that used it",
    "command": "publishing the command",
}
"""The stages of a tick in their order, each beginning where the one before ended, in words."""

INSIDE = ("observe", "inference", "act")
"""Stages inside the policy's process, all on the clock of the wall."""

QUANTILES = (0.5, 0.9, 0.99, 0.999)

_SAME_STAMP = 1e-3
"""s; two stamps that a sequence number shares and that differ by less are one."""

_LATE = 1.5
"""Periods between two ticks, above which one was missed."""


@dataclass(frozen=True)
class Row:
    """One line of the table of latencies: count, quantiles and maximum, s."""

    name: str
    words: str
    count: int
    quantiles: tuple[float, ...]
    maximum: float


@dataclass(frozen=True)
class Latency:
    """The stages of each tick.

    Attributes:
        stages: (T, S) s, in the order of `names`; NaN where the tick's way could not be followed.
        names: keys of STAGES.
        total: (T,) s, from the sensor's stamp to the command, or only the stages there are.
        followed: how many ticks were followed to a command.
        period: (T,) s, from the tick before to this one; NaN for the first and where the policy began anew.
        age: (T,) s, of the state that the tick acted upon, from its stamp to the start of the tick.
    """

    names: tuple[str, ...]
    stages: Array
    total: Array
    followed: int
    period: Array
    age: Array
    control_period: float

    @property
    def table(self) -> list[Row]:
        """Each stage, all of them together, the period between ticks and the age of the state."""
        stages = [_row(name, STAGES[name], self.stages[:, place]) for place, name in enumerate(self.names)]
        whole = "sensor_to_command" if len(self.names) == len(STAGES) else "tick"
        words = "sensor's stamp to the command" if whole == "sensor_to_command" else "its stages inside the policy node"
        more = [
            _row(whole, words, self.total),
            _row("period", "from the start of a tick to that of the next", self.period),
            _row("observation_age", "of the state when the tick began, from its stamp", self.age),
        ]
        rows = (*stages, *more) if self.timed else more[1:]
        return [row for row in rows if row.count]

    @property
    def timed(self) -> bool:
        """Whether the stages took time at all; in a simulation without nodes they take none."""
        return bool(np.nanmax(self.total, initial=0.0) > 0.0)

    @property
    def missed(self) -> int:
        """How many periods passed without a tick while the policy acted."""
        late = self._late
        return int(np.rint(self.period[late] / self.control_period - 1.0).sum())

    @property
    def longest_miss(self) -> int:
        """The most periods without a tick in a row."""
        late = self.period[self._late]
        return int(np.rint(late.max() / self.control_period - 1.0)) if len(late) else 0

    @property
    def _late(self) -> NDArray[np.bool_]:
        return np.nan_to_num(self.period) > _LATE * self.control_period


def latency(recorded: Recorded) -> Latency | None:
    """Follow every tick of the policy; None where there is no tick."""
    policy = recorded.policy
    if not recorded.ticks:
        return None
    period = np.diff(recorded.tick_time, prepend=np.nan)
    period[(policy["begun"] > 0.0) | (np.diff(policy["sequence"], prepend=0.0) != 1.0)] = np.nan
    began, ended = policy["inference_began"], policy["inference_ended"]
    stamp = policy["state_stamp"] - policy["state_ros"] + policy["state_received"]
    inside = [began - policy["tick_began"], ended - began, policy["published"] - ended]
    age = (policy["state_received"] if recorded.simulated else policy["tick_began"]) - stamp
    if recorded.simulated or not recorded.safety:
        stages = np.column_stack(inside)
        total = stages.sum(axis=1)
        return Latency(INSIDE, stages, total, len(total), period, age, recorded.control_period)
    received, checked, commanded = _through_safety(recorded)
    received_state = policy["state_received"]
    stages = np.column_stack(
        [
            received_state - stamp,
            policy["tick_began"] - received_state,
            *inside,
            received - policy["published"],
            checked - received,
            commanded - checked,
        ]
    )
    total = commanded - stamp
    followed = int(np.isfinite(total).sum())
    return Latency(tuple(STAGES), stages, total, followed, period, age, recorded.control_period)


def lost_sequences(sequence: Array) -> int:
    """Return how many ticks are missing from the recording: numbers that no row has, between two that follow."""
    steps = np.diff(sequence)
    return int((steps[steps > 1.0] - 1.0).sum())


def latency_charts(recorded: Recorded, found: Latency) -> list[Chart]:
    """Return the total of each tick over time, the stages, the period between ticks, and processor time."""
    time, gap = recorded.tick_time, 5.0 * recorded.control_period
    milli = 1e3
    deadline = Mark(recorded.control_period * milli, "control period", "muted")

    def curve(name: str, colour: str, value: Array, hidden: bool = False) -> Series:
        return Series(name, colour, *with_gaps(time, value * milli, gap), hidden=hidden)

    whole = "sensor to command" if len(found.names) == len(STAGES) else "tick"
    title = "From the sensor's stamp to the command" if whole == "sensor to command" else "Time inside the policy node"
    stages = [curve(name, f"c{place}", found.stages[:, place], True) for place, name in enumerate(found.names)]
    total = curve(whole, "blue", found.total)
    marks = (deadline,) if whole == "sensor to command" else ()
    charts = [Chart("latency", "latency", title, "ms", [total, *stages], marks, least=0.5, height=170)] * found.timed
    charts += [
        Chart(
            "period",
            "latency",
            "Time between two ticks",
            "ms",
            [curve("period", "violet", found.period)],
            (deadline,),
            least=2.0,
            height=140,
        ),
    ]
    if np.ptp(found.age) > 0.0:
        age = [curve("age", "green", found.age)]
        charts.append(Chart("age", "latency", "Age of the state that a tick acted upon", "ms", age, least=2.0))
    return charts


def _through_safety(recorded: Recorded) -> tuple[Array, Array, Array]:
    """Return for each tick when safety received its action, answered with it first, and had sent the command; s."""
    policy = recorded.policy
    keys = (policy["sequence"], policy["state_stamp"])
    actions, cycles = recorded.rows(Kind.ACTION), recorded.cycles
    newer = np.diff(cycles["stamp"], prepend=np.nan) != 0.0
    first = {name: column[newer & (cycles["sequence"] > 0.0)] for name, column in cycles.items()}
    taken = _matching(keys, (actions["sequence"], actions["stamp"]))
    used = _matching(keys, (first["sequence"], first["stamp"]))
    return _at(actions["now"], taken), _at(first["checked"], used), _at(first["published"], used)


def _matching(wanted: Sequence[Array], there: Sequence[Array]) -> NDArray[np.intp]:
    """Return for each wanted (sequence, stamp) the first row with both, or -1."""
    rows: dict[int, list[int]] = {}
    for row, sequence in enumerate(there[0].astype(np.int64).tolist()):
        rows.setdefault(sequence, []).append(row)
    stamps = there[1].tolist()
    found = [
        next((row for row in rows.get(sequence, ()) if abs(stamps[row] - stamp) < _SAME_STAMP), -1)
        for sequence, stamp in zip(wanted[0].astype(np.int64).tolist(), wanted[1].tolist(), strict=True)
    ]
    return np.array(found, dtype=np.intp)


def _at(column: Array, rows: NDArray[np.intp]) -> Array:
    if not len(column):
        return np.full(len(rows), np.nan)
    return np.where(rows >= 0, column[np.maximum(rows, 0)], np.nan)


def _row(name: str, words: str, value: Array) -> Row:
    good = value[np.isfinite(value)]
    if not len(good):
        return Row(name, words, 0, (), 0.0)
    return Row(name, words, len(good), tuple(np.quantile(good, QUANTILES).tolist()), float(good.max()))
