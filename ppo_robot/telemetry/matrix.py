"""The rows of `policy/telemetry` and `safety/telemetry`: one matrix a message, whose layout names the columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

POLICY_ROWS = "tick"
"""Label of the first dimension of `policy/telemetry`, whose size is the number of rows."""

SAFETY_ROWS = "row"
"""The same of `safety/telemetry`."""

POLICY_TIMES = ("tick_began", "observed", "inference_began", "inference_ended", "acted", "published")
"""Moments of a tick in their order, s on the monotonic clock."""

POLICY_SCALARS = (
    *("sequence", "begun", "state_stamp", "state_received", "state_ros"),
    *POLICY_TIMES,
    *("period_cpu_s", "log_probability"),
)
"""Columns of one number in `policy/telemetry`, in the order in which they stand before the arrays."""

POLICY_ARRAYS = (
    *("joint_position", "joint_velocity", "joint_effort", "goal_position", "joint_target"),
    *("mean", "std", "action", "observation", "normalised_observation"),
)
"""Columns of several numbers in `policy/telemetry`, in their order."""

SAFETY_SCALARS = (
    *("kind", "now", "ros_now", "sequence", "stamp", "state", "cause", "changed", "checked", "published", "value"),
)
"""Columns of one number in `safety/telemetry`, in the order in which they stand before the arrays."""

SAFETY_ARRAYS = ("position", "velocity", "acceleration", "limits")
"""Columns of one number a joint in `safety/telemetry`, in their order."""

SCALARS: Mapping[str, tuple[str, ...]] = {POLICY_ROWS: POLICY_SCALARS, SAFETY_ROWS: SAFETY_SCALARS}
"""By the label of the first dimension, the columns whose size is one by their nature."""


class Kind(IntEnum):
    """What a row of `safety/telemetry` tells: something that went into the envelope, or a cycle of it."""

    CYCLE = 0
    STATE = 1
    ACTION = 2
    ARM = 3
    STOP = 4
    RESET = 5
    DISARM = 6
    TILT = 7
    PUBLISHERS = 8
    OBSERVATION = 9


def policy_columns(joints: int, actions: int, observation: int) -> dict[str, int]:
    """Return the size of each column of `policy/telemetry`, in order, for these numbers of components."""
    sizes = dict.fromkeys(POLICY_SCALARS, 1)
    sizes |= dict.fromkeys(POLICY_ARRAYS, joints)
    sizes |= {"goal_position": 3, "observation": observation, "normalised_observation": observation}
    return sizes | dict.fromkeys(("mean", "std", "action"), actions)


def safety_columns(joints: int) -> dict[str, int]:
    """Return the size of each column of `safety/telemetry`, in order, for a number of joints."""
    return dict.fromkeys(SAFETY_SCALARS, 1) | dict.fromkeys(SAFETY_ARRAYS, joints)


def decode(labels: Sequence[str], sizes: Sequence[int], data: Any) -> dict[str, Array]:
    """Return the columns of a telemetry message by name: (n,) of a scalar, (n, size) of an array, also of size 1.

    Args:
        labels: of the layout's dimensions, `tick` or `row` first.
        sizes: of the same.
        data: the message's numbers: an array of doubles, or any sequence of numbers. It is copied.

    Raises:
        ValueError: if it is not one of the two tables, or the numbers do not fit the layout.
    """
    rows = labels[0] if labels else ""
    scalars = SCALARS.get(rows)
    if scalars is None or len(labels) < 2 or len(labels) != len(sizes) or min(sizes) < 0:
        expected = " or ".join(SCALARS)
        raise ValueError(
            f"telemetry: layout {list(labels)} {list(sizes)}; expected {expected}, then one column or more"
        )
    names, widths = labels[1:], [int(size) for size in sizes[1:]]
    values = np.array(data, dtype=float)
    if values.ndim != 1 or len(values) != sizes[0] * sum(widths):
        raise ValueError(
            f"telemetry: {values.size} numbers do not fit the layout that they came with:"
            f" {sizes[0]} rows of {sum(widths)}"
        )
    wrong = [name for name, width in zip(names, widths, strict=True) if name in scalars and width != 1]
    if wrong or len(set(names)) != len(names):
        raise ValueError(f"telemetry: columns {wrong or list(names)}: expected each name once, and scalars of size 1")
    parts = np.split(values.reshape(sizes[0], sum(widths)), np.cumsum(widths)[:-1], axis=1)
    named = zip(names, parts, strict=True)
    return {name: part[:, 0] if name in scalars else part for name, part in named}


class Table:
    """Gathers rows for one message, in memory that is taken once."""

    def __init__(self, columns: Mapping[str, int], rows: int) -> None:
        """Prepare for up to `rows` rows with these sizes of columns, in order."""
        self.columns = dict(columns)
        ends = np.cumsum(list(columns.values())).tolist()
        self.width = int(ends[-1])
        self.places = {name: slice(end - size, end) for (name, size), end in zip(columns.items(), ends, strict=True)}
        self._rows = np.zeros((rows, self.width))
        self._count = 0

    def __len__(self) -> int:
        """Return how many rows were gathered."""
        return self._count

    @property
    def capacity(self) -> int:
        """How many rows there is room for."""
        return len(self._rows)

    @property
    def full(self) -> bool:
        """Whether there is no room for another row."""
        return self._count == len(self._rows)

    def next(self) -> Array:
        """Return the next row (width,) to be filled, of a table that is not full; what it held before is undefined."""
        row: Array = self._rows[self._count]
        self._count += 1
        return row

    def take(self) -> Array:
        """Return the gathered rows (n, width), valid until the next row is begun, and begin anew."""
        rows: Array = self._rows[: self._count]
        self._count = 0
        return rows
