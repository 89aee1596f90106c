"""What the recorder keeps: ten topics at a rate for a while, and the rate at which messages begin to be missing."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import rclpy
from rclpy.context import Context
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.serialization import serialize_message
from sensor_msgs.msg import JointState

from ppo_robot.errors import RunFailedError
from ppo_robot.nodes.bench_node import START_TIMEOUT, running
from ppo_robot.nodes.middleware import join_ros
from ppo_robot.nodes.ros_support import EVENTS, to_stamp
from ppo_robot.recording.reader import BagReader

TOPICS = 10
RATE = 250.0
LIMIT_SECONDS = 5.0
"""Length of each measurement in the search for the rate at which messages are missing."""

FASTEST = 16000.0
KEPT_UP = 0.95
"""Share of the rate that the source must reach, or it is the source that has met its limit."""

_NAMES = [f"/bench/topic{number}" for number in range(TOPICS)]


class Source:
    """Publishes joint states of six joints on ten topics, in one thread, and counts what it sent."""

    def __init__(self) -> None:
        """Make the publishers."""
        self.context = Context()
        join_ros([], self.context)
        self.node = Node("bench_source", context=self.context, start_parameter_services=False)
        self.publishers: list[Publisher] = [self.node.create_publisher(JointState, name, EVENTS) for name in _NAMES]
        self.sent = 0
        names = [f"joint_{number}" for number in range(6)]
        self._message = JointState(name=names, position=[0.1] * 6, velocity=[0.2] * 6, effort=[0.3] * 6)

    def turn(self) -> None:
        """Publish one message on each topic; serialized once, so that the source reaches further than the recorder."""
        self._message.header.stamp = to_stamp(time.time())
        data = serialize_message(self._message)
        for publisher in self.publishers:
            publisher.publish(data)
        self.sent += 1

    def run(self, rate: float, seconds: float) -> None:
        """Publish `rate` times a second; what was missed because the machine was busy follows in a burst."""
        begun = time.monotonic()
        while (elapsed := time.monotonic() - begun) < seconds:
            if self.sent >= elapsed * rate:
                time.sleep(min(1e-3, 1.0 / rate))
                continue
            self.turn()

    def wait(self) -> None:
        """Wait until somebody listens to all topics.

        Raises:
            RunFailedError: if nobody does.
        """
        limit = time.monotonic() + START_TIMEOUT
        while not all(publisher.get_subscription_count() for publisher in self.publishers):
            if time.monotonic() > limit:
                raise RunFailedError(f"the recorder did not begin to listen in {START_TIMEOUT:g} s")
            time.sleep(0.01)

    def close(self) -> None:
        """End the node."""
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


def bench_recorder(seconds: float) -> dict[str, Any]:
    """Record ten topics at 250 Hz each for `seconds`, then at doubled rates for 5 s each until messages are missing.

    Returns:
        `recorder_dropped`: messages sent and not in the recording; `recorder_cpu_share`: of one core;
        `recorder_first_drops_hz`: rate of each topic at which messages are missing first, None where the source met its
        limit before; `recorder_kept_hz`: the highest rate at which none was; and each measurement.

    Raises:
        RunFailedError: if the recorder does not begin to listen.
    """
    main = measure(RATE, seconds)
    searched: list[dict[str, float]] = []
    first: float | None = None
    kept = RATE if main["dropped"] == 0 else 0.0
    rate = 2.0 * RATE
    while first is None and rate <= FASTEST:
        searched.append(measure(rate, min(seconds, LIMIT_SECONDS)))
        if searched[-1]["dropped"]:
            first = searched[-1]["reached_hz"]
        else:
            kept = max(kept, searched[-1]["reached_hz"])
        if searched[-1]["reached_hz"] < KEPT_UP * rate:
            break
        rate *= 2.0
    return {
        "recorder_topics": TOPICS,
        "recorder_rate_hz": RATE,
        "recorder_seconds": seconds,
        "recorder_sent": main["sent"],
        "recorder_dropped": main["dropped"],
        "recorder_cpu_share": main["cpu_share"],
        "recorder_bytes_per_s": main["bytes_per_s"],
        "recorder_first_drops_hz": first,
        "recorder_kept_hz": kept,
        "recorder_search": searched,
    }


def measure(rate: float, seconds: float) -> dict[str, float]:
    """Record ten topics at `rate` Hz each; return what was sent, what is missing, and what it cost."""
    source = Source()
    try:
        with tempfile.TemporaryDirectory(prefix="ppo_robot_bench_") as folder:
            out = Path(folder) / "bag"
            topics = "[" + ", ".join(f"'{name}'" for name in _NAMES) + "]"
            with running("recorder", {"out": str(out), "topics": topics, "minimum_free_bytes": 0}) as recorder:
                source.wait()
                cpu, begun = _cpu_seconds(recorder), time.monotonic()
                source.run(rate, seconds)
                cpu, took = _cpu_seconds(recorder) - cpu, time.monotonic() - begun
                _settle(recorder)
            counts = Counter({name: topic.count for name, topic in BagReader(out).topics.items()})
            size = sum(file.stat().st_size for file in out.glob("*.mcap"))
    finally:
        source.close()
    return {
        "rate_hz": rate,
        "reached_hz": source.sent / took,
        "sent": source.sent * TOPICS,
        "dropped": sum(source.sent - counts[name] for name in _NAMES),
        "cpu_share": cpu / took,
        "bytes_per_s": size / took,
    }


def _settle(recorder: subprocess.Popen[str]) -> None:
    """Wait until the recorder has nothing left to do, as far as its processor time tells; 10 s at most."""
    limit, before = time.monotonic() + 10.0, -1.0
    while time.monotonic() < limit and _cpu_seconds(recorder) - before > 0.1:
        before = _cpu_seconds(recorder)
        time.sleep(0.5)


def _cpu_seconds(process: subprocess.Popen[str]) -> float:
    """Return the processor time that a process has used, s (fields 14 and 15 of /proc/PID/stat)."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
