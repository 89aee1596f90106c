"""The MuJoCo plant: the robot that no policy was trained on."""

from __future__ import annotations

import copy
import logging

import mujoco
import numpy as np
from numpy.typing import NDArray

from ppo_robot.kinematics import RobotModel
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
        self._stiffness = self.engine.actuator_gainprm[:, 0].copy()
        self._inner_steps = round(spec.physics_period / self.engine.opt.timestep)
        # What the drives take the robot for, whatever it carries.
        self._nominal = copy.copy(self.engine)
        self._nominal_data = mujoco.MjData(self._nominal)

    def close(self) -> None:
        """Free the simulated robots; harmless when repeated."""
        self._data.clear()

    def reset(self, joint_position: Array, rows: Rows) -> None:
        """Put `rows` (k,) at rest at joint positions (k, J) rad and update `truth` and `self_collision` there."""
        for place, row in enumerate(rows):
            data = self._data[row]
            mujoco.mj_resetData(self.engine, data)
            data.qpos[self._dofs] = joint_position[place]
            mujoco.mj_fwdPosition(self.engine, data)
            self.self_collision[row] = data.ncon > 0
        self.truth.joint_position[rows] = joint_position
        self.truth.joint_velocity[rows] = 0.0
        self.truth.joint_effort[rows] = 0.0
        self.truth.stamp[rows] = 0.0

    def set_payload(self, mass: float) -> None:
        """Let every robot carry `mass` (kg) more, at the centre of mass of the payload link; its servos do not know."""
        body = self.engine.body(self.model.spec.payload_link).id
        self.engine.body_mass[body] = self._nominal.body_mass[body] + mass  # a point there adds no inertia of its own
        mujoco.mj_setConst(self.engine, mujoco.MjData(self.engine))

    def step(self, reference: Array) -> None:
        """Follow the references (S, B, J) rad through S physics steps; update `truth` and `self_collision`.

        As under PyBullet, effort and contacts are those of the last step within, position and velocity those after it.
        """
        for row, data in enumerate(self._data):
            for target in reference[:, row]:
                data.ctrl[:] = target + self._feed_forward(data) / self._stiffness
                mujoco.mj_step(self.engine, data, self._inner_steps)
            self.truth.joint_effort[row] = data.actuator_force
        self._observe(reference.shape[0])

    def step_effort(self, effort: Array) -> None:
        """Apply the efforts (S, B, J) N·m, within the limits, through S physics steps; nothing else holds them."""
        limit = self.model.effort_limit
        efforts = np.clip(effort, -limit, limit)
        servos = int(mujoco.mjtDisableBit.mjDSBL_ACTUATION)
        self.engine.opt.disableflags |= servos
        for row, data in enumerate(self._data):
            for torque in efforts[:, row]:
                data.qfrc_applied[self._dofs] = torque
                mujoco.mj_step(self.engine, data, self._inner_steps)
            data.qfrc_applied[:] = 0.0
        self.engine.opt.disableflags &= ~servos
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

    def _observe(self, steps: int) -> None:
        """Update what `truth` and `self_collision` say of position, velocity, time and contact after physics steps."""
        for row, data in enumerate(self._data):
            self.truth.joint_position[row] = data.qpos[self._dofs]
            self.truth.joint_velocity[row] = data.qvel[self._dofs]
            self.self_collision[row] = data.ncon > 0  # without margin every contact is a touch
        self.truth.stamp += self.spec.physics_period * steps
