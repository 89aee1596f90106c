"""A camera on one robot: PyBullet's software renderer, on a quiet floor, with the goal as a translucent sphere."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ppo_robot.kinematics import RobotModel
from ppo_robot.mdp.goals import bounding_box, inside_workspace
from ppo_robot.sim.plant import joint_table, load_robot_body
from ppo_robot.sim.quiet import pybullet
from ppo_robot.spec.task import SimulationSpec

Array = NDArray[np.float64]
Image = NDArray[np.uint8]
Picture = NDArray[np.float32]

BACKDROP = np.array([38.0, 47.0, 60.0], dtype=np.float32)
FLOOR = np.array([62.0, 74.0, 92.0], dtype=np.float32)
GRID_LINE = np.array([84.0, 98.0, 119.0], dtype=np.float32)
GOAL_AWAY = np.array([255.0, 176.0, 32.0], dtype=np.float32)
GOAL_REACHED = np.array([52.0, 211.0, 153.0], dtype=np.float32)
TRAIL = np.array([148.0, 197.0, 255.0], dtype=np.float32)

_NEAR, _FAR = 0.05, 12.0
_FIELD_OF_VIEW = 34.0  # degrees, vertical
_GRID_PITCH = 0.2  # m
_ELBOW_ROOM = 0.2  # m above the workspace, where elbows go and captions stand
_SUPERSAMPLING = 2
_FLOOR_DROP = 0.0105  # m; half its thickness, and a hair below the base that stands on it
_LIGHT = (0.3, -0.5, 2.4)


@dataclass(frozen=True)
class GoalMark:
    """The goal in a picture.

    Attributes:
        position: (3,) m, base frame.
        tolerance: m, radius of the solid sphere.
        reached: whether the tool is within tolerance; decides the colour.
        halo: m, radius of the translucent sphere that makes the small one easy to find.
    """

    position: Array
    tolerance: float
    reached: bool
    halo: float = 0.045


class Camera:
    """Renders a robot at given joint positions; the view is chosen so that robot and workspace fill the picture."""

    def __init__(self, model: RobotModel, spec: SimulationSpec, width: int = 400, height: int = 320) -> None:
        """Load the robot with its looks into a physics client of its own.

        Args:
            model: the robot.
            spec: its simulation; only what loading the URDF needs is used.
            width: of a picture, pixels.
            height: of a picture, pixels.

        Raises:
            BadInputError: if PyBullet cannot load the URDF.
        """
        self.width, self.height = width, height
        self._size = (width * _SUPERSAMPLING, height * _SUPERSAMPLING)
        self._client, self._body = load_robot_body(model, spec, visual=True)
        table = joint_table(self._client, self._body)
        self._indices = [table[name] for name in model.spec.joint_names]
        self._base_position, self._base_rotation = self._base_pose(model.spec.base_link)
        self._floor_body = self._add_floor()
        eye, target = self._place(model)
        self._view = pybullet.computeViewMatrix(eye.tolist(), target.tolist(), [0.0, 0.0, 1.0])
        self._projection = pybullet.computeProjectionMatrixFOV(_FIELD_OF_VIEW, width / height, _NEAR, _FAR)
        self._view_matrix = np.array(self._view).reshape(4, 4).T
        self._projection_matrix = np.array(self._projection).reshape(4, 4).T
        self._eye = eye
        self._rays = self._pixel_rays()
        self._scene, self._floor_presence = self._paint_floor(target)

    def close(self) -> None:
        """Free the physics client."""
        if self._client >= 0:
            pybullet.disconnect(physicsClientId=self._client)
            self._client = -1

    def render(self, joint_position: Array, goal: GoalMark | None = None, trail: Array | None = None) -> Image:
        """Return a picture (height, width, 3) of the robot at joint positions (J,) rad.

        Args:
            joint_position: where the robot stands.
            goal: drawn as two spheres, behind whatever stands before them.
            trail: (n, 3) m, past tool positions in the base frame, oldest first; drawn as a fading line.
        """
        for index, position in zip(self._indices, joint_position.tolist(), strict=True):
            pybullet.resetJointState(self._body, index, position, 0.0, physicsClientId=self._client)
        # The floor is shaded at the picture's own size, for its shadows; the robot finer, and without the floor's cost.
        light = self._floor_light()
        colour, depth, segments = self._shoot(*self._size, floor=False, shadow=False)
        image = self._scene * light
        robot = segments == self._body
        image[robot] = colour[robot]
        if trail is not None and len(trail) > 1:
            self._draw_trail(image, trail)
        if goal is not None:
            buffer = np.where(robot, depth, 1.0)
            distance = _FAR * _NEAR / (_FAR - (_FAR - _NEAR) * buffer)
            self._draw_goal(image, distance, goal)
        corners = [image[down::_SUPERSAMPLING, right::_SUPERSAMPLING] for down in range(2) for right in range(2)]
        small = sum(corners[1:], corners[0]) / len(corners)
        return np.clip(np.rint(small), 0, 255).astype(np.uint8)

    def _base_pose(self, base_link: str) -> tuple[Array, Array]:
        """Return position (3,) and rotation (3, 3) of the base frame in PyBullet's world."""
        for index in range(pybullet.getNumJoints(self._body, physicsClientId=self._client)):
            if pybullet.getJointInfo(self._body, index, physicsClientId=self._client)[12].decode() == base_link:
                state = pybullet.getLinkState(self._body, index, 0, 1, physicsClientId=self._client)
                return np.array(state[4]), np.array(pybullet.getMatrixFromQuaternion(state[5])).reshape(3, 3)
        return np.zeros(3), np.eye(3)

    def _world(self, position: Array) -> Array:
        """Return positions (n, 3) of the base frame in PyBullet's world."""
        return position @ self._base_rotation.T + self._base_position

    def _add_floor(self) -> int:
        shape = pybullet.createVisualShape(
            pybullet.GEOM_BOX, halfExtents=[4.0, 4.0, 0.01], rgbaColor=[1, 1, 1, 1], physicsClientId=self._client
        )
        return int(pybullet.createMultiBody(0.0, -1, shape, physicsClientId=self._client))

    def _place(self, model: RobotModel) -> tuple[Array, Array]:
        """Return eye and target (3,), as near as lets the base and the whole workspace into the picture."""
        workspace = model.spec.workspace
        axes = [np.linspace(low, high, 13) for low, high in zip(*bounding_box(workspace), strict=True)]
        grid = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 3)
        base = np.array([[0.12, 0.12, 0.0], [-0.12, -0.12, 0.0], [0.12, -0.12, 0.0], [-0.12, 0.12, 0.0]])
        top = np.array([[0.0, 0.0, workspace.height[1] + _ELBOW_ROOM]])
        points = self._world(np.concatenate([grid[inside_workspace(grid, workspace)], base, top]))
        # From the front right of the middle of the workspace, a little above it.
        azimuth = 0.5 * (workspace.azimuth[0] + workspace.azimuth[1]) - math.radians(58.0)
        elevation = math.radians(20.0)
        flat = math.cos(elevation)
        backward = np.array([flat * math.cos(azimuth), flat * math.sin(azimuth), math.sin(elevation)])
        backward = self._base_rotation @ backward
        right = np.cross([0.0, 0.0, 1.0], backward)
        right /= np.linalg.norm(right)
        up = np.cross(backward, right)
        across, along = points @ right, points @ up
        # Middle of what is seen, so that no side has more room than the other.
        target = 0.5 * (across.min() + across.max()) * right + 0.5 * (along.min() + along.max()) * up
        target = target + np.median(points @ backward) * backward
        relative = points - target
        slope = 0.96 * math.tan(math.radians(_FIELD_OF_VIEW) / 2)
        reach = np.maximum(np.abs(relative @ up), np.abs(relative @ right) * self.height / self.width)
        distance = float((reach / slope + relative @ backward).max())
        return target + distance * backward, target

    def _pixel_rays(self) -> Array:
        """Return the world direction (height, width, 3) of each pixel, of depth 1 along the camera's axis."""
        width, height = self._size
        across = ((np.arange(width) + 0.5) / width * 2.0 - 1.0) / self._projection_matrix[0, 0]
        along = (1.0 - (np.arange(height) + 0.5) / height * 2.0) / self._projection_matrix[1, 1]
        rays = np.stack([*np.meshgrid(across, along), -np.ones((height, width))], axis=-1)
        return rays @ self._view_matrix[:3, :3]

    def _paint_floor(self, target: Array) -> tuple[Picture, Picture]:
        """Return floor and backdrop (height, width, 3), and how much of the floor shows (height, width), 0 far away."""
        drop = np.minimum(self._rays[:, :, 2], -1e-6)
        depth = -self._eye[2] / drop
        place = self._eye[:2] + depth[:, :, None] * self._rays[:, :, :2]
        reach = np.hypot(place[:, :, 0] - 0.5 * target[0], place[:, :, 1] - 0.5 * target[1])
        presence = np.clip(1.35 - reach / 1.3, 0.0, 1.0) * (self._rays[:, :, 2] < -1e-6)
        # Lines a pixel or so wide, whatever the distance.
        off = np.abs(place / _GRID_PITCH - np.rint(place / _GRID_PITCH)) * _GRID_PITCH
        pixel = depth / (self._projection_matrix[1, 1] * self._size[1] / 2.0)
        line = np.clip(1.6 - off.min(axis=2) / np.maximum(pixel, 1e-9), 0.0, 1.0)[:, :, None]
        scene = BACKDROP + (FLOOR + (GRID_LINE - FLOOR) * line - BACKDROP) * presence[:, :, None]
        return scene.astype(np.float32), presence.astype(np.float32)

    def _floor_light(self) -> Picture:
        """Return how light (height, width, 1) the floor is under the robot's shadow, 1 where it is not."""
        colour, _, segments = self._shoot(self.width, self.height, floor=True, shadow=True)
        floor = segments == self._floor_body
        light = np.ones((self.height, self.width), dtype=np.float32)
        if floor.any():
            seen = colour[:, :, 0][floor].astype(np.float32)
            light[floor] = np.square(np.minimum(seen / max(float(np.percentile(seen, 95)), 1.0), 1.0))
        fine: Picture = light.repeat(_SUPERSAMPLING, axis=0).repeat(_SUPERSAMPLING, axis=1)
        fine = np.float32(1.0) - self._floor_presence * (np.float32(1.0) - fine)
        return fine[:, :, None]

    def _shoot(self, width: int, height: int, floor: bool, shadow: bool) -> tuple[Image, Picture, NDArray[np.int32]]:
        """Return colour (height, width, 3), depth buffer and body of each pixel, from PyBullet's renderer."""
        drop = -_FLOOR_DROP if floor else -1000.0
        pybullet.resetBasePositionAndOrientation(
            self._floor_body, [0.0, 0.0, drop], [0.0, 0.0, 0.0, 1.0], physicsClientId=self._client
        )
        _, _, colour, depth, segments = pybullet.getCameraImage(
            width,
            height,
            self._view,
            self._projection,
            lightDirection=_LIGHT,
            lightDistance=4.0,
            lightAmbientCoeff=0.55,
            lightDiffuseCoeff=0.45,
            lightSpecularCoeff=0.05,
            shadow=int(shadow),
            renderer=pybullet.ER_TINY_RENDERER,
            physicsClientId=self._client,
        )
        shape = (height, width)
        # Reshaped, because PyBullet without numpy gives flat tuples.
        pixels = np.reshape(np.asarray(colour, dtype=np.uint8), (*shape, 4))[:, :, :3]
        return pixels, np.reshape(np.asarray(depth, dtype=np.float32), shape), np.reshape(segments, shape)

    def _draw_goal(self, image: Picture, distance: Array, goal: GoalMark) -> None:
        colour = GOAL_REACHED if goal.reached else GOAL_AWAY
        centre = self._world(goal.position[None])[0] - self._eye
        depth = float(-(self._view_matrix[2, :3] @ centre))
        column, row = self._pixel(goal.position[None])
        reach = int(1.2 * goal.halo / depth * self._projection_matrix[1, 1] * self._size[1] / 2.0) + 2
        patch = tuple(slice(max(0, int(middle[0]) - reach), int(middle[0]) + reach) for middle in (row, column))
        rays = self._rays[patch]
        along = rays @ centre / np.square(rays).sum(axis=2)
        miss = np.linalg.norm(rays * along[:, :, None] - centre, axis=2)
        for radius, core, rim in ((goal.halo, 0.16, 0.30), (goal.tolerance, 0.95, 0.0)):
            share = miss / radius
            alpha = np.where(share < 1.0, core + rim * share**6, 0.0)
            # Hidden where the robot stands before the sphere's middle; seen through its near half.
            alpha = np.where(distance[patch] < depth - 0.3 * radius, 0.0, alpha)[:, :, None]
            image[patch] += (colour - image[patch]) * alpha

    def _pixel(self, position: Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return column and row (n,) in the supersampled picture of positions (n, 3) in the base frame."""
        seen = self._world(position) @ self._view_matrix[:3, :3].T + self._view_matrix[:3, 3]
        width, height = self._size
        column = (seen[:, 0] * self._projection_matrix[0, 0] / -seen[:, 2] + 1.0) / 2.0 * width
        row = (1.0 - seen[:, 1] * self._projection_matrix[1, 1] / -seen[:, 2]) / 2.0 * height
        return column.astype(np.int64), row.astype(np.int64)

    def _draw_trail(self, image: Picture, trail: Array) -> None:
        """Draw dots so close that they make a line, the oldest faintest; over everything, being thin."""
        count = len(trail)
        fine = np.linspace(0.0, count - 1.0, min(2000, 12 * count))
        points = np.stack([np.interp(fine, np.arange(count), trail[:, axis]) for axis in range(3)], axis=1)
        column, row = self._pixel(points)
        width, height = self._size
        cover = np.zeros((height, width), dtype=np.float32)
        strength = (0.75 * fine / max(count - 1.0, 1.0)).astype(np.float32)
        for down in range(2):
            for right in range(2):
                y, x = np.clip(row + down, 0, height - 1), np.clip(column + right, 0, width - 1)
                np.maximum.at(cover, (y, x), strength)
        drawn = cover > 0.0
        image[drawn] += (TRAIL - image[drawn]) * cover[drawn][:, None]
