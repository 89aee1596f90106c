"""What of a robot's dynamics is drawn under MuJoCo: a model of its own for each robot, made from the nominal one."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping

import mujoco
import numpy as np
from numpy.typing import NDArray

from ppo_robot.kinematics import RobotModel

Array = NDArray[np.float64]
Values = Mapping[str, Array]

NOMINAL = {
    "contact_friction": 1.0,
    "contact_restitution": 0.0,
    "contact_stiffness": 1e5,
    "contact_damping": 1e3,
    "joint_friction": 1.0,  # of the URDF, or what a drive of that size has
}
"""Absolute parameters without any entry; a contact is MuJoCo's own until its stiffness or damping is drawn."""

_CONTACT_MASS = 1.0
"""kg: MuJoCo gives a contact a stiffness for each kg that it holds up; this is how many a drawn one is taken for."""


class MujocoDynamics:
    """The models of B robots: one for all until something is drawn for them."""

    def __init__(self, engine: mujoco.MjModel, model: RobotModel, dofs: NDArray[np.intp], batch: int) -> None:
        """Keep a copy of the nominal model, whose joints have the degrees of freedom `dofs` (J,)."""
        self._nominal = copy.copy(engine)
        self._dofs = dofs
        self._bodies = np.array([engine.body(name).id for name in model.spec.massive_links], dtype=np.intp)
        self._payload = engine.body(model.spec.payload_link).id
        self.engines = [engine] * batch
        self._own = [False] * batch

    def apply(self, values: Values, rows: Iterable[int]) -> None:
        """Set what `values` name for the robots `rows`, from nominal values; everything else stays nominal."""
        for row in rows:
            if not self._own[row]:
                self.engines[row], self._own[row] = copy.copy(self._nominal), True
            engine = self.engines[row]
            drawn = {name: value[row] for name, value in values.items()}
            if "gravity" in drawn:
                engine.opt.gravity[:] = self._nominal.opt.gravity * drawn["gravity"]
            self._set_joints(engine, drawn)
            self._set_contacts(engine, drawn)
            if not drawn.keys().isdisjoint(("link_mass", "link_inertia", "centre_of_mass", "payload")):
                self._set_masses(engine, drawn)
                # The softness of friction, limits and contacts follows from the inertia.
                mujoco.mj_setConst(engine, mujoco.MjData(engine))

    def set_payload(self, mass: float) -> None:
        """Let every robot carry `mass` (kg) more, at the centre of mass of the payload link."""
        for engine in {id(engine): engine for engine in self.engines}.values():
            engine.body_mass[self._payload] = self._nominal.body_mass[self._payload] + mass
            mujoco.mj_setConst(engine, mujoco.MjData(engine))

    def _set_masses(self, engine: mujoco.MjModel, drawn: Mapping[str, Array]) -> None:
        nominal, bodies = self._nominal, self._bodies
        density, shape = drawn.get("link_mass", 1.0), drawn.get("link_inertia", 1.0)
        engine.body_mass[bodies] = nominal.body_mass[bodies] * density
        engine.body_inertia[bodies] = nominal.body_inertia[bodies] * np.reshape(density * np.asarray(shape), (-1, 1))
        if "payload" in drawn:  # a point at the centre of mass adds no inertia of its own
            engine.body_mass[self._payload] += drawn["payload"][0]
        if "centre_of_mass" in drawn:
            engine.body_ipos[bodies] = nominal.body_ipos[bodies] + drawn["centre_of_mass"].reshape(-1, 3)

    def _set_joints(self, engine: mujoco.MjModel, drawn: Mapping[str, Array]) -> None:
        nominal, dofs = self._nominal, self._dofs
        if "joint_damping" in drawn:
            engine.dof_damping[dofs] = nominal.dof_damping[dofs] * drawn["joint_damping"]
        if "joint_friction" in drawn:
            engine.dof_frictionloss[dofs] = nominal.dof_frictionloss[dofs] * drawn["joint_friction"]
        if "motor_strength" in drawn:
            engine.actuator_forcerange[:] = nominal.actuator_forcerange * drawn["motor_strength"][:, None]
        if "position_gain" in drawn:
            engine.actuator_gainprm[:, 0] = nominal.actuator_gainprm[:, 0] * drawn["position_gain"]
            engine.actuator_biasprm[:, 1] = nominal.actuator_biasprm[:, 1] * drawn["position_gain"]
        if "velocity_gain" in drawn:
            engine.actuator_biasprm[:, 2] = nominal.actuator_biasprm[:, 2] * drawn["velocity_gain"]

    def _set_contacts(self, engine: mujoco.MjModel, drawn: Mapping[str, Array]) -> None:
        """Set friction, and the spring and damper that a contact is to MuJoCo."""
        if "contact_friction" in drawn:
            engine.pair_friction[:, :2] = drawn["contact_friction"]
        if "contact_stiffness" in drawn or "contact_damping" in drawn:
            stiffness, damping = (
                drawn.get(name, [NOMINAL[name]])[0] / _CONTACT_MASS for name in ("contact_stiffness", "contact_damping")
            )
            engine.pair_solref[:] = (-stiffness, -damping)
        elif "contact_restitution" in drawn:
            ratio = damping_ratio(float(drawn["contact_restitution"][0]))
            engine.pair_solref[:, 0] = self._nominal.pair_solref[:, 0] / ratio  # as stiff as before
            engine.pair_solref[:, 1] = ratio


def damping_ratio(restitution: float) -> float:
    """Return the damping ratio of a spring and damper off which a body bounces with this coefficient.

    -ln e / sqrt(pi^2 + ln^2 e), the logarithmic decrement of half a swing; 1 for none, not below 0.01.
    """
    if restitution <= 0.0:
        return 1.0
    decrement = -math.log(min(restitution, 1.0))
    return max(decrement / math.hypot(math.pi, decrement), 0.01)
