"""What telemetry costs a policy, tick by tick: the policy node itself with a stopwatch around that part of its tick."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from ppo_robot.nodes.bench_node import SETTLE_TICKS, ended, listening, percentiles, policy_process, settle, spin
from ppo_robot.nodes.policy import TELEMETRY_PERIOD, PolicyNode
from ppo_robot.nodes.policy_core import PolicyAction
from ppo_robot.nodes.ros_support import run_node
from ppo_robot.policy.bundle import Bundle


class TimedPolicy(PolicyNode):
    """The policy node; when it ends it prints what telemetry took, of its control loop's thread and of its own."""

    def __init__(self) -> None:
        """Begin without costs."""
        self._costs: list[tuple[float, float]] = []
        self._beside: list[float] = []
        super().__init__()

    def close(self) -> None:
        """End, and print for each tick processor time of its thread (s) and wall time (s), and for each message the
        processor time that the thread which published it had taken by then (s).
        """
        super().close()
        print(json.dumps({"costs": self._costs, "beside": self._beside}), flush=True)

    def _tell(self, action: PolicyAction | None, published: float) -> None:
        time.thread_time()  # the first reading after a sleep takes 5 us, which are the stopwatch's own
        wall, processor = time.perf_counter(), time.thread_time()
        super()._tell(action, published)
        costs = (time.thread_time() - processor, time.perf_counter() - wall)
        if action is not None:
            self._costs.append(costs)

    def _publish_telemetry(self, message: bytes) -> None:
        super()._publish_telemetry(message)
        self._beside.append(time.thread_time())


def bench_policy(bundle: Bundle, path: Path, seconds: float) -> dict[str, Any]:
    """Run the policy node for `seconds` at the bundle's own rate, with a listener in another process.

    Returns:
        Percentiles in µs of what telemetry costs a tick, the mean over the ticks of each message: processor time of the
        control loop's thread (`telemetry_us_per_tick`), the same as wall time, which others on the machine stretch; and
        processor time of the thread that writes and publishes the messages, shared by their ticks.

    Raises:
        RunFailedError: if the policy node does not begin to act.
    """
    with listening(bundle) as (source, executor), policy_process("bench_telemetry", bundle, path) as policy:
        settle(source, executor)
        spin(executor, seconds)
        report = ended(policy)
    costs, rows = report["costs"][SETTLE_TICKS:], round(TELEMETRY_PERIOD / bundle.task.control_period)
    return {
        "rate_hz": 1.0 / bundle.task.control_period,
        "seconds": seconds,
        "ticks": len(costs),
        **shares(costs, report["beside"][SETTLE_TICKS // rows :], rows),
    }


def shares(costs: list[tuple[float, float]], beside: list[float], rows: int) -> dict[str, dict[str, float]]:
    """Return percentiles in µs of what ticks cost.

    Args:
        costs: of each tick, processor s and wall s.
        beside: of each message, processor s that its thread had taken by then.
        rows: ticks in a message.
    """
    whole = len(costs) // rows * rows
    processor, wall = np.array(costs[:whole]).reshape(-1, rows, 2).mean(axis=1).T
    return {
        "telemetry_us_per_tick": percentiles(processor.tolist()),
        "telemetry_wall_us_per_tick": percentiles(wall.tolist()),
        "beside_us_per_tick": percentiles((np.diff(beside) / rows).tolist()),
    }


def main() -> None:
    """Run the timed node until told to end."""
    sys.exit(run_node(TimedPolicy))


if __name__ == "__main__":
    main()
