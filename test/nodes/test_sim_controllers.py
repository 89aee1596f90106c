"""Trajectories, velocities and efforts on the simulated robot, as ros2_control's controllers take them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from sim_robots import NAMES, TRAJECTORY, Make, controller, cores, run

from ppo_robot.nodes.sim_controllers import CommandRefusal, Setpoints, TrajectoryPoint


@pytest.fixture
def make() -> Iterator[Make]:
    yield from cores()


def test_a_trajectory_names_its_joints_in_any_order(make: Make) -> None:
    core = make()
    target = dict(zip(NAMES, [0.1, -0.1, 0.2, 0.9, -0.2, 0.3], strict=True))
    shuffled = sorted(NAMES)
    assert core.trajectory(TRAJECTORY, shuffled, [TrajectoryPoint([target[name] for name in shuffled])]) is None
    run(core, 200)
    assert np.allclose(core.joint_position, [target[name] for name in NAMES], atol=1e-3)


GOOD = TrajectoryPoint([0.0] * 6)


@pytest.mark.parametrize(
    ("names", "points", "start", "refusal"),
    [
        pytest.param(NAMES[:5], [TrajectoryPoint([0.0] * 5)], None, CommandRefusal.WRONG_JOINTS, id="missing"),
        pytest.param((*NAMES[:5], "other"), [GOOD], None, CommandRefusal.WRONG_JOINTS, id="unknown"),
        pytest.param((*NAMES[:5], NAMES[0]), [GOOD], None, CommandRefusal.WRONG_JOINTS, id="twice"),
        pytest.param((*NAMES, "x"), [TrajectoryPoint([0.0] * 7)], None, CommandRefusal.WRONG_JOINTS, id="extra"),
        pytest.param(NAMES, [], None, CommandRefusal.NO_POINT, id="no-point"),
        pytest.param(NAMES, [TrajectoryPoint([0.0] * 5)], None, CommandRefusal.WRONG_POINT, id="short"),
        pytest.param(NAMES, [TrajectoryPoint()], None, CommandRefusal.WRONG_POINT, id="empty-point"),
        pytest.param(NAMES, [GOOD, GOOD], None, CommandRefusal.TIME_ORDER, id="same-time"),
        pytest.param(
            NAMES, [TrajectoryPoint([0.0] * 6, time_from_start=-1.0)], None, CommandRefusal.TIME_ORDER, id="negative"
        ),
        pytest.param(NAMES, [GOOD], -0.1, CommandRefusal.IN_THE_PAST, id="past"),
    ],
)
def test_a_wrong_trajectory_is_refused_and_the_controller_stays_active(
    make: Make, names: Any, points: Any, start: float | None, refusal: CommandRefusal
) -> None:
    core = make()
    core.trajectory(TRAJECTORY, NAMES, [TrajectoryPoint([0.1] * 6)])
    assert core.trajectory(TRAJECTORY, names, points, start=start) is refusal
    run(core, 200)
    assert np.allclose(core.joint_position, 0.1, atol=1e-3)
    assert core.counters[f"refused/{refusal.name.lower()}"] == 1
    assert core.trajectory(TRAJECTORY, NAMES, [GOOD]) is None


def test_time_from_start_leads_linearly_to_the_point_and_holds_it(make: Make) -> None:
    core = make()
    begin = core.joint_position.copy()
    core.trajectory(TRAJECTORY, NAMES, [TrajectoryPoint((begin + 0.4).tolist(), time_from_start=2.0)])
    run(core, 100)
    # Half way after half the time, less 54 ms at 0.2 rad/s: 10 of delay, 30 of lag, the rest the motors and the steps.
    assert np.allclose(core.joint_position, begin + 0.2 - 0.2 * 0.054, atol=5e-4)
    run(core, 150)
    assert np.allclose(core.joint_position, begin + 0.4, atol=1e-3)


def test_setpoints_interpolate_between_points_and_hold_the_ends() -> None:
    points = Setpoints("position", np.array([1.0, 2.0, 4.0]), np.array([[0.0], [1.0], [-1.0]]))
    assert [points.at(time)[0] for time in (0.0, 1.0, 1.5, 2.0, 3.0, 4.0, 99.0)] == [0, 0, 0.5, 1, 0, -1, -1]
    led = points.led_from(0.5, np.array([3.0]))
    assert [led.at(time)[0] for time in (0.5, 0.75, 1.0)] == [3.0, 1.5, 0.0]
    assert points.led_from(1.0, np.array([3.0])) is points


def test_a_stamp_in_the_future_is_waited_for(make: Make) -> None:
    core = make()
    begin = core.joint_position.copy()
    points = [TrajectoryPoint(begin.tolist()), TrajectoryPoint((begin + 0.1).tolist(), time_from_start=0.1)]
    core.trajectory(TRAJECTORY, NAMES, points, start=1.0)
    run(core, 100)
    assert np.allclose(core.joint_position, begin, atol=1e-3)
    run(core, 60)
    assert np.allclose(core.joint_position, begin + 0.1, atol=1e-3)


@pytest.mark.parametrize("plant", ["pybullet", "mujoco"])
def test_velocity_is_followed_until_the_position_limit(make: Make, plant: Any) -> None:
    core = make(plant=plant, controllers=[controller("forward_command_controller", "velocity")])
    begin = core.joint_position.copy()
    core.forward("c", [0.5, 0.0, 0.0, 0.0, 0.0, 0.0])
    run(core, 100)
    moved = core.joint_position - begin
    assert moved[0] == pytest.approx(0.5, abs=0.03)
    assert np.abs(moved[1:]).max() < 5e-3
    core.forward("c", [100.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    run(core, 1000)
    assert core.joint_position[0] == pytest.approx(core.model.upper[0], abs=2e-3)
    core.forward("c", [-0.5, 0.0, 0.0, 0.0, 0.0, 0.0])  # no wind-up at the limit
    run(core, 100)
    assert core.joint_position[0] == pytest.approx(core.model.upper[0] - 0.5, abs=0.03)
    core.forward("c", [0.0] * 6)
    run(core, 30)
    stopped = core.joint_position.copy()
    run(core, 100)
    assert np.abs(core.joint_position - stopped).max() < 1e-3


@pytest.mark.parametrize("plant", ["pybullet", "mujoco"])
def test_effort_is_applied_as_it_is_and_nothing_else_holds_the_joints(make: Make, plant: Any) -> None:
    kind = "forward_command_controller"
    core = make(plant=plant, controllers=[controller(kind, "effort"), controller(kind, "position", name="p")])
    core.forward("c", [0.0] * 6)
    run(core, 30)
    assert core.joint_position[1] > 0.2  # the arm, which leans forward, falls
    core.reset()
    begin = core.joint_position.copy()
    core.forward("c", [8.0, 0.0, 0.0, 0.0, 0.0, 0.0])  # about the vertical axis gravity has no say
    run(core, 10)
    assert core.joint_position[0] > begin[0] + 1e-3
    assert core.plant.truth.joint_effort[0, 0] == pytest.approx(8.0)
    core.forward("c", [1e9, 0.0, 0.0, 0.0, 0.0, 0.0])
    core.step()
    assert core.plant.truth.joint_effort[0, 0] == pytest.approx(core.model.effort_limit[0])
    core.reset()
    pose = core.joint_position.copy()
    core.forward("c", [0.0] * 6)
    run(core, 5)
    core.forward("p", pose.tolist())
    run(core, 300)
    assert np.allclose(core.joint_position, pose, atol=2e-3)


def test_velocities_and_efforts_of_a_trajectory_without_positions(make: Make) -> None:
    core = make(controllers=[controller("joint_trajectory_controller", "velocity")])
    begin = core.joint_position.copy()
    assert core.trajectory("c", NAMES, [TrajectoryPoint(velocities=[0.5] + [0.0] * 5)]) is None
    run(core, 100)
    assert core.joint_position[0] - begin[0] == pytest.approx(0.5, abs=0.03)
    assert core.trajectory("c", NAMES, [TrajectoryPoint(begin.tolist())]) is None
    run(core, 200)
    assert np.allclose(core.joint_position, begin, atol=1e-3)
