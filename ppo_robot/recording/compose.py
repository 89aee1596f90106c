"""Writes standard messages into a recording without ROS: what a node would have published, and when."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppo_robot.recording.bag import BagWriter
from ppo_robot.recording.metadata import Quality
from ppo_robot.recording.schemas import Schemas

Array = NDArray[np.float64]

_LATCHED = (Quality(durability="transient_local"),)
_JOINT_STATE, _POSE, _STRING = "sensor_msgs/msg/JointState", "geometry_msgs/msg/PoseStamped", "std_msgs/msg/String"
_MATRIX, _DIMENSION = "std_msgs/msg/Float64MultiArray", "std_msgs/msg/MultiArrayDimension"


class Composer:
    """Adds messages to a recording; times are in s on the clock of the stamps."""

    def __init__(self, writer: BagWriter, schemas: Schemas) -> None:
        """Write to `writer`, whose schemas these are."""
        self._writer, self._schemas = writer, schemas
        self._types: Mapping[str, Any] = schemas.store.types

    def text(self, topic: str, time: float, text: str) -> None:
        """Add a latched string."""
        self._put(topic, _STRING, time, self._types[_STRING](text), _LATCHED)

    def joint_state(
        self, topic: str, time: float, stamp: float, names: Sequence[str], joints: tuple[Array, Array, Array]
    ) -> None:
        """Add a joint state, measured at `stamp`; `joints` are position, velocity and effort, (J,) each."""
        message = self._types[_JOINT_STATE](self._header(stamp), list(names), *map(np.ascontiguousarray, joints))
        self._put(topic, _JOINT_STATE, time, message)

    def goal(self, topic: str, time: float, frame: str, position: Array) -> None:
        """Add a goal (3,) m in a frame."""
        point = self._types["geometry_msgs/msg/Point"](*position.tolist())
        upright = self._types["geometry_msgs/msg/Quaternion"](0.0, 0.0, 0.0, 1.0)
        pose = self._types["geometry_msgs/msg/Pose"](point, upright)
        self._put(topic, _POSE, time, self._types[_POSE](self._header(time, frame), pose))

    def rows(self, topic: str, time: float, label: str, columns: Mapping[str, int], rows: Array) -> None:
        """Add rows (n, width) of telemetry; `columns` are the sizes by name, `label` is that of the rows."""
        sizes = {label: len(rows), **columns}
        strides = {label: rows.size, **columns}
        self._matrix(topic, time, [(name, size, strides[name]) for name, size in sizes.items()], rows.ravel())

    def numbers(self, topic: str, time: float, label: str, values: Array) -> None:
        """Add a command (J,) to a forward_command_controller."""
        self._matrix(topic, time, [(label, len(values), len(values))], values)

    def _matrix(self, topic: str, time: float, dimensions: Sequence[tuple[str, int, int]], data: Array) -> None:
        layout = self._types["std_msgs/msg/MultiArrayLayout"]([self._types[_DIMENSION](*one) for one in dimensions], 0)
        self._put(topic, _MATRIX, time, self._types[_MATRIX](layout, np.ascontiguousarray(data, dtype=float)))

    def _header(self, stamp: float, frame: str = "") -> Any:
        sec, nanosec = split(stamp)
        return self._types["std_msgs/msg/Header"](self._types["builtin_interfaces/msg/Time"](sec, nanosec), frame)

    def _put(
        self, topic: str, kind: str, time: float, message: Any, qualities: tuple[Quality, ...] = (Quality(),)
    ) -> None:
        sec, nanosec = split(time)
        self._writer.add_topic(topic, kind, qualities)
        self._writer.write(topic, sec * 1_000_000_000 + nanosec, self._schemas.encode(message, kind))


def split(time: float) -> tuple[int, int]:
    """Return a time in s as whole seconds and nanoseconds, as stamps hold it."""
    whole = math.floor(time)
    nanoseconds = round((time - whole) * 1e9)
    return whole + nanoseconds // 1_000_000_000, nanoseconds % 1_000_000_000


def stamped(time: float) -> float:
    """Return a time as it reads after it has been a stamp: in whole nanoseconds."""
    sec, nanosec = split(time)
    return float(sec) + float(nanosec) * 1e-9
