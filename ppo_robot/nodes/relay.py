"""The command relay: `policy/action` to the controller's topic, against the simulated robot only.

It stands where the safety node will stand, the only one that publishes to a robot's controllers. It limits nothing, and
therefore starts only where a person said that the robot is simulated, and ends when it sees a real controller manager.
"""

from __future__ import annotations

import sys
import time
from collections import Counter

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.duration import Duration
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from ppo_robot.errors import BadInputError
from ppo_robot.joint_input import JointInput, JointMessage
from ppo_robot.nodes.commands import Command, CommandAdapter, JointTarget
from ppo_robot.nodes.ros_support import COMMANDS, SENSORS, run_node, seconds
from ppo_robot.nodes.system import SIMULATED_ONLY
from ppo_robot.policy.bundle import load_bundle
from ppo_robot.spec.deployment import load_deployment

DIAGNOSTICS_PERIOD = 1.0
LOG_PERIOD = 2.0
LAST_COMMAND = Duration(seconds=1.0)
CONTROLLER_MANAGER = "controller_manager"


class CommandRelay(Node):
    """Hands each action of the policy to the controller, by joint name."""

    def __init__(self) -> None:
        """Load bundle and deployment.

        Raises:
            BadInputError: if the robot is not said to be simulated, or bundle and controller do not fit.
        """
        super().__init__("command_relay")
        simulated = self._read("simulated", False, "whether the robot is sim_robot; nothing else is allowed yet")
        if not simulated:
            raise BadInputError(f"command_relay: parameter simulated is false: {SIMULATED_ONLY}")
        bundle = load_bundle(str(self._read("bundle", "", "directory of the policy bundle")))
        deployment = load_deployment(str(self._read("deployment", "sim", "a file of config/deploy, or a path")))
        self._controller = deployment.controller
        self.adapter = CommandAdapter(self._controller, bundle.robot.joints, bundle.task.control_period)
        policy = deployment.policy
        self._input = JointInput(self.adapter.names, policy.state_timeout, policy.future_tolerance)
        self._simulated_time = bool(self.get_parameter("use_sim_time").value)
        self.counters: Counter[str] = Counter()
        self._acted: float | None = None
        self._warned = 0.0
        forward = self._controller.type == "forward_command_controller"
        kind = Float64MultiArray if forward else JointTrajectory
        self._publisher = self.create_publisher(kind, self._controller.topic, COMMANDS)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", COMMANDS)
        self.create_subscription(JointTrajectory, "policy/action", self._on_action, COMMANDS)
        if self.adapter.needs_state:
            self.create_subscription(JointState, "/joint_states", self._on_joint_states, SENSORS)
        if self.adapter.must_end_motion:
            self.create_timer(self._controller.command_timeout / 2.0, self._watch)
        self.create_timer(DIAGNOSTICS_PERIOD, self._publish_diagnostics)
        self.get_logger().info(f"{self._controller.topic}: {', '.join(self.adapter.names)}")

    def close(self) -> None:
        """End motion that the controller would otherwise keep up for ever."""
        command = self.adapter.end() if hasattr(self, "adapter") else None
        if command is not None and self._acted is not None:
            self._publish(command)
            self._publisher.wait_for_all_acked(LAST_COMMAND)  # or the process is gone before its last word is

    def _read(self, name: str, default: str | bool, description: str) -> str | bool:
        value: str | bool = self.declare_parameter(
            name, default, ParameterDescriptor(description=description, read_only=True)
        ).value
        return value

    def _now(self) -> float:
        return self.get_clock().now().nanoseconds * 1e-9 if self._simulated_time else time.monotonic()

    def _on_action(self, message: JointTrajectory) -> None:
        if self._acted is None:
            self._refuse_real_robot()
        positions = message.points[0].positions if len(message.points) == 1 else []
        try:
            self.adapter.take(JointTarget(message.joint_names, positions, seconds(message.header.stamp)))
        except BadInputError as error:
            self.counters["refused"] += 1
            self._warn(f"{error}; the command before stands")
            return
        self._acted = self._now()
        self.counters["actions"] += 1
        if self._controller.interface != "effort" or not self.adapter.needs_state:
            self._send()

    def _on_joint_states(self, message: JointState) -> None:
        taken = JointMessage(
            message.name, message.position, message.velocity, message.effort, seconds(message.header.stamp)
        )
        refusal = self._input.accept(taken, self.get_clock().now().nanoseconds * 1e-9, self._now())
        if refusal is not None:
            self.counters["state_refused"] += 1
            self._warn(f"/joint_states refused: {refusal.value}: {self._input.detail}")
        elif self._controller.interface == "effort":  # its loop is closed here, so it runs at the state's rate
            self._send()

    def _send(self) -> None:
        state = self._input.state(self._now()) if self.adapter.needs_state else None
        position = state.joint_position[0] if state is not None else None
        velocity = state.joint_velocity[0] if state is not None else None
        command = self.adapter.command(position, velocity)
        if command is not None:
            self._publish(command)
        elif self._acted is not None:
            self.counters["state_missing"] += 1

    def _publish(self, command: Command) -> None:
        if not np.isfinite(command.values).all():
            self.counters["not_finite"] += 1
            return
        self.counters["commands"] += 1
        if self._controller.type == "forward_command_controller":
            self._publisher.publish(Float64MultiArray(data=list(command.values)))
            return
        message = JointTrajectory(joint_names=list(command.names))  # stamp zero: begin now
        reached = Duration(seconds=command.duration).to_msg()
        message.points = [JointTrajectoryPoint(positions=list(command.values), time_from_start=reached)]
        self._publisher.publish(message)

    def _watch(self) -> None:
        """End motion when actions cease, and command zero when the state does that a command depends on."""
        now = self._now()
        if self._acted is None:
            return
        if self.adapter.needs_state and self._input.state(now) is None:
            self._acted = None
            command = self.adapter.end()
            self.counters["state_lost"] += 1
            self.get_logger().error("no fresh /joint_states to close the loop with; commanding zero")
            if command is not None:
                self._publish(command)
        elif now - self._acted > self._controller.command_timeout:
            self.adapter.hold()
            if self._controller.interface == "velocity":
                self.counters["action_timeout"] += 1
                self._send()

    def _refuse_real_robot(self) -> None:
        names = set(self.get_node_names())
        for name in (CONTROLLER_MANAGER, self._controller.name):
            if name in names:
                raise BadInputError(f"command_relay: a node '{name}' runs here, so the robot is real: {SIMULATED_ONLY}")

    def _publish_diagnostics(self) -> None:
        self._refuse_real_robot()
        listeners = self._publisher.get_subscription_count()
        status = DiagnosticStatus(level=DiagnosticStatus.OK, name="command_relay", message="relaying")
        if listeners == 0:
            status.level, status.message = DiagnosticStatus.WARN, f"nobody listens on {self._controller.topic}"
        others = self.count_publishers(self._controller.topic) - 1
        if others > 0:
            status.level, status.message = DiagnosticStatus.ERROR, f"{others} others publish {self._controller.topic}"
            self._warn(f"{status.message}; the robot obeys whoever spoke last")
        values = {**self.counters, "listeners": listeners, "other_publishers": max(0, others)}
        status.values = [KeyValue(key=key, value=str(value)) for key, value in sorted(values.items())]
        message = DiagnosticArray(status=[status])
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)

    def _warn(self, text: str) -> None:
        now = time.monotonic()
        if now - self._warned >= LOG_PERIOD:
            self._warned = now
            self.get_logger().warning(text)


def main() -> None:
    """Run the node until it is told to end."""
    sys.exit(run_node(CommandRelay))


if __name__ == "__main__":
    main()
