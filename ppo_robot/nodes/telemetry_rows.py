"""Telemetry's rows as messages: Float64MultiArray, whose layout names every column."""

from __future__ import annotations

import array

import numpy as np
from rclpy.serialization import serialize_message
from std_msgs.msg import Float64MultiArray, MultiArrayDimension

from ppo_robot.errors import RunFailedError
from ppo_robot.telemetry.matrix import Array, Table, decode


class RowsMessage:
    """A table's rows as the bytes of a Float64MultiArray, which a publisher takes like the message itself.

    Layout and data stand one behind the other in them, and the layout of n rows is always the same. To have the
    middleware serialise two dozen names anew would cost more than all else.
    """

    def __init__(self, label: str, table: Table) -> None:
        """Prepare for a table; `label` is that of the first dimension.

        Raises:
            RunFailedError: if the middleware's bytes do not end with the data as they lie in memory.
        """
        self._label, self._table = label, table
        self._layouts: dict[int, bytes] = {}
        self._layout(table.capacity)

    def take(self) -> bytes:
        """Return the message of the gathered rows, at least one, and begin anew."""
        rows = self._table.take()
        return self._layout(len(rows)) + rows.tobytes()

    def _layout(self, rows: int) -> bytes:
        """Return everything before the data in the bytes of a message of so many rows."""
        layout = self._layouts.get(rows)
        if layout is None:
            data = np.arange(1.0, rows * self._table.width + 1.0).tobytes()
            whole = serialize_message(message_of(self._label, self._table.columns, rows, data))
            if not whole.endswith(data):
                raise RunFailedError("telemetry: the middleware's messages do not end with their data; use another RMW")
            layout = self._layouts[rows] = whole[: -len(data)]
        return layout


def message_of(label: str, columns: dict[str, int], rows: int, data: bytes) -> Float64MultiArray:
    """Return a message of rows, whose doubles `data` holds one behind the other."""
    message = Float64MultiArray(data=array.array("d", data))
    sizes = [(label, rows, rows * sum(columns.values())), *((name, size, size) for name, size in columns.items())]
    message.layout.dim = [MultiArrayDimension(label=name, size=size, stride=stride) for name, size, stride in sizes]
    return message


def read_rows(message: Float64MultiArray) -> dict[str, Array]:
    """Return the columns of a telemetry message by name: (n,) of a scalar, (n, size) of an array.

    Raises:
        ValueError: if it has no layout of telemetry.
    """
    dimensions = message.layout.dim
    return decode([one.label for one in dimensions], [one.size for one in dimensions], message.data)
