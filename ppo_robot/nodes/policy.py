"""The policy node: a bundle at its control rate, from /joint_states and a goal to `policy/action`."""

from __future__ import annotations

import gc
import json
import sys
import time

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from geometry_msgs.msg import PoseStamped
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.duration import Duration
from rclpy.wait_for_message import wait_for_message
from rosgraph_msgs.msg import Clock as ClockMessage
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray, String
from trajectory_msgs.msg import JointTrajectory

from ppo_robot.errors import BadInputError
from ppo_robot.joint_input import JointMessage
from ppo_robot.nodes.lifecycle import SafeLifecycleNode
from ppo_robot.nodes.policy_core import PolicyAction, PolicyCore
from ppo_robot.nodes.policy_messages import ActionMessage, TelemetryMessage
from ppo_robot.nodes.quiet_subscription import QuietSubscription
from ppo_robot.nodes.ros_support import (
    COMMANDS,
    KEPT_TELEMETRY,
    LATCHED,
    SENSORS,
    SeldomWarning,
    declare_spec,
    read_only,
    run_node,
    seconds,
)
from ppo_robot.nodes.telemetry_thread import TelemetryThread
from ppo_robot.nodes.timing import DeadlineLoop, MonotonicClock, SteppedClock
from ppo_robot.policy.bundle import Bundle, load_bundle
from ppo_robot.spec.deployment import PolicyNodeSpec
from ppo_robot.spec.robot import hash_description

DIAGNOSTICS_PERIOD = 1.0
REHEARSAL_LEAD = 0.0003
"""s before each tick in which the network is run for nothing, so that in the tick it answers in a tenth of the time"""
STATE_POLL = 0.005
"""s between two looks for a first state."""
LAST_WORD = Duration(seconds=1.0)
"""for who listens to confirm it: a process that ends at once takes its last rows with it"""
TELEMETRY_PERIOD = 0.1
"""s between two messages of telemetry, each of which holds every tick since the one before."""


class PolicyNode(SafeLifecycleNode):
    """Runs a bundle. Configure loads and checks it, activate waits for a fresh state and starts the control loop."""

    def __init__(self) -> None:
        """Declare the parameters; with `autostart` configure and activate follow by themselves."""
        super().__init__("policy")
        self.core: PolicyCore | None = None
        self._loop: DeadlineLoop | None = None
        self._description: str | None = None
        self._warn = SeldomWarning(self)
        self._told: TelemetryThread | None = None
        self._bundle_path = read_only(self, "bundle", "", "directory of the policy bundle")
        self._autostart = self.declare_parameter("autostart", False).value
        fixed = ParameterDescriptor(description="x, y, z in m in the base frame; empty: wait for goal_pose")
        self._fixed_goal = list(self.declare_parameter("goal", [0.0], fixed).value)
        self._spec = declare_spec(self, PolicyNodeSpec(), "policy node")
        self._simulated = bool(self.get_parameter("use_sim_time").value)
        self._clock_source: MonotonicClock | SteppedClock = SteppedClock() if self._simulated else MonotonicClock()
        self.create_subscription(String, "/robot_description", self._on_description, LATCHED)
        # Fetched by the control thread when it needs one: to wake the executor for each costs more than the whole tick.
        self._states = QuietSubscription(self, JointState, "/joint_states", SENSORS)
        self._state_topic = self._states.topic_name  # as remapped, which count_publishers does not do
        self.create_subscription(PoseStamped, "goal_pose", self._on_goal, COMMANDS)
        if self._simulated:
            self.create_subscription(ClockMessage, "/clock", self._on_clock, SENSORS)
        self._action = self.create_publisher(JointTrajectory, "policy/action", COMMANDS)
        self._telemetry = self.create_publisher(Float64MultiArray, "policy/telemetry", KEPT_TELEMETRY)
        self._info = self.create_publisher(String, "policy/info", LATCHED)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", COMMANDS)
        self.create_timer(DIAGNOSTICS_PERIOD, self._publish_diagnostics)
        if self._autostart:
            self.start_by_itself()

    def configure(self) -> None:
        """Load and check the bundle.

        Raises:
            BundleError: with the reason, if it cannot be trusted or was made for another robot.
        """
        if not self._bundle_path:
            raise BadInputError("parameter bundle: empty; give the directory of a policy bundle")
        bundle = load_bundle(self._bundle_path, robot_description=self._description)
        self.core = PolicyCore(bundle, self._spec, self._clock_source.now)
        rows = max(1, round(TELEMETRY_PERIOD / bundle.task.control_period))
        sizes = (len(bundle.robot.joints), bundle.runtime.action_size, bundle.runtime.observation_size)
        self._messages = (ActionMessage(self.core.joint_names), TelemetryMessage(*sizes, rows), rows)
        if len(self._fixed_goal) == 3:
            self.core.set_goal(np.array(self._fixed_goal))
        self.get_logger().info(f"bundle {bundle.id[:12]} for {bundle.robot.name}, {self._rate(bundle):g} Hz")

    def activate(self) -> None:
        """Wait for a fresh state, then start the control loop.

        Raises:
            BadInputError: if the description is another robot's, two robots publish, or no fresh state comes.
        """
        core = self._require_core()
        self._check_description(core.bundle)
        publishers = self.count_publishers(self._state_topic)
        if publishers > 1:
            raise BadInputError(f"{self._state_topic}: {publishers} publishers; expected one, which is trusted")
        self._await_state(core)
        core.activate(self._spec.seed)
        self._publish_info(core)
        self._told = TelemetryThread(*self._messages[1:], self._publish_telemetry)
        gc.collect()
        gc.freeze()  # a collection of what stays anyway would stretch a 10 ms loop to 20
        gc.disable()
        self._loop = DeadlineLoop(
            core.bundle.task.control_period,
            self._tick,
            self._clock_source,
            self._on_loop_error,
            prepare=None if self._simulated else core.bundle.runtime.rehearse,
            lead=REHEARSAL_LEAD,
        )
        self._loop.start()
        self.get_logger().info(f"active, {self._spec.action}")

    def deactivate(self) -> None:
        """Stop the control loop; nothing is published after this."""
        if self._loop is not None:
            self._loop.stop()
            self._loop = None
        if self._told is not None:
            self._told.close()
            self._told = None
        gc.enable()
        gc.unfreeze()
        if self.core is not None:
            self.core.deactivate()
            if len(self._fixed_goal) == 3:
                self.core.set_goal(np.array(self._fixed_goal))

    def cleanup(self) -> None:
        """Forget the bundle."""
        self.core = None

    def close(self) -> None:
        """End the control loop, whatever the state."""
        self.deactivate()
        for publisher in (self._info, self._telemetry):
            publisher.wait_for_all_acked(LAST_WORD)

    def _await_state(self, core: PolicyCore) -> None:
        limit = time.monotonic() + self._spec.activation_timeout
        while core.input.reading(core.now()) is None:
            self._take_states(core)
            if time.monotonic() > limit:
                refused = {key: count for key, count in core.input.counters.items() if key != "accepted"}
                why = f"refused: {refused} {core.input.detail}" if refused else "none came"
                raise BadInputError(f"no usable /joint_states within {self._spec.activation_timeout} s; {why}")
            time.sleep(STATE_POLL)

    def _tick(self) -> None:
        core, began = self._require_core(), time.monotonic()
        self._take_states(core)
        action = core.tick(began)
        if action is not None:
            self._action.publish(self._messages[0].fill(action))
        self._tell(action, time.monotonic())

    def _tell(self, action: PolicyAction | None, published: float) -> None:
        """Take down a tick; where the policy falls silent, what it did before is published at once."""
        told = self._told
        if told is None:
            return
        if action is not None:
            told.add(action, published)
        else:
            told.hand_over()

    def _publish_telemetry(self, message: bytes) -> None:
        self._telemetry.publish(message)

    def _on_loop_error(self, error: Exception) -> None:
        self.get_logger().fatal(f"control loop: {type(error).__name__}: {error}; nothing is published any more")

    def _on_clock(self, message: ClockMessage) -> None:
        if isinstance(self._clock_source, SteppedClock):
            self._clock_source.set(seconds(message.clock))

    def _take_states(self, core: PolicyCore) -> None:
        """Take what has come of /joint_states."""
        for message, info in self._states.fetch():
            taken = JointMessage(
                message.name, message.position, message.velocity, message.effort, seconds(message.header.stamp)
            )
            if self._simulated:
                refusal = core.accept(taken, self.get_clock().now().nanoseconds * 1e-9, core.now())
            else:  # when the middleware had it; the ROS clock is the system's here, and rclpy's costs ten times as much
                ros_now, now = time.time(), core.now()
                age = max(0.0, ros_now - info["received_timestamp"] * 1e-9) if info["received_timestamp"] > 0 else 0.0
                refusal = core.accept(taken, ros_now - age, now - age)
            if refusal is not None:
                self._warn(f"/joint_states refused: {refusal.value}: {core.input.detail}")

    def _on_description(self, message: String) -> None:
        self._description = message.data
        if self.core is not None and self._loop is not None:
            try:
                self._check_description(self.core.bundle)
            except BadInputError as error:
                self.get_logger().error(f"{error}; stopping")
                self.trigger_deactivate()

    def _on_goal(self, message: PoseStamped) -> None:
        core = self.core
        if core is None:
            self._warn("goal_pose ignored: the node is not configured")
            return
        frame = message.header.frame_id.lstrip("/")
        if frame not in ("", core.bundle.robot.base_link):
            self._warn(f"goal_pose refused: frame '{frame}'; expected '{core.bundle.robot.base_link}'")
            core.counters["goal_refused"] += 1
            return
        point = message.pose.position
        try:
            core.set_goal(np.array([point.x, point.y, point.z]))
        except BadInputError as error:
            core.counters["goal_refused"] += 1
            self.get_logger().warning(f"goal_pose refused: {error}")

    def _check_description(self, bundle: Bundle) -> None:
        if self._description is None and self.count_publishers("/robot_description"):
            received, message = wait_for_message(
                String, self, "/robot_description", qos_profile=LATCHED, time_to_wait=self._spec.activation_timeout
            )
            if not received:
                raise BadInputError("/robot_description is published but does not arrive; is it latched?")
            self._description = message.data
        if self._description is None:
            return
        if hash_description(self._description) != bundle.robot.description_hash:
            raise BadInputError("/robot_description is another robot's than the one that the bundle was trained for")

    def _require_core(self) -> PolicyCore:
        if self.core is None:
            raise BadInputError("the node is not configured")
        return self.core

    def _publish_info(self, core: PolicyCore) -> None:
        """Say what runs, at once and again each second.

        Although the topic is latched: of a message that its first listener did not get, the middleware's own repair
        takes three seconds, and what it says is needed to replay the shortest run.
        """
        spec = self._spec
        info = {"bundle_id": core.bundle.id, "action": spec.action, "seed": spec.seed, "maximum_std": spec.maximum_std}
        self._info.publish(String(data=json.dumps(info)))

    def _publish_diagnostics(self) -> None:
        core = self.core
        if core is None:
            return
        status = DiagnosticStatus(level=DiagnosticStatus.OK, name="policy", hardware_id=core.bundle.robot.name)
        status.message = self._state_machine.current_state[1]
        counters = {f"input/{key}": count for key, count in core.input.counters.items()} | dict(core.counters)
        if self._loop is not None:
            self._publish_info(core)
            loop = self._loop.counters
            counters |= {"ticks": loop.ticks, "missed_ticks": loop.missed, "longest_miss": loop.longest_miss}
            if not self._loop.running:
                status.level, status.message = DiagnosticStatus.ERROR, "control loop died"
        publishers = self.count_publishers(self._state_topic)
        if publishers > 1:
            core.counters["second_publisher"] += 1
            status.level, status.message = DiagnosticStatus.ERROR, f"{publishers} publishers of {self._state_topic}"
            if self._loop is not None:
                self.get_logger().error(f"{status.message}: which is the robot? stopping")
                self.trigger_deactivate()
        status.values = [KeyValue(key=key, value=str(count)) for key, count in sorted(counters.items())]
        message = DiagnosticArray(status=[status])
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)

    @staticmethod
    def _rate(bundle: Bundle) -> float:
        return 1.0 / bundle.task.control_period


def main() -> None:
    """Run the node until it is told to end."""
    sys.exit(run_node(PolicyNode))


if __name__ == "__main__":
    main()
