"""A simulated floating robot with its flight controller, behind odometry, gyroscope and commands. Knows no ROS."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from ppo_robot.mdp.airframe import Airframe
from ppo_robot.nodes.sim_core import whole_steps
from ppo_robot.sim.flight_plant import CommandLine, make_flight_plant
from ppo_robot.sim.flight_sensors import FlightSensors
from ppo_robot.sim.flight_start import flight_starts
from ppo_robot.sim.plants import PlantName
from ppo_robot.sim.randomness import EnvironmentStreams
from ppo_robot.spec.flight import FlightTaskSpec
from ppo_robot.spec.floating import FloatingSpec
from ppo_robot.state import RobotState

Array = NDArray[np.float64]

COMMAND_TIMEOUT = 0.2
"""s without a command after which the flight controller hovers by itself."""

_ALL = np.arange(1)


class SimFlightCore:
    """One simulated floating robot in simulated time, which only `step` moves on.

    It hangs at its start until the first command comes. One that has left its cage is hung up again and counted.
    Not thread-safe.
    """

    def __init__(
        self, robot: FloatingSpec, task: FlightTaskSpec, plant: PlantName, state_rate: float, seed: int
    ) -> None:
        """Hang the robot up at a start of the task.

        Raises:
            BadInputError: if the state period is no whole number of physics steps, or the plant cannot be made.
        """
        spec, self.task = task.simulation, task
        self.airframe = Airframe(robot)
        self.state_period = 1.0 / state_rate
        steps = whole_steps(self.state_period, spec.physics_period, state_rate)
        self.plant = make_flight_plant(plant, self.airframe, spec, 1)
        self.counters: Counter[str] = Counter()
        self._line = CommandLine(spec.actuator.delay, spec.physics_period, steps, 1)
        self._sensors = FlightSensors(spec.sensors, self.state_period, 1)
        self._streams = EnvironmentStreams(seed, [0])
        self._hover = np.array([[self.airframe.mass * spec.gravity, 0.0, 0.0, 0.0]])
        self._command = self._hover.copy()
        self._silence = 0.0
        self._hangs = True
        self.time = 0.0
        self.hang_up()

    @property
    def measured(self) -> RobotState:
        """What its sensors say."""
        return self._sensors.measured

    def hang_up(self) -> None:
        """Put it at a start of the task, where it stays until a command comes."""
        start = flight_starts(self.airframe, self.task.start, self._streams, _ALL, {})
        start.base_linear_velocity[:] = start.base_angular_velocity[:] = 0.0
        self.plant.reset(start, _ALL)
        self._line.reset(self._hover, _ALL)
        self._sensors.reset(self.plant.truth, _ALL, self._streams)
        self._command, self._hangs, self._silence = self._hover.copy(), True, 0.0

    def command(self, values: list[float]) -> str | None:
        """Take thrust N and body rates rad/s; return why they were refused, or None."""
        command = np.array(values, dtype=float)
        if command.shape != (4,) or not np.isfinite(command).all():
            self.counters["command_refused"] += 1
            return f"given {values}; expected four finite numbers: thrust in N, body rates in rad/s"
        lower, upper = self.airframe.command_limits
        self._command[0] = np.clip(command, lower, upper)
        self._hangs, self._silence = False, 0.0
        self.counters["command_taken"] += 1
        return None

    def step(self) -> None:
        """Move on by one period of the states, and measure."""
        self.time += self.state_period
        if not self._hangs:
            self._silence += self.state_period
            if self._silence > COMMAND_TIMEOUT:
                self._command[:] = self._hover
                self.counters["hovered_by_itself"] += 1
            self.plant.step(self._line.advance(self._command))
            if self.airframe.outside(self.plant.truth.base_position)[0]:
                self.counters["left_cage"] += 1
                self.hang_up()
        self._sensors.measure(self.plant.truth, self._streams)

    def close(self) -> None:
        """Free the plant."""
        self.plant.close()
