"""The camera: what it draws follows the joints, the goal and the workspace."""

import numpy as np
import pytest

from ppo_robot.kinematics import RobotModel
from ppo_robot.mdp.goals import bounding_box, inside_workspace
from ppo_robot.sim.camera import Camera, GoalMark
from ppo_robot.spec.robot import load_robot
from ppo_robot.spec.task import load_task


@pytest.fixture(scope="module", params=["arm6", "franka_panda", "kuka_iiwa"])
def scene(request):
    model = RobotModel(load_robot(request.param))
    camera = Camera(model, load_task("reach").simulation, width=100, height=80)
    yield model, camera
    camera.close()


def test_picture_follows_the_joints_and_comes_out_the_same_again(scene):
    model, camera = scene
    first = camera.render(model.default_position)
    moved = camera.render(model.default_position + 0.3)
    again = camera.render(model.default_position)
    assert first.shape == (80, 100, 3) and first.dtype == np.uint8
    assert np.array_equal(first, again)
    assert (first != moved).any(axis=2).mean() > 0.01


def test_robot_stands_out_from_the_empty_scene(scene):
    model, camera = scene
    picture = camera.render(model.default_position).astype(float)
    brightest = picture.max(axis=2)
    assert (brightest > 150).mean() > 0.01


def test_goal_changes_colour_when_reached_and_only_around_itself(scene):
    model, camera = scene
    centre = np.array(model.spec.workspace.centre) + [0.0, -0.4, 0.2]
    bare = camera.render(model.default_position).astype(int)
    away = camera.render(model.default_position, GoalMark(centre, 0.01, reached=False)).astype(int)
    reached = camera.render(model.default_position, GoalMark(centre, 0.01, reached=True)).astype(int)
    rows, columns = np.nonzero((away != bare).any(axis=2))
    assert len(rows) > 4 and np.ptp(rows) < 30 and np.ptp(columns) < 30
    drawn = (rows, columns)
    assert away[drawn][:, 0].mean() > reached[drawn][:, 0].mean()


def test_every_goal_is_in_the_picture(scene):
    model, camera = scene
    workspace = model.spec.workspace
    axes = [np.linspace(low, high, 9) for low, high in zip(*bounding_box(workspace), strict=True)]
    grid = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 3)
    column, row = camera._pixel(grid[inside_workspace(grid, workspace)])
    width, height = camera._size
    assert column.min() >= 0 and column.max() < width
    assert row.min() >= 0 and row.max() < height


def test_trail_is_drawn(scene):
    model, camera = scene
    tool = model.tool_position(model.default_position[None])[0]
    trail = np.linspace(tool + [0.0, -0.2, 0.0], tool, 12)
    assert (camera.render(model.default_position, trail=trail) != camera.render(model.default_position)).any()


def test_closing_twice_is_harmless():
    model = RobotModel(load_robot("arm6"))
    camera = Camera(model, load_task("reach").simulation, width=20, height=16)
    camera.close()
    camera.close()
