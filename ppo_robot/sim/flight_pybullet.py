"""The PyBullet plant of floating robots: one free body in each of B physics clients."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ppo_robot.errors import BadInputError
from ppo_robot.mdp.airframe import Airframe
from ppo_robot.sim.flight_plant import FlightPlant, Values
from ppo_robot.sim.quiet import pybullet, quiet_stdout
from ppo_robot.spec.flight import FlightSimulationSpec

Array = NDArray[np.float64]
Rows = NDArray[np.intp]

_BASE = -1


class PybulletFlightPlant(FlightPlant):
    """B free bodies under PyBullet; nothing touches them, and there is no ground: a cage ends where a task says so."""

    def __init__(self, airframe: Airframe, spec: FlightSimulationSpec, batch: int) -> None:
        """Load the robot into `batch` physics clients.

        Raises:
            BadInputError: if PyBullet cannot load the URDF, or has no client left.
        """
        super().__init__(airframe, spec, batch)
        self._clients: list[int] = []
        with tempfile.TemporaryDirectory() as folder:  # the spec is what the run is, whatever became of the file since
            path = Path(folder) / "robot.urdf"
            path.write_text(airframe.spec.description, encoding="utf-8")
            for _ in range(batch):
                self._load(path)
        self._body = 0  # of each client: it holds nothing else

    def close(self) -> None:
        """Disconnect every physics client."""
        while self._clients:
            pybullet.disconnect(physicsClientId=self._clients.pop())

    def _load(self, path: Path) -> None:
        client = pybullet.connect(pybullet.DIRECT)
        if client < 0:
            raise BadInputError(
                "training.num_envs: PyBullet gives a process no more physics clients (about 1024); raise num_workers"
            )
        self._clients.append(client)
        pybullet.setTimeStep(self.spec.physics_period, physicsClientId=client)
        pybullet.setGravity(0.0, 0.0, -self.spec.gravity, physicsClientId=client)
        # Without the flag an inertia is made up from the collision shapes.
        flags = pybullet.URDF_USE_INERTIA_FROM_FILE | pybullet.URDF_IGNORE_VISUAL_SHAPES
        flags |= pybullet.URDF_IGNORE_COLLISION_SHAPES
        try:
            with quiet_stdout():
                pybullet.loadURDF(str(path), useFixedBase=False, flags=flags, physicsClientId=client)
        except pybullet.error as error:
            robot = self.airframe.spec
            raise BadInputError(f"robot {robot.name}: PyBullet cannot load its URDF {robot.urdf} ({error})") from None
        # Bullet's own damping of 0.04 would be air that nobody asked for.
        pybullet.changeDynamics(0, _BASE, linearDamping=0.0, angularDamping=0.0, physicsClientId=client)

    def _put(self, row: int) -> None:
        truth, client = self.truth, self._clients[row]
        position, orientation = truth.base_position[row].tolist(), truth.base_orientation[row].tolist()
        pybullet.resetBasePositionAndOrientation(self._body, position, orientation, physicsClientId=client)
        linear, angular = truth.base_linear_velocity[row].tolist(), truth.base_angular_velocity[row].tolist()
        pybullet.resetBaseVelocity(self._body, linear, angular, physicsClientId=client)

    def _set_bodies(self, values: Values, rows: Rows) -> None:
        airframe = self.airframe
        for row in rows.tolist():
            client = self._clients[row]
            if "gravity" in values:
                strength = self.spec.gravity * float(values["gravity"][row, 0])
                pybullet.setGravity(0.0, 0.0, -strength, physicsClientId=client)
            if "body_mass" in values or "body_inertia" in values:
                density = float(values["body_mass"][row, 0]) if "body_mass" in values else 1.0
                inertia = airframe.inertia * density
                if "body_inertia" in values:
                    inertia = inertia * values["body_inertia"][row]
                # Always both: PyBullet would make up an inertia from the shapes.
                pybullet.changeDynamics(
                    self._body,
                    _BASE,
                    mass=airframe.mass * density,
                    localInertiaDiagonal=inertia.tolist(),
                    physicsClientId=client,
                )

    def _advance(self, force: Array, torque: Array, moving: NDArray[np.bool_] | None) -> None:
        truth, body, frame = self.truth, self._body, pybullet.LINK_FRAME
        poses, velocities = [], []
        rows = np.arange(len(force)) if moving is None else np.flatnonzero(moving)
        for row, push, turn in zip(rows.tolist(), force[rows].tolist(), torque[rows].tolist(), strict=True):
            client = self._clients[row]
            # Both are forgotten after each step.
            pybullet.applyExternalForce(body, _BASE, push, (0.0, 0.0, 0.0), frame, physicsClientId=client)
            pybullet.applyExternalTorque(body, _BASE, turn, frame, physicsClientId=client)
            pybullet.stepSimulation(physicsClientId=client)
            position, orientation = pybullet.getBasePositionAndOrientation(body, physicsClientId=client)
            linear, angular = pybullet.getBaseVelocity(body, physicsClientId=client)
            poses.append(position + orientation)
            velocities.append(linear + angular)
        pose, velocity = np.array(poses).reshape(-1, 7), np.array(velocities).reshape(-1, 6)
        truth.base_position[rows], truth.base_orientation[rows] = pose[:, :3], pose[:, 3:]
        truth.base_linear_velocity[rows], truth.base_angular_velocity[rows] = velocity[:, :3], velocity[:, 3:]
