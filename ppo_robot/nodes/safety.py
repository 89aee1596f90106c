"""The safety node: alone between the policy and the robot's controllers, a process of its own."""

from __future__ import annotations

import gc
import sys
import threading
import time
from collections.abc import Callable

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from rclpy.node import Node
from rosgraph_msgs.msg import Clock as ClockMessage
from sensor_msgs.msg import Imu, JointState
from std_msgs.msg import Float64MultiArray
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from ppo_robot.joint_input import JointMessage
from ppo_robot.nodes.action_wait import ActionWait
from ppo_robot.nodes.commands import CommandAdapter
from ppo_robot.nodes.ros_support import (
    COMMANDS,
    KEPT_TELEMETRY,
    SENSORS,
    TELEMETRY,
    SeldomWarning,
    controllers_of,
    read_only,
    run_node,
    seconds,
)
from ppo_robot.nodes.safety_log import LoggedEnvelope
from ppo_robot.nodes.safety_messages import ControllerMessage, level_of, observed_ticks, sequence_of, tilt_of
from ppo_robot.nodes.safety_news import SafetyNews
from ppo_robot.nodes.timing import DeadlineLoop
from ppo_robot.policy.bundle import load_bundle
from ppo_robot.safety.actions import Action
from ppo_robot.safety.assembly import assemble_envelope
from ppo_robot.safety.envelope import Verdict
from ppo_robot.safety.reasons import ARMED, Cause, State
from ppo_robot.spec.deployment import load_deployment

DIAGNOSTICS_PERIOD = 1.0
HEARTBEAT_PERIOD = 0.05
EXECUTOR_TIMEOUT = 0.5
"""s without a sign of life of the thread that takes messages, after which the other one stops the robot."""
LAST_STOP = 5.0
"""s that a controlled stop may take before the process ends all the same; its limits make it a fraction of that."""
LOCKSTEP_TIMEOUT = 1.0
"""s of wall time that a cycle of simulated time waits for the action that is due; less than the simulation waits."""
CONTROLLER_MANAGER = "controller_manager"
LAST_WORD = Duration(seconds=1.0)
"""for who listens to confirm it: a process that ends at once takes its last command and rows with it"""


Serve = Callable[[Trigger.Request, Trigger.Response], Trigger.Response]


class SafetyNode(Node):
    """Runs one envelope: a thread of its own cycles and publishes, the executor's takes what comes in.

    Both hold the lock around the envelope. In simulated time there is one thread, and a cycle for each /clock.
    """

    def __init__(self) -> None:
        """Load bundle and deployment, and begin to cycle, disarmed.

        Raises:
            BadInputError: if bundle, deployment and controller do not fit, or a limit would be loosened.
        """
        super().__init__("safety")
        bundle = load_bundle(str(read_only(self, "bundle", "", "directory of the policy bundle")))
        deployment = load_deployment(str(read_only(self, "deployment", "sim", "a file of config/deploy, or a path")))
        self._arms_itself = bool(read_only(self, "arm", False, "arm without being asked, where the robot is simulated"))
        self._simulated = bool(self.get_parameter("use_sim_time").value)
        spec, controller = deployment.safety, deployment.controller
        self._lock = threading.RLock()
        observed = bundle.statistics.observation if bundle.statistics is not None else None
        self.envelope = assemble_envelope(bundle.robot, spec, bundle.task.control_period, observed)
        self._telemetry = self.create_publisher(Float64MultiArray, "safety/telemetry", KEPT_TELEMETRY)
        self._logged = LoggedEnvelope(self.envelope, self._now, self._ros_now, self._telemetry.publish)
        self.adapter = CommandAdapter(controller, bundle.robot.joints, 1.0 / spec.rate)
        self._clock_now = 0.0
        self._cycled = 0.0
        self._heartbeat = time.monotonic()
        self._ending: float | None = None
        self._failure: Exception | None = None
        self._warn = SeldomWarning(self)
        self._wait = ActionWait(bundle.task.control_period, LOCKSTEP_TIMEOUT)
        self._message = ControllerMessage(controller, len(bundle.robot.joints))
        self._command = self.create_publisher(self._message.kind, controller.topic, COMMANDS)
        self._news = SafetyNews(self, bundle.robot.joint_names)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", COMMANDS)
        self._listen(spec.tilt_limit is not None)
        for name, call in (("arm", self._arm), ("stop", self._stop), ("reset", self._reset), ("disarm", self._disarm)):
            self.create_service(Trigger, f"safety/{name}", self._serving(call))
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(HEARTBEAT_PERIOD, self._beat, clock=steady)
        self.create_timer(DIAGNOSTICS_PERIOD, self._publish_diagnostics, clock=steady)
        self._loop: DeadlineLoop | None = None
        if not self._simulated:
            gc.collect()
            gc.freeze()
            gc.disable()
            self._loop = DeadlineLoop(self.envelope.period, self._cycle, on_error=self._on_loop_error)
            self._loop.start()
        self.get_logger().info(f"{controller.topic} at {spec.rate:g} Hz: {', '.join(self.adapter.names)}; disarmed")

    def ended(self) -> bool:
        """Stop the robot; return whether it stands, or has had its time. Called while the node goes on working.

        Simulated time may have ended with who turned its clock; then `close` turns it.
        """
        return self._stopped() or self._simulated

    def _stopped(self) -> bool:
        with self._lock:
            if self._ending is None:
                self._ending = time.monotonic() + LAST_STOP
                self._end_motion(Cause.SHUTDOWN, "the process was told to end")
            return self.envelope.state in (State.DISARMED, State.STOPPED) or time.monotonic() > self._ending

    def close(self) -> None:
        """End the process; the robot is brought to a stand first, also where an exception ended the executor."""
        while self._failure is None and not self._stopped():
            if self._simulated:
                self._clock_now += self.envelope.period
                self._cycle()
            time.sleep(self.envelope.period)
        if self._loop is not None:
            time.sleep(2.0 * self.envelope.period)  # the cycle that found it standing has sent that, too
            self._loop.stop()
            gc.unfreeze()  # or the planner's objects outlive the interpreter, and its binding complains of them
            gc.enable()
        last = self.adapter.end() if self.envelope.stepper.begun else None
        if last is not None:
            self._command.publish(self._message.fill(last))
        self._logged.flush()
        for publisher in (self._command, self._telemetry):
            publisher.wait_for_all_acked(LAST_WORD)
        self._news.wait_until_heard(LAST_WORD)

    # What comes in.

    def _listen(self, tilts: bool) -> None:
        states = self.create_subscription(JointState, "/joint_states", self._on_joint_states, SENSORS)
        if self._simulated:  # before the actions: the one that is due belongs to the time before it
            self.create_subscription(ClockMessage, "/clock", self._on_clock, SENSORS)
        actions = self.create_subscription(JointTrajectory, "policy/action", self._on_action, COMMANDS)
        self.create_subscription(Float64MultiArray, "policy/telemetry", self._on_telemetry, TELEMETRY)
        if tilts:
            self.create_subscription(Imu, "/imu/data", self._on_imu, SENSORS)
        # As remapped, which count_publishers does not do; each of these has one publisher that is trusted.
        self._trusted = (states.topic_name, actions.topic_name, self._command.topic_name)

    def _now(self) -> float:
        return self._clock_now if self._simulated else time.monotonic()

    def _ros_now(self) -> float:
        return self._clock_now if self._simulated else time.time()

    def _on_joint_states(self, message: JointState) -> None:
        taken = JointMessage(
            message.name, message.position, message.velocity, message.effort, seconds(message.header.stamp)
        )
        with self._lock:
            refusal = self._logged.take_state(taken)
        if refusal is not None:
            self._warn(f"/joint_states refused: {refusal.value}")

    def _on_action(self, message: JointTrajectory) -> None:
        positions = message.points[0].positions if len(message.points) == 1 else []
        action = Action(message.joint_names, positions, seconds(message.header.stamp))
        with self._lock:
            sequence = sequence_of(message.header.frame_id)
            refusal = self._logged.take_action(action, sequence)
            if refusal is None:
                self._message.follow(sequence, message.header.stamp)
        if refusal is not None:
            self._warn(f"policy/action refused: {refusal.value}")
        if self._simulated and self._wait.acted(self._clock_now, action.stamp):
            self._cycle()

    def _on_telemetry(self, message: Float64MultiArray) -> None:
        observed = observed_ticks(message)
        if observed is None:
            self._warn("policy/telemetry: not what a policy node publishes")
            return
        with self._lock:
            self._logged.take_observations(*observed)

    def _on_imu(self, message: Imu) -> None:
        with self._lock:
            self._logged.take_tilt(tilt_of(message.orientation))

    def _on_clock(self, message: ClockMessage) -> None:
        self._clock_now = seconds(message.clock)
        if self.envelope.state not in ARMED:
            self._wait.forget()
        elif self._wait.waits(self._clock_now):
            return
        if not self._wait.engaged:  # or simulated time would fly past the goal that is on its way to the policy
            time.sleep(max(0.0, self._cycled + self.envelope.period - time.monotonic()))
        self._cycle()

    def _beat(self) -> None:
        """Show that the executor is alive; raise here what ended the other thread."""
        self._heartbeat = time.monotonic()
        if self._failure is not None:
            raise self._failure
        if self._simulated and self._wait.gave_up():
            self._cycle()
        if self._arms_itself:
            self._arm_by_itself()

    def _arm_by_itself(self) -> None:
        if CONTROLLER_MANAGER in self.get_node_names():
            self._arms_itself = False
            self.get_logger().error(f"a {CONTROLLER_MANAGER} runs here, so the robot is real: call safety/arm yourself")
            return
        with self._lock:
            if self.envelope.state is State.DISARMED and self._arm() is None:
                self._arms_itself = False
                self.get_logger().info("armed by itself: the robot is simulated")

    # What goes out.

    def _cycle(self) -> None:
        self._cycled = time.monotonic()
        with self._lock:
            verdict = self._logged.cycle(self._send)
            self._news.take(verdict)
            # After the cycle and by its beginning: a process that stood still as a whole is late, and that says more.
            silent = 0.0 if self._simulated or self._ending is not None else self._cycled - self._heartbeat
            if silent > EXECUTOR_TIMEOUT:
                self._end_motion(Cause.ERROR, f"no message was taken for {silent:.1f} s")

    def _send(self, verdict: Verdict, now: float) -> bool:
        if verdict.setpoint is None:
            return False
        state = self.envelope.states.state(now) if self.adapter.needs_state else None
        self._command.publish(self._message.fill(self.adapter.command(verdict.setpoint, state)))
        return True

    def _end_motion(self, cause: Cause, detail: str) -> None:
        if self.envelope.state in ARMED:
            self._logged.stop(cause, detail)

    def _on_loop_error(self, error: Exception) -> None:
        """The loop's thread died of this: bring the robot to a stand with what the stepper still knows."""
        self._failure = error
        self.get_logger().fatal(f"{type(error).__name__}: {error}; stopping the robot")
        with self._lock:
            self._logged.stop(Cause.ERROR, f"{type(error).__name__}: {error}")
            stepper = self.envelope.stepper
            deadline = time.monotonic() + LAST_STOP
            while stepper.begun and not stepper.at_rest and time.monotonic() < deadline:
                stepper.stop()
                self._command.publish(self._message.fill(self.adapter.command(stepper.setpoint, None)))
                time.sleep(self.envelope.period)
            self._news.tell(Verdict(State.STOPPED, None, (), False, self.envelope.cause, self.envelope.detail))

    # What a person asks for.

    def _serving(self, call: Callable[[], str | None]) -> Serve:
        def serve(request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
            with self._lock:
                refusal = call()
                response.success = refusal is None
                response.message = refusal or self.envelope.state.value
            return response

        return serve

    def _arm(self) -> str | None:
        for topic in self._trusted:
            if self.count_publishers(topic) > 1:
                return f"{self.count_publishers(topic)} publishers of {topic}; expected one, which is trusted"
        return self._logged.arm()

    def _stop(self) -> str | None:
        self._arms_itself = False
        self._logged.stop(Cause.REQUESTED, "safety/stop")
        return None

    def _disarm(self) -> str | None:
        self._logged.disarm()
        return None

    def _reset(self) -> str | None:
        refusal = self._logged.reset()
        last = self.adapter.end() if refusal is None and self.envelope.stepper.begun else None
        if last is not None:
            self._command.publish(self._message.fill(last))
        return refusal

    def _publish_diagnostics(self) -> None:
        envelope = self.envelope
        with self._lock:
            for place, topic in enumerate(self._trusted):
                self._logged.take_publishers(place, topic, self.count_publishers(topic))
            counters = dict(envelope.counters) | dict(self._news.limited)
            counters |= {f"state/{key}": count for key, count in envelope.states.counters.items()}
            counters |= {f"action/{key}": count for key, count in envelope.actions.counters.items()}
            status = DiagnosticStatus(level=level_of(envelope.state), name="safety", message=envelope.state.value)
        listeners = len(controllers_of(self, self._command.topic_name))
        if listeners == 0 and envelope.state in ARMED:
            status.level, status.message = DiagnosticStatus.WARN, f"nobody listens on {self._command.topic_name}"
        if self._loop is not None:
            loop = self._loop.counters
            counters |= {"missed_cycles": loop.missed, "longest_miss": loop.longest_miss}
        counters |= {"listeners": listeners, "action_wait_timeouts": self._wait.timeouts}
        status.values = [KeyValue(key=key, value=str(value)) for key, value in sorted(counters.items())]
        message = DiagnosticArray(status=[status])
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)


def main() -> None:
    """Run the node until it is told to end."""
    sys.exit(run_node(SafetyNode))


if __name__ == "__main__":
    main()
