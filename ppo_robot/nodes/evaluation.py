"""Evaluation over ROS 2: goals go out through the topics, and the simulated robot's own truth says what became of them.

The policy node is deactivated while the robot is put at a new start, as a person would do it: a robot that jumps under
an active policy is no robot.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from geometry_msgs.msg import PointStamped, PoseStamped
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from numpy.typing import NDArray
from rclpy.client import Client
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile
from std_msgs.msg import Float64MultiArray
from std_srvs.srv import Trigger

from ppo_robot.errors import RunFailedError
from ppo_robot.nodes.ros_support import COMMANDS, EVENTS, seconds
from ppo_robot.nodes.telemetry_rows import read_rows
from ppo_robot.safety.reasons import ARMED, State
from ppo_robot.spec.robot import RobotSpec
from ppo_robot.spec.task import TaskSpec
from ppo_robot.telemetry.matrix import Kind

Array = NDArray[np.float64]

CALL_TIMEOUT = 20.0
"""Seconds that a service has to appear and to answer."""

ANSWER_TIMEOUT = 4.0
"""Seconds after which an answer counts as lost; an activation waits for the robot's state before it answers."""

FRESH_TRUTHS = 20
"""Truths after a reset until every node has seen the robot where it is now."""

_ARMED = [list(State).index(state) for state in ARMED]

EPISODE_GRACE = 10.0
"""Seconds beyond its length after which an episode without truth is called lost."""


@dataclass
class Episode:
    """One goal: when it was sent, and the tool's true positions from then on.

    Attributes:
        goal: (3,) m, base frame.
        times: s since the first truth after the goal was sent.
        errors: m, distance of the tool from the goal at those times.
        cycles: of the safety envelope, armed.
        changed: those in which it changed the command.
    """

    goal: Array
    times: list[float] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)
    cycles: int = 0
    changed: int = 0

    def summary(self, task: TaskSpec) -> dict[str, float]:
        """Return success, final error and settle time by the task's own definition, and the intervention rate."""
        times, errors = np.array(self.times), np.array(self.errors)
        inside = errors <= task.success.tolerance
        last_outside = np.flatnonzero(~inside)
        settled = 0.0 if not len(last_outside) else float(times[min(last_outside[-1] + 1, len(times) - 1)])
        held = bool(inside[times >= task.episode_length - task.success.hold].all())
        return {
            "success": float(held),
            "final_error": float(errors[-1]),
            "settle_time": settled if inside[-1] else float("inf"),
            "intervention": self.changed / self.cycles if self.cycles else float("nan"),
        }


class EvaluationNode(Node):
    """Drives a running deployment of the simulated robot, one episode after the other.

    For each the safety node is stopped, reset and armed, as a person would who moves the robot by hand.
    """

    def __init__(self, robot: RobotSpec, task: TaskSpec) -> None:
        """Connect to the policy node and the simulated robot."""
        super().__init__("evaluation")
        self.robot, self.task = robot, task
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self)
        self._episode: Episode | None = None
        self._began: float | None = None
        self._goal = self.create_publisher(PoseStamped, "goal_pose", COMMANDS)
        self._change = self.create_client(ChangeState, "policy/change_state")
        self._state = self.create_client(GetState, "policy/get_state")
        self._reset = self.create_client(Trigger, "sim_robot/reset")
        self._safety = {name: self.create_client(Trigger, f"safety/{name}") for name in ("stop", "reset", "arm")}
        self._truths = 0
        self.create_subscription(PointStamped, "sim_robot/tool", self._on_tool, QoSProfile(depth=100))
        self.create_subscription(Float64MultiArray, "safety/telemetry", self._on_rows, EVENTS)

    def running(self, timeout: float) -> bool:
        """Return whether a policy node and a simulated robot are there within `timeout` seconds."""
        limit = time.monotonic() + timeout
        clients = (self._change, self._state, self._reset, *self._safety.values())
        while not all(client.service_is_ready() for client in clients):
            if time.monotonic() > limit:
                return False
            self._executor.spin_once(timeout_sec=0.1)
        return True

    def run(self, goal: Array) -> dict[str, float]:
        """Put the robot at a new start, send the goal, watch for the length of an episode; return its summary.

        Raises:
            RunFailedError: if a node does not answer or the truth stops coming.
        """
        self._put_at_a_start()
        self._reach("active", {"inactive": Transition.TRANSITION_ACTIVATE})
        self._demand("arm", "state is holding")
        self._wait(lambda: self._goal.get_subscription_count() > 0, CALL_TIMEOUT, "a listener on goal_pose")
        episode = Episode(goal)
        message = PoseStamped()
        message.header.frame_id = self.robot.base_link
        message.header.stamp = self.get_clock().now().to_msg()
        message.pose.position.x, message.pose.position.y, message.pose.position.z = map(float, goal)
        message.pose.orientation.w = 1.0
        self._began, self._episode = None, episode
        self._goal.publish(message)
        length = self.task.episode_length
        self._wait(lambda: bool(episode.times) and episode.times[-1] >= length, length + EPISODE_GRACE, "the truth")
        self._episode = None
        return episode.summary(self.task)

    def close(self) -> None:
        """Leave the graph."""
        self._executor.remove_node(self)
        self.destroy_node()

    def _on_tool(self, message: PointStamped) -> None:
        self._truths += 1
        episode = self._episode
        if episode is None or (episode.times and episode.times[-1] >= self.task.episode_length):
            return
        stamp = seconds(message.header.stamp)
        if self._began is None:
            self._began = stamp
        tool = np.array([message.point.x, message.point.y, message.point.z])
        episode.times.append(stamp - self._began)
        episode.errors.append(float(np.linalg.norm(tool - episode.goal)))

    def _on_rows(self, message: Float64MultiArray) -> None:
        if self._episode is not None:
            rows = read_rows(message)
            armed = (rows["kind"] == Kind.CYCLE) & np.isin(rows["state"], _ARMED)
            self._episode.cycles += int(armed.sum())
            self._episode.changed += int(rows["changed"][armed].sum())

    def _put_at_a_start(self) -> None:
        """Put the robot at a new start while the policy is inactive; a node that starts by itself may need a second."""
        ways = {"active": Transition.TRANSITION_DEACTIVATE, "unconfigured": Transition.TRANSITION_CONFIGURE}
        while True:
            self._demand("stop", "")  # first: it waits for no action of a policy that is told to end
            self._demand("reset", "state is disarmed")
            self._reach("inactive", ways)
            response = self._call(self._reset, Trigger.Request(), "sim_robot/reset")
            if not response.success:
                raise RunFailedError(f"sim_robot/reset: {response.message}")
            if self._current() == "inactive":
                break
        seen = self._truths  # the safety node arms where it last saw the robot: let it see the new start
        self._wait(lambda: self._truths >= seen + FRESH_TRUTHS, CALL_TIMEOUT, "the truth")

    def _demand(self, what: str, done: str) -> None:
        """Ask the safety node until it agrees, or says that it is `done` already: its answer may have been lost."""
        limit = time.monotonic() + CALL_TIMEOUT
        while True:
            response = self._call(self._safety[what], Trigger.Request(), f"safety/{what}")
            if response.success or (done and response.message.startswith(done)):
                return
            if time.monotonic() > limit:
                raise RunFailedError(f"safety/{what}: {response.message}")

    def _reach(self, state: str, ways: Mapping[str, int]) -> None:
        """Make the transitions that lead there, each from its state; try again while the node says no."""
        limit = time.monotonic() + CALL_TIMEOUT
        while (current := self._current()) != state:
            if time.monotonic() > limit:
                raise RunFailedError(f"policy node: did not become {state} in {CALL_TIMEOUT} s; its log says why")
            if current in ways:
                self._transition(ways[current])

    def _current(self) -> str:
        label: str = self._call(self._state, GetState.Request(), "policy/get_state").current_state.label
        return label

    def _transition(self, transition: int) -> None:
        """Ask for a transition; whether it came about, the state says, for the answer may be lost."""
        self._ask(self._change, ChangeState.Request(transition=Transition(id=transition)))

    def _call(self, client: Client, request: Any, name: str) -> Any:
        """Return the answer to a request that may be repeated."""
        limit = time.monotonic() + CALL_TIMEOUT
        while time.monotonic() < limit:
            answer = self._ask(client, request)
            if answer is not None:
                return answer
        raise RunFailedError(f"{name}: no answer in {CALL_TIMEOUT} s; is the system still running?")

    def _ask(self, client: Client, request: Any) -> Any:
        """Return the answer, or None where it was lost: DDS drops one to a client that the server has yet to find."""
        future = client.call_async(request)
        self._executor.spin_until_future_complete(future, timeout_sec=ANSWER_TIMEOUT)
        return future.result() if future.done() else None

    def _wait(self, condition: Callable[[], bool], timeout: float, what: str) -> None:
        limit = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > limit:
                raise RunFailedError(f"waited {timeout:g} s for {what}; is the system still running?")
            self._executor.spin_once(timeout_sec=0.1)
