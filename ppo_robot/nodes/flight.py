"""The flight node: a bundle that flies, from odometry, gyroscope and waypoints to `flight/command`."""

from __future__ import annotations

import sys
import time

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from geometry_msgs.msg import Point, PoseStamped
from nav_msgs.msg import Odometry, Path
from sensor_msgs.msg import Imu
from std_msgs.msg import Float64MultiArray, MultiArrayDimension, MultiArrayLayout

from ppo_robot.errors import BadInputError
from ppo_robot.nodes.flight_core import FlightAction, FlightCore
from ppo_robot.nodes.flight_input import OdometryMessage
from ppo_robot.nodes.lifecycle import SafeLifecycleNode
from ppo_robot.nodes.ros_support import (
    COMMANDS,
    SENSORS,
    SeldomWarning,
    declare_spec,
    read_only,
    run_node,
    seconds,
    to_stamp,
)
from ppo_robot.nodes.timing import DeadlineLoop
from ppo_robot.policy.bundle import load_bundle
from ppo_robot.spec.deployment import PolicyNodeSpec

DIAGNOSTICS_PERIOD = 1.0


class FlightNode(SafeLifecycleNode):
    """Flies a bundle. Configure loads and checks it, activate needs a fresh state and starts the control loop.

    Nothing stands between its commands and the flight controller, which must bear their absence.
    """

    def __init__(self) -> None:
        """Declare the parameters; with `autostart` configure and activate follow by themselves."""
        super().__init__("flight")
        self.core: FlightCore | None = None
        self._loop: DeadlineLoop | None = None
        self._warn = SeldomWarning(self)
        self._bundle_path = read_only(self, "bundle", "", "directory of a policy bundle that flies")
        autostart = bool(read_only(self, "autostart", False, "configure and activate by itself"))
        given = read_only(self, "waypoints", [0.0], "x y z of each in m, world frame; one number: wait for a message")
        self._fixed = np.array(given, dtype=float)
        if len(self._fixed) % 3 and len(self._fixed) != 1:
            raise BadInputError(f"parameter waypoints: given {len(self._fixed)} numbers; expected three for each")
        self._spec = declare_spec(self, PolicyNodeSpec(), "flight node")
        self.create_subscription(Odometry, "/odom", self._on_odometry, SENSORS)
        self.create_subscription(Imu, "/imu/data", self._on_imu, SENSORS)
        self.create_subscription(Path, "waypoints", self._on_path, COMMANDS)
        self.create_subscription(PoseStamped, "goal_pose", self._on_goal, COMMANDS)
        self._command = self.create_publisher(Float64MultiArray, "flight/command", COMMANDS)
        self._message = Float64MultiArray(layout=MultiArrayLayout(dim=[MultiArrayDimension(size=4, stride=4)]))
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", COMMANDS)
        self.create_timer(DIAGNOSTICS_PERIOD, self._publish_diagnostics)
        if autostart:
            self.start_by_itself()

    def configure(self) -> None:
        """Load and check the bundle.

        Raises:
            BundleError: with the reason, if it cannot be trusted.
            BadInputError: if there is none, or it does not fly, or a fixed waypoint lies outside the cage.
        """
        if not self._bundle_path:
            raise BadInputError("parameter bundle: empty; give the directory of a policy bundle")
        core = FlightCore(load_bundle(self._bundle_path), self._spec)
        self._set_fixed(core)
        self.core = core
        rate = 1.0 / core.task.control_period
        self.get_logger().info(f"bundle {core.bundle.id[:12]} for {core.robot.name}, {rate:g} Hz")

    def activate(self) -> None:
        """Start the control loop.

        Raises:
            BadInputError: if no fresh state has come, or two robots publish.
        """
        core = self._require_core()
        for topic in ("/odom", "/imu/data"):
            name = self.resolve_topic_name(topic)
            if self.count_publishers(name) > 1:
                raise BadInputError(f"{name}: {self.count_publishers(name)} publishers; expected one, which is trusted")
        core.activate(self._spec.seed)
        self._loop = DeadlineLoop(core.task.control_period, self._tick, on_error=self._on_loop_error)
        self._loop.start()
        self.get_logger().info(f"active, {self._spec.action}")

    def deactivate(self) -> None:
        """Stop the control loop; nothing is published after this."""
        if self._loop is not None:
            self._loop.stop()
            self._loop = None
        if self.core is not None:
            self.core.deactivate()
            self._set_fixed(self.core)

    def cleanup(self) -> None:
        """Forget the bundle."""
        self.core = None

    def close(self) -> None:
        """End the control loop, whatever the state."""
        self.deactivate()

    def _set_fixed(self, core: FlightCore) -> None:
        if len(self._fixed) > 1:
            core.set_waypoints(self._fixed.reshape(-1, 3))

    def _tick(self) -> None:
        action = self._require_core().tick()
        if action is not None:
            self._command.publish(self._fill(action))

    def _fill(self, action: FlightAction) -> Float64MultiArray:
        stamp = to_stamp(action.reading.stamp)
        self._message.layout.dim[0].label = f"sequence {action.sequence} state {stamp.sec}.{stamp.nanosec:09d}"
        self._message.data = action.command.tolist()
        return self._message

    def _on_loop_error(self, error: Exception) -> None:
        self.get_logger().fatal(f"control loop: {type(error).__name__}: {error}; nothing is published any more")

    def _on_odometry(self, message: Odometry) -> None:
        core = self.core
        if core is None:
            return
        pose, twist = message.pose.pose, message.twist.twist
        at, turn, fast = pose.position, pose.orientation, twist.linear
        taken = OdometryMessage(
            message.header.frame_id,
            message.child_frame_id,
            (at.x, at.y, at.z),
            (turn.x, turn.y, turn.z, turn.w),
            (fast.x, fast.y, fast.z),
            seconds(message.header.stamp),
        )
        refusal = core.input.accept_odometry(taken, time.time(), core.now())
        if refusal is not None:
            self._warn(f"/odom refused: {refusal.value}: {core.input.detail}")

    def _on_imu(self, message: Imu) -> None:
        core = self.core
        if core is None:
            return
        rate, header = message.angular_velocity, message.header
        taken = (rate.x, rate.y, rate.z)
        refusal = core.input.accept_imu(header.frame_id, taken, seconds(header.stamp), time.time(), core.now())
        if refusal is not None:
            self._warn(f"/imu/data refused: {refusal.value}: {core.input.detail}")

    def _on_path(self, message: Path) -> None:
        self._take([pose.pose.position for pose in message.poses], "waypoints")

    def _on_goal(self, message: PoseStamped) -> None:
        self._take([message.pose.position], "goal_pose")

    def _take(self, points: list[Point], topic: str) -> None:
        core = self.core
        if core is None:
            self._warn(f"{topic} ignored: the node is not configured")
            return
        positions = np.array([[point.x, point.y, point.z] for point in points], dtype=np.float64)
        try:
            core.set_waypoints(positions.reshape(-1, 3))
        except BadInputError as error:
            core.counters["waypoints_refused"] += 1
            self.get_logger().warning(f"{topic} refused: {error}")

    def _require_core(self) -> FlightCore:
        if self.core is None:
            raise BadInputError("the node is not configured")
        return self.core

    def _publish_diagnostics(self) -> None:
        core = self.core
        if core is None:
            return
        status = DiagnosticStatus(level=DiagnosticStatus.OK, name="flight", hardware_id=core.robot.name)
        status.message = self._state_machine.current_state[1]
        counters = {f"input/{key}": count for key, count in core.input.counters.items()} | dict(core.counters)
        if self._loop is not None:
            counters |= {"ticks": self._loop.counters.ticks, "missed_ticks": self._loop.counters.missed}
            if not self._loop.running:
                status.level, status.message = DiagnosticStatus.ERROR, "control loop died"
        status.values = [KeyValue(key=key, value=str(count)) for key, count in sorted(counters.items())]
        message = DiagnosticArray(status=[status])
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)


def main() -> None:
    """Run the node until it is told to end."""
    sys.exit(run_node(FlightNode))


if __name__ == "__main__":
    main()
