"""A recording as tables with named columns: one for each topic, and one for each kind of telemetry."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppo_robot.errors import BadInputError
from ppo_robot.policy.statistics import observation_components
from ppo_robot.recording.reader import BagReader
from ppo_robot.recording.run_data import DRAWN, POLICY, SAFETY
from ppo_robot.report.bag import is_topic
from ppo_robot.report.recorded import Recorded
from ppo_robot.telemetry.matrix import SCALARS, decode

Column = NDArray[np.float64] | NDArray[np.int64] | list[str]
Table = dict[str, Column]

_AXES = ("x", "y", "z")


def telemetry_tables(recorded: Recorded) -> Iterator[tuple[str, Table]]:
    """Yield `policy_telemetry` and `safety_telemetry`, where there are any, with a column for every component."""
    for prefix, table, rows in (("policy", recorded.policy, "tick"), ("safety", recorded.safety, "row")):
        if not table:
            continue
        columns: Table = {}
        for name, values in table.items():
            if name in SCALARS[rows]:
                columns[f"{prefix}.{name}"] = values
                continue
            for place, label in enumerate(_labels(recorded, name, values.shape[1])):
                columns[f"{prefix}.{name}.{label}" if "/" in label else f"{prefix}.{name}/{label}"] = values[:, place]
        yield f"{prefix}_telemetry", columns


def topic_tables(reader: BagReader) -> Iterator[tuple[str, Table]]:
    """Yield a table for every other topic of a bag: times of receipt in ns, then the fields of its messages."""
    for topic in sorted(reader.topics):
        if is_topic(topic, POLICY) or is_topic(topic, SAFETY):
            continue
        name = topic.strip("/").replace("/", "_")
        if is_topic(topic, DRAWN):
            yield name, _drawn_table(reader, topic)
            continue
        rows = [
            {"log_time_ns": raw.log_time, **dict(flattened(message, ""))} for raw, message in reader.decoded([topic])
        ]
        if rows:
            yield name, {key if key == "log_time_ns" else f"{name}.{key}": column for key, column in columns(rows)}


def _drawn_table(reader: BagReader, topic: str) -> Table:
    """Return what was drawn, tick by tick, with a column for each value.

    Raises:
        BadInputError: if a message is not such a table.
    """
    parts = []
    for _, message in reader.decoded([topic]):
        dimensions = message.layout.dim
        try:
            parts.append(decode([one.label for one in dimensions], [one.size for one in dimensions], message.data))
        except ValueError as error:
            raise BadInputError(f"{reader.directory}: {topic}: {error}") from None
    return {name: np.concatenate([part[name].ravel() for part in parts]) for name in parts[0]} if parts else {}


def columns(rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Column]]:
    """Yield the columns of rows, in the order in which their names first came; NaN or nothing where a row lacks one."""
    names = dict.fromkeys(name for row in rows for name in row)
    for name in names:
        values = [row.get(name) for row in rows]
        if any(isinstance(value, str) for value in values):
            yield name, ["" if value is None else str(value) for value in values]
        elif all(isinstance(value, int) and not isinstance(value, bool) for value in values):
            yield name, np.array(values, dtype=np.int64)
        else:
            yield name, np.array([np.nan if value is None else float(value) for value in values])


def flattened(message: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield the fields of a message as (name, number or text).

    A stamp becomes seconds, values of joints bear their names, other sequences the place of each number, and a sequence
    of messages becomes JSON, but for the one point of a trajectory.
    """
    names = list(getattr(message, "name", None) or getattr(message, "joint_names", None) or ())
    for field, value in _fields(message):
        here = f"{path}.{field}" if path else field
        if _is_stamp(value):
            yield here.replace("header.", ""), value.sec + 1e-9 * value.nanosec
        elif field in ("name", "joint_names") and not isinstance(value, str):
            continue
        elif field == "points" and len(value) == 1:
            for part, numbers in _fields(value[0]):
                if not _is_stamp(numbers):
                    yield from _numbered(f"{path}{part}", numbers, names)
        elif field == "layout":
            yield "layout", " ".join(str(dimension.label) for dimension in value.dim)
        elif isinstance(value, str | int | float | bool | np.generic):
            yield here, value if isinstance(value, str) else value.item() if isinstance(value, np.generic) else value
        elif hasattr(value, "__dataclass_fields__"):
            yield from flattened(value, here)
        elif len(value) and hasattr(value[0], "__dataclass_fields__"):
            yield here, json.dumps([dict(flattened(one, "")) for one in value])
        else:
            yield from _numbered(here, value, names)


def _numbered(name: str, values: Iterable[Any], names: Sequence[str]) -> Iterator[tuple[str, Any]]:
    found = list(values)
    labels: Sequence[Any] = names if len(names) == len(found) else range(len(found))
    for label, value in zip(labels, found, strict=True):
        yield f"{name}/{label}", value if isinstance(value, str) else float(value)


def _fields(message: Any) -> Iterator[tuple[str, Any]]:
    for field in message.__dataclass_fields__:
        if not field.startswith("__"):
            yield field, getattr(message, field)


def _is_stamp(value: Any) -> bool:
    return hasattr(value, "sec") and hasattr(value, "nanosec")


def _labels(recorded: Recorded, name: str, width: int) -> Sequence[str]:
    if name == "goal_position":
        return _AXES
    if "observation" in name and recorded.bundle is not None:
        components = observation_components(recorded.bundle.contract)
        if len(components) == width:
            return components
    if width == len(recorded.joint_names):
        return recorded.joint_names
    return [str(place) for place in range(width)]
