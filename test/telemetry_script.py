"""Plays policy, safety and recorder on real topics, with delays that are given, for tests of the telemetry node."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import rclpy
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from ros_harness import domain, until
from std_msgs.msg import Float64MultiArray, String
from telemetry_rows import moments, policy_row, safety_rows

from ppo_robot.nodes.commands import Command
from ppo_robot.nodes.middleware import join_ros
from ppo_robot.nodes.ros_support import COMMANDS, LATCHED, TELEMETRY, seconds, to_stamp
from ppo_robot.nodes.safety_messages import ControllerMessage
from ppo_robot.nodes.telemetry_rows import RowsMessage
from ppo_robot.spec.deployment import ControllerSpec
from ppo_robot.telemetry.matrix import POLICY_ROWS, SAFETY_ROWS, Table, policy_columns, safety_columns

ROWS = 25
"""Ticks in a message of telemetry."""


class Script:
    """A policy and an envelope that did what they are told to have done; commands are published when they say so."""

    def __init__(self, controller: ControllerSpec, joints: int, actions: int, observation: int) -> None:
        self.context = Context()
        join_ros([], self.context, domain())
        self.node = Node("script", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        make = self.node.create_publisher
        self._message = ControllerMessage(controller, joints)
        self._hold = Command(tuple(f"joint{place}" for place in range(joints)), (0.0,) * joints, 0.004)
        self._command = make(self._message.kind, controller.topic, COMMANDS)
        self._policy = make(Float64MultiArray, "policy/telemetry", TELEMETRY)
        self._safety = make(Float64MultiArray, "safety/telemetry", TELEMETRY)
        self._info = make(String, "policy/info", LATCHED)
        self._state = make(DiagnosticStatus, "safety/state", LATCHED)
        self._diagnostics = make(DiagnosticArray, "/diagnostics", COMMANDS)
        self._policy_rows = Table(policy_columns(joints, actions, observation), ROWS)
        self._safety_rows = Table(safety_columns(joints), 4 * ROWS)
        self._messages = (RowsMessage(POLICY_ROWS, self._policy_rows), RowsMessage(SAFETY_ROWS, self._safety_rows))
        self.latency: dict[str, dict[str, str]] = {}
        self.told: dict[str, DiagnosticStatus] = {}
        self.heard = 0
        self.node.create_subscription(DiagnosticArray, "telemetry/latency", self._on_latency, 10)
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)
        self._info.publish(String(data=json.dumps({"bundle_id": "abc", "action": "deterministic", "seed": 3})))

    def spin(self) -> None:
        self.executor.spin_once(timeout_sec=0.02)

    def wait(self, condition: Any, what: str) -> None:
        until(condition, what, self.spin)

    def wait_for_listener(self) -> None:
        publishers = (self._command, self._policy, self._safety)
        self.wait(lambda: all(publisher.get_subscription_count() for publisher in publishers), "the telemetry node")
        heard = self.heard  # that we know it does not mean yet that it knows us
        self.wait(lambda: self.heard >= heard + 2, "two verdicts of it")

    def tell_counters(self, name: str, counters: Mapping[str, int]) -> None:
        values = [KeyValue(key=key, value=str(count)) for key, count in counters.items()]
        self._diagnostics.publish(DiagnosticArray(status=[DiagnosticStatus(name=name, values=values)]))

    def tell_state(self, state: str) -> None:
        self._state.publish(DiagnosticStatus(name="safety", message=state))

    def spoil(self) -> None:
        """Publish what is no telemetry."""
        self._policy.publish(Float64MultiArray(data=[1.0, 2.0, 3.0]))
        self._safety.publish(Float64MultiArray())

    def message(self, name: str) -> str:
        """Return what the newest status of this name says; empty before the first."""
        return str(self.told[name].message) if name in self.told else ""

    def play(self, ticks: list[dict[str, float]], period: float, state: int, changed: int = 0) -> None:
        """Play ticks, each with the delay of every stage, that began exactly a period apart; numbers count from 1.

        The command of a tick is published at the moment at which its rows say so, or later where the machine is busy.
        The envelope changed the first `changed` of them.
        """
        ros = time.time() - time.monotonic()
        start = time.monotonic() + 0.05
        for sequence, delays in enumerate(ticks, 1):
            at = moments(0, delays, start + sequence * period)
            stamp = to_stamp(ros + at["stamp"])
            self._command_at(at["command"], sequence, stamp)
            policy = policy_row(sequence, at, sequence == 1, ros) | {"state_stamp": seconds(stamp)}
            _fill(self._policy_rows, policy)
            for row in safety_rows(sequence, at, True, ros)[:3]:
                row |= {"stamp": seconds(stamp), "state": state, "changed": float(sequence <= changed)}
                _fill(self._safety_rows, row)
            if self._policy_rows.full or sequence == len(ticks):
                self._policy.publish(self._messages[0].take())
                self._safety.publish(self._messages[1].take())

    def _command_at(self, moment: float, sequence: int, stamp: Time) -> None:
        time.sleep(max(0.0, moment - time.monotonic()))
        self._message.follow(sequence, stamp)
        for _ in range(2):  # the second is of the next cycle, and of the same tick
            self._command.publish(self._message.fill(self._hold))

    def _on_latency(self, message: DiagnosticArray) -> None:
        self.heard += 1
        self.latency = {row.name: {pair.key: pair.value for pair in row.values} for row in message.status}

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        self.told |= {row.name: row for row in message.status}

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


def _fill(table: Table, values: Mapping[str, float]) -> None:
    row = table.next()
    row[:] = 0.0
    for name, value in values.items():
        row[table.places[name]] = value
