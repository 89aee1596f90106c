"""The plants by name: what simulates the robot under the servo, behind one interface."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from ppo_robot.errors import BadInputError
from ppo_robot.kinematics import RobotModel
from ppo_robot.spec.task import SimulationSpec
from ppo_robot.state import RobotState

PlantName = Literal["pybullet", "mujoco"]

EXTRAS = {"pybullet": "train", "mujoco": "mujoco"}


class Plant(Protocol):
    """B simulated robots that follow joint position references; a reset leaves no trace of what was before it.

    Attributes:
        model: limits and kinematics of the robot.
        spec: periods, gravity and actuator.
        truth: what the robots really do, updated by `reset` and `step` (B rows).
        self_collision: (B,) bool, whether links of a listed pair touch.
        nominal: what absolute parameters are without any entry that draws them.
    """

    model: RobotModel
    spec: SimulationSpec
    truth: RobotState
    self_collision: NDArray[np.bool_]

    @property
    def nominal(self) -> Mapping[str, float]:
        """Absolute parameters by name."""

    def reset(
        self,
        joint_position: NDArray[np.float64],
        rows: NDArray[np.intp],
        joint_velocity: NDArray[np.float64] | None = None,
    ) -> None:
        """Put `rows` (k,) at joint positions (k, J) rad, at rest or with velocities (k, J) rad/s."""

    def apply(self, values: Mapping[str, NDArray[np.float64]], rows: NDArray[np.intp]) -> None:
        """Take drawn dynamics (B, w) for `rows` (k,): those of `spec.randomization.PARAMETERS` that a plant has."""

    def step(
        self,
        reference: NDArray[np.float64],
        substeps: NDArray[np.int64] | None = None,
        load: NDArray[np.float64] | None = None,
    ) -> None:
        """Follow the references (S, B, J) rad through S physics steps.

        `substeps` (B,) ends some robots' steps earlier; `load` (B, J) N·m pulls on the joints all the while.
        """

    def step_effort(self, effort: NDArray[np.float64]) -> None:
        """Apply the efforts (S, B, J) N·m, within the limits, through S physics steps; nothing else holds them."""

    def set_payload(self, mass: float) -> None:
        """Let every robot carry `mass` (kg) more, at the centre of mass of the payload link; its servos do not know."""

    def close(self) -> None:
        """Free the simulator; harmless when repeated."""


def make_plant(name: PlantName, model: RobotModel, spec: SimulationSpec, batch: int) -> Plant:
    """Return `batch` robots in the simulator of that name; only that simulator is imported.

    Raises:
        BadInputError: if the name is unknown, its library is not installed, or it cannot load the URDF.
    """
    with plant_library(name):
        if name == "mujoco":
            from ppo_robot.sim.mujoco_plant import MujocoPlant

            return MujocoPlant(model, spec, batch)
        from ppo_robot.sim.plant import PybulletPlant

        return PybulletPlant(model, spec, batch)


@contextlib.contextmanager
def plant_library(name: str) -> Iterator[None]:
    """Within it the plant of that name may be imported.

    Raises:
        BadInputError: if the name is unknown, or its library is not installed.
    """
    if name not in EXTRAS:
        raise BadInputError(f"plant: given {name!r}; expected one of {', '.join(EXTRAS)}")
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != name:
            raise
        message = f"plant {name}: {name} is not installed; pip install 'ppo_robot[{EXTRAS[name]}]'"
        raise BadInputError(message) from None
