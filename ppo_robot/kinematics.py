"""Forward kinematics and Jacobians by name, from the robot's URDF (pinocchio)."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pinocchio
from numpy.typing import NDArray

from ppo_robot.errors import SpecError
from ppo_robot.spec.robot import RobotSpec

Array = NDArray[np.float64]


class RobotModel:
    """A robot's limits as arrays and its kinematics, in the joint order of its spec.

    Rows of a batch are computed one by one in C++, so the result of a row never depends on how many rows there are:
    the robot (a batch of one) sees bit for bit what training saw.
    """

    def __init__(self, spec: RobotSpec) -> None:
        """Build the model.

        Raises:
            SpecError: if pinocchio cannot read the URDF or lacks a joint or frame of the spec.
        """
        self.spec = spec
        self.lower = np.array([joint.position_lower for joint in spec.joints])
        self.upper = np.array([joint.position_upper for joint in spec.joints])
        self.default_position = np.array([joint.default_position for joint in spec.joints])
        self.velocity_limit = np.array([joint.velocity_limit for joint in spec.joints])
        self.acceleration_limit = np.array([joint.acceleration_limit for joint in spec.joints])
        self.jerk_limit = np.array([joint.jerk_limit for joint in spec.joints])
        self.effort_limit = np.array([joint.effort_limit for joint in spec.joints])
        self._model, _ = reduced_model(spec)
        self._data = self._model.createData()
        self._tool = self._frame(spec.tool_frame)
        # pinocchio sorts joints by its own rule; everything outside this class is in the spec's order.
        self._index = np.array([self._joint_index(name) for name in spec.joint_names])
        self._configuration = pinocchio.neutral(self._model)
        pinocchio.framesForwardKinematics(self._model, self._data, self._configuration)
        base = self._data.oMf[self._frame(spec.base_link)]
        if self._model.frames[self._frame(spec.base_link)].parentJoint != 0:
            raise SpecError(f"robot {spec.name}: base_link '{spec.base_link}' is moved by a controlled joint")
        if self._model.frames[self._tool].parentJoint == 0:
            raise SpecError(f"robot {spec.name}: tool_frame '{spec.tool_frame}' is moved by no controlled joint")
        self._base_position = base.translation.copy()
        self._base_rotation = base.rotation.copy()
        self._base_moved = not base.isIdentity(0.0)

    @property
    def joints(self) -> int:
        """Number of controlled joints."""
        return len(self.spec.joints)

    def tool_position(self, joint_position: Array) -> Array:
        """Return the tool's position (B, 3) m in the base frame, for joint positions (B, J) rad."""
        model, data, configuration, index, tool = self._model, self._data, self._configuration, self._index, self._tool
        out = np.empty((joint_position.shape[0], 3))
        for row in range(joint_position.shape[0]):
            configuration[index] = joint_position[row]
            pinocchio.forwardKinematics(model, data, configuration)
            out[row] = pinocchio.updateFramePlacement(model, data, tool).translation
        return _rotate_back(out - self._base_position, self._base_rotation) if self._base_moved else out

    def tool_jacobian(self, joint_position: Array) -> Array:
        """Return the tool's linear Jacobian (B, 3, J) m/rad in the base frame, for joint positions (B, J) rad."""
        model, data, configuration, index, tool = self._model, self._data, self._configuration, self._index, self._tool
        aligned = pinocchio.ReferenceFrame.LOCAL_WORLD_ALIGNED
        out = np.empty((joint_position.shape[0], 3, self.joints))
        for row in range(joint_position.shape[0]):
            configuration[index] = joint_position[row]
            out[row] = pinocchio.computeFrameJacobian(model, data, configuration, tool, aligned)[:3, index]
        return _rotate_back(out, self._base_rotation) if self._base_moved else out

    def _frame(self, name: str) -> int:
        # A link: URDF gives links and joints name spaces of their own, and a joint may have the name of another link.
        if not self._model.existFrame(name, pinocchio.FrameType.BODY):
            raise SpecError(f"robot {self.spec.name}: no link '{name}' in its URDF")
        return int(self._model.getFrameId(name, pinocchio.FrameType.BODY))

    def _joint_index(self, name: str) -> int:
        if not self._model.existJointName(name):
            raise SpecError(f"robot {self.spec.name}: no movable joint '{name}' in its URDF")
        return int(self._model.joints[self._model.getJointId(name)].idx_q)


def _rotate_back(vector: Array, rotation: Array) -> Array:
    """Return R^T v for v (B, 3, …), adding in an order that no batch size changes."""
    columns = [sum(rotation[axis, row] * vector[:, axis] for axis in range(3)) for row in range(3)]
    return np.stack(columns, axis=1)


def reduced_model(
    spec: RobotSpec, make_geometry: Callable[[pinocchio.Model], pinocchio.GeometryModel | None] = lambda model: None
) -> tuple[pinocchio.Model, pinocchio.GeometryModel | None]:
    """Build the pinocchio model with every joint that is not controlled locked where the spec holds it.

    `make_geometry` makes the geometry of the whole model, which is then locked likewise.

    Raises:
        SpecError: if pinocchio cannot read the URDF.
    """
    try:
        model = pinocchio.buildModelFromXML(spec.description)
    except (ValueError, RuntimeError) as error:
        raise SpecError(f"robot {spec.name}: its URDF is not readable ({' '.join(str(error).split())})") from None
    geometry = make_geometry(model)
    reference = pinocchio.neutral(model)
    locked = []
    for identifier in range(1, model.njoints):
        name = model.names[identifier]
        if name in spec.joint_names:
            continue
        joint = model.joints[identifier]
        angle = spec.locked_joints.get(name, 0.0)
        if joint.nq == 1:
            reference[joint.idx_q] = angle
        elif joint.nq == 2:  # a continuous joint's configuration is a point on the circle
            reference[joint.idx_q : joint.idx_q + 2] = math.cos(angle), math.sin(angle)
        locked.append(identifier)
    if not locked:
        return model, geometry
    if geometry is None:
        return pinocchio.buildReducedModel(model, locked, reference), None
    reduced: tuple[pinocchio.Model, pinocchio.GeometryModel] = pinocchio.buildReducedModel(
        model, geometry, locked, reference
    )
    return reduced
