"""The sim_flight node: stands in for a floating robot and its flight controller, so that a flight can be rehearsed."""

from __future__ import annotations

import sys
import threading
import time

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from geometry_msgs.msg import Point, Quaternion, Vector3
from nav_msgs.msg import Odometry
from rclpy.node import Node
from sensor_msgs.msg import Imu
from std_msgs.msg import Float64MultiArray

from ppo_robot.errors import BadInputError
from ppo_robot.mdp.rotation import rotation_matrix, to_body
from ppo_robot.nodes.ros_support import COMMANDS, SeldomWarning, declare_spec, read_only, run_node, to_stamp
from ppo_robot.nodes.sim_flight_core import SimFlightCore
from ppo_robot.nodes.timing import DeadlineLoop
from ppo_robot.policy.bundle import load_bundle
from ppo_robot.spec.deployment import SimRobotSpec
from ppo_robot.spec.flight import FlightTaskSpec
from ppo_robot.spec.floating import FloatingSpec
from ppo_robot.spec.kinds import build_task, load_any_robot
from ppo_robot.spec.robot import find_config
from ppo_robot.spec.strict import read_yaml
from ppo_robot.state import RobotState

DIAGNOSTICS_PERIOD = 1.0
WORLD = "odom"


class SimFlightNode(Node):
    """A simulated floating robot in real time: one thread moves it and publishes, the executor's takes commands."""

    def __init__(self) -> None:
        """Declare the parameters, build the robot and start it.

        Raises:
            BadInputError: if a parameter does not fit, or the robot does not fly.
        """
        super().__init__("sim_flight")
        self._lock = threading.Lock()
        self._warn = SeldomWarning(self)
        robot, task = self._robot_and_task()
        spec: SimRobotSpec = declare_spec(self, SimRobotSpec(), "sim_flight")
        self.core = SimFlightCore(robot, task, spec.plant, spec.state_rate, spec.seed)
        self._base_link = robot.base_link
        self._odometry = self.create_publisher(Odometry, "/odom", COMMANDS)
        self._imu = self.create_publisher(Imu, "/imu/data", COMMANDS)
        self._truth = self.create_publisher(Odometry, "~/truth", COMMANDS)
        self.create_subscription(Float64MultiArray, "flight/command", self._on_command, COMMANDS)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", COMMANDS)
        self.create_timer(DIAGNOSTICS_PERIOD, self._publish_diagnostics)
        self.loop = DeadlineLoop(self.core.state_period, self._tick, on_error=self._on_loop_error)
        self.loop.start()
        self.get_logger().info(f"{robot.name} in {spec.plant}, states at {spec.state_rate:g} Hz")

    def close(self) -> None:
        """Stop moving and free the plant."""
        self.loop.stop()
        self.core.close()

    def _robot_and_task(self) -> tuple[FloatingSpec, FlightTaskSpec]:
        path = read_only(self, "bundle", "", "directory of a policy bundle, whose robot and task are taken")
        name = read_only(self, "robot", "quad", "a file of config/robots, or a path; not used with a bundle")
        wanted = read_only(self, "task", "drone_waypoint", "a file of config/tasks, or a path; see robot")
        if path:
            bundle = load_bundle(path)
            robot, task = bundle.any_robot, bundle.any_task
        else:
            source = find_config("tasks", wanted)
            robot, task = load_any_robot(name), build_task(read_yaml(source), str(source))
        if not isinstance(robot, FloatingSpec) or not isinstance(task, FlightTaskSpec):
            raise BadInputError(f"sim_flight: {robot.name} with {task.name} does not fly; use sim_robot")
        return robot, task

    def _tick(self) -> None:
        with self._lock:
            self.core.step()
            measured, truth = self.core.measured.copy(), self.core.plant.truth.copy()
        now = time.time()
        stamp = now - float(measured.age[0])
        self._odometry.publish(self._as_odometry(measured, stamp))
        imu = Imu()
        imu.header.stamp, imu.header.frame_id = to_stamp(stamp), self._base_link
        imu.orientation = _quaternion(measured)
        rate = to_body(rotation_matrix(measured.base_orientation), measured.base_angular_velocity)[0]
        imu.angular_velocity = Vector3(**dict(zip("xyz", rate.tolist(), strict=True)))
        imu.linear_acceleration_covariance[0] = -1.0  # it has none to tell
        self._imu.publish(imu)
        self._truth.publish(self._as_odometry(truth, now))

    def _as_odometry(self, state: RobotState, stamp: float) -> Odometry:
        rotation = rotation_matrix(state.base_orientation)
        message = Odometry(child_frame_id=self._base_link)
        message.header.stamp, message.header.frame_id = to_stamp(stamp), WORLD
        message.pose.pose.position = Point(**dict(zip("xyz", state.base_position[0].tolist(), strict=True)))
        message.pose.pose.orientation = _quaternion(state)
        for name, value in (("linear", state.base_linear_velocity), ("angular", state.base_angular_velocity)):
            vector = to_body(rotation, value)[0].tolist()
            setattr(message.twist.twist, name, Vector3(**dict(zip("xyz", vector, strict=True))))
        return message

    def _on_command(self, message: Float64MultiArray) -> None:
        with self._lock:
            refusal = self.core.command(list(message.data))
        if refusal is not None:
            self._warn(f"flight/command refused: {refusal}")

    def _on_loop_error(self, error: Exception) -> None:
        self.get_logger().fatal(f"simulation: {type(error).__name__}: {error}; it stands still")

    def _publish_diagnostics(self) -> None:
        status = DiagnosticStatus(level=DiagnosticStatus.OK, name="sim_flight", message="running")
        if not self.loop.running:
            status.level, status.message = DiagnosticStatus.ERROR, "simulation died"
        counters = dict(self.core.counters) | {"missed_ticks": self.loop.counters.missed}
        status.values = [KeyValue(key=key, value=str(count)) for key, count in sorted(counters.items())]
        message = DiagnosticArray(status=[status])
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)


def _quaternion(state: RobotState) -> Quaternion:
    return Quaternion(**dict(zip("xyzw", state.base_orientation[0].tolist(), strict=True)))


def main() -> None:
    """Run the node until it is told to end."""
    sys.exit(run_node(SimFlightNode))


if __name__ == "__main__":
    main()
