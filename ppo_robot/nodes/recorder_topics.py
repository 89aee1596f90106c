"""What the recorder listens to, and how: raw bytes, taken from the middleware without a callback for each."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription

from ppo_robot.nodes.quiet_subscription import NoExecutor
from ppo_robot.recording.metadata import Quality, Topic
from ppo_robot.recording.ring import Incoming
from ppo_robot.recording.schemas import Schemas, UnknownTypeError
from ppo_robot.spec.deployment import DeploymentSpec

DEPTH = 2000
"""Messages that the middleware keeps for us: 8 s at 250 Hz."""

STRING, ARRAY, STATE = "std_msgs/msg/String", "std_msgs/msg/Float64MultiArray", "sensor_msgs/msg/JointState"
STATUS, STATUSES = "diagnostic_msgs/msg/DiagnosticStatus", "diagnostic_msgs/msg/DiagnosticArray"
TRAJECTORY = "trajectory_msgs/msg/JointTrajectory"
EVENTS = "safety/events"

RELIABLE = Quality("reliable", "volatile")
LASTING = Quality("reliable", "transient_local")


@dataclass(frozen=True)
class Wanted:
    """A topic to record.

    Attributes:
        name: relative names are below the node's namespace.
        type: empty: that of its publisher, once there is one.
        quality: what to ask for at once; None: wait for a publisher, and ask for what it offers.
    """

    name: str
    type: str = ""
    quality: Quality | None = None


def wanted_topics(deployment: DeploymentSpec, others: Iterable[str]) -> list[Wanted]:
    """Return the topics of docs/ros_interface.md, and others given as `/name` or `/name:package/msg/Type`."""
    forward = deployment.controller.type == "forward_command_controller"
    rows = [
        Wanted(deployment.joint_state_topic, STATE),
        Wanted("/imu/data", "sensor_msgs/msg/Imu"),
        Wanted("/odom", "nav_msgs/msg/Odometry"),
        Wanted("/clock", "rosgraph_msgs/msg/Clock"),
        Wanted("/robot_description", STRING, LASTING),
        Wanted("/rosout", "rcl_interfaces/msg/Log", LASTING),
        Wanted("/parameter_events", "rcl_interfaces/msg/ParameterEvent", RELIABLE),
        Wanted("/diagnostics", STATUSES, RELIABLE),
        Wanted(deployment.goal_topic, "geometry_msgs/msg/PoseStamped", RELIABLE),
        Wanted("policy/action", TRAJECTORY, RELIABLE),
        Wanted("policy/telemetry", ARRAY, LASTING),
        Wanted("policy/info", STRING, LASTING),
        Wanted(deployment.controller.topic, ARRAY if forward else TRAJECTORY, RELIABLE),
        Wanted("safety/state", STATUS, LASTING),
        Wanted(EVENTS, STATUS, RELIABLE),
        Wanted("safety/telemetry", ARRAY, LASTING),
        Wanted("telemetry/latency", STATUSES),
        Wanted("sim_robot/truth", STATE, RELIABLE),
        Wanted("sim_robot/tool", "geometry_msgs/msg/PointStamped", RELIABLE),
        Wanted("sim_robot/commands"),
        Wanted("sim_robot/response"),
    ]
    known = {row.name for row in rows}
    for other in others:
        name, _, kind = other.partition(":")
        if name and name not in known:
            rows.append(Wanted(name, kind))
    return rows


def message_class(name: str) -> Any:
    """Return the Python class of a message type.

    Raises:
        UnknownTypeError: if no package of this environment has it.
    """
    package, _, rest = name.partition("/msg/")
    try:
        return getattr(importlib.import_module(f"{package}.msg"), rest)
    except (ImportError, AttributeError, ValueError):
        raise UnknownTypeError(f"{name}: no package of this environment has it; source the workspace with it") from None


@dataclass
class _Line:
    """One topic that is listened to."""

    topic: str
    type: str
    quality: Quality
    subscription: Subscription
    said: bool = False  # whether the writer knows it
    alone: bool = False  # whether one publisher was there at the last two looks
    sequence: int = 0
    count: int = 0
    old: list[Subscription] = field(default_factory=list)


class Receiver:
    """Listens to the wanted topics, as soon as it is known how; `look` and `drain` may run in different threads.

    Attributes:
        lost: messages that the middleware dropped, by topic: gaps in the numbers that the only publisher gave them.
        unknown: why a topic is not recorded, by topic.
    """

    def __init__(self, node: Node, wanted: Iterable[Wanted], schemas: Schemas) -> None:
        """Listen to what needs no publisher to be known."""
        self.lost: Counter[str] = Counter()
        self.unknown: dict[str, str] = {}
        self._node = node
        self._schemas = schemas
        self._group = NoExecutor()
        self._wanted = {node.resolve_topic_name(row.name): row for row in wanted}
        self._lines: dict[str, _Line] = {}
        for name, row in self._wanted.items():
            if row.quality is not None:
                self._listen(name, row.type, row.quality)

    def look(self) -> list[str]:
        """Listen to what has a publisher now, as its publishers offer; return what was found and cannot be recorded."""
        before = len(self.unknown)
        graph: dict[str, list[str]] | None = None
        for name, row in self._wanted.items():
            if name in self.unknown:
                continue
            infos = self._node.get_publishers_info_by_topic(name)
            line = self._lines.get(name)
            if line is not None:
                line.alone = len(infos) == 1
            if not infos:
                continue
            kind = row.type
            if not kind:
                graph = graph if graph is not None else dict(self._node.get_topic_names_and_types())
                kind = next(iter(graph.get(name, [])), infos[0].topic_type)
            offered = weakest(infos)
            if line is None or weaker(offered, line.quality):
                self._listen(name, kind, offered)
        return [f"{topic}: {why}" for topic, why in list(self.unknown.items())[before:]]

    def drain(self, declare: Callable[[Topic], None]) -> list[Incoming]:
        """Return all messages that have come since; before the first of a topic, it is declared."""
        found: list[Incoming] = []
        for line in list(self._lines.values()):
            for subscription in (*line.old, line.subscription):
                self._take(line, subscription, found)
            while line.old:
                self._node.destroy_subscription(line.old.pop())
            if line.count and not line.said:
                line.said = True
                declare(Topic(line.topic, line.type, self._offered(line.topic), self._schemas.describe(line.type)[1]))
        return found

    def _take(self, line: _Line, subscription: Subscription, found: list[Incoming]) -> None:
        handle, kind, topic = subscription.handle, subscription.msg_type, line.topic
        with handle:
            for _ in range(DEPTH):
                taken = handle.take_message(kind, True)
                if taken is None:
                    return
                data, info = taken
                sent, received = info["source_timestamp"], info["received_timestamp"]
                number = info["publication_sequence_number"] or 0
                if line.alone and line.sequence and number > line.sequence + 1:
                    self.lost[topic] += number - line.sequence - 1
                line.sequence = number
                line.count += 1
                received = received or self._node.get_clock().now().nanoseconds
                found.append(Incoming(topic, data, received, sent or received, number & 0xFFFFFFFF))

    def _listen(self, name: str, kind: str, quality: Quality) -> None:
        try:
            self._schemas.describe(kind)
            made = message_class(kind)
        except UnknownTypeError as error:
            self.unknown[name] = str(error)
            return
        profile = QoSProfile(
            depth=DEPTH,
            reliability=ReliabilityPolicy[quality.reliability.upper()],
            durability=DurabilityPolicy[quality.durability.upper()],
        )
        try:
            subscription = self._node.create_subscription(
                made, name, _never, profile, raw=True, callback_group=self._group
            )
        except Exception as error:  # a type support that does not load raises what it likes
            self.unknown[name] = f"{kind}: {' '.join(str(error).split())}"
            return
        line = self._lines.get(name)
        if line is None:
            self._lines[name] = _Line(name, kind, quality, subscription)
            return
        line.alone, line.sequence = False, 0
        line.old.append(line.subscription)
        line.quality, line.subscription = quality, subscription

    def _offered(self, topic: str) -> tuple[Quality, ...]:
        """Return what each publisher offers; a history that the middleware does not tell is our best guess."""
        infos = self._node.get_publishers_info_by_topic(topic)
        return tuple(
            Quality(
                _word(info.qos_profile.reliability, "reliable"),
                _word(info.qos_profile.durability, "volatile"),
                "keep_last",
                max(int(info.qos_profile.depth), 1),
            )
            for info in infos
        )


def weakest(infos: Iterable[Any]) -> Quality:
    """Return the strongest request that fits all publishers: reliable, and lasting, only where all are."""
    profiles = [info.qos_profile for info in infos]
    reliable = all(profile.reliability == ReliabilityPolicy.RELIABLE for profile in profiles)
    lasting = all(profile.durability == DurabilityPolicy.TRANSIENT_LOCAL for profile in profiles)
    return Quality("reliable" if reliable else "best_effort", "transient_local" if lasting else "volatile")


def weaker(offered: Quality, asked: Quality) -> bool:
    """Return whether a request must be weakened to fit what is offered."""
    unreliable = offered.reliability == "best_effort" and asked.reliability == "reliable"
    return unreliable or (offered.durability == "volatile" and asked.durability == "transient_local")


def _word(policy: Any, default: str) -> str:
    name = str(policy.name).lower()
    return name if name in ("reliable", "best_effort", "transient_local", "volatile") else default


def _never(message: bytes) -> None:
    """Stand in for a callback: messages are taken, not called back."""
