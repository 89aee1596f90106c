"""The robot's links: how near they are to each other, how fast they move, where the tool is (pinocchio and coal)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pinocchio

from ppo_robot.errors import SpecError
from ppo_robot.kinematics import reduced_model
from ppo_robot.safety.by_joint import by_joint
from ppo_robot.spec.robot import RobotSpec

_MESH_FOLDERS = 3
"""How many folders above the URDF's own are searched for a mesh's package."""


class LinkBody:
    """The links of a robot at joint positions (J,) rad in the order of its spec.

    Every collision geometry counts, a mesh as its convex hull: distances to a hull are exact and take a microsecond,
    and a hull is never smaller than the mesh.
    """

    def __init__(self, robot: RobotSpec, distances: bool = True) -> None:
        """Read the URDF; without `distances` its geometry is not touched, and no mesh needs to be there.

        Raises:
            SpecError: if a mesh is missing, or a link of a self-collision pair has no collision geometry.
        """
        self._model, geometry = reduced_model(robot, lambda model: _geometry(robot, model) if distances else None)
        self._data = self._model.createData()
        self._configuration = pinocchio.neutral(self._model)
        indices = [self._model.joints[self._model.getJointId(name)].idx_q for name in robot.joint_names]
        self._index = np.array(indices)
        self._velocity = np.zeros(self._model.nv)
        self._tool = self._model.getFrameId(robot.tool_frame, pinocchio.FrameType.BODY)
        self._base = self._model.getFrameId(robot.base_link, pinocchio.FrameType.BODY)
        self._geometry = geometry
        if geometry is not None:
            _add_pairs(robot, self._model, geometry)
            self._distances = geometry.createData()
            self.pairs = len(geometry.collisionPairs)
            self._reach = _reaches(robot, self._model, geometry)
        else:
            self.pairs = 0
        self._known: tuple[Sequence[float], float] | None = None  # the last position that was computed, and its answer

    def clearance(self, position: Sequence[float], enough: float = math.inf) -> float:
        """Return the smallest distance in m between two links that can touch; negative where they overlap.

        Where it is surely `enough` or more, a lower bound of it: a joint that turns by an angle moves no point by more
        than that angle times how far the robot reaches beyond it. Infinite where there is no pair.
        """
        if self._geometry is None or not self.pairs:
            return math.inf
        if self._known is not None:
            rows = by_joint(position, self._known[0], self._reach)
            least = self._known[1] - sum([reach * abs(at - before) for at, before, reach in rows])
            if least >= enough:
                return least
        self._configuration[self._index] = position
        nearest = pinocchio.computeDistances(
            self._model, self._data, self._geometry, self._distances, self._configuration
        )
        distance: float = self._distances.distanceResults[nearest].min_distance
        self._known = tuple(position), distance
        return distance

    def nearest_links(self, position: Sequence[float]) -> str:
        """Return the names of the two links that are nearest to each other, for a person."""
        if self._geometry is None or self.clearance(position) == math.inf:
            return ""
        results = [result.min_distance for result in self._distances.distanceResults]
        pair = self._geometry.collisionPairs[int(np.argmin(results))]
        frames = [self._geometry.geometryObjects[which].parentFrame for which in (pair.first, pair.second)]
        return " and ".join(self._model.frames[frame].name for frame in frames)

    def tool_position(self, position: Sequence[float]) -> tuple[float, float, float]:
        """Return where the tool is, m in the base frame."""
        self._configuration[self._index] = position
        pinocchio.forwardKinematics(self._model, self._data, self._configuration)
        tool = pinocchio.updateFramePlacement(self._model, self._data, self._tool)
        base = pinocchio.updateFramePlacement(self._model, self._data, self._base)
        x, y, z = base.actInv(tool.translation).tolist()
        return x, y, z

    def link_speed(self, position: Sequence[float], velocity: Sequence[float]) -> float:
        """Return the largest speed in m/s of any link's origin or of the tool, at joint velocities (J,) rad/s."""
        model, data = self._model, self._data
        self._configuration[self._index] = position
        self._velocity[self._index] = velocity
        pinocchio.forwardKinematics(model, data, self._configuration, self._velocity)
        tool = pinocchio.getFrameVelocity(model, data, self._tool)
        # A velocity's length does not depend on the frame that it is expressed in.
        return math.sqrt(max(float(one.linear @ one.linear) for one in (tool, *data.v)))


def _geometry(robot: RobotSpec, model: pinocchio.Model) -> pinocchio.GeometryModel:
    path = robot.urdf_path
    folders = [str(folder) for folder in path.resolve().parents[: 1 + _MESH_FOLDERS]] if path is not None else []
    try:
        geometry = pinocchio.buildGeomFromUrdfString(
            model, robot.description, pinocchio.GeometryType.COLLISION, package_dirs=folders
        )
    except (ValueError, RuntimeError) as error:
        raise SpecError(
            f"robot {robot.name}: its collision geometry cannot be read ({' '.join(str(error).split())}); put the"
            " meshes beside the URDF, or set safety.self_collision: false"
        ) from None
    for one in geometry.geometryObjects:
        if hasattr(one.geometry, "buildConvexHull"):
            one.geometry.buildConvexHull(True, "Qt")
            one.geometry = one.geometry.convex
    return geometry


def _reaches(robot: RobotSpec, model: pinocchio.Model, geometry: pinocchio.GeometryModel) -> list[float]:
    """Return for each joint of the robot by how many m at most any point moves with 1 rad (m) of it.

    For a joint that turns: all lengths from its axis on, end to end, out to the farthest corner of a geometry.
    """
    extent = {joint.name: max(abs(joint.position_lower), abs(joint.position_upper)) for joint in robot.joints}
    beyond = [0.0] * model.njoints
    for one in geometry.geometryObjects:
        one.geometry.computeLocalAABB()
        corner = float(np.linalg.norm(one.geometry.aabb_center)) + float(one.geometry.aabb_radius)
        length = float(np.linalg.norm(one.placement.translation)) + corner
        joint = one.parentJoint
        while joint:
            beyond[joint] = max(beyond[joint], length)
            length += float(np.linalg.norm(model.jointPlacements[joint].translation))
            length += 0.0 if _turns(model, joint) else extent[model.names[joint]]
            joint = model.parents[joint]
    identifiers = [model.getJointId(name) for name in robot.joint_names]
    # A hair more than it is, for the last bits of the sums.
    return [1.000001 * (beyond[joint] if _turns(model, joint) else 1.0) for joint in identifiers]


def _turns(model: pinocchio.Model, joint: int) -> bool:
    return not model.joints[joint].shortname().startswith("JointModelP")


def _add_pairs(robot: RobotSpec, model: pinocchio.Model, geometry: pinocchio.GeometryModel) -> None:
    of_link: dict[str, list[int]] = {}
    for place, one in enumerate(geometry.geometryObjects):
        of_link.setdefault(model.frames[one.parentFrame].name, []).append(place)
    for pair in robot.self_collision_pairs:
        for link in pair:
            if link not in of_link:
                raise SpecError(f"robot {robot.name}: self_collision_pairs: link '{link}' has no collision geometry")
        for first in of_link[pair[0]]:
            for second in of_link[pair[1]]:
                geometry.addCollisionPair(pinocchio.CollisionPair(first, second))
