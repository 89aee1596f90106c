"""Tests of the flight node's core and of the simulated robot's, without ROS."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from flights import flight_experiment, flight_task, quad

from ppo_robot.errors import BadInputError
from ppo_robot.mdp.rotation import from_vector, rotation_matrix, to_body
from ppo_robot.nodes.flight_core import FlightCore
from ppo_robot.nodes.flight_input import FlightInput, FlightRefusal, OdometryMessage
from ppo_robot.nodes.sim_flight_core import SimFlightCore
from ppo_robot.paths import share_directory
from ppo_robot.policy.bundle import Bundle, load_bundle
from ppo_robot.policy.contract import describe
from ppo_robot.policy.export import export_bundle
from ppo_robot.ppo.actor_critic import ActorCritic
from ppo_robot.spec.deployment import PolicyNodeSpec

LEVEL = (0.0, 0.0, 0.0, 1.0)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    experiment = flight_experiment()
    size = describe(experiment.robot, experiment.task)["observation_size"]
    actor = ActorCritic(size, size, 4, experiment.training.network, torch.Generator().manual_seed(0))
    path = tmp_path_factory.mktemp("policy") / "drone"
    export_bundle(path, actor, experiment, {}, None, "ppo-robot train drone_waypoint")
    return load_bundle(path)


class Time:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def odometry(stamp: float, **changes: Any) -> OdometryMessage:
    message = OdometryMessage("odom", "base_link", (0.0, 0.0, 1.0), LEVEL, (0.0, 0.0, 0.0), stamp)
    return message._replace(**changes)


def feed(core: FlightCore, time: Time, position: tuple[float, float, float] = (0.0, 0.0, 1.0)) -> None:
    """Let both sensors speak now; the ROS clock is the other one plus 1000 s."""
    now = time.now + 1000.0
    assert core.input.accept_odometry(odometry(now, position=position), now, time.now) is None
    assert core.input.accept_imu("", (0.0, 0.0, 0.0), now, now, time.now) is None


def make(bundle: Bundle) -> tuple[FlightCore, Time]:
    time = Time()
    return FlightCore(bundle, PolicyNodeSpec(), time), time


def test_velocities_come_in_the_robots_frame_and_go_to_the_worlds() -> None:
    taken = FlightInput("base_link", 0.1, 0.05)
    turn = tuple(from_vector(np.array([[0.0, 0.0, np.pi / 2]]))[0].tolist())
    taken.accept_odometry(odometry(5.0, orientation=turn, velocity=(1.0, 0.0, 0.2)), 5.0, 1.0)
    assert taken.reading(1.0) is None  # there are no body rates yet
    assert taken.accept_imu("base_link", (0.3, 0.0, 0.1), 5.0, 5.0, 1.0) is None
    reading = taken.reading(1.05)
    assert reading is not None and reading.stamp == 5.0
    state = reading.state
    assert state.base_linear_velocity[0] == pytest.approx([0.0, 1.0, 0.2])
    assert state.base_angular_velocity[0] == pytest.approx([0.0, 0.3, 0.1])
    back = to_body(rotation_matrix(state.base_orientation), state.base_angular_velocity)
    assert back[0] == pytest.approx([0.3, 0.0, 0.1])
    assert state.age[0] == pytest.approx(0.05)
    assert taken.reading(1.2) is None


REFUSED: list[tuple[dict[str, Any], float, FlightRefusal]] = [
    ({"position": (0.0, np.nan, 1.0)}, 5.0, FlightRefusal.NOT_FINITE),
    ({"velocity": (np.inf, 0.0, 0.0)}, 5.0, FlightRefusal.NOT_FINITE),
    ({"orientation": (0.0, 0.0, 0.0, 0.0)}, 5.0, FlightRefusal.NO_ROTATION),
    ({"orientation": (0.0, 0.0, 0.0, 1.1)}, 5.0, FlightRefusal.NO_ROTATION),
    ({"child_frame": "camera"}, 5.0, FlightRefusal.WRONG_FRAME),
    ({"frame": "map"}, 5.0, FlightRefusal.WRONG_FRAME),
    ({}, 0.0, FlightRefusal.STAMP_ZERO),
    ({}, 5.2, FlightRefusal.STAMP_FUTURE),
    ({}, 4.8, FlightRefusal.STALE),
    ({}, 4.99, FlightRefusal.STAMP_OLD),
]


NAMES = [f"{row[2].name}{place}" for place, row in enumerate(REFUSED)]


@pytest.mark.parametrize(("changes", "stamp", "refusal"), REFUSED, ids=NAMES)
def test_a_bad_message_is_refused_and_counted(changes: dict[str, Any], stamp: float, refusal: FlightRefusal) -> None:
    taken = FlightInput("base_link", 0.1, 0.05)
    assert taken.accept_odometry(odometry(4.99, position=(1.0, 0.0, 1.0)), 5.0, 1.0) is None
    assert taken.accept_odometry(odometry(stamp, **changes), 5.0, 1.01) is refusal
    assert taken.counters == {"odometry_accepted": 1, f"odometry_{refusal.name.lower()}": 1}
    taken.accept_imu("", (0.0, 0.0, 0.0), 5.0, 5.0, 1.01)
    reading = taken.reading(1.01)
    assert reading is not None and reading.state.base_position[0, 0] == 1.0  # the good one stays


def test_a_robot_that_was_started_anew_is_believed_after_a_silence() -> None:
    taken = FlightInput("base_link", 0.1, 0.05)
    assert taken.accept_imu("", (0.0, 0.0, 0.0), 50.0, 50.0, 1.0) is None
    assert taken.accept_imu("", (0.0, 0.0, 0.0), 7.0, 7.0, 1.05) is FlightRefusal.STAMP_OLD
    assert taken.accept_imu("", (0.0, 0.0, 0.0), 7.5, 7.5, 1.5) is None
    assert taken.accept_imu("other", (0.0, 0.0, 0.0), 7.6, 7.6, 1.6) is FlightRefusal.WRONG_FRAME
    assert taken.accept_imu("", (0.0, np.nan, 0.0), 7.6, 7.6, 1.6) is FlightRefusal.NOT_FINITE


def test_it_acts_only_on_a_fresh_state_with_somewhere_to_fly(bundle: Bundle) -> None:
    core, time = make(bundle)
    with pytest.raises(BadInputError, match="no odometry or no imu younger than 0.1 s"):
        core.activate(0)
    feed(core, time)
    core.activate(0)
    assert core.tick() is None and core.counters == {"no_waypoint": 1}
    core.set_waypoints(np.array([[0.0, 0.0, 1.05], [1.0, 0.0, 1.0]]))
    action = core.tick()
    assert action is not None and action.sequence == 1 and action.waypoint == 1  # it is there already
    lower, upper = core.runner.path.actions.lower, core.runner.path.actions.upper
    assert (lower <= action.command).all() and (action.command <= upper).all() and action.command.shape == (4,)
    time.now += 0.2
    assert core.tick() is None and core.counters["state_stale"] == 1
    feed(core, time, position=(2.5, 0.0, 1.0))
    assert core.tick() is None and core.counters["outside_cage"] == 1
    time.now += 0.02
    feed(core, time, position=(0.95, 0.0, 1.0))
    action = core.tick()
    assert action is not None and action.waypoint == 2
    core.deactivate()
    assert core.tick() is None


def test_what_it_tells_is_what_the_runner_tells(bundle: Bundle) -> None:
    core, time = make(bundle)
    waypoints = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.5]])
    feed(core, time)
    core.activate(0)
    core.set_waypoints(waypoints)
    runner = bundle.runner()
    reading = core.input.reading(time.now)
    assert reading is not None
    runner.reset(reading.state)
    for _ in range(5):
        action = core.tick()
        assert action is not None
        assert np.array_equal(action.command, runner.tick(reading.state, waypoints.reshape(1, 6))[0])


def test_waypoints_outside_the_cage_are_refused_and_those_before_stay(bundle: Bundle) -> None:
    core, time = make(bundle)
    core.set_waypoints(np.array([[0.5, 0.0, 1.0]]))
    for wrong, message in (
        (np.array([[0.0, 0.0, 1.0], [9.0, 0.0, 1.0]]), "outside the cage"),
        (np.zeros((0, 3)), "waypoints: given 0; expected 1 to 100"),
    ):
        with pytest.raises(BadInputError, match=message):
            core.set_waypoints(wrong)
    feed(core, time)
    core.activate(0)
    assert core.tick() is not None


def test_a_policy_for_an_arm_is_refused() -> None:
    reach = load_bundle(share_directory() / "config" / "policies" / "reach")
    with pytest.raises(BadInputError, match="is for arm6, which does not fly; use the policy node"):
        FlightCore(reach, PolicyNodeSpec())


def test_the_simulated_robot_hangs_until_it_is_told_and_hovers_when_nobody_speaks() -> None:
    core = SimFlightCore(quad(), flight_task(), "pybullet", 100.0, 3)
    try:
        start = core.plant.truth.base_position[0].copy()
        for _ in range(20):
            core.step()
        assert np.array_equal(core.plant.truth.base_position[0], start)
        assert core.command([1.0, 2.0]) is not None and core.command([np.nan] * 4) is not None
        assert core.counters == {"command_refused": 2}
        assert core.command([99.0, 0.0, 0.0, 0.0]) is None
        for _ in range(10):
            core.step()
        assert core.plant.truth.base_linear_velocity[0, 2] > 0.3
        for _ in range(40):
            core.step()
        assert core.counters["hovered_by_itself"] > 20
        assert core.plant.rotor_thrust.sum() == pytest.approx(0.8 * 9.81, rel=0.01)
        assert core.time == pytest.approx(0.7)
        for _ in range(300):
            core.command([0.0, 0.0, 0.0, 0.0])
            core.step()
            if core.counters["left_cage"]:
                break
        assert core.counters["left_cage"] == 1
        assert not core.airframe.outside(core.plant.truth.base_position)[0]
    finally:
        core.close()
