"""The MuJoCo plant: the robot that no policy was trained on."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping

import mujoco
import numpy as np
from numpy.typing import NDArray

from ppo_robot.kinematics import RobotModel
from ppo_robot.sim.mujoco_dynamics import NOMINAL, MujocoDynamics
from ppo_robot.sim.mujoco_model import DriveSpec, build_mujoco_model, joint_dofs
from ppo_robot.spec.task import SimulationSpec
from ppo_robot.state import RobotState

Array = NDArray[np.float64]
Rows = NDArray[np.intp]

# MuJoCo would print its warnings and append them to a MUJOCO_LOG.TXT in the working directory.
mujoco.set_mju_user_warning(logging.getLogger(__name__).warning)


class MujocoPlant:
    """B robots under MuJoCo, from the same URDF as under PyBullet, with rotor inertia, dry friction and damping.

    Each joint is held as an industrial drive holds it: a stiff PD servo within the effort limit, fed forward with what
    gravity and rotation take of the nominal robot. A PD alone would sag by gravity over stiffness, an integrator would
    wind up at every effort limit and make a reset carry more state; with the feed-forward only friction and unmodelled
    load are left, and over this stiffness that is micrometres at the tool.

    A reset leaves no trace of what was before it: the same start and references give the same trajectory, bit for bit.
    """

    nominal = NOMINAL

    def __init__(self, model: RobotModel, spec: SimulationSpec, batch: int, drive: DriveSpec | None = None) -> None:
        """Load the robot once and make room for `batch` of it.

        Raises:
            BadInputError: if MuJoCo cannot load the URDF or one of its meshes is missing.
        """
        self.model = model
        self.spec = spec
        self.truth = RobotState.zeros(batch, model.joints)
        self.self_collision = np.zeros(batch, dtype=bool)
        self.engine = build_mujoco_model(model, spec, drive or DriveSpec())
        self._data = [mujoco.MjData(self.engine) for _ in range(batch)]
        self._dofs = joint_dofs(self.engine, model.spec.joint_names)
        self.dynamics = MujocoDynamics(self.engine, model, self._dofs, batch)
        self._inner_steps = round(spec.physics_period / self.engine.opt.timestep)
        # What the drives take the robot for, whatever it carries.
        self._nominal = copy.copy(self.engine)
        self._nominal_data = mujoco.MjData(self._nominal)

    def close(self) -> None:
        """Free the simulated robots; harmless when repeated."""
        self._data.clear()

    def reset(self, joint_position: Array, rows: Rows, joint_velocity: Array | None = None) -> None:
        """Put `rows` (k,) at joint positions (k, J) rad, at rest or with velocities (k, J) rad/s.

        Updates `truth` and `self_collision` there.
        """
        velocity = np.zeros_like(joint_position) if joint_velocity is None else joint_velocity
        for place, row in enumerate(rows):
            data, engine = self._data[row], self.dynamics.engines[row]
            mujoco.mj_resetData(engine, data)
            data.qpos[self._dofs], data.qvel[self._dofs] = joint_position[place], velocity[place]
            mujoco.mj_fwdPosition(engine, data)
            self.self_collision[row] = data.ncon > 0
        self.truth.joint_position[rows] = joint_position
        self.truth.joint_velocity[rows] = velocity
        self.truth.joint_effort[rows] = 0.0
        self.truth.stamp[rows] = 0.0

    def apply(self, values: Mapping[str, Array], rows: Rows) -> None:
        """Take drawn dynamics for `rows` (k,); see `PARAMETERS`. The servos' feed-forward stays the nominal robot's."""
        self.dynamics.apply(values, rows.tolist())

    def set_payload(self, mass: float) -> None:
        """Let every robot carry `mass` (kg) more, at the centre of mass of the payload link; its servos do not know."""
        self.dynamics.set_payload(mass)

    def step(
        self, reference: Array, substeps: NDArray[np.int64] | None = None, load: Array | None = None
    ) -> None:
        """Follow the references (S, B, J) rad through S physics steps; update `truth` and `self_collision`.

        `substeps` (B,) ends some robots' steps earlier; `load` (B, J) N·m pulls on the joints all the while.
        As under PyBullet, effort and contacts are those of the last step within, position and velocity those after it.
        """
        for row, (data, engine) in enumerate(zip(self._data, self.dynamics.engines, strict=True)):
            stiffness = engine.actuator_gainprm[:, 0]
            if load is not None:
                data.qfrc_applied[self._dofs] = load[row]
            for target in reference[:, row] if substeps is None else reference[: substeps[row], row]:
                data.ctrl[:] = target + self._feed_forward(data) / stiffness
                mujoco.mj_step(engine, data, self._inner_steps)
            self.truth.joint_effort[row] = data.actuator_force
        self._observe(reference.shape[0] if substeps is None else substeps)

    def step_effort(self, effort: Array) -> None:
        """Apply the efforts (S, B, J) N·m, within the limits, through S physics steps; nothing else holds them."""
        limit = self.model.effort_limit
        efforts = np.clip(effort, -limit, limit)
        servos = int(mujoco.mjtDisableBit.mjDSBL_ACTUATION)
        for row, (data, engine) in enumerate(zip(self._data, self.dynamics.engines, strict=True)):
            engine.opt.disableflags |= servos
            for torque in efforts[:, row]:
                data.qfrc_applied[self._dofs] = torque
                mujoco.mj_step(engine, data, self._inner_steps)
            data.qfrc_applied[:] = 0.0
            engine.opt.disableflags &= ~servos
        self.truth.joint_effort[:] = efforts[-1]
        self._observe(effort.shape[0])

    def _feed_forward(self, data: mujoco.MjData) -> Array:
        """Return the efforts (J,) N·m that gravity and rotation take of the nominal robot in this state."""
        model, nominal = self._nominal, self._nominal_data
        nominal.qpos[:], nominal.qvel[:] = data.qpos, data.qvel
        mujoco.mj_kinematics(model, nominal)
        mujoco.mj_comPos(model, nominal)
        mujoco.mj_comVel(model, nominal)
        mujoco.mj_rne(model, nominal, 0, nominal.qfrc_bias)
        return nominal.qfrc_bias[self._dofs]

    def _observe(self, steps: int | NDArray[np.int64]) -> None:
        """Update what `truth` and `self_collision` say of position, velocity, time and contact after physics steps."""
        for row, data in enumerate(self._data):
            self.truth.joint_position[row] = data.qpos[self._dofs]
            self.truth.joint_velocity[row] = data.qvel[self._dofs]
            self.self_collision[row] = data.ncon > 0  # without margin every contact is a touch
        self.truth.stamp += self.spec.physics_period * steps
