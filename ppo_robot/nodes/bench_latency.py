"""What telemetry says of a whole deployment's latency, beside the simulated robot's own measurement of the same."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
import yaml
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from std_msgs.msg import Float64MultiArray

from ppo_robot.errors import RunFailedError
from ppo_robot.nodes.background import Deployment, deployment
from ppo_robot.nodes.middleware import join_ros
from ppo_robot.nodes.ros_support import COMMANDS, EVENTS
from ppo_robot.policy.bundle import Bundle
from ppo_robot.spec.deployment import load_deployment
from ppo_robot.spec.strict import plain

START_TIMEOUT = 60.0
SETTLE = 5.0
"""s after the first latency was told in which discovery calms down; they are not counted."""

QUANTILES = ("p50", "p90", "p99", "p99.9", "max")
STATE_RATE = 100.0
"""Hz of the joint states, at least; a policy that is faster gets a state a tick."""


class Listener(Node):
    """Keeps the newest word of telemetry, and every sample of the simulated robot."""

    def __init__(self, context: Context) -> None:
        """Begin to listen."""
        super().__init__("bench_latency", context=context)
        self.stages: dict[str, dict[str, str]] = {}
        self.statuses: dict[str, dict[str, str]] = {}
        self.samples: list[tuple[float, float]] = []
        self.create_subscription(DiagnosticArray, "telemetry/latency", self._on_latency, COMMANDS)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, EVENTS)
        self.create_subscription(Float64MultiArray, "sim_robot/response", self._on_response, EVENTS)
        self.faults = self.create_client(SetParameters, "sim_robot/set_parameters")

    def _on_latency(self, message: DiagnosticArray) -> None:
        self.stages = {one.name: {entry.key: entry.value for entry in one.values} for one in message.status}

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for one in message.status:
            self.statuses[one.name] = {entry.key: entry.value for entry in one.values}

    def _on_response(self, message: Float64MultiArray) -> None:
        values = list(message.data)
        self.samples += list(zip(values[::2], values[1::2], strict=True))

    @property
    def acting(self) -> bool:
        """Whether commands have come of ticks."""
        return self.stages.get("end_to_end", {}).get("count", "0") != "0"


def bench_latency(
    bundle: Bundle,
    path: Path,
    seconds: float,
    delay: float = 0.0,
    on_progress: Callable[[float], None] | None = None,
) -> dict[str, Any]:
    """Run the bundle against the simulated robot for `seconds` of real time at its own rate.

    Args:
        bundle: loaded.
        path: where from.
        seconds: at least 1, at most 600, which telemetry's window can hold.
        delay: s, injected between the measurement of a state and its publication.
        on_progress: called with the seconds done.

    Returns:
        Quantiles in ms of every stage by telemetry, of end to end by the simulated robot, their ratios, and misses.

    Raises:
        RunFailedError: if the deployment does not come up.
    """
    with _deployment(bundle, path, seconds) as running, _listening() as (listener, executor):
        _spin(executor, START_TIMEOUT, lambda: listener.acting)
        running.require(listener.acting)
        if delay:
            _inject(listener, executor, delay)
        _spin(executor, SETTLE)
        before, began = dict(listener.statuses.get("telemetry/deadlines", {})), time.time()
        listener.samples.clear()
        for done in range(1, max(1, round(seconds)) + 1):
            _spin(executor, min(1.0, seconds))
            if on_progress is not None:
                on_progress(float(done))
        after = dict(listener.statuses.get("telemetry/deadlines", {}))
        stages = {name: _recent(values) for name, values in listener.stages.items() if int(values["recent_count"])}
        own = np.array([took for stamp, took in listener.samples if stamp >= began])
    if not len(own):
        raise RunFailedError("the simulated robot saw no command that names a state: is the safety node armed?")
    told = stages["end_to_end"]
    measured = dict(zip(QUANTILES, _quantiles(own), strict=True)) | {"count": len(own)}
    return {
        "rate_hz": 1.0 / bundle.task.control_period,
        "seconds": seconds,
        "injected_delay_ms": 1e3 * delay,
        "stages_ms": stages,
        "robot_end_to_end_ms": measured,
        "telemetry_over_robot": {key: told[key] / measured[key] for key in ("p50", "p99")},
        "ticks": int(after.get("ticks", 0)) - int(before.get("ticks", 0)),
        "deadline_misses": int(after.get("missed", 0)) - int(before.get("missed", 0)),
        "longest_run": int(after.get("longest_run", 0)),
    }


def _quantiles(seconds: np.ndarray) -> list[float]:
    return [float(value) * 1e3 for value in np.percentile(seconds, [50.0, 90.0, 99.0, 99.9, 100.0])]


def _recent(values: dict[str, str]) -> dict[str, float]:
    """Return the quantiles in ms and the count of telemetry's window."""
    return {key: 1e3 * float(values[f"recent_{key}"]) for key in QUANTILES} | {"count": int(values["recent_count"])}


def _inject(listener: Listener, executor: SingleThreadedExecutor, delay: float) -> None:
    value = ParameterValue(type=ParameterType.PARAMETER_DOUBLE, double_value=delay)
    request = SetParameters.Request(parameters=[Parameter(name="state_latency", value=value)])
    listener.faults.wait_for_service(START_TIMEOUT)
    future = listener.faults.call_async(request)
    _spin(executor, START_TIMEOUT, future.done)
    result = future.result()
    if result is None or not all(one.successful for one in result.results):
        raise RunFailedError(f"state_latency {delay}: the simulated robot did not take it")


def _spin(executor: SingleThreadedExecutor, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and not until():
        executor.spin_once(timeout_sec=0.1)


@contextlib.contextmanager
def _listening() -> Iterator[tuple[Listener, SingleThreadedExecutor]]:
    context = Context()
    join_ros([], context)
    listener = Listener(context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(listener)
    try:
        yield listener, executor
    finally:
        executor.shutdown()
        listener.destroy_node()
        rclpy.shutdown(context=context)


@contextlib.contextmanager
def _deployment(bundle: Bundle, path: Path, seconds: float) -> Iterator[Deployment]:
    """Run `ppo-robot up deploy plant:=sim` towards a fixed goal; telemetry's window is as long as the run."""
    rate = max(STATE_RATE, 1.0 / bundle.task.control_period)
    goal = sum(bundle.robot.workspace.radius) / 2.0
    x, y, z = bundle.robot.workspace.centre
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "deploy.yaml"
        tree = plain(load_deployment("sim"))
        tree["telemetry"]["window"] = max(1.0, seconds)
        tree["safety"]["novelty_margin"] = None  # how well it reaches is not judged here, nor how long it can hold
        config.write_text(yaml.safe_dump(tree), encoding="utf-8")
        given = ["plant:=sim", f"bundle:={path.resolve()}", f"config:={config}", f"state_rate:={rate:g}"]
        given.append(f"goal:={x + goal:.6f} {y:.6f} {z:.6f}")
        with deployment(given) as running:
            yield running
