"""What a tick of the policy node costs, beside a bare rclpy process in the same run."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray

from ppo_robot.errors import RunFailedError
from ppo_robot.nodes.background import end, end_with_parent
from ppo_robot.nodes.middleware import join_ros
from ppo_robot.nodes.ros_support import COMMANDS, SENSORS, TELEMETRY
from ppo_robot.nodes.telemetry_rows import read_rows
from ppo_robot.nodes.timing import DeadlineLoop
from ppo_robot.policy.bundle import Bundle

START_TIMEOUT = 60.0
SETTLE_TICKS = 50
"""First ticks that are not counted: imports, caches and discovery end in them."""

MEASURED = ("inference_s", "tick_s")


class StateSource(Node):
    """Plays the robot: joint states at the control rate, in a thread of its own; keeps what the policy says."""

    def __init__(self, bundle: Bundle, context: Context) -> None:
        """Begin to publish at once."""
        super().__init__("state_source", context=context)
        self.samples: list[dict[str, float]] = []
        self.missed = 0
        self._names = list(bundle.robot.joint_names)
        self._position = [joint.default_position for joint in bundle.robot.joints]
        self._publisher = self.create_publisher(JointState, "/joint_states", SENSORS)
        self.create_subscription(Float64MultiArray, "policy/telemetry", self._on_telemetry, TELEMETRY)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, COMMANDS)
        self.loop = DeadlineLoop(bundle.task.control_period, self._publish)
        self.loop.start()

    def _publish(self) -> None:
        message = JointState(name=self._names, position=self._position, velocity=[0.0] * len(self._names))
        message.header.stamp = self.get_clock().now().to_msg()
        self._publisher.publish(message)

    def _on_telemetry(self, message: Float64MultiArray) -> None:
        columns = read_rows(message)
        inference = columns["inference_ended"] - columns["inference_began"]
        tick = columns["acted"] - columns["tick_began"]
        rows = np.column_stack([inference, tick]).tolist()
        self.samples += [dict(zip(MEASURED, row, strict=True)) for row in rows]

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name == "policy":
                values = {entry.key: entry.value for entry in status.values}
                self.missed = int(values.get("missed_ticks", self.missed))


def bench_node(bundle: Bundle, path: Path, seconds: float) -> dict[str, Any]:
    """Run the policy node and the bare process side by side for `seconds` at the bundle's own rate.

    Returns:
        Percentiles in µs of inference and of the processor time of a whole period, of both; missed deadlines of both.

    Raises:
        RunFailedError: if the policy node does not begin to act.
    """
    with (
        listening(bundle) as (source, executor),
        policy_process("bench_tick", bundle, path) as policy,
        running("bare_tick", {"rate": 1.0 / bundle.task.control_period}) as bare,
    ):
        settle(source, executor)
        source.samples.clear()
        missed_before = source.missed
        spin(executor, seconds)
        samples, missed = list(source.samples), source.missed - missed_before
        own, report = ended(policy), ended(bare)
    return {
        "rate_hz": 1.0 / bundle.task.control_period,
        "seconds": seconds,
        "ticks": len(samples),
        "inference_us": percentiles([sample["inference_s"] for sample in samples]),
        "policy_us": percentiles([sample["tick_s"] for sample in samples]),
        "tick_us": percentiles(own["period_cpu_s"][SETTLE_TICKS:]),
        "bare_tick_us": percentiles(report["period_cpu_s"][SETTLE_TICKS:]),
        "deadline_misses": missed,
        "bare_deadline_misses": report["missed"],
    }


def percentiles(seconds: list[float]) -> dict[str, float]:
    """Return p50, p99 and mean of times in s, in µs."""
    values = np.array(seconds) * 1e6
    p50, p99 = np.percentile(values, [50, 99])
    return {"p50": float(p50), "p99": float(p99), "mean": float(values.mean())}


@contextlib.contextmanager
def listening(bundle: Bundle) -> Iterator[tuple[StateSource, SingleThreadedExecutor]]:
    """Play a bundle's robot in a context of its own while it is entered."""
    context = Context()
    join_ros([], context)
    source = StateSource(bundle, context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(source)
    try:
        yield source, executor
    finally:
        source.loop.stop()
        executor.shutdown()
        source.destroy_node()
        rclpy.shutdown(context=context)


def settle(source: StateSource, executor: SingleThreadedExecutor) -> None:
    """Spin until the policy has made its first ticks.

    Raises:
        RunFailedError: if it does not begin to act.
    """
    limit = time.monotonic() + START_TIMEOUT
    while len(source.samples) < SETTLE_TICKS:
        if time.monotonic() > limit:
            raise RunFailedError(f"the policy node did not begin to act in {START_TIMEOUT:g} s")
        executor.spin_once(timeout_sec=0.1)


def spin(executor: SingleThreadedExecutor, seconds: float) -> None:
    """Take what comes for so long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        executor.spin_once(timeout_sec=0.1)


def policy_process(module: str, bundle: Bundle, path: Path) -> contextlib.AbstractContextManager[subprocess.Popen[str]]:
    """Run a policy node that sets out for a goal in the middle of the bundle's workspace by itself."""
    workspace = bundle.robot.workspace
    middle = sum(workspace.radius) / 2.0
    goal = (workspace.centre[0] + middle, 0.0, workspace.centre[2])
    text = "[" + ", ".join(f"{value:.6f}" for value in goal) + "]"
    return running(module, {"bundle": str(path), "autostart": "true", "goal": text})


def ended(process: subprocess.Popen[str]) -> dict[str, Any]:
    """End a process of ours and return the figures that it prints then."""
    process.send_signal(signal.SIGINT)
    figures: dict[str, Any] = json.loads(process.communicate(timeout=START_TIMEOUT)[0])
    return figures


@contextlib.contextmanager
def running(module: str, parameters: dict[str, Any]) -> Iterator[subprocess.Popen[str]]:
    """Run a node of this package as a process of its own, and end it."""
    arguments = [word for name, value in parameters.items() for word in ("-p", f"{name}:={value}")]
    process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
        [sys.executable, "-m", f"ppo_robot.nodes.{module}", "--ros-args", "--log-level", "warn", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        env=dict(os.environ, PYTHONUNBUFFERED="1"),
        preexec_fn=end_with_parent,  # noqa: PLW1509 - one call of the C library
    )
    try:
        yield process
    finally:
        end(process)
