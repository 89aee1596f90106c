"""The policy node as it is, which says in the end what processor time each of its periods took: for `bench node`."""

from __future__ import annotations

import json
import sys
import time

from ppo_robot.nodes.policy import PolicyNode
from ppo_robot.nodes.ros_support import run_node


class CountedPolicy(PolicyNode):
    """Counts as `bare_tick` does, with which it is compared."""

    def __init__(self) -> None:
        """Begin without costs."""
        self._costs: list[float] = []
        self._spent = time.process_time()
        super().__init__()

    def close(self) -> None:
        """End, and print the processor time of each period (s)."""
        super().close()
        print(json.dumps({"period_cpu_s": self._costs}), flush=True)

    def _tick(self) -> None:
        super()._tick()
        spent = time.process_time()
        self._costs.append(spent - self._spent)
        self._spent = spent


def main() -> None:
    """Run the node until told to end."""
    sys.exit(run_node(CountedPolicy))


if __name__ == "__main__":
    main()
