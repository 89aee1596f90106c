"""The telemetry node: what policy, safety and recorder say about themselves, joined, judged and shown."""

from __future__ import annotations

import json
import os
import sys
import threading
import time

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import Float64MultiArray, String

from ppo_robot.nodes.command_listener import CommandListener
from ppo_robot.nodes.quiet_subscription import QuietSubscription
from ppo_robot.nodes.ros_support import COMMANDS, LATCHED, TELEMETRY, SeldomWarning, read_only, run_node
from ppo_robot.nodes.telemetry_rows import read_rows
from ppo_robot.policy.bundle import load_bundle
from ppo_robot.policy.statistics import Statistics
from ppo_robot.safety.reasons import State
from ppo_robot.spec.deployment import load_deployment
from ppo_robot.telemetry.drift import Reference
from ppo_robot.telemetry.exporters import Endpoint, MonitorCollector
from ppo_robot.telemetry.monitor import Monitor, Status

FETCH_PERIOD = 0.1
DIAGNOSTICS_PERIOD = 1.0
NICENESS = 10
"""On a machine without a core to spare, policy and safety go first; what is measured was stamped by others."""
NODES = ("policy", "safety", "recorder")
"""Whose diagnostics are read."""
DIAGNOSTICS = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)
FOLLOWING = (State.ACTIVE, State.LIMITED)
"""States of the envelope in which the policy leads, and a change of what it asked for is an intervention."""


class TelemetryNode(Node):
    """Listens, and tells once a second. The robot does not need it: whatever happens here stays here."""

    def __init__(self) -> None:
        """Load bundle and deployment and begin to listen; serve Prometheus where the deployment says so.

        Raises:
            BadInputError: if bundle or deployment cannot be used, or the port is taken.
        """
        super().__init__("telemetry")
        bundle = load_bundle(str(read_only(self, "bundle", "", "directory of the policy bundle")))
        deployment = load_deployment(str(read_only(self, "deployment", "sim", "a file of config/deploy, or a path")))
        spec, states = deployment.telemetry, list(State)
        self._robot = bundle.robot.name
        self._lock = threading.Lock()
        self._warn = SeldomWarning(self)
        self._monitor = Monitor(
            spec,
            bundle.task.control_period,
            deployment.safety.policy_timeout,
            [states.index(state) for state in FOLLOWING],
            _reference(bundle.statistics),
            bool(self.get_parameter("use_sim_time").value),
        )
        self._endpoint: Endpoint | None = None
        if spec.prometheus_port is not None:
            collector = MonitorCollector(self._monitor, self._lock, time.monotonic)
            self._endpoint = Endpoint(collector, spec.prometheus_address, spec.prometheus_port)
            where = f"http://{spec.prometheus_address}:{spec.prometheus_port}/metrics"
            self.get_logger().info(f"Prometheus: {where}")
        self._listener = CommandListener(self, deployment.controller)
        self._rows = {
            topic: QuietSubscription(self, Float64MultiArray, topic, TELEMETRY)
            for topic in ("policy/telemetry", "safety/telemetry")
        }
        self.create_subscription(String, "policy/info", self._on_info, LATCHED)
        self.create_subscription(DiagnosticStatus, "safety/state", self._on_state, LATCHED)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, DIAGNOSTICS)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", COMMANDS)
        self._latency = self.create_publisher(DiagnosticArray, "telemetry/latency", COMMANDS)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(FETCH_PERIOD, self._fetch, clock=steady)
        self.create_timer(DIAGNOSTICS_PERIOD, self._publish, clock=steady)

    def close(self) -> None:
        """End the endpoint."""
        if self._endpoint is not None:
            self._endpoint.close()

    def _take(self, topic: str, message: Float64MultiArray, now: float) -> None:
        try:
            columns = read_rows(message)
            take = self._monitor.policy if topic == "policy/telemetry" else self._monitor.safety
            take(columns, now)
        except (ValueError, KeyError) as error:
            self._monitor.refused += 1
            self._warn(f"{topic}: rows refused: {type(error).__name__}: {error}")

    def _on_info(self, message: String) -> None:
        try:
            info = json.loads(message.data)
        except ValueError:
            info = None
        if not isinstance(info, dict):
            self._warn("policy/info: expected a JSON object")
            return
        with self._lock:
            self._monitor.policy_info = {str(key): str(value) for key, value in info.items()}

    def _on_state(self, message: DiagnosticStatus) -> None:
        self._monitor.envelope_state = message.message

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        now = time.monotonic()
        for status in message.status:
            if status.name in NODES:
                with self._lock:
                    self._monitor.diagnostics(status.name, {pair.key: pair.value for pair in status.values}, now)

    def _fetch(self) -> None:
        """Take all that came; the executor has to turn ten times a second instead of hundreds."""
        now = time.monotonic()
        with self._lock:
            for topic, subscription in self._rows.items():
                for message, _ in subscription.fetch():
                    self._take(topic, message, now)
            for arrival in self._listener.fetch():
                self._monitor.timeline.arrived(arrival.sequence, arrival.stamp, arrival.time, now)
            self._monitor.timeline.settle(now)
        if self._listener.untimed:
            self._warn("the middleware does not say when messages came: end_to_end and to_controller are missing")

    def _publish(self) -> None:
        now = time.monotonic()
        with self._lock:
            statuses, latencies = self._monitor.statuses(now), self._monitor.latencies(now)
        for publisher, rows in ((self._diagnostics, statuses), (self._latency, latencies)):
            message = DiagnosticArray(status=[self._message(row) for row in rows])
            message.header.stamp = self.get_clock().now().to_msg()
            publisher.publish(message)

    def _message(self, status: Status) -> DiagnosticStatus:
        values = [KeyValue(key=key, value=value) for key, value in status.values.items()]
        return DiagnosticStatus(
            level=bytes([status.level]),
            name=status.name,
            message=status.message,
            hardware_id=self._robot,
            values=values,
        )


def _reference(statistics: Statistics | None) -> Reference | None:
    """Return what drift is measured against: the observation's components, then the action's."""
    if statistics is None:
        return None
    parts = {"observation": statistics.observation, "action": statistics.action}
    names = tuple(f"{part}/{name}" for part, components in parts.items() for name in components.names)
    deciles = np.vstack([components.deciles for components in parts.values()])
    minimum, maximum = (
        np.concatenate([getattr(components, end) for components in parts.values()]) for end in ("minimum", "maximum")
    )
    return Reference(names, deciles, minimum, maximum)


def main() -> None:
    """Run the node until it is told to end, behind all others that want the processor."""
    os.nice(NICENESS)
    sys.exit(run_node(TelemetryNode))


if __name__ == "__main__":
    main()
