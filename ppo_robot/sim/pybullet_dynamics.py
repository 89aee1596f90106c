"""What of a robot's dynamics PyBullet lets one change, and its nominal values, which PyBullet does not keep."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ppo_robot.kinematics import RobotModel
from ppo_robot.sim.ballast import BALLAST, CORNERS, ballast_masses, ballast_radii
from ppo_robot.sim.quiet import pybullet
from ppo_robot.spec.task import SimulationSpec

Array = NDArray[np.float64]
Values = Mapping[str, Array]

_NOMINAL_FRICTION = 0.5
NOMINAL = {
    "contact_friction": _NOMINAL_FRICTION**2,  # of a pair: Bullet multiplies both
    "contact_restitution": 0.0,
    "contact_stiffness": 1e5,
    "contact_damping": 1e3,
    "joint_friction": 0.0,  # Bullet reads the URDF's dry friction and ignores it
}
"""Absolute parameters without any entry; a contact is rigid until its stiffness or damping is drawn."""


@dataclass(frozen=True)
class _Link:
    """The nominal values of one link, as they were loaded."""

    index: int
    mass: float
    inertia: tuple[float, float, float]


class PybulletDynamics:
    """The dynamics of B bodies that were loaded from one URDF, each in a client of its own.

    PyBullet keeps no nominal values, and forgets to tell some (joint damping): they are read once, after loading, and
    each `apply` sets a parameter from the nominal value, never from the one before.

    Attributes:
        effort: per body, (J,) N·m that its motors can give to the joints, dry friction taken away.
        friction: per body, (J,) N·m of dry friction, for motors that are off.
        position_gain: per body, (J,) PyBullet's gain.
        velocity_gain: per body, (J,) likewise.
    """

    def __init__(
        self,
        model: RobotModel,
        spec: SimulationSpec,
        bodies: Sequence[tuple[int, int]],
        joints: Sequence[int],
        links: Mapping[str, int],
    ) -> None:
        """Read the nominal values of `bodies` (client, body), whose `joints` and `links` have these indices."""
        self._spec = spec
        self._bodies = list(bodies)
        self._joints = list(joints)
        self._all_links = sorted(index for name, index in links.items() if not name.startswith(BALLAST))
        client, body = self._bodies[0]
        self._links = {name: _read_link(client, body, links[name]) for name in model.spec.massive_links}
        self._payload = list(self._links).index(model.spec.payload_link) if self._links else -1
        infos = [pybullet.getJointInfo(body, index, physicsClientId=client) for index in self._joints]
        self._damping = np.array([info[6] for info in infos])
        self._friction = np.array([info[7] for info in infos])
        self._limit = model.effort_limit
        self._gains = spec.actuator.position_gain, spec.actuator.velocity_gain
        self._ballast = {
            place: (radius, [links[f"{BALLAST}{name}_{corner}"] for corner in range(len(CORNERS))])
            for place, name in enumerate(self._links)
            if (radius := ballast_radii(model.spec, spec.randomization).get(name)) is not None
        }
        count = len(self._bodies)
        self.effort = [self._limit.tolist()] * count
        self.friction = [[0.0] * len(self._joints)] * count
        self.position_gain = [[self._gains[0]] * len(self._joints)] * count
        self.velocity_gain = [[self._gains[1]] * len(self._joints)] * count

    def replace(self, row: int, client: int, body: int) -> None:
        """Go on with another body, loaded from the same URDF but for centres of mass."""
        self._bodies[row] = client, body

    def apply(self, values: Values, rows: Iterable[int]) -> None:
        """Set what `values` name for the bodies `rows`; everything else stays nominal."""
        for row in rows:
            client, body = self._bodies[row]
            if "gravity" in values:
                strength = self._spec.gravity * float(values["gravity"][row, 0])
                pybullet.setGravity(0.0, 0.0, -strength, physicsClientId=client)
            if not values.keys().isdisjoint(("link_mass", "link_inertia", "centre_of_mass", "payload")):
                self._set_masses(values, row)
            self._set_contacts(values, row)
            self._set_joints(values, row)

    def set_payload(self, mass: float) -> None:
        """Let every body carry `mass` (kg) more, at the centre of mass of the payload link."""
        values = {"payload": np.full((len(self._bodies), 1), mass)}
        for row in range(len(self._bodies)):
            self._set_mass(self._payload, values, row)

    def _set_masses(self, values: Values, row: int) -> None:
        for place in range(len(self._links)):
            self._set_mass(place, values, row)

    def _set_mass(self, place: int, values: Values, row: int) -> None:
        """Set mass and inertia of one link, always both: PyBullet would make up an inertia from the shapes.

        The base is no link of ours: a mass on it would set a fixed robot free.
        """
        client, body = self._bodies[row]
        link = list(self._links.values())[place]
        density = float(values["link_mass"][row, place]) if "link_mass" in values else 1.0
        shape = float(values["link_inertia"][row, place]) if "link_inertia" in values else 1.0
        mass = link.mass * density
        if place == self._payload and "payload" in values:
            mass += float(values["payload"][row, 0])  # a point there adds no inertia of its own
        if place in self._ballast:
            radius, indices = self._ballast[place]
            drawn = values.get("centre_of_mass")
            shift = np.zeros(3) if drawn is None else drawn[row, 3 * place : 3 * place + 3]
            for index, part in zip(indices, ballast_masses(mass, shift, radius).tolist(), strict=True):
                _change_mass(client, body, index, part, (0.0, 0.0, 0.0))
                mass -= part
        _change_mass(client, body, link.index, mass, tuple(entry * (density * shape) for entry in link.inertia))

    def _set_contacts(self, values: Values, row: int) -> None:
        """Set every link's half of what a contact of two of them is."""
        change: dict[str, float] = {}
        if "contact_friction" in values:  # of a pair: the product of both
            change["lateralFriction"] = math.sqrt(float(values["contact_friction"][row, 0]))
        if "contact_restitution" in values:
            change["restitution"] = math.sqrt(float(values["contact_restitution"][row, 0]))
        if "contact_stiffness" in values or "contact_damping" in values:  # one without the other is ignored
            for name, key in (("contact_stiffness", "contactStiffness"), ("contact_damping", "contactDamping")):
                change[key] = float(values[name][row, 0]) if name in values else NOMINAL[name]
        if change:
            client, body = self._bodies[row]
            for index in self._all_links:
                pybullet.changeDynamics(body, index, physicsClientId=client, **change)

    def _set_joints(self, values: Values, row: int) -> None:
        if "joint_damping" in values:
            client, body = self._bodies[row]
            dampings = (self._damping * values["joint_damping"][row]).tolist()
            for index, damping in zip(self._joints, dampings, strict=True):
                pybullet.changeDynamics(body, index, jointDamping=damping, physicsClientId=client)
        for name, nominal in zip(("position_gain", "velocity_gain"), self._gains, strict=True):
            if name in values:
                getattr(self, name)[row] = np.minimum(nominal * values[name][row], 1.0).tolist()
        if "motor_strength" in values or "joint_friction" in values:
            strength = values["motor_strength"][row] if "motor_strength" in values else 1.0
            friction = values["joint_friction"][row] * self._friction if "joint_friction" in values else 0.0
            # A joint has one motor. While it drives, it spends the friction; while it is off, it is the friction.
            self.effort[row] = np.maximum(self._limit * strength - friction, 0.0).tolist()
            self.friction[row] = (np.zeros(len(self._joints)) + friction).tolist()


def _read_link(client: int, body: int, index: int) -> _Link:
    info = pybullet.getDynamicsInfo(body, index, physicsClientId=client)
    return _Link(index, info[0], info[2])


def _change_mass(client: int, body: int, index: int, mass: float, inertia: Sequence[float]) -> None:
    pybullet.changeDynamics(body, index, mass=mass, localInertiaDiagonal=inertia, physicsClientId=client)
