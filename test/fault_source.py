"""A process that a fault is put into: relays joint states or actions, or publishes beside those who may.

    python fault_source.py states|actions|intruder

One line on stdin says what it does from then on: `good`; `nan FIELD JOINT`; `ahead SECONDS`; `malformed`. States come
from /robot/joint_states and actions from policy/wanted. The intruder publishes nothing, and has no publisher, while it
is good.
"""

from __future__ import annotations

import itertools
import math
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

import rclpy
from rclpy.node import Node
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from ppo_robot.nodes.middleware import join_ros
from ppo_robot.nodes.ros_support import COMMANDS, SENSORS, seconds, to_stamp
from ppo_robot.spec.robot import load_robot

JOINTS = list(load_robot("arm6").joint_names)
PERIOD = 0.01


class Orders:
    """The newest line of stdin; `None` once there is no more."""

    def __init__(self) -> None:
        self.words: list[str] | None = ["good"]
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in sys.stdin:
            self.words = line.split()
        self.words = None


def spoil(message: Any, fields: Any, words: list[str]) -> Any:
    """Return the message with the fault that the words name; `fields` holds the arrays of values, one a joint."""
    if words[0] == "nan":
        values = list(getattr(fields, words[1])) or [0.0] * len(JOINTS)
        values[int(words[2])] = math.nan
        setattr(fields, words[1], values)
    elif words[0] == "ahead":
        message.header.stamp = to_stamp(seconds(message.header.stamp) + float(words[1]))
    return message


def joint_state(names: list[str], position: list[float], stamp: float) -> JointState:
    message = JointState(name=names, position=position)
    message.header.stamp = to_stamp(stamp)
    return message


def action(names: list[str], *points: list[float], stamp: float) -> JointTrajectory:
    message = JointTrajectory(joint_names=names, points=[JointTrajectoryPoint(positions=row) for row in points])
    message.header.stamp = to_stamp(stamp)
    return message


def malformed(now: float) -> list[tuple[JointState, JointTrajectory]]:
    """Return a state and an action of every kind that must be refused; one is far too long."""
    zeros, nan, many = [0.0] * 6, [math.nan] * 6, 10_000
    rows: list[tuple[list[str], list[float], float]] = [
        ([], zeros, now),
        (JOINTS, [], now),
        (JOINTS, zeros[:5], now),
        (JOINTS[:5], zeros[:5], now),
        ([*JOINTS[:5], JOINTS[0]], zeros, now),
        ([f"{name}_of_another" for name in JOINTS], zeros, now),
        (JOINTS, nan, now),
        (JOINTS, [math.inf, *zeros[1:]], now),
        (JOINTS, zeros, 0.0),
        (JOINTS, zeros, now - 10.0),
        ([f"joint_{index}" for index in range(many)], [1e300] * many, now),
    ]
    pairs = [(joint_state(*row), action(row[0], row[1], stamp=row[2])) for row in rows]
    return [*pairs, (joint_state([], [], now), action(JOINTS, zeros, zeros, stamp=now))]


def relay(node: Node, what: str, orders: Orders) -> None:
    """Pass on what comes, spoiled as ordered."""
    if what == "states":
        out = node.create_publisher(JointState, "/joint_states", COMMANDS)
        node.create_subscription(
            JointState, "/robot/joint_states", lambda m: out.publish(spoil(m, m, orders.words or ["good"])), SENSORS
        )
    else:
        out = node.create_publisher(JointTrajectory, "policy/action", COMMANDS)
        node.create_subscription(
            JointTrajectory,
            "policy/wanted",
            lambda m: out.publish(spoil(m, m.points[0], orders.words or ["good"])),
            COMMANDS,
        )
    spin(node, orders, lambda: 0.05)


def intrude(node: Node, orders: Orders) -> None:
    """Publish states and actions beside those who may: as fast as it goes, or at their rate with stamps ahead."""
    publishers: list[Any] = []
    turn = itertools.count()

    def step() -> float:
        words, now = orders.words or ["good"], node.get_clock().now().nanoseconds * 1e-9
        if words[0] == "good":
            while publishers:
                node.destroy_publisher(publishers.pop())
            return 0.02
        if not publishers:
            publishers.append(node.create_publisher(JointState, "/joint_states", COMMANDS))
            publishers.append(node.create_publisher(JointTrajectory, "policy/action", COMMANDS))
        if words[0] == "malformed":
            kinds = malformed(now)
            pair = kinds[next(turn) % len(kinds)]
        else:
            ahead = now + float(words[1])
            pair = joint_state(JOINTS, [0.0] * 6, ahead), action(JOINTS, [0.0] * 6, stamp=ahead)
        for publisher, message in zip(publishers, pair, strict=True):
            publisher.publish(message)
        return 0.0 if words[0] == "malformed" else PERIOD

    spin(node, orders, step)


def spin(node: Node, orders: Orders, step: Callable[[], float]) -> None:
    while orders.words is not None:
        rclpy.spin_once(node, timeout_sec=step())


def main() -> None:
    """Run until stdin ends."""
    what, orders = sys.argv[1], Orders()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends with its stdin, after those that it feeds
    join_ros()
    node = Node(f"fault_{what}", start_parameter_services=False, enable_rosout=False)
    if what == "intruder":
        intrude(node, orders)
    else:
        relay(node, what, orders)
    node.destroy_node()
    rclpy.try_shutdown()


if __name__ == "__main__":
    main()
