"""What one recording holds of a robot's run, as arrays: ticks, rows of the envelope, states, goals, commands."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppo_robot.errors import BadInputError
from ppo_robot.recording.reader import BagReader, RawMessage
from ppo_robot.telemetry.matrix import decode

Array = NDArray[np.float64]
Table = Mapping[str, Array]

RUN_FILE = "run.json"
POLICY, SAFETY, INFO, GOAL = "policy/telemetry", "safety/telemetry", "policy/info", "goal_pose"
STATES, DESCRIPTION, EVENTS = "joint_states", "robot_description", "safety/events"
DRAWN = "randomization/drawn"
"""Of simulated episodes: a row a tick, its number and what was drawn and in force during its action."""

COMMANDS = ("commands", "joint_trajectory")
_LABEL = re.compile(r"sequence (\d+) state (\d+)\.(\d{9})")


@dataclass(frozen=True)
class Activation:
    """The ticks of one activation of the policy.

    Attributes:
        info: what the policy said of itself then (`policy/info`): bundle_id, action, seed, maximum_std; may be empty.
        ticks: columns of `policy/telemetry`, (n,) or (n, size).
    """

    info: Mapping[str, Any]
    ticks: Table


@dataclass(frozen=True)
class JointStates:
    """Joint states in the order in which they came: stamps (n,) s, joints by name, (n, J) each; NaN where not given."""

    names: tuple[str, ...]
    stamp: Array
    position: Array
    velocity: Array
    effort: Array


@dataclass(frozen=True)
class Commands:
    """What the controller was sent.

    Attributes:
        topic: its topic.
        names: of the joints, or empty where the controller takes numbers without names.
        time: (n,) s, when the recorder received each, on the system's clock.
        values: (n, J).
        duration: (n,) s until a point is to be reached; 0 for values that count at once.
        sequence, stamp: (n,) of the newest action behind each, with the stamp in s of its state; 0 where unknown.
    """

    topic: str
    names: tuple[str, ...]
    time: Array
    values: Array
    duration: Array
    sequence: Array
    stamp: Array


@dataclass(frozen=True)
class Event:
    """One message of `safety/events`: when it was received (s), the state, and what else it said."""

    time: float
    state: str
    values: Mapping[str, str]


@dataclass(frozen=True)
class RunData:
    """A recording, read.

    Attributes:
        name: of the recording, as it was given.
        run: run.json, empty where there is none.
        activations: of the policy, in order; without ticks there is none.
        safety: columns of `safety/telemetry`, empty where none was recorded.
        joint_states: None where none was recorded.
        commands: one for each topic of a controller.
        goals: (n, 4) s of receipt, then x, y, z in m.
        events: of the envelope.
        description: the robot's URDF, where it was recorded.
    """

    name: str
    run: Mapping[str, Any]
    activations: tuple[Activation, ...]
    safety: Table
    joint_states: JointStates | None
    commands: tuple[Commands, ...]
    goals: Array
    events: tuple[Event, ...]
    description: str | None


@dataclass
class _Walk:
    """What is gathered on the way through a recording."""

    info: dict[str, Any] = field(default_factory=dict)
    policy: list[tuple[dict[str, Any], Table]] = field(default_factory=list)
    safety: list[Table] = field(default_factory=list)
    states: list[Any] = field(default_factory=list)
    goals: list[tuple[float, ...]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    commands: dict[str, list[tuple[float, Any]]] = field(default_factory=dict)
    description: str | None = None


def read_run(reader: BagReader) -> RunData:
    """Read everything that a replay needs.

    Raises:
        BadInputError: if a message is not what its topic promises, or run.json is damaged.
    """
    walk = _Walk()
    kinds = {name: kind for name in reader.topics if (kind := kind_of(name, reader.topics[name].type))}
    for raw in reader.messages(list(kinds)):
        _take(walk, kinds[raw.topic], raw, reader)
    if walk.policy and not walk.policy[-1][0]:  # of a short run it may come behind everything
        walk.policy[-1] = (walk.info, walk.policy[-1][1])
    return RunData(
        name=str(reader.directory),
        run=read_run_file(reader),
        activations=activations_of(walk.policy, str(reader.directory)),
        safety=joined(walk.safety, f"{reader.directory}: {SAFETY}"),
        joint_states=_joint_states(walk.states) if walk.states else None,
        commands=tuple(_commands(topic, rows) for topic, rows in walk.commands.items()),
        goals=np.array(walk.goals).reshape(len(walk.goals), 4),
        events=tuple(walk.events),
        description=walk.description,
    )


def kind_of(topic: str, type_name: str) -> str:
    """Return which of the topics that matter a topic is, in whatever name space; empty for the others."""
    for name in (POLICY, SAFETY, INFO, GOAL, STATES, DESCRIPTION, EVENTS):
        if f"/{topic}".endswith(f"/{name}"):
            return name
    last = topic.rpartition("/")[2]
    numbers = type_name in ("std_msgs/msg/Float64MultiArray", "trajectory_msgs/msg/JointTrajectory")
    return last if last in COMMANDS and numbers else ""


def read_run_file(reader: BagReader) -> dict[str, Any]:
    """Return run.json, or nothing where there is none.

    Raises:
        BadInputError: if it is damaged.
    """
    data = reader.attachments().get(RUN_FILE)
    return {} if data is None else _mapping(data, f"{reader.directory}: {RUN_FILE}")


def joined(tables: Sequence[Table], source: str) -> dict[str, Array]:
    """Return tables as one, row after row.

    Raises:
        BadInputError: if they have other columns; `source` names them.
    """
    if not tables:
        return {}
    shapes = [{name: column.shape[1:] for name, column in table.items()} for table in tables]
    if any(shape != shapes[0] for shape in shapes):
        raise BadInputError(f"{source}: messages of two layouts; was the recording made of two robots or versions?")
    return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}


def _take(walk: _Walk, kind: str, raw: RawMessage, reader: BagReader) -> None:
    message, time = reader.decode(raw), raw.log_time * 1e-9
    if kind in (POLICY, SAFETY):
        dimensions = message.layout.dim
        try:
            table = decode([one.label for one in dimensions], [one.size for one in dimensions], message.data)
        except ValueError as error:
            raise BadInputError(f"{reader.directory}: {raw.topic}: {error}") from None
        if kind == POLICY:
            walk.policy.append((walk.info, table))
        else:
            walk.safety.append(table)
    elif kind == INFO:
        walk.info = _mapping(message.data, f"{reader.directory}: {raw.topic}")
    elif kind == GOAL:
        point = message.pose.position
        walk.goals.append((time, point.x, point.y, point.z))
    elif kind == STATES:
        walk.states.append(message)
    elif kind == EVENTS:
        walk.events.append(Event(time, message.message, {pair.key: pair.value for pair in message.values}))
    elif kind == DESCRIPTION:
        walk.description = message.data
    else:
        walk.commands.setdefault(raw.topic, []).append((time, message))


def activations_of(messages: Sequence[tuple[dict[str, Any], Table]], source: str) -> tuple[Activation, ...]:
    """Part the ticks where their sequence does not grow; each activation has the info of its last message.

    What the policy says of an activation precedes its ticks, but may arrive after the first of them.
    """
    ticks = joined([table for _, table in messages], f"{source}: {POLICY}")
    if not ticks:
        return ()
    owners = np.repeat(np.arange(len(messages)), [len(table["sequence"]) for _, table in messages])
    begins = [0, *(np.flatnonzero(np.diff(ticks["sequence"]) <= 0.0) + 1).tolist()]
    ends = [*begins[1:], len(owners)]
    return tuple(
        Activation(messages[owners[end - 1]][0], {name: column[begin:end] for name, column in ticks.items()})
        for begin, end in zip(begins, ends, strict=True)
        if end > begin
    )


def _joint_states(messages: Sequence[Any]) -> JointStates:
    """Return the states of those messages that name the same joints as the first, in whatever order."""
    names = tuple(messages[0].name)
    rows, order = [], {names: list(range(len(names)))}
    for message in messages:
        given = tuple(message.name)
        if given not in order:
            if set(given) != set(names) or len(given) != len(names):
                continue
            order[given] = [given.index(name) for name in names]
        parts = (_padded(part, len(names)) for part in (message.position, message.velocity, message.effort))
        stamp = message.header.stamp
        rows.append((stamp.sec + stamp.nanosec * 1e-9, *(part[order[given]] for part in parts)))
    return JointStates(names, *(np.array(column) for column in zip(*rows, strict=True)))


def _padded(values: Any, length: int) -> Array:
    return np.array(values, dtype=float) if len(values) == length else np.full(length, np.nan)


def _commands(topic: str, rows: Sequence[tuple[float, Any]]) -> Commands:
    """Return the commands on one topic; those that have another size than the first are left out."""
    names: tuple[str, ...] = ()
    found: list[tuple[float, Array, float, float, float]] = []
    for time, message in rows:
        if hasattr(message, "points"):
            if len(message.points) != 1:
                continue
            point, names = message.points[0], tuple(message.joint_names)
            duration = point.time_from_start.sec + point.time_from_start.nanosec * 1e-9
            values, label = point.positions, message.header.frame_id
        else:
            values, duration = message.data, 0.0
            label = message.layout.dim[0].label if len(message.layout.dim) else ""
        told = _LABEL.fullmatch(label)
        sequence, stamp = (float(told[1]), float(told[2]) + float(told[3]) * 1e-9) if told else (0.0, 0.0)
        if not found or len(values) == len(found[0][1]):
            found.append((time, np.array(values, dtype=float), duration, sequence, stamp))
    times, values, durations, sequences, stamps = (
        (np.array(column) for column in zip(*found, strict=True)) if found else [np.zeros((0, 0))] * 5
    )
    return Commands(topic, names, times, values, durations, sequences, stamps)


def _mapping(text: str | bytes, source: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise BadInputError(f"{source}: not JSON ({error})") from None
    if not isinstance(found, dict):
        raise BadInputError(f"{source}: given {type(found).__name__}; expected a mapping")
    return found
