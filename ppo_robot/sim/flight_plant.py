"""What both flight plants share: flight controller, rotors and air, for B floating robots at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ppo_robot.mdp.airframe import Airframe
from ppo_robot.mdp.rotation import rotation_matrix, to_body
from ppo_robot.sim.delay import FixedDelay, VariableDelay
from ppo_robot.sim.plants import PlantName, plant_library
from ppo_robot.sim.rotors import Mixer, Motors, RateLoop, wrench_of
from ppo_robot.spec.flight import FlightSimulationSpec
from ppo_robot.state import RobotState

Array = NDArray[np.float64]
Rows = NDArray[np.intp]
Values = Mapping[str, Array]


class FlightPlant(ABC):
    """B simulated floating robots that follow commands; a reset leaves no trace of what was before it.

    A simulator is asked for nothing but the motion of a free body under a force and a torque, one physics step at a
    time. All between the command and that wrench is done here, the same for each simulator.

    Attributes:
        airframe: the robot.
        spec: periods, gravity, actuator and sensors.
        truth: what the robots really do, updated by `reset` and `step` (B rows, no joints).
        nominal: what absolute parameters are without any entry that draws them: there are none.
    """

    def __init__(self, airframe: Airframe, spec: FlightSimulationSpec, batch: int) -> None:
        """Prepare `batch` robots."""
        self.airframe, self.spec = airframe, spec
        self.truth = RobotState.zeros(batch, 0)
        self.nominal: Mapping[str, float] = {}
        self._mixer, self._loop = Mixer(airframe), RateLoop(airframe)
        self._motors = Motors(airframe, spec.physics_period, batch)
        self._drag = np.tile(airframe.drag, (batch, 1))
        self._wind = np.zeros((batch, 3))
        self._force = np.zeros((batch, 3))
        self._hover = np.full(airframe.rotors, airframe.mass * spec.gravity / airframe.rotors)

    @property
    def rotor_thrust(self) -> Array:
        """(B, n) N, what each rotor gives now."""
        return self._motors.thrust

    def reset(self, start: RobotState, rows: Rows) -> None:
        """Put `rows` (k,) where `start` (k robots) says, their rotors spinning as hovering takes it; update `truth`."""
        truth = self.truth
        for name in ("base_position", "base_orientation", "base_linear_velocity", "base_angular_velocity"):
            getattr(truth, name)[rows] = getattr(start, name)
        truth.stamp[rows] = 0.0
        self._motors.reset(np.tile(self._hover, (len(rows), 1)), rows)
        for row in rows.tolist():
            self._put(row)

    def apply(self, values: Values, rows: Rows) -> None:
        """Take drawn dynamics (B, w) for `rows` (k,): those of `FLIGHT_PARAMETERS` that a plant has."""
        self._motors.apply(values, rows)
        if "drag" in values:
            self._drag[rows] = self.airframe.drag * values["drag"][rows]
        if "wind" in values:
            self._wind[rows] = values["wind"][rows]
        if "body_force" in values:
            self._force[rows] = values["body_force"][rows]
        self._set_bodies(values, rows)

    def step(self, command: Array, substeps: NDArray[np.int64] | None = None) -> None:
        """Follow commands (S, B, 4), thrust N and body rates rad/s, through S physics steps; update `truth`.

        `substeps` (B,) ends some robots' steps earlier.
        """
        truth = self.truth
        for step, wanted in enumerate(command):
            moving = None if substeps is None else step < substeps
            force, torque = self._wrench(wanted, moving)
            self._advance(force, torque, moving)
        truth.stamp += self.spec.physics_period * (len(command) if substeps is None else substeps)

    def _wrench(self, wanted: Array, moving: NDArray[np.bool_] | None) -> tuple[Array, Array]:
        """Return force N and torque N·m on each robot, (B, 3) each, along the axes of its base link."""
        truth = self.truth
        rotation = rotation_matrix(truth.base_orientation)
        rate = to_body(rotation, truth.base_angular_velocity)
        torque = self._loop.torque(wanted[:, 1:], rate)
        asked = self._mixer.share(np.concatenate([wanted[:, :1], torque], axis=1))
        if moving is not None:  # a robot whose period has ended waits
            asked = np.where(moving[:, None], asked, self._motors.asked)
        given = wrench_of(self.airframe.allocation, self._motors.advance(asked))
        force = -self._drag * to_body(rotation, truth.base_linear_velocity - self._wind)
        force = force + to_body(rotation, self._force)
        force[:, 2] += given[:, 0]
        return force, given[:, 1:]

    @abstractmethod
    def _put(self, row: int) -> None:
        """Put one robot where `truth` says."""

    @abstractmethod
    def _set_bodies(self, values: Values, rows: Rows) -> None:
        """Take drawn masses, inertias and gravity for `rows` (k,), always from the nominal ones."""

    @abstractmethod
    def _advance(self, force: Array, torque: Array, moving: NDArray[np.bool_] | None) -> None:
        """Let force and torque (B, 3), body axes, act on the robots that move for one physics step; update truth."""

    @abstractmethod
    def close(self) -> None:
        """Free the simulator; harmless when repeated."""


class CommandLine:
    """Dead time between the policy's command and the flight controller, for B robots at the physics rate."""

    def __init__(
        self, delay: float, physics_period: float, substeps: int, batch: int, longest: float | None = None
    ) -> None:
        """Prepare `batch` robots; call `reset` before the first `advance`.

        Args:
            delay: s, of every robot until `apply` says otherwise.
            physics_period: s.
            substeps: physics steps of a control period.
            batch: B.
            longest: s beyond `delay` for which there must be room where robots are to differ in dead time or pace;
                None: they do not.
        """
        self._delay, self._period, self._substeps, self._batch = delay, physics_period, substeps, batch
        steps = round(delay / physics_period)
        self._line: FixedDelay | VariableDelay = FixedDelay(steps, batch, 4)
        if longest is not None:
            room = int(np.ceil((delay + longest) / physics_period + 1e-9))
            self._line = VariableDelay(steps, max(room, steps), batch, 4)

    def apply(self, values: Values, rows: Rows) -> None:
        """Take `action_latency` (B, 1) s beyond the spec's for `rows` (k,)."""
        latency = values.get("action_latency")
        if latency is not None and isinstance(self._line, VariableDelay):
            self._line.steps[rows] = np.rint((self._delay + latency[rows, 0]) / self._period)

    def reset(self, command: Array, rows: Rows) -> None:
        """Fill the line of `rows` (k,) with commands (k, 4)."""
        self._line.reset(command, rows)

    def advance(self, command: Array, substeps: NDArray[np.int64] | None = None) -> Array:
        """Take the commands (B, 4) of one control period; return those of its physics steps (S, B, 4).

        With `substeps` (B,) the period takes each robot another number of physics steps.
        """
        count = self._substeps if substeps is None else int(substeps.max())
        out = np.empty((count, self._batch, 4))
        for step in range(count):
            out[step] = self._line.push(command, None if substeps is None else step < substeps)
        return out


def make_flight_plant(name: PlantName, airframe: Airframe, spec: FlightSimulationSpec, batch: int) -> FlightPlant:
    """Return `batch` floating robots in the simulator of that name; only that simulator is imported.

    Raises:
        BadInputError: if the name is unknown, its library is not installed, or it cannot load the URDF.
    """
    with plant_library(name):
        if name == "mujoco":
            from ppo_robot.sim.flight_mujoco import MujocoFlightPlant

            return MujocoFlightPlant(airframe, spec, batch)
        from ppo_robot.sim.flight_pybullet import PybulletFlightPlant

        return PybulletFlightPlant(airframe, spec, batch)
