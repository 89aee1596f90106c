"""The sim_robot node: stands in for a robot and its ros2_control, so that a deployment can be rehearsed."""

from __future__ import annotations

import dataclasses
import json
import sys
import threading
import time
import typing
from functools import partial

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rcl_interfaces.msg import FloatingPointRange, ParameterDescriptor, ParameterType, SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock as ClockMessage
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray, String
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from ppo_robot.errors import PpoRobotError, RunFailedError
from ppo_robot.nodes.ros_support import (
    COMMANDS,
    LATCHED,
    SeldomWarning,
    declare_spec,
    describe,
    read_only,
    run_node,
    seconds,
    to_stamp,
)
from ppo_robot.nodes.sim_controllers import CommandRefusal, TrajectoryPoint
from ppo_robot.nodes.sim_core import DEFAULT_CONTROLLERS, SimRobotCore, StateSample
from ppo_robot.nodes.sim_faults import SimFaults, nominal_faults
from ppo_robot.nodes.sim_lockstep import Lockstep
from ppo_robot.nodes.sim_record import TRUTH, CommandRecord, ResponseRecord, TruthRecord
from ppo_robot.nodes.sim_response import ResponseWatch
from ppo_robot.nodes.timing import DeadlineLoop
from ppo_robot.policy.bundle import load_bundle
from ppo_robot.spec.deployment import ControllerSpec, SimRobotSpec
from ppo_robot.spec.robot import RobotSpec, load_robot
from ppo_robot.spec.strict import build
from ppo_robot.spec.task import TaskSpec, load_task

DIAGNOSTICS_PERIOD = 1.0

CATCH_UP = 0.1
"""s of missed time that the physics makes up for at once; more, on a machine that is too slow, is lost and counted."""


class SimRobotNode(Node):
    """A simulated robot in real time or, with `real_time` false, in a time of its own that it publishes on /clock.

    One thread moves the robot and publishes; the executor's takes commands. Both hold the lock around the core.
    """

    def __init__(self) -> None:
        """Declare the parameters, build the robot and start it.

        Raises:
            BadInputError: if a parameter does not fit.
        """
        super().__init__("sim_robot")
        self._lock = threading.RLock()
        self._ended = threading.Event()
        self._failure: Exception | None = None
        self._warn = SeldomWarning(self)
        self._responses = ResponseWatch()
        self._stall = 0.0
        self._stalled = 0.0
        self._missed = 0
        self._lost_time = 0.0
        robot, task = self._robot_and_task()
        spec: SimRobotSpec = declare_spec(self, SimRobotSpec(), "sim_robot")
        self._real_time = bool(read_only(self, "real_time", True, "false: publish /clock, as fast as commands answer"))
        timeout = self._lockstep_timeout()
        controllers = self._controllers()
        self.core = SimRobotCore(robot, task, controllers, spec.plant, spec.state_rate, spec.seed)
        self._declare_faults()
        self._joint_states = self.create_publisher(JointState, "/joint_states", COMMANDS)
        self._truth = TruthRecord(self, robot.joint_names, robot.base_link)
        self._record = CommandRecord(self, robot.joint_names)
        self._response = ResponseRecord(self)
        self._description = self.create_publisher(String, "/robot_description", LATCHED)
        self._description.publish(String(data=robot.description))
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", COMMANDS)
        for controller in controllers:
            self._subscribe(controller)
        self.create_service(Trigger, "~/reset", self._on_reset)
        self.create_service(Trigger, "~/activate_controller", self._on_activate)
        self.create_timer(DIAGNOSTICS_PERIOD, self._publish_diagnostics)
        self._anchor, self._stamp = (time.monotonic(), self.core.time), self._stamp_now()
        self._factor_anchor = self._anchor
        self.loop: DeadlineLoop | Lockstep
        if self._real_time:
            self.loop = DeadlineLoop(self.core.state_period, self._tick, on_error=self._on_loop_error)
        else:
            self._clock_publisher = self.create_publisher(ClockMessage, "/clock", TRUTH)
            self.loop = Lockstep(self.core.state_period, self._tick_simulated, timeout, self._on_loop_error)
        self.loop.start()
        self.get_logger().info(
            f"{robot.name} in {spec.plant}, states at {spec.state_rate:g} Hz, {', '.join(c.topic for c in controllers)}"
        )

    def close(self) -> None:
        """Stop moving and free the plant."""
        self._ended.set()
        self.loop.stop()
        self.core.close()

    def _robot_and_task(self) -> tuple[RobotSpec, TaskSpec]:
        bundle = read_only(self, "bundle", "", "directory of a policy bundle, whose robot and task are taken")
        robot = read_only(self, "robot", "arm6", "a file of config/robots, or a path; not used with a bundle")
        task = read_only(self, "task", "reach", "a file of config/tasks, or a path, for drives and starts; see robot")
        if bundle:
            loaded = load_bundle(bundle)
            return loaded.robot, loaded.task
        return load_robot(robot), load_task(task)

    def _lockstep_timeout(self) -> float:
        descriptor = ParameterDescriptor(
            description="s of wall time to wait for the answer to a state where real_time is false; 0: do not wait",
            floating_point_range=[FloatingPointRange(from_value=0.0, to_value=60.0)],
            read_only=True,
        )
        return float(self.declare_parameter("lockstep_timeout", 1.5, descriptor).value)

    def _controllers(self) -> list[ControllerSpec]:
        """Return the configured controller, and with it one of the other type under its usual name."""
        first = DEFAULT_CONTROLLERS[0]
        values = {
            "name": read_only(self, "controller_name", first.name, "of the controller, which begins its topic"),
            "type": read_only(self, "controller_type", first.type, f"{first.type} or joint_trajectory_controller"),
            "interface": read_only(self, "controller_interface", first.interface, "position, velocity or effort"),
        }
        joints = ParameterDescriptor(
            description="the order in the controller's configuration; not given: the robot's own",
            type=ParameterType.PARAMETER_STRING_ARRAY,
            read_only=True,
        )
        # An empty list has no type in ROS; a blank name stands for it.
        values["joints"] = [name for name in self.declare_parameter("controller_joints", [""], joints).value if name]
        configured = build(ControllerSpec, values, "sim_robot", "controller")
        others = [spec for spec in DEFAULT_CONTROLLERS if spec.type != configured.type and spec.name != configured.name]
        return [configured, *others]

    def _declare_faults(self) -> None:
        """Declare each fault as a parameter that can be set while the robot runs; the task gives the defaults."""
        nominal, hints = nominal_faults(self.core.task.simulation), typing.get_type_hints(SimFaults)
        values = {}
        for field in dataclasses.fields(SimFaults):
            descriptor = describe(field, hints[field.name])
            descriptor.read_only = False
            values[field.name] = self.declare_parameter(field.name, getattr(nominal, field.name), descriptor).value
        self._switch_faults(values)
        self.add_on_set_parameters_callback(self._on_parameters)

    def _switch_faults(self, values: dict[str, typing.Any]) -> None:
        with self._lock:
            faults = build(SimFaults, dataclasses.asdict(self.core.faults) | values, "sim_robot")
            self.core.set_faults(dataclasses.replace(faults, stall=0.0))
            self._stall = max(self._stall, faults.stall)

    def _on_parameters(self, parameters: list[Parameter]) -> SetParametersResult:
        known = {field.name for field in dataclasses.fields(SimFaults)}
        values = {parameter.name: parameter.value for parameter in parameters if parameter.name in known}
        try:
            self._switch_faults(values)
        except PpoRobotError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _subscribe(self, spec: ControllerSpec) -> None:
        if spec.type == "forward_command_controller":
            self.create_subscription(Float64MultiArray, spec.topic, partial(self._on_forward, spec.name), COMMANDS)
        else:
            self.create_subscription(JointTrajectory, spec.topic, partial(self._on_trajectory, spec.name), COMMANDS)

    def _on_forward(self, name: str, message: Float64MultiArray, info: dict[str, int]) -> None:
        received = _received(info)
        with self._lock:
            self._responses.commanded(message.layout.dim[0].label if message.layout.dim else "", received)
            refusal = self.core.forward(name, message.data, self._simulated_now())
        self._after_command(name, refusal)

    def _on_trajectory(self, name: str, message: JointTrajectory, info: dict[str, int]) -> None:
        received = _received(info)
        points = [
            TrajectoryPoint(
                point.positions,
                point.velocities,
                point.effort,
                point.time_from_start.sec + point.time_from_start.nanosec * 1e-9,
            )
            for point in message.points
        ]
        stamp = seconds(message.header.stamp)
        with self._lock:
            self._responses.commanded(message.header.frame_id, received)
            now = self._simulated_now()
            start = None if stamp == 0.0 else stamp - self._stamp_now() + now
            refusal = self.core.trajectory(name, message.joint_names, points, now, start)
        self._after_command(name, refusal)

    def _after_command(self, name: str, refusal: CommandRefusal | None) -> None:
        if isinstance(self.loop, Lockstep):
            self.loop.answer()
        if refusal is None and self.core.taken is not None:
            self._record.take(self.core.taken, self._stamp_now())
        if refusal is not None and refusal is not CommandRefusal.LOST:
            self._warn(f"{name}: command refused: {refusal.value}")

    def _simulated_now(self) -> float:
        """Return the moment of now in the robot's own time, which stands still between two steps in lockstep."""
        moment, simulated = self._anchor
        return simulated + time.monotonic() - moment if self._real_time else self.core.time

    def _stamp_now(self) -> float:
        return self.get_clock().now().nanoseconds * 1e-9 if self._real_time else self.core.time

    def _on_reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        try:
            with self._lock:
                pose = self.core.reset()
                tool = self.core.tool_position
        except RunFailedError as error:
            response.success, response.message = False, str(error)
            return response
        names = self.core.robot.joint_names
        found = {"joint_position": dict(zip(names, pose.tolist(), strict=True)), "tool_position": tool.tolist()}
        response.success, response.message = True, json.dumps(found)
        return response

    def _on_activate(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        with self._lock:
            self.core.activate_controllers()
        response.success, response.message = True, ", ".join(self.core.controllers)
        return response

    def _tick(self) -> None:
        """One state period of real time; periods that the loop missed are made up for in the physics alone."""
        with self._lock:
            now, moment, owed = self._stamp_now(), time.monotonic(), self._owed()
            for made_up in range(1, owed + 1):
                self.core.step()
                self._tell_truth(self._stamp + (now - self._stamp) * made_up / (owed + 1))
            sample = self.core.step()
            self._anchor, self._stamp = (time.monotonic(), self.core.time), now
            self._tell_truth(now)
            self._publish_state(sample, now, moment)
        self._stall_if_asked()

    def _owed(self) -> int:
        """Return how many missed periods to make up for."""
        missed = self.loop.counters.missed - self._missed
        self._missed += missed
        owed = min(missed, round((CATCH_UP + self._stalled) / self.core.state_period))
        self._lost_time += (missed - owed) * self.core.state_period
        self._stalled = 0.0
        return owed

    def _tick_simulated(self) -> None:
        """One state period of simulated time. The state goes first: who ticks by the clock shall find it there."""
        with self._lock:
            sample = self.core.step()
            self._tell_truth(self.core.time)
            self._publish_state(sample, self.core.time)
            self._clock_publisher.publish(ClockMessage(clock=to_stamp(self.core.time)))
        self._stall_if_asked()

    def _tell_truth(self, stamp: float) -> None:
        self._truth.take(self.core.plant.truth, self.core.tool_position, stamp)

    def _publish_state(self, sample: StateSample | None, now: float, moment: float | None = None) -> None:
        """Publish what was measured; `moment` is what the monotonic clock said at `now`, in real time."""
        if sample is None:
            return
        message = JointState(name=list(self.core.names))
        age = self.core.time - sample.stamp
        stamp = message.header.stamp = to_stamp(now - age)
        if moment is not None:
            self._responses.measured(stamp.sec, stamp.nanosec, moment - age)
        message.position = sample.position.tolist()
        message.velocity = sample.velocity.tolist()
        message.effort = sample.effort.tolist()
        self._joint_states.publish(message)

    def _stall_if_asked(self) -> None:
        """Stand still with the lock held, so that no command is taken either; the robot itself holds on meanwhile."""
        with self._lock:
            self._stalled, self._stall = self._stall, 0.0
            if self._stalled:
                self.core.counters["stalls"] += 1
                self._ended.wait(self._stalled)

    def _on_loop_error(self, error: Exception) -> None:
        self._failure = error

    def _publish_diagnostics(self) -> None:
        if self._failure is not None:
            raise RunFailedError(f"sim_robot: {type(self._failure).__name__}: {self._failure}")
        now, core = time.monotonic(), self.core
        with self._lock:
            factor = (core.time - self._factor_anchor[1]) / (now - self._factor_anchor[0])
            self._factor_anchor = (now, core.time)
            counters: dict[str, typing.Any] = dict(core.counters)
            active = {f"active/{name}": controller.active for name, controller in core.controllers.items()}
            counters |= self._responses.figures()
            samples = self._responses.take()
        self._response.take(samples)
        counters |= active | {"real_time_factor": f"{factor:.3f}", "lost_time_s": f"{self._lost_time:.3f}"}
        counters |= {"state_periods": self.loop.counters.ticks, "missed_state_periods": self.loop.counters.missed}
        if isinstance(self.loop, Lockstep):
            counters |= {"lockstep": self.loop.engaged, "lockstep_timeouts": self.loop.timeouts}
        status = DiagnosticStatus(level=DiagnosticStatus.OK, name="sim_robot", hardware_id=core.robot.name)
        status.message = "running"
        if not all(active.values()):
            status.level, status.message = DiagnosticStatus.WARN, "a controller is inactive; call ~/activate_controller"
        elif self._real_time and factor < 0.95:
            status.level, status.message = DiagnosticStatus.WARN, f"slower than real time: factor {factor:.2f}"
        status.values = [KeyValue(key=key, value=str(value)) for key, value in sorted(counters.items())]
        message = DiagnosticArray(status=[status])
        message.header.stamp = to_stamp(self._stamp_now())
        self._diagnostics.publish(message)


def _received(info: dict[str, int]) -> float:
    """Return when the middleware had a message, s on the monotonic clock.

    That is when a controller's own thread could have it; the executor of a busy Python process comes to it later.
    """
    now, stamp = time.monotonic(), info["received_timestamp"]
    return now - max(0.0, time.time() - stamp * 1e-9) if stamp > 0 else now


def main() -> None:
    """Run the node until it is told to end."""
    sys.exit(run_node(SimRobotNode))


if __name__ == "__main__":
    main()
