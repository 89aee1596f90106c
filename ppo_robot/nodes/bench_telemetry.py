"""What telemetry costs a policy, tick by tick: the policy node itself with a stopwatch around that part of its tick."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from ppo_robot.nodes.bench_node import SETTLE_TICKS, ended, listening, percentiles, policy_process, settle, spin
from ppo_robot.nodes.policy import PolicyNode
from ppo_robot.nodes.policy_core import PolicyAction
from ppo_robot.nodes.ros_support import run_node
from ppo_robot.policy.bundle import Bundle


class TimedPolicy(PolicyNode):
    """The policy node; when it ends it prints what telemetry took in each tick."""

    def __init__(self) -> None:
        """Begin without costs."""
        self._costs: list[tuple[float, float, bool]] = []
        super().__init__()

    def close(self) -> None:
        """End, and print for each tick processor time of its thread (s), wall time (s), and whether it published."""
        super().close()
        print(json.dumps({"costs": self._costs}), flush=True)

    def _tell(self, action: PolicyAction | None, published: float) -> None:
        time.thread_time()  # the first reading after a sleep takes 5 us, which are the stopwatch's own
        wall, processor = time.perf_counter(), time.thread_time()
        super()._tell(action, published)
        costs = (time.thread_time() - processor, time.perf_counter() - wall)
        if action is not None:
            self._costs.append((*costs, self._messages[1].empty))


def bench_policy(bundle: Bundle, path: Path, seconds: float) -> dict[str, Any]:
    """Run the policy node for `seconds` at the bundle's own rate, with a listener in another process.

    Returns:
        Percentiles in µs of what telemetry costs a tick: everything between two messages, shared by the ticks in it.
        `telemetry_us_per_tick` is processor time; the same as wall time, which others on the machine stretch; and that
        of a tick which only gathers, and of one which publishes.

    Raises:
        RunFailedError: if the policy node does not begin to act.
    """
    with listening(bundle) as (source, executor), policy_process("bench_telemetry", bundle, path) as policy:
        settle(source, executor)
        spin(executor, seconds)
        costs = ended(policy)["costs"][SETTLE_TICKS:]
    return {"rate_hz": 1.0 / bundle.task.control_period, "seconds": seconds, "ticks": len(costs), **shares(costs)}


def shares(costs: list[tuple[float, float, bool]]) -> dict[str, dict[str, float]]:
    """Return percentiles in µs of ticks' costs: processor s, wall s, and whether the tick published its batch."""
    batches: list[list[tuple[float, float]]] = [[]]
    for processor, wall, published in costs:
        batches[-1].append((processor, wall))
        if published:
            batches.append([])
    whole = batches[1:-1]  # the first and the last are parts of one
    return {
        "telemetry_us_per_tick": percentiles([sum(one for one, _ in batch) / len(batch) for batch in whole]),
        "telemetry_wall_us_per_tick": percentiles([sum(one for _, one in batch) / len(batch) for batch in whole]),
        "gathering_us": percentiles([processor for processor, _, published in costs if not published]),
        "publishing_us": percentiles([processor for processor, _, published in costs if published]),
    }


def main() -> None:
    """Run the timed node until told to end."""
    sys.exit(run_node(TimedPolicy))


if __name__ == "__main__":
    main()
