"""Hears when commands reach their controller's topic, and of which tick they came, at hardly any cost."""

from __future__ import annotations

import re
import struct
import time
from dataclasses import dataclass

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

from ppo_robot.nodes.quiet_subscription import QuietSubscription
from ppo_robot.spec.deployment import ControllerSpec

DEPTH = 500
"""Commands that the middleware keeps until they are fetched: half a second at 1 kHz."""

LABEL = re.compile(rb"sequence (\d{1,15}) state (\d{1,15})\.(\d{9})")
LONGEST_LABEL = 64


@dataclass(frozen=True)
class Arrival:
    """The first command that came of a tick.

    Attributes:
        sequence: number of the tick.
        stamp: s, of the state that it acted upon, the same float as in the rows of telemetry.
        time: s on the monotonic clock, when the middleware of this process had the command.
    """

    sequence: int
    stamp: float
    time: float


class CommandListener:
    """Subscribes to a controller's topic. `fetch` is to be called several times a second.

    The time of an arrival is the middleware's own, so it does not matter when it is fetched.

    Attributes:
        untimed: commands for which the middleware did not say when they came.
    """

    def __init__(self, node: Node, controller: ControllerSpec) -> None:
        """Begin to listen."""
        self._forward = controller.type == "forward_command_controller"
        kind = Float64MultiArray if self._forward else JointTrajectory
        quality = QoSProfile(depth=DEPTH, reliability=ReliabilityPolicy.RELIABLE)
        self._subscription = QuietSubscription(node, kind, controller.topic, quality, raw=True)
        self._label = b""
        self.untimed = 0

    def fetch(self) -> list[Arrival]:
        """Return the arrivals since the last call, in their order."""
        offset = time.monotonic() - time.time()
        found: list[Arrival] = []
        for message, info in self._subscription.fetch():
            label = label_of(message, self._forward)
            if label == self._label:
                continue
            self._label = label
            parts = LABEL.fullmatch(label)
            received = info["received_timestamp"]
            if parts is None:
                continue
            if received <= 0:
                self.untimed += 1
                continue
            sequence, whole, nanoseconds = map(int, parts.groups())
            found.append(Arrival(sequence, float(whole) + float(nanoseconds) * 1e-9, received * 1e-9 + offset))
        return found


def label_of(message: bytes, forward: bool) -> bytes:
    """Return the text that names the tick in a serialised command; empty where it has none.

    In a Float64MultiArray it is the label of the layout's first dimension, behind the number of dimensions; in a
    JointTrajectory the frame, behind the stamp. Both are the first text of the message (OMG DDSI-RTPS 2.5, CDR).
    """
    order = "<" if message[1:2] == b"\x01" else ">"
    place = 8 if forward else 12
    if len(message) < place + 4:
        return b""
    if forward and struct.unpack_from(f"{order}I", message, 4)[0] == 0:
        return b""
    (length,) = struct.unpack_from(f"{order}I", message, place)
    if not 1 <= length <= LONGEST_LABEL:
        return b""
    return bytes(message[place + 4 : place + 3 + length])
