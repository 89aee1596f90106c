"""What every node shares: parameters from frozen specs, QoS, stamps, and a process that ends cleanly."""

from __future__ import annotations

import dataclasses
import math
import signal
import sys
import time
import typing
from collections.abc import Callable
from typing import Any

import rclpy
from builtin_interfaces.msg import Time
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from ppo_robot.errors import EXIT_BAD_INPUT, PpoRobotError
from ppo_robot.nodes.middleware import join_ros
from ppo_robot.spec.strict import build

COMMANDS = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
SENSORS = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
TELEMETRY = QoSProfile(depth=20, reliability=ReliabilityPolicy.RELIABLE)
KEPT_TELEMETRY = QoSProfile(
    depth=100, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)
"""What telemetry is published with, and what a recorder asks for: now and then discovery takes two seconds, and without
a run's first ticks its recording cannot be replayed. Other listeners ask for `TELEMETRY`: what comes from now on."""
EVENTS = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
LATCHED = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)

LOG_PERIOD = 2.0
"""s between two warnings of a node."""

OBSERVERS = ("telemetry", "recorder")
"""Nodes that listen to a controller's topic and move nothing."""


UNKNOWN_NODE = "_NODE_NAME_UNKNOWN_"
"""What rmw calls a node whose participant it has not heard of yet; a name comes a little later than a subscription."""


def controllers_of(node: Node, topic: str) -> list[str]:
    """Return the names of the nodes that listen to a controller's topic and are no mere observers."""
    found = {info.node_name for info in node.get_subscriptions_info_by_topic(topic)}
    return sorted(found - set(OBSERVERS))


def seconds(stamp: Time) -> float:
    """Return a stamp in s."""
    return float(stamp.sec) + float(stamp.nanosec) * 1e-9


def to_stamp(time: float) -> Time:
    """Return s as a stamp; `seconds` gives back the very same float, so that stamps can be compared.

    Split before it is scaled: nanoseconds since 1970 do not fit into a double's 53 bits.
    """
    whole = math.floor(time)
    nanoseconds = round((time - whole) * 1e9)
    return Time(sec=whole + nanoseconds // 1_000_000_000, nanosec=nanoseconds % 1_000_000_000)


def read_only(node: Node, name: str, default: Any, description: str) -> Any:
    """Declare a parameter that is read once, at the start, and return its value."""
    descriptor = ParameterDescriptor(description=description, read_only=True)
    return node.declare_parameter(name, default, descriptor).value


class SeldomWarning:
    """Logs warnings of a node, at most one each `LOG_PERIOD`: what is wrong with one message is so with the next."""

    def __init__(self, node: Node) -> None:
        """Log as `node`."""
        self._logger = node.get_logger()
        self._warned = -LOG_PERIOD

    def __call__(self, text: str) -> None:
        """Log a line, unless one was logged a moment ago."""
        now = time.monotonic()
        if now - self._warned >= LOG_PERIOD:
            self._warned = now
            self._logger.warning(text)


def declare_spec(node: Node, spec: Any, source: str) -> Any:
    """Declare every field of a frozen spec as a parameter, with its range, and return the spec that they make.

    Raises:
        SpecError: if a given parameter is out of range or of the wrong type; `source` names the node.
    """
    hints = typing.get_type_hints(type(spec))
    values = {}
    for field in dataclasses.fields(spec):
        descriptor = describe(field, hints[field.name])
        values[field.name] = node.declare_parameter(field.name, getattr(spec, field.name), descriptor).value
    return build(type(spec), values, source)


def describe(field: dataclasses.Field[Any], hint: Any) -> ParameterDescriptor:
    """Return a descriptor with the field's description, range and choices."""
    low, high = field.metadata.get("low"), field.metadata.get("high")
    above = field.metadata.get("above")
    descriptor = ParameterDescriptor(description=str(field.metadata.get("doc", "")), read_only=True)
    if typing.get_origin(hint) is typing.Literal:
        descriptor.additional_constraints = "one of " + ", ".join(map(str, typing.get_args(hint)))
    bottom = low if low is not None else above
    if hint is float and bottom is not None and high is not None:
        descriptor.floating_point_range = [FloatingPointRange(from_value=float(bottom), to_value=float(high))]
    if hint is int and bottom is not None and high is not None:
        descriptor.integer_range = [IntegerRange(from_value=int(bottom), to_value=int(high))]
    return descriptor


def run_node(make: Callable[[], Node], arguments: list[str] | None = None) -> int:
    """Run one node until SIGINT or SIGTERM and return the exit code; `close()` of the node ends its own threads.

    A node with `ended()` goes on working after the signal until that is true.
    An exception out of a callback is logged and ends the process with 4: a node that goes on half alive is worse.
    """
    join_ros(arguments)
    stopping = False

    def stop(number: int, frame: object) -> None:
        nonlocal stopping
        stopping = True

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    node = None
    try:
        node = make()
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        ended = getattr(node, "ended", lambda: True)
        while rclpy.ok() and not (stopping and ended()):
            executor.spin_once(timeout_sec=0.1 if not stopping else 0.01)
        return 0
    except ExternalShutdownException:
        return 0
    except PpoRobotError as error:
        print(f"ppo-robot: error: {error}", file=sys.stderr, flush=True)
        return error.exit_code
    except (InvalidParameterTypeException, InvalidParameterValueException) as error:
        print(f"ppo-robot: error: parameter: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
        return EXIT_BAD_INPUT
    finally:
        if node is not None:
            close = getattr(node, "close", None)
            if close is not None:
                close()
            node.destroy_node()
        rclpy.try_shutdown()
