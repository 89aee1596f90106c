"""The simulated robot behind ros2_control's interface: plant, drives, controllers, encoders, faults. Knows no ROS."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ppo_robot.errors import BadInputError
from ppo_robot.kinematics import RobotModel
from ppo_robot.mdp.actions import ActionPath
from ppo_robot.nodes.sim_controllers import (
    CommandRefusal,
    Controller,
    ForwardController,
    Setpoints,
    TrajectoryController,
    TrajectoryPoint,
    make_controller,
)
from ppo_robot.nodes.sim_faults import FaultySensors, Measurement, SimFaults
from ppo_robot.sim.actuator import PositionServo
from ppo_robot.sim.plants import PlantName, make_plant
from ppo_robot.sim.randomness import EnvironmentStreams
from ppo_robot.sim.start import start_poses
from ppo_robot.spec.deployment import ControllerSpec
from ppo_robot.spec.robot import RobotSpec
from ppo_robot.spec.task import TaskSpec

Array = NDArray[np.float64]

DEFAULT_CONTROLLERS = (
    ControllerSpec("forward_position_controller", "forward_command_controller"),
    ControllerSpec("joint_trajectory_controller", "joint_trajectory_controller"),
)

_ALL = np.arange(1)
_SAME_TIME = 1e-9


@dataclass(frozen=True)
class StateSample:
    """What the joint state broadcaster says: every joint that can move, in alphabetical order; s of simulated time."""

    stamp: float
    position: Array
    velocity: Array
    effort: Array


class SimRobotCore:
    """One simulated robot in simulated time, which only `step` moves on.

    A command takes effect with the first physics step that begins at or after its arrival; `taken` is the newest.
    Not thread-safe.
    """

    def __init__(
        self,
        robot: RobotSpec,
        task: TaskSpec,
        controllers: Sequence[ControllerSpec] = DEFAULT_CONTROLLERS,
        plant: PlantName = "pybullet",
        state_rate: float = 100.0,
        seed: int = 0,
    ) -> None:
        """Build the robot at rest in its default pose, without faults; only `task.simulation`, start and limits count.

        Raises:
            BadInputError: if the state period is no whole number of physics steps, a controller's joints are not the
                robot's, or the plant cannot be made.
        """
        physics = task.simulation.physics_period
        self.robot, self.task = robot, task
        self.state_period = 1.0 / state_rate
        self._substeps = whole_steps(self.state_period, physics, state_rate)
        self._physics_period = physics
        self.model = RobotModel(robot)
        self.controllers: dict[str, Controller] = {}
        for spec in controllers:
            if spec.name in self.controllers:
                raise BadInputError(f"controller {spec.name}: given twice; expected a name of its own for each")
            self.controllers[spec.name] = make_controller(spec, robot.joint_names)
        self.plant = make_plant(plant, self.model, task.simulation, 1)
        self.counters: Counter[str] = Counter()
        self.names, self._order, self._locked = published_joints(robot)
        limits = ActionPath(task.action, self.model, task.control_period, 1)
        self._start_limits = limits.lower, limits.upper
        self._streams = EnvironmentStreams(seed, [0])
        self._servo = PositionServo(task.simulation.actuator, self.model, physics, 1, 1)
        self._sensors = FaultySensors(robot.joint_names, physics, seed)
        self._steps = 0
        self._pending: deque[tuple[float, Setpoints]] = deque()
        self.taken: Setpoints | None = None
        self._target: Array
        self._setpoints: Setpoints
        self.plant.reset(self.model.default_position[None], _ALL)
        self._hold_here()

    @property
    def time(self) -> float:
        """Simulated s since the robot was built; a reset does not turn it back."""
        return self._steps * self._physics_period

    @property
    def faults(self) -> SimFaults:
        """The faults of the moment."""
        return self._sensors.faults

    @property
    def joint_position(self) -> Array:
        """(J,) rad, the truth, in the robot's order."""
        return self.plant.truth.joint_position[0]

    @property
    def tool_position(self) -> Array:
        """(3,) m in the base frame, the truth."""
        return self.model.tool_position(self.plant.truth.joint_position)[0]

    def close(self) -> None:
        """Free the plant."""
        self.plant.close()

    def set_faults(self, faults: SimFaults) -> None:
        """Switch to these faults from now on; `stall` is the caller's, who owns the clock.

        Raises:
            BadInputError: if one names an unknown joint; nothing is changed then.
        """
        before = self.faults.payload
        self._sensors.set_faults(faults)
        if faults.payload != before:
            self.plant.set_payload(faults.payload)

    def reset(self) -> Array:
        """Put the robot at rest at a start pose drawn as the task's episodes draw theirs; return it, (J,) rad.

        The pose is held, what was commanded is forgotten, and every controller is active again; faults stay.

        Raises:
            RunFailedError: if no such pose is found.
        """
        start_poses(self.plant, self.task.start, *self._start_limits, self._streams, _ALL)
        self._hold_here()
        self.activate_controllers()
        self.counters["resets"] += 1
        return self.joint_position.copy()

    def activate_controllers(self) -> None:
        """Make every controller take commands again, as the controller manager's switch does."""
        for controller in self.controllers.values():
            controller.active = True

    def forward(self, name: str, values: Sequence[float], time: float | None = None) -> CommandRefusal | None:
        """Take a command on `/<name>/commands` that arrived at `time`, by default now; return why it moves nothing."""
        controller = self.controllers[name]
        assert isinstance(controller, ForwardController)  # noqa: S101 - the caller's own table of topics
        arrival = self.time if time is None else time
        return self._take(controller.command(values, arrival), arrival)

    def trajectory(
        self,
        name: str,
        joint_names: Sequence[str],
        points: Sequence[TrajectoryPoint],
        time: float | None = None,
        start: float | None = None,
    ) -> CommandRefusal | None:
        """Take a trajectory on `/<name>/joint_trajectory` that arrived at `time`; `start` is its own stamp, if any."""
        controller = self.controllers[name]
        assert isinstance(controller, TrajectoryController)  # noqa: S101 - the caller's own table of topics
        arrival = self.time if time is None else time
        return self._take(controller.command(joint_names, points, arrival, start), arrival)

    def step(self) -> StateSample | None:
        """Advance by one state period; return what arrives of the joint states then, or None if nothing does."""
        for _ in range(self._substeps):
            self._physics_step()
        report = self._sensors.report()
        self.counters["states" if report is not None else "states_lost"] += 1
        return None if report is None else self._sample(report)

    def _take(self, command: Setpoints | CommandRefusal, arrival: float) -> CommandRefusal | None:
        refusal = command if isinstance(command, CommandRefusal) else None
        if refusal is None and self._sensors.loses_command():
            refusal = CommandRefusal.LOST
        if refusal is not None or isinstance(command, CommandRefusal):
            assert refusal is not None  # noqa: S101 - for the type checker
            self.counters[f"refused/{refusal.name.lower()}"] += 1
            return refusal
        self.counters["commands"] += 1
        if command.interface == "position":
            beyond = (command.values < self.model.lower) | (command.values > self.model.upper)
            self.counters["beyond_position_limit"] += bool(beyond.any())
        self._pending.append((arrival, command))
        self.taken = command
        return None

    def _physics_step(self) -> None:
        now = self.time
        while self._pending and self._pending[0][0] <= now + _SAME_TIME:
            self._begin(self._pending.popleft()[1], now)
        value = self._setpoints.at(now)
        interface = self._setpoints.interface
        if interface == "effort":
            self.plant.step_effort(value[None, None])
        else:
            if interface == "velocity":
                limit = self.model.velocity_limit
                target = self._target + np.clip(value, -limit, limit) * self._physics_period
                value = np.clip(target, self.model.lower, self.model.upper)
            self._target = value
            self.plant.step(self._servo.advance(value[None]))
        self._steps += 1
        self._sensors.record(self._truth())

    def _begin(self, command: Setpoints, now: float) -> None:
        """Put a command in force: from the setpoint before where the interface stays, otherwise from where it is."""
        before = self._setpoints
        if before.interface == "effort" and command.interface != "effort":
            self._target = self.joint_position.copy()
            self._servo.reset(self._target[None], _ALL)
        if command.interface == "position":
            value = self._target
        elif command.interface == before.interface:
            value = before.at(now)
        else:
            value = np.zeros(self.model.joints)
        self._setpoints = command.led_from(now, value)

    def _hold_here(self) -> None:
        """Forget every command and hold the present pose."""
        self._pending.clear()
        self._target = self.joint_position.copy()
        self._setpoints = Setpoints("position", np.array([self.time]), self._target[None])
        self._servo.reset(self._target[None], _ALL)
        self._sensors.clear()
        self._sensors.record(self._truth())

    def _truth(self) -> Measurement:
        truth = self.plant.truth
        position, velocity, effort = truth.joint_position[0], truth.joint_velocity[0], truth.joint_effort[0]
        return Measurement(self.time, position.copy(), velocity.copy(), effort.copy())

    def _sample(self, report: Measurement) -> StateSample:
        position, velocity, effort = self._locked.copy(), np.zeros(len(self.names)), np.zeros(len(self.names))
        position[self._order] = report.position
        velocity[self._order] = report.velocity
        effort[self._order] = report.effort
        return StateSample(report.stamp, position, velocity, effort)


def whole_steps(state_period: float, physics_period: float, state_rate: float) -> int:
    """Return how many physics steps make one state period.

    Raises:
        BadInputError: if that is no whole number; the message names rates that fit.
    """
    ratio = state_period / physics_period
    steps = max(1, round(ratio))
    if abs(ratio - steps) > 1e-6 * steps:
        fitting = ", ".join(f"{1.0 / (count * physics_period):g}" for count in (1, 2, 4, 5, 10))
        raise BadInputError(
            f"state_rate: given {state_rate:g} Hz; expected a state period of whole physics steps"
            f" of {physics_period:g} s, such as {fitting} Hz"
        )
    return steps


def published_joints(robot: RobotSpec) -> tuple[tuple[str, ...], NDArray[np.intp], Array]:
    """Return all joints that can move, alphabetically, where the controlled ones stand there, and held positions."""
    root = ElementTree.fromstring(robot.description)  # noqa: S314 - a robot's own file, checked when it was loaded
    movable = {
        str(joint.get("name"))
        for joint in root.findall("joint")
        if joint.get("type") in ("revolute", "continuous", "prismatic")
    }
    names = tuple(sorted(movable))
    order = np.array([names.index(name) for name in robot.joint_names])
    return names, order, np.array([robot.locked_joints.get(name, 0.0) for name in names])
