"""The least that a control process in rclpy does: keep the newest JointState, publish a JointTrajectory each period.

`ppo-robot bench node` measures the policy node against it. On SIGINT it prints what each period cost.
"""

from __future__ import annotations

import json
import sys
import time

from rclpy.node import Node
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from ppo_robot.nodes.ros_support import COMMANDS, SENSORS, run_node
from ppo_robot.nodes.timing import DeadlineLoop


class BareTick(Node):
    """Receives and publishes, in the same threads and with the same messages as the policy node."""

    def __init__(self) -> None:
        """Begin at once, at parameter `rate` Hz."""
        super().__init__("bare_tick")
        rate = float(self.declare_parameter("rate", 50.0).value)
        self._newest: JointState | None = None
        self._costs: list[float] = []
        self._cpu = time.process_time()
        self.create_subscription(JointState, "/joint_states", self._keep, SENSORS)
        self._publisher = self.create_publisher(JointTrajectory, "bare/action", COMMANDS)
        self._loop = DeadlineLoop(1.0 / rate, self._tick)
        self._loop.start()

    def close(self) -> None:
        """Stop, and print the processor time of each period (s) and the missed deadlines."""
        self._loop.stop()
        print(json.dumps({"period_cpu_s": self._costs, "missed": self._loop.counters.missed}), flush=True)

    def _keep(self, message: JointState) -> None:
        self._newest = message

    def _tick(self) -> None:
        newest = self._newest
        if newest is None:
            return
        message = JointTrajectory()
        message.header.stamp = newest.header.stamp
        message.joint_names = newest.name
        message.points = [JointTrajectoryPoint(positions=newest.position)]
        self._publisher.publish(message)
        spent = time.process_time()
        self._costs.append(spent - self._cpu)
        self._cpu = spent


def main() -> None:
    """Run until told to end."""
    sys.exit(run_node(BareTick))


if __name__ == "__main__":
    main()
