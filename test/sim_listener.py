"""A ROS node beside a simulated robot process: what it hears, what it says. Import only where rclpy is installed."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.srv import SetParameters
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from ros_harness import domain, until
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

from ppo_robot.nodes.middleware import join_ros
from ppo_robot.nodes.ros_support import seconds

MODULE = "ppo_robot.nodes.sim_robot"


class Listener:
    """A node beside the simulated robot: keeps what it hears, and spins only while it waits."""

    def __init__(self) -> None:
        os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
        self.context = Context()
        join_ros([], self.context, domain())
        self.node = Node("listener", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.states: list[JointState] = []
        self.truth: list[JointState] = []
        self.diagnostics: dict[str, str] = {}
        self.node.create_subscription(JointState, "/joint_states", self.states.append, 100)
        self.node.create_subscription(JointState, "/sim_robot/truth", self.truth.append, 100)
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)
        self.forward = self.node.create_publisher(Float64MultiArray, "/forward_position_controller/commands", 1)
        topic = "/joint_trajectory_controller/joint_trajectory"
        self.trajectory = self.node.create_publisher(JointTrajectory, topic, 1)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        self.diagnostics = {value.key: value.value for value in message.status[0].values}

    def until(self, condition: Callable[[], object], what: str) -> None:
        until(condition, what, lambda: self.executor.spin_once(timeout_sec=0.05))

    def connect(self) -> None:
        """Wait until the simulated robot has found every topic of ours, and forget what came meanwhile."""
        publishers = (self.forward, self.trajectory)
        self.until(lambda: all(p.get_subscription_count() for p in publishers) and self.states and self.truth, "topics")

    def command(self, values: list[float]) -> None:
        self.forward.publish(Float64MultiArray(data=values))

    def call(self, kind: Any, name: str, request: Any) -> Any:
        client = self.node.create_client(kind, name)
        self.until(client.service_is_ready, name)
        future = client.call_async(request)
        self.until(future.done, f"an answer of {name}")
        self.node.destroy_client(client)
        return future.result()

    def set(self, **values: Any) -> list[Any]:
        parameters = [Parameter(name, value=value).to_parameter_msg() for name, value in values.items()]
        request = SetParameters.Request(parameters=parameters)
        return list(self.call(SetParameters, "/sim_robot/set_parameters", request).results)

    def await_position(self, target: list[float], tolerance: float = 2e-3) -> None:
        self.until(lambda: np.abs(np.array(self.truth[-1].position) - target).max() < tolerance, f"position {target}")

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown(context=self.context)


def stamps(messages: list[JointState]) -> np.ndarray:
    """Return the stamps in s."""
    return np.array([seconds(message.header.stamp) for message in messages])
