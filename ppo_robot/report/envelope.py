"""What the envelope did, from its rows: its states, how often it changed a command, what happened, on one time axis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ppo_robot.report.decimate import Span
from ppo_robot.report.recorded import Recorded
from ppo_robot.safety.reasons import Cause, Limit, State
from ppo_robot.telemetry.matrix import Kind

Array = NDArray[np.float64]

STATES = tuple(State)
CAUSES = tuple(Cause)
_FOLLOWING = [STATES.index(state) for state in (State.BLENDING, State.ACTIVE, State.LIMITED)]
STILL = (State.STOPPING, State.STOPPED)

GOOD, NOTE, BAD = "good", "note", "bad"

_MOST = 400
"""Events on the page; more than these nobody reads."""


@dataclass(frozen=True)
class Event:
    """Something that happened at `time` (s since the start): a stop, an arming, a goal, a gap, a warning."""

    time: float
    kind: str
    text: str
    level: str = NOTE


def state_spans(recorded: Recorded) -> list[tuple[float, float, int]]:
    """Return the envelope's states as (from, until, index in STATES), s since the start."""
    cycles = recorded.cycles
    if not cycles or not len(cycles["time"]):
        return []
    state, time = cycles["state"].astype(int), cycles["time"]
    begins = np.flatnonzero(np.diff(state, prepend=-1))
    ends = np.append(time[begins[1:]], time[-1] + recorded.cycle_period)
    return list(zip(time[begins].tolist(), ends.tolist(), state[begins].tolist(), strict=True))


def interventions(recorded: Recorded) -> tuple[int, int]:
    """Return how many cycles the envelope changed, of how many that followed the policy."""
    cycles = recorded.cycles
    if not cycles:
        return 0, 0
    followed = (cycles["sequence"] > 0.0) & np.isin(cycles["state"], _FOLLOWING)
    return int((cycles["changed"] > 0.0)[followed].sum()), int(followed.sum())


def limit_counts(recorded: Recorded) -> dict[Limit, Array]:
    """Return, for each reason that occurred, in how many cycles it limited each joint (J,)."""
    if not recorded.cycles:
        return {}
    mask = recorded.cycles["limits"].astype(np.int64)
    counts = {limit: ((mask & limit.value) > 0).sum(axis=0).astype(float) for limit in Limit}
    return {limit: count for limit, count in counts.items() if count.any()}


def stops(recorded: Recorded) -> list[tuple[float, Cause]]:
    """Return when the envelope began to stop the robot, and the first cause of each stop."""
    cycles = recorded.cycles
    if not cycles or not len(cycles["time"]):
        return []
    still = np.isin(cycles["state"], [STATES.index(state) for state in STILL])
    begins = np.flatnonzero(np.diff(still.astype(np.int8), prepend=0) > 0)
    found = []
    for row in begins.tolist():
        cause = int(cycles["cause"][row])
        if cause:
            found.append((float(cycles["time"][row]), CAUSES[cause - 1]))
    return found


def events(recorded: Recorded) -> list[Event]:
    """Return what happened, in order; a recording with very many events keeps the worst."""
    found = [Event(at, "stop", f"{_words(cause.name)}: {cause.value}", BAD) for at, cause in stops(recorded)]
    found += _calls(recorded) + _goals(recorded) + _beginnings(recorded)
    for said in () if recorded.simulated else recorded.said:  # the clock of their receipt is another one then
        level = BAD if said.level >= 2 else NOTE
        found.append(Event(said.time - recorded.start, "said", f"{said.source}: {said.text}", level))
    if len(found) > _MOST:
        found = sorted(found, key=lambda event: event.level != BAD)[:_MOST]
    return sorted(found, key=lambda event: event.time)


def detail_spans(recorded: Recorded, slowest: Array) -> list[Span]:
    """Return the spans that are worth every sample: around stops and around the slowest ticks (s), 10 s at most."""
    spans = [(at - 0.5, at + 1.0) for at, _ in stops(recorded)[:5]] + [(at - 0.2, at + 0.2) for at in slowest[:6]]
    merged: list[Span] = []
    for begin, end in sorted(spans):
        if merged and begin <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((begin, end))
    return merged


def _calls(recorded: Recorded) -> list[Event]:
    words = {Kind.ARM: "arm was asked for", Kind.RESET: "reset was asked for", Kind.DISARM: "disarm was asked for"}
    found = []
    for kind, text in words.items():
        rows = recorded.rows(kind)
        for at, state in zip(rows.get("time", ()), rows.get("state", ()), strict=True):
            found.append(Event(float(at), kind.name.lower(), f"{text}; then {STATES[int(state)].value}"))
    publishers = recorded.rows(Kind.PUBLISHERS)
    many = publishers["value"] > 1.0 if publishers else np.zeros(0, dtype=bool)
    if many.any():
        text = f"{int(publishers['value'][many].max())} publish what only one may"
        found.append(Event(float(publishers["time"][many][0]), "publishers", text, BAD))
    return found


def _goals(recorded: Recorded) -> list[Event]:
    if not recorded.ticks:
        return []
    goal = recorded.policy["goal_position"]
    new = np.flatnonzero(np.any(np.diff(goal, axis=0, prepend=np.nan) != 0.0, axis=1))
    return [
        Event(float(recorded.tick_time[row]), "goal", "goal ({:.3f}, {:.3f}, {:.3f}) m".format(*goal[row]), GOOD)
        for row in new.tolist()
    ]


def _beginnings(recorded: Recorded) -> list[Event]:
    """Return where the policy began anew, but for the beginning, and where the recording lacks ticks."""
    if not recorded.ticks:
        return []
    sequence, found = recorded.policy["sequence"], []
    for row in np.flatnonzero(recorded.policy["begun"] > 0.0).tolist():
        text = "the policy was activated" if sequence[row] == 1.0 else "the policy began anew"
        found.append(Event(float(recorded.tick_time[row]), "policy", text, GOOD if sequence[row] == 1.0 else NOTE))
    for row in np.flatnonzero(np.diff(sequence) > 1.0).tolist():
        lost = int(sequence[row + 1] - sequence[row] - 1.0)
        text = f"the recording lacks {lost} tick{'s' * (lost > 1)}"
        found.append(Event(float(recorded.tick_time[row + 1]), "gap", text, BAD))
    return found


def _words(name: str) -> str:
    return name.lower().replace("_", " ")
