"""What stands on the page of a recording: figures, sentences, charts, gathered before any HTML is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppo_robot.report.chart import Chart, Packer, buckets_for, rounded
from ppo_robot.report.decimate import kept
from ppo_robot.report.drift import Drift, drift
from ppo_robot.report.envelope import (
    STATES,
    STILL,
    Event,
    detail_spans,
    events,
    interventions,
    limit_counts,
    state_spans,
    stops,
)
from ppo_robot.report.goal import Approach, approaches, goal_chart, goal_error
from ppo_robot.report.joints import REASONS, action_chart, joint_charts
from ppo_robot.report.latency import Latency, latency, latency_charts, lost_sequences
from ppo_robot.report.recorded import Recorded

Array = NDArray[np.float64]
Tile = tuple[str, str, str]

STATE_COLOURS = ("line", "c7", "green", "orange", "violet", "c3", "red")
"""A colour of the style for each state of the envelope, in their order."""

_WATERFALL_BUCKETS = 1200


@dataclass(frozen=True)
class Content:
    """Everything that the page shows.

    Attributes:
        verdict: what the badge says, and its look.
        missing: sentences on what the recording lacks.
        tiles: value, unit and label of each figure at the top.
        limited: reason, colour, words and the share of cycles of each joint.
        cut: a sentence on what the curves leave out; empty where they hold every sample.
        data: what the charts are drawn from, ready for JSON.
    """

    recorded: Recorded
    title: str
    lead: str
    verdict: tuple[str, str]
    missing: list[str]
    tiles: list[Tile]
    events: list[Event]
    approaches: list[Approach]
    latency: Latency | None
    drift: list[Drift] | None
    limited: list[tuple[str, str, str, list[float]]]
    facts: list[tuple[str, Any]]
    cut: str
    data: dict[str, Any]


def gather(recorded: Recorded) -> Content:
    """Compute everything that the page of a recording shows."""
    found, error, happened = latency(recorded), goal_error(recorded), events(recorded)
    slowest = recorded.tick_time[_slowest(found, 6)] if found is not None else np.zeros(0)
    charts: list[Chart] = [goal_chart(recorded, error)] if error is not None else []
    charts += [*joint_charts(recorded), *action_chart(recorded)]
    charts += latency_charts(recorded, found) if found is not None else []
    buckets = buckets_for(sum(len(chart.series) for chart in charts))
    packer = Packer(recorded.duration, buckets, detail_spans(recorded, slowest))
    robot = recorded.bundle.robot.name if recorded.bundle is not None else f"{len(recorded.joint_names)} joints"
    stopped = stops(recorded)
    words = f"stopped: {stopped[0][1].name.lower().replace('_', ' ')}" if stopped else "no stop"
    ways = approaches(recorded, error) if error is not None else []
    return Content(
        recorded=recorded,
        title=recorded.name,
        lead=_lead(recorded, robot),
        verdict=(words if recorded.safety else "no envelope recorded", _look(recorded, bool(stopped))),
        missing=_missing(recorded, found),
        tiles=_tiles(recorded, found, ways),
        events=happened,
        approaches=ways,
        latency=found,
        drift=drift(recorded),
        limited=_limited(recorded),
        facts=_facts(recorded, robot),
        cut=_cut(charts, packer),
        data=_data(recorded, packer, charts, happened, found),
    )


def _data(
    recorded: Recorded, packer: Packer, charts: Sequence[Chart], happened: Sequence[Event], found: Latency | None
) -> dict[str, Any]:
    spans = [[*rounded([(begin, end)])[0], state] for begin, end, state in state_spans(recorded)]
    return {
        "duration": recorded.duration,
        "unit": packer.unit,
        "whole": rounded(packer.whole),
        "states": {
            "names": [state.value for state in STATES],
            "colours": STATE_COLOURS,
            "bad": [STATES.index(state) for state in STILL],
            "spans": spans,
        },
        "events": [
            {"time": round(event.time, 4), "kind": event.kind, "text": event.text, "level": event.level}
            for event in happened
        ],
        "charts": [packer.chart(chart) for chart in charts],
        "ticks": _ticks(recorded, packer, found) if found is not None and found.timed else None,
    }


def _ticks(recorded: Recorded, packer: Packer, found: Latency) -> dict[str, Any]:
    """Return the stages of the ticks whose waterfall can be looked at."""
    index = kept(recorded.tick_time, found.total, _WATERFALL_BUCKETS, packer.whole)
    worst = np.nanargmax(found.total[index]) if np.isfinite(found.total[index]).any() else 0
    rows = {row.name: row for row in found.table}
    whole = rows.get("sensor_to_command", rows.get("tick"))
    return {
        "names": list(found.names),
        "t": packer.times(recorded.tick_time[index]),
        "sequence": packer.values(recorded.policy["sequence"][index]),
        "stages": packer.values(found.stages[index].ravel()),
        "slowest": int(worst),
        "p99": [rows[name].quantiles[2] if name in rows else 0.0 for name in found.names],
        "scale": whole.quantiles[2] if whole is not None else 0.0,
    }


def _cut(charts: Sequence[Chart], packer: Packer) -> str:
    if all(len(series.time) <= 2 * packer.buckets for chart in charts for series in chart.series):
        return ""
    part = packer.duration / packer.buckets
    return (
        f"Curves keep the first, last, lowest and highest sample of every {part:.2g} s, and every sample around the"
        " first stops and the slowest ticks. Figures and tables are of all samples; --csv gives them all."
    )


def _slowest(found: Latency, count: int) -> NDArray[np.intp]:
    order = np.argsort(-np.nan_to_num(found.total, nan=-1.0), kind="stable")
    return order[:count]


def _look(recorded: Recorded, stopped: bool) -> str:
    return "neutral" if not recorded.safety else "bad" if stopped else "good"


def _lead(recorded: Recorded, robot: str) -> str:
    task = f", task {recorded.bundle.task.name}" if recorded.bundle is not None else ""
    begun = recorded.ros_start
    when = ""
    if begun is not None and begun > 1e9 and not recorded.simulated:
        when = f", recorded on {datetime.fromtimestamp(begun, timezone.utc):%Y-%m-%d at %H:%M:%S} UTC"
    elif recorded.simulated:
        when = ", in simulated time"
    return f"{robot}{task}: {_duration(recorded.duration)}{when}."


def _tiles(recorded: Recorded, found: Latency | None, ways: Sequence[Approach]) -> list[Tile]:
    tiles: list[Tile] = [(f"{recorded.duration:.1f}", "s", "duration")]
    if found is not None:
        tiles.append((f"{recorded.ticks:,}", "", f"ticks at {1.0 / recorded.control_period:.0f} Hz"))
        longest = f", {found.longest_miss} in a row" if found.missed else ""
        tiles.append((f"{found.missed:,}", "", f"ticks missed{longest}"))
    if recorded.safety:
        causes = [cause.name.lower().replace("_", " ") for _, cause in stops(recorded)]
        words = f"stop{'s' * (len(causes) != 1)}{': ' if causes else ''}{', '.join(sorted(set(causes)))}"
        tiles.append((str(len(causes)), "", words))
        changed, followed = interventions(recorded)
        if followed:
            tiles.append((f"{changed / followed * 100:.2f}", "%", "of cycles changed by the envelope"))
    if found is not None:
        rows = {row.name: row for row in found.table}
        for name, label in (("sensor_to_command", "sensor to command"), ("tick", "inside the policy node")):
            if name in rows:
                p50, _, p99, _ = rows[name].quantiles
                tiles.append((f"{p99 * 1e3:.2f}", "ms", f"{label}, p99 ({p50 * 1e3:.2f} ms p50)"))
        if "period" in rows:
            tiles.append((f"{rows['period'].maximum * 1e3:.1f}", "ms", "longest time between two ticks"))
    if ways:
        reached = sum(way.within is not None for way in ways)
        tiles.append((f"{reached} of {len(ways)}", "", "goals within tolerance at the end"))
    lost = recorded.lost + (lost_sequences(recorded.policy["sequence"]) if recorded.ticks else 0)
    tiles.append((f"{lost:,}", "", "messages or ticks lost by the recording"))
    return tiles


def _missing(recorded: Recorded, found: Latency | None) -> list[str]:
    sentences = list(recorded.missing)
    if not recorded.ticks:
        sentences.append("No policy/telemetry: nothing of the policy's own can be shown.")
    if not recorded.safety:
        sentences.append("No safety/telemetry: commands, limits and the way of an action to the robot cannot be shown.")
    if recorded.bundle is None:
        sentences.append("The policy bundle was not found: no limits, no error to the goal, no drift. Give --bundle.")
    elif recorded.bundle.statistics is None:
        sentences.append("The bundle holds no statistics of its training: drift cannot be told.")
    if found is not None and recorded.safety and not recorded.simulated and found.followed < recorded.ticks:
        lost = recorded.ticks - found.followed
        sentences.append(
            f"{lost:,} of {recorded.ticks:,} ticks could not be followed to a command: their action was refused, or a"
            " newer one came before the envelope's next cycle, or it sent nothing."
        )
    if recorded.ticks:
        lost = lost_sequences(recorded.policy["sequence"])
        if lost:
            sentences.append(f"{lost:,} ticks are missing from policy/telemetry.")
    return sentences


def _limited(recorded: Recorded) -> list[tuple[str, str, str, list[float]]]:
    cycles = max(1, len(recorded.cycles.get("time", ())))
    return [
        (str(limit.name).lower(), *REASONS[limit], (count / cycles).tolist())
        for limit, count in limit_counts(recorded).items()
    ]


def _facts(recorded: Recorded, robot: str) -> list[tuple[str, Any]]:
    info, bundle = recorded.info, recorded.bundle
    rows: list[tuple[str, Any]] = [("recording", recorded.name), ("robot", robot)]
    rows.append(("bundle", bundle.id if bundle is not None else info.get("bundle_id", "unknown")))
    if info:
        rows.append(("action", f"{info.get('action', 'unknown')}, seed {info.get('seed', 'unknown')}"))
    if recorded.ros_start is not None:
        rows.append(("first moment", f"{recorded.ros_start:.6f} s on the clock of the stamps"))
    if recorded.ticks:
        rows.append(("processor time", f"{_cpu(recorded):.1f} % of a core, the policy node"))
    return rows + _run_facts(recorded.run)


def _run_facts(run: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return what run.json tells a person: whatever of it is there, for it may be another version's."""
    rows: list[tuple[str, Any]] = [(key, run[key]) for key in ("started", "deployment_name") if run.get(key)]
    git, versions = run.get("git"), run.get("versions")
    if isinstance(git, Mapping) and git.get("commit"):
        rows.append(("git commit", f"{git['commit']}{', with changes' if git.get('dirty') else ''}"))
    if isinstance(versions, Mapping):
        rows += [(key, value) for key, value in versions.items() if isinstance(value, str)]
        for key in ("libraries", "machine"):
            part = versions.get(key)
            if isinstance(part, Mapping):
                rows.append((key, ", ".join(f"{name} {value}" for name, value in part.items())))
    return [(name.replace("_", " "), value) for name, value in rows]


def _cpu(recorded: Recorded) -> float:
    busy = np.nansum(recorded.policy["period_cpu_s"])
    return float(100.0 * busy / max(recorded.control_period, recorded.duration))


def _duration(seconds: float) -> str:
    return f"{seconds / 60.0:.1f} minutes" if seconds >= 120.0 else f"{seconds:.1f} seconds"
