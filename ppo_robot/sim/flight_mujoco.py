"""The MuJoCo plant of floating robots: the one that no policy was trained on."""

from __future__ import annotations

import copy
import math
import xml.etree.ElementTree as ElementTree

import mujoco
import numpy as np
from numpy.typing import NDArray

from ppo_robot.errors import BadInputError
from ppo_robot.mdp.airframe import Airframe
from ppo_robot.mdp.rotation import rotation_matrix, to_world
from ppo_robot.sim.flight_plant import FlightPlant, Values
from ppo_robot.spec.flight import FlightSimulationSpec

Array = NDArray[np.float64]
Rows = NDArray[np.intp]

_COMPILER = '<compiler fusestatic="false" discardvisual="false" inertiafromgeom="false"/>'
_WORLD = "world"  # MuJoCo frees what hangs on a link of this very name
_LONGEST_STEP = 0.0025
"""s, of MuJoCo's own steps."""
_AIR_DENSITY = 1.2
"""kg/m^3. The robot file's drag is linear; to that MuJoCo adds the quadratic drag of a box with the body's inertia, and
what resists its turning: PyBullet knows neither."""


class MujocoFlightPlant(FlightPlant):
    """B free bodies under MuJoCo, in air with a density, on shorter steps than PyBullet's."""

    def __init__(self, airframe: Airframe, spec: FlightSimulationSpec, batch: int) -> None:
        """Load the robot once and make room for `batch` of it.

        Raises:
            BadInputError: if MuJoCo cannot load the URDF.
        """
        super().__init__(airframe, spec, batch)
        self._inner_steps = math.ceil(spec.physics_period / _LONGEST_STEP - 1e-6)
        nominal = self._load()
        self._index = nominal.body(airframe.spec.base_link).id
        self._engines = [copy.copy(nominal) for _ in range(batch)]
        self._data = [mujoco.MjData(nominal) for _ in range(batch)]

    def close(self) -> None:
        """Free the simulated robots; harmless when repeated."""
        self._data.clear()

    def apply(self, values: Values, rows: Rows) -> None:
        """Take drawn dynamics; the wind is the wind of MuJoCo's own air too."""
        super().apply(values, rows)
        if "wind" in values:
            for row in rows.tolist():
                self._engines[row].opt.wind[:] = self._wind[row]

    def _load(self) -> mujoco.MjModel:
        robot = self.airframe.spec
        try:
            root = ElementTree.fromstring(robot.description)  # noqa: S314 - a robot's own file, and expat refuses bombs
            for element in root.findall("mujoco"):
                root.remove(element)
            for link in root.findall("link"):
                for shape in [*link.findall("visual"), *link.findall("collision")]:
                    link.remove(shape)  # nothing is touched, and MuJoCo knows no packages of meshes
            ElementTree.SubElement(root, "link", name=_WORLD)
            free = ElementTree.SubElement(root, "joint", name=f"{_WORLD}_joint", type="floating")
            ElementTree.SubElement(free, "parent", link=_WORLD)
            ElementTree.SubElement(free, "child", link=robot.base_link)
            ElementTree.SubElement(root, "mujoco").append(ElementTree.fromstring(_COMPILER))  # noqa: S314 - our own
            tree = mujoco.MjSpec.from_string(ElementTree.tostring(root, encoding="unicode"))
            tree.option.timestep = self.spec.physics_period / self._inner_steps
            tree.option.gravity = (0.0, 0.0, -self.spec.gravity)
            tree.option.density = _AIR_DENSITY
            # By default MuJoCo answers a number that is not finite by a silent reset; it must reach who checks for it.
            tree.option.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_AUTORESET)
            engine = tree.compile()
        except (ValueError, RuntimeError, KeyError, ElementTree.ParseError) as error:
            reason = " ".join(str(error).split())
            raise BadInputError(f"robot {robot.name}: MuJoCo cannot load its URDF {robot.urdf} ({reason})") from None
        body = engine.body(robot.base_link).id
        # MuJoCo sorts the principal axes; here they are those of the link, as draws by axis need them.
        engine.body_inertia[body] = self.airframe.inertia
        engine.body_iquat[body] = (1.0, 0.0, 0.0, 0.0)
        return engine

    def _put(self, row: int) -> None:
        truth, data = self.truth, self._data[row]
        mujoco.mj_resetData(self._engines[row], data)
        orientation = truth.base_orientation[row]
        rotation = rotation_matrix(orientation[None])[0]
        data.qpos[:3], data.qpos[3], data.qpos[4:7] = truth.base_position[row], orientation[3], orientation[:3]
        data.qvel[:3] = truth.base_linear_velocity[row]
        data.qvel[3:6] = rotation.T @ truth.base_angular_velocity[row]  # a free joint turns about the body's own axes

    def _set_bodies(self, values: Values, rows: Rows) -> None:
        airframe = self.airframe
        for row in rows.tolist():
            engine = self._engines[row]
            if "gravity" in values:
                engine.opt.gravity[2] = -self.spec.gravity * float(values["gravity"][row, 0])
            if "body_mass" in values or "body_inertia" in values:
                density = float(values["body_mass"][row, 0]) if "body_mass" in values else 1.0
                shape = values["body_inertia"][row] if "body_inertia" in values else 1.0
                engine.body_mass[self._index] = airframe.mass * density
                engine.body_inertia[self._index] = airframe.inertia * density * shape
                mujoco.mj_setConst(engine, mujoco.MjData(engine))

    def _advance(self, force: Array, torque: Array, moving: NDArray[np.bool_] | None) -> None:
        truth = self.truth
        rotation = rotation_matrix(truth.base_orientation)
        wrench = np.concatenate([to_world(rotation, force), to_world(rotation, torque)], axis=1)
        turning = np.empty((len(force), 3))
        for row, (engine, data) in enumerate(zip(self._engines, self._data, strict=True)):
            if moving is None or moving[row]:
                data.xfrc_applied[self._index] = wrench[row]
                mujoco.mj_step(engine, data, self._inner_steps)
            truth.base_position[row] = data.qpos[:3]
            truth.base_orientation[row, :3], truth.base_orientation[row, 3] = data.qpos[4:7], data.qpos[3]
            truth.base_linear_velocity[row], turning[row] = data.qvel[:3], data.qvel[3:6]
        truth.base_angular_velocity[:] = to_world(rotation_matrix(truth.base_orientation), turning)
