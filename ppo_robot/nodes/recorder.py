"""The recorder node: every message of the interface, raw, into a recording that no crash spoils."""

from __future__ import annotations

import dataclasses
import os
import sys
import threading
import time
import typing
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from std_srvs.srv import Trigger

from ppo_robot.nodes.recorder_facts import NODES, Facts, ParameterReader
from ppo_robot.nodes.recorder_topics import EVENTS, Receiver, wanted_topics
from ppo_robot.nodes.ros_support import COMMANDS, describe, read_only, run_node
from ppo_robot.recording.inbox import Inbox
from ppo_robot.recording.metadata import Topic
from ppo_robot.recording.ring import Incoming
from ppo_robot.recording.schemas import Schemas
from ppo_robot.recording.session import Session
from ppo_robot.spec.deployment import load_deployment
from ppo_robot.spec.recording import RecordingSpec
from ppo_robot.spec.strict import build

DRAIN_PERIOD = 0.02
WRITE_PERIOD = 0.1
LOOK_PERIOD = 0.25
DIAGNOSTICS_PERIOD = 1.0
LINGER = 1.0
"""s after the signal to end, in which the last words of the other nodes are still recorded."""

LEVEL = 4
"""Where a DiagnosticStatus in CDR has its level: the first byte behind the encapsulation."""

_AGAIN, _EVENT = object(), object()


class RecorderNode(Node):
    """Receives in one thread, writes in another; the executor looks for topics and publishes diagnostics."""

    def __init__(self) -> None:
        """Begin to record, or to wait for an event.

        Raises:
            BadInputError: if the directory exists or cannot be written, there is no room, or a setting is wrong.
        """
        super().__init__("recorder")
        config = str(read_only(self, "deployment", "sim", "a file of config/deploy, or a path"))
        deployment = load_deployment(config)
        spec = self._read_spec(deployment.recording)
        out = str(read_only(self, "out", "", "directory of the recording; empty: a new one below recordings/"))
        bundle = str(read_only(self, "bundle", "", "directory of the policy bundle, whose facts go into the recording"))
        distribution = os.environ.get("ROS_DISTRO", "jazzy")
        self._schemas = Schemas(distribution)
        self._facts = Facts(self, bundle, deployment, spec, config)
        self._events = self.resolve_topic_name(EVENTS)
        self._last_words = [self.resolve_topic_name(name) for name in ("policy/telemetry", "safety/telemetry")]
        self._inbox = Inbox(spec.queue_bytes)
        self._session = Session(spec, Path(out) if out else None, self._facts.attachments, self._schemas, distribution)
        self._receiver = Receiver(self, wanted_topics(deployment, spec.topics), self._schemas)
        self._parameters = ParameterReader(self, NODES, self._learn)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", COMMANDS)
        self.create_service(Trigger, "recorder/trigger", self._on_trigger)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(LOOK_PERIOD, self._look, clock=steady)
        self.create_timer(DIAGNOSTICS_PERIOD, self._publish_diagnostics, clock=steady)
        self._received = 0
        self._told = ""
        self._ending: float | None = None
        self._failure: str = ""
        self._stop_receiving, self._stop_writing = threading.Event(), threading.Event()
        self._threads = [
            threading.Thread(target=self._receive, name="receive", daemon=True),
            threading.Thread(target=self._write, name="write", daemon=True),
        ]
        self._look()
        for thread in self._threads:
            thread.start()
        bag = self._session.bag
        where = str(bag.directory) if bag is not None else f"waits for an event; then {spec.pre_trigger:g} s before it"
        self.get_logger().info(f"recording: {where}")

    def ended(self) -> bool:
        """Return whether nobody has anything more to say that is worth waiting for."""
        now = time.monotonic()
        self._ending = self._ending or now
        return now - self._ending > LINGER or not any(map(self.count_publishers, self._last_words))

    def close(self) -> None:
        """Receive what has come, write it, and end the recording."""
        self._stop_receiving.set()
        self._threads[0].join()
        self._stop_writing.set()
        self._inbox.tell(None)
        self._threads[1].join()
        bag, counts = self._session.bag, self._counts()
        if bag is not None:  # the thread that writes has died
            bag.abandon()
        self.get_logger().info(f"recorded {counts['recorded']} messages, dropped {counts['dropped']}")

    def _receive(self) -> None:
        """Take messages from the middleware and pass them on; nothing here waits for the disk."""
        while True:
            last = self._stop_receiving.wait(DRAIN_PERIOD)
            try:
                messages = self._receiver.drain(self._inbox.tell)
            except Exception as error:  # nothing is recorded any more, and that is said
                self._die("receive", error)
                return
            self._received += len(messages)
            self._inbox.put(messages)
            if last:
                return

    def _write(self) -> None:
        try:
            while not self._stop_writing.is_set():
                self._work(self._inbox.take(WRITE_PERIOD))
            self._work(self._inbox.take(0.0))
            self._session.turn(self._extra())
            self._session.close()
        except Exception as error:  # nothing is recorded any more, and that is said
            self._die("write", error)

    def _work(self, items: list[Any]) -> None:
        """Do what the inbox asks for, in its order."""
        messages: list[Incoming] = []
        for item in items:
            if isinstance(item, Incoming):
                messages.append(item)
                if item.topic != self._events or item.data[LEVEL : LEVEL + 1] != DiagnosticStatus.ERROR:
                    continue
                item = _EVENT
            self._session.take(messages)
            messages = []
            if item is _EVENT:
                self._session.trigger()
            elif item is _AGAIN:
                self._session.attach_again()
            elif isinstance(item, Topic):
                self._session.declare(item)
        self._session.take(messages)
        self._session.turn(self._extra())

    def _die(self, what: str, error: Exception) -> None:
        self._failure = f"{what}: {type(error).__name__}: {error}; recording has stopped"
        self.get_logger().fatal(self._failure)

    def _look(self) -> None:
        for complaint in self._receiver.look():
            self.get_logger().error(f"not recorded: {complaint}")
        self._parameters.ask()

    def _learn(self, node: str, parameters: dict[str, Any]) -> None:
        self._facts.learn(node, parameters)
        self._inbox.tell(_AGAIN)

    def _on_trigger(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._inbox.tell(_EVENT)
        response.success = True
        return response

    def _counts(self) -> dict[str, int]:
        counts = self._session.counts()
        lost = sum(self._receiver.lost.values())
        dropped = self._inbox.dropped + counts["write_failed"] + counts["not_recorded"]
        return counts | {
            "received": self._received,
            "dropped": dropped,
            "queue_full": self._inbox.dropped,
            "lost": lost,
            "unknown_type": len(self._receiver.unknown),
        }

    def _extra(self) -> dict[str, str]:
        """Return what `metadata.yaml` says beside the session's own counters."""
        counts = self._counts()
        extra = {key: str(counts[key]) for key in ("dropped", "queue_full", "lost", "unknown_type")}
        return extra | ({"bundle_id": self._facts.bundle_id} if self._facts.bundle_id else {})

    def _publish_diagnostics(self) -> None:
        counts: dict[str, Any] = self._counts()
        session = self._session
        bag = session.bag
        status = DiagnosticStatus(level=DiagnosticStatus.OK, name="recorder", message="recording")
        if bag is None:
            status.message = "waiting for an event"
        if counts["dropped"] or counts["lost"] or counts["unknown_type"]:
            status.level = DiagnosticStatus.WARN
            status.message += f", {counts['dropped']} dropped, {counts['lost']} lost, {counts['unknown_type']} unknown"
        failure = self._failure or session.failure
        if failure:
            status.level, status.message = DiagnosticStatus.ERROR, failure
            if failure != self._told:
                self.get_logger().error(failure)
        self._told = failure
        counts |= {f"lost/{topic}": count for topic, count in self._receiver.lost.items()}
        counts |= {f"unknown/{topic}": why for topic, why in self._receiver.unknown.items()}
        counts |= {"queue_bytes": self._inbox.size, "ring_bytes": session.ring.size}
        counts |= {"directory": bag.directory if bag is not None else ""}
        status.values = [KeyValue(key=key, value=str(value)) for key, value in sorted(counts.items())]
        message = DiagnosticArray(status=[status])
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)

    def _read_spec(self, spec: RecordingSpec) -> RecordingSpec:
        """Return the deployment's settings with those that are given as parameters; ROS knows no empty list."""
        hints = typing.get_type_hints(RecordingSpec)
        values = {}
        for field in dataclasses.fields(RecordingSpec):
            default = getattr(spec, field.name)
            default = list(default) or [""] if field.name == "topics" else default
            values[field.name] = self.declare_parameter(field.name, default, describe(field, hints[field.name])).value
        values["topics"] = [topic for topic in values["topics"] if topic]
        return build(RecordingSpec, values, "recorder node")


def main() -> None:
    """Run the node until it is told to end."""
    sys.exit(run_node(RecorderNode))


if __name__ == "__main__":
    main()
