"""The simulated robot without ROS: what it accepts, what it refuses, what it does with it, and how it fails."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from ppo_robot.errors import BadInputError
from ppo_robot.nodes.sim_controllers import CommandRefusal, Setpoints, TrajectoryPoint
from ppo_robot.nodes.sim_core import SimRobotCore, StateSample
from ppo_robot.nodes.sim_faults import SimFaults, nominal_faults
from ppo_robot.sim.batch_env import BatchEnv
from ppo_robot.spec.deployment import ControllerSpec
from ppo_robot.spec.robot import RobotSpec, load_robot
from ppo_robot.spec.task import load_task

TASK = load_task("reach")
ARM6 = load_robot("arm6")
FORWARD, TRAJECTORY = "forward_position_controller", "joint_trajectory_controller"
NAMES = ARM6.joint_names

Make = Callable[..., SimRobotCore]


@pytest.fixture
def make() -> Iterator[Make]:
    made = []

    def build(robot: RobotSpec = ARM6, **options: Any) -> SimRobotCore:
        if options.get("plant") == "mujoco":
            pytest.importorskip("mujoco")
        made.append(SimRobotCore(robot, TASK, **options))
        return made[-1]

    yield build
    for core in made:
        core.close()


def run(core: SimRobotCore, periods: int) -> list[StateSample | None]:
    return [core.step() for _ in range(periods)]


def truths(core: SimRobotCore, periods: int) -> np.ndarray:
    rows = []
    for _ in range(periods):
        core.step()
        rows.append(np.concatenate([core.plant.truth.joint_position[0], core.plant.truth.joint_velocity[0]]))
    return np.array(rows)


def spec(kind: str, interface: str, joints: tuple[str, ...] = (), name: str = "c") -> ControllerSpec:
    return ControllerSpec(name, kind, interface, joints)  # type: ignore[arg-type]


# What it publishes


def test_joints_are_published_alphabetically_with_the_locked_ones_held(make: Make) -> None:
    core = make(load_robot("franka_panda"))
    sample = core.step()
    assert core.names == ("panda_finger_joint1", "panda_finger_joint2", *(f"panda_joint{i}" for i in range(1, 8)))
    assert sample is not None
    assert sample.position[:2].tolist() == [0.02, 0.02]
    assert np.allclose(sample.position[2:], core.joint_position, atol=1e-12)
    assert len(sample.velocity) == len(sample.effort) == 9


def test_the_robots_order_is_not_the_alphabetical_one(make: Make) -> None:
    core = make()
    core.reset()
    sample = core.step()
    assert sample is not None
    assert core.names != NAMES
    assert dict(zip(core.names, sample.position, strict=True)) == dict(zip(NAMES, core.joint_position, strict=True))


@pytest.mark.parametrize("rate", [200.0, 100.0, 50.0, 40.0, 20.0])
def test_a_state_period_of_whole_physics_steps_is_kept_exactly(make: Make, rate: float) -> None:
    core = make(state_rate=rate)
    stamps = [sample.stamp for sample in run(core, 20) if sample is not None]
    assert np.allclose(stamps, np.arange(1, 21) / rate, atol=1e-12)


@pytest.mark.parametrize("rate", [60.0, 125.0, 300.0, 1000.0])
def test_any_other_state_rate_is_refused_with_rates_that_fit(make: Make, rate: float) -> None:
    with pytest.raises(BadInputError, match=r"state_rate: given .* whole physics steps of 0.005 s, such as 200, 100"):
        make(state_rate=rate)


# Start poses


def test_reset_draws_the_start_pose_of_the_tasks_episodes(make: Make) -> None:
    env = BatchEnv(ARM6, TASK, [0], seed=5)
    env.reset()
    pose = make(seed=5).reset()
    assert pose.tolist() == env.plant.truth.joint_position[0].tolist()
    env.close()


def test_resets_repeat_with_the_seed_and_differ_from_one_another(make: Make) -> None:
    one, other, third = make(seed=3), make(seed=3), make(seed=4)
    run(one, 7)  # time that passes draws nothing
    first, second = one.reset(), one.reset()
    assert first.tolist() == other.reset().tolist()
    assert second.tolist() == other.reset().tolist()
    assert first.tolist() != second.tolist()
    assert first.tolist() != third.reset().tolist()


@pytest.mark.parametrize("plant", ["pybullet", "mujoco"])
def test_a_reset_holds_its_pose_and_forgets_what_was_commanded(make: Make, plant: Any) -> None:
    core = make(plant=plant)
    core.forward(FORWARD, [0.3] * 6)
    run(core, 20)
    core.forward(FORWARD, [0.0] * 5)
    core.forward(FORWARD, [0.2] * 6)
    before = core.time
    pose = core.reset()
    assert core.time == before
    run(core, 50)
    assert np.abs(core.joint_position - pose).max() < 1e-3
    assert core.forward(FORWARD, pose.tolist()) is None


# Commands


@pytest.mark.parametrize("plant", ["pybullet", "mujoco"])
def test_the_last_command_is_held_for_ever(make: Make, plant: Any) -> None:
    core = make(plant=plant)
    target = core.joint_position + 0.2
    assert core.forward(FORWARD, target.tolist()) is None
    run(core, 200)
    reached = core.joint_position.copy()
    assert np.abs(reached - target).max() < 2e-3
    run(core, 1000)
    assert np.abs(core.joint_position - reached).max() < 1e-3


def test_the_same_targets_move_it_bit_for_bit_as_they_move_the_training_environment(make: Make) -> None:
    env = BatchEnv(ARM6, TASK, [0], seed=2)
    env.reset()
    core = make(seed=2, state_rate=1.0 / TASK.control_period)
    core.reset()
    rng = np.random.default_rng(0)
    for _ in range(60):
        env.step(rng.uniform(-1.0, 1.0, (1, 6)).astype(np.float32), autoreset=False)
        core.forward(FORWARD, env.actions.joint_target[0].tolist())
        core.step()
        assert core.joint_position.tolist() == env.plant.truth.joint_position[0].tolist()
    env.close()


def test_the_state_rate_does_not_change_the_motion(make: Make) -> None:
    slow, fast = make(state_rate=50.0), make(state_rate=200.0)
    for core in (slow, fast):
        core.forward(FORWARD, [0.3] * 6)
    assert np.array_equal(truths(slow, 20), truths(fast, 80)[3::4])


def test_forward_values_are_in_the_configured_order(make: Make) -> None:
    order = tuple(reversed(NAMES))
    core = make(controllers=[spec("forward_command_controller", "position", order)])
    target = dict(zip(NAMES, [0.1, -0.1, 0.2, 0.9, -0.2, 0.3], strict=True))
    core.forward("c", [target[name] for name in order])
    run(core, 200)
    assert np.allclose(core.joint_position, [target[name] for name in NAMES], atol=1e-3)


@pytest.mark.parametrize("joints", [NAMES[:5], (*NAMES, "extra"), (*NAMES[:5], "other")])
def test_controller_joints_must_be_the_robots(make: Make, joints: tuple[str, ...]) -> None:
    with pytest.raises(BadInputError, match="controller c: joints: given .* expected shoulder_pan_joint"):
        make(controllers=[spec("forward_command_controller", "position", joints)])


@pytest.mark.parametrize("size", [0, 5, 7])
def test_a_wrong_size_deactivates_the_forward_controller_until_it_is_activated(make: Make, size: int) -> None:
    core = make()
    core.forward(FORWARD, [0.1] * 6)
    assert core.forward(FORWARD, [0.0] * size) is CommandRefusal.WRONG_SIZE
    assert core.forward(FORWARD, [0.0] * 6) is CommandRefusal.INACTIVE
    run(core, 200)
    assert np.allclose(core.joint_position, 0.1, atol=1e-3)  # still the last good one
    core.activate_controllers()
    assert core.forward(FORWARD, [0.0] * 6) is None
    run(core, 200)
    assert np.allclose(core.joint_position, 0.0, atol=1e-3)
    assert core.counters["refused/wrong_size"] == core.counters["refused/inactive"] == 1
    assert core.counters["commands"] == 2


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_counted_and_the_command_before_held(make: Make, value: float) -> None:
    core = make()
    core.forward(FORWARD, [0.1] * 6)
    assert core.forward(FORWARD, [0.0, 0.0, value, 0.0, 0.0, 0.0]) is CommandRefusal.NOT_FINITE
    point = TrajectoryPoint([0.0, 0.0, value, 0.0, 0.0, 0.0])
    assert core.trajectory(TRAJECTORY, NAMES, [point]) is CommandRefusal.NOT_FINITE
    run(core, 200)
    assert np.allclose(core.joint_position, 0.1, atol=1e-3)
    assert core.counters["refused/not_finite"] == 2
    assert core.forward(FORWARD, [0.0] * 6) is None


def test_a_command_takes_effect_with_the_next_physics_step_after_its_arrival(make: Make) -> None:
    early, late = make(), make()
    early.forward(FORWARD, [0.3] * 6, time=0.0)
    late.forward(FORWARD, [0.3] * 6, time=0.002)
    assert np.array_equal(truths(early, 30)[:, :0], truths(late, 30)[:, :0])
    # One physics step of 5 ms apart, whatever the state period of 10 ms.
    fast, lagging = make(state_rate=200.0), make(state_rate=200.0)
    fast.forward(FORWARD, [0.3] * 6, time=0.0)
    lagging.forward(FORWARD, [0.3] * 6, time=0.002)
    moved, later = truths(fast, 40), truths(lagging, 41)
    assert np.abs(moved - later[1:]).max() < 1e-2
    assert np.abs(moved - later[:-1]).max() > 1e-2


def test_the_newest_command_counts_whichever_controller_it_came_through(make: Make) -> None:
    core = make()
    core.forward(FORWARD, [0.1] * 6)
    core.trajectory(TRAJECTORY, NAMES, [TrajectoryPoint([0.2] * 6)])
    run(core, 200)
    assert np.allclose(core.joint_position, 0.2, atol=1e-3)
    core.forward(FORWARD, [0.1] * 6)
    run(core, 200)
    assert np.allclose(core.joint_position, 0.1, atol=1e-3)


# Trajectories


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
    # Half way after half the time, less what the drive lags at 0.2 rad/s: 10 ms of delay, 30 of lag, a step's share.
    assert np.allclose(core.joint_position, begin + 0.2 - 0.2 * 0.0425, atol=2e-3)
    run(core, 150)
    assert np.allclose(core.joint_position, begin + 0.4, atol=1e-3)


def test_setpoints_interpolate_between_points_and_hold_the_ends() -> None:
    points = Setpoints("position", np.array([1.0, 2.0, 4.0]), np.array([[0.0], [1.0], [-1.0]]))
    assert [points.at(time)[0] for time in (0.0, 1.0, 1.5, 2.0, 3.0, 4.0, 99.0)] == [0.0, 0.0, 0.5, 1.0, 0.0, -1.0, -1.0]
    led = points.led_from(0.5, np.array([3.0]))
    assert [led.at(time)[0] for time in (0.5, 0.75, 1.0)] == [3.0, 1.5, 0.0]
    assert points.led_from(1.0, np.array([3.0])) is points


def test_a_stamp_in_the_future_is_waited_for(make: Make) -> None:
    core = make()
    begin = core.joint_position.copy()
    core.trajectory(TRAJECTORY, NAMES, [TrajectoryPoint(begin.tolist()), TrajectoryPoint((begin + 0.1).tolist(),
                    time_from_start=0.1)], start=1.0)
    run(core, 100)
    assert np.allclose(core.joint_position, begin, atol=1e-3)
    run(core, 60)
    assert np.allclose(core.joint_position, begin + 0.1, atol=1e-3)


# Velocity and effort


@pytest.mark.parametrize("plant", ["pybullet", "mujoco"])
def test_velocity_is_followed_until_the_position_limit(make: Make, plant: Any) -> None:
    core = make(plant=plant, controllers=[spec("forward_command_controller", "velocity")])
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
    core = make(plant=plant, controllers=[spec(kind, "effort"), spec(kind, "position", name="p")])
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
    core = make(controllers=[spec("joint_trajectory_controller", "velocity")])
    begin = core.joint_position.copy()
    assert core.trajectory("c", NAMES, [TrajectoryPoint(velocities=[0.5] + [0.0] * 5)]) is None
    run(core, 100)
    assert core.joint_position[0] - begin[0] == pytest.approx(0.5, abs=0.03)
    assert core.trajectory("c", NAMES, [TrajectoryPoint(begin.tolist())]) is None
    run(core, 200)
    assert np.allclose(core.joint_position, begin, atol=1e-3)


# Faults


def test_without_faults_the_truth_is_reported(make: Make) -> None:
    core = make()
    core.forward(FORWARD, [0.3] * 6)
    for _ in range(20):
        sample = core.step()
        assert sample is not None
        assert sample.stamp == core.time
        assert np.array_equal(np.sort(sample.position), np.sort(core.joint_position))


def test_the_task_gives_the_nominal_imperfections() -> None:
    faults = nominal_faults(TASK.simulation)
    assert dataclasses.replace(faults, position_noise=0.0, velocity_noise=0.0) == SimFaults()
    assert (faults.position_noise, faults.velocity_noise) == (0.0005, 0.01)


def test_noise_has_its_standard_deviation_and_repeats_with_the_seed(make: Make) -> None:
    def errors(core: SimRobotCore, channel: str) -> np.ndarray:
        core.set_faults(SimFaults(position_noise=0.01, velocity_noise=0.1))
        place = [core.names.index(name) for name in NAMES]
        rows = [getattr(sample, channel)[place] for sample in run(core, 500) if sample is not None]
        return np.array(rows) - (core.model.default_position if channel == "position" else 0.0)

    position, velocity = errors(make(seed=1), "position"), errors(make(seed=1), "velocity")
    assert position.std() == pytest.approx(0.01, rel=0.1)
    assert velocity.std() == pytest.approx(0.1, rel=0.1)
    assert np.array_equal(position, errors(make(seed=1), "position"))
    assert not np.array_equal(position, errors(make(seed=2), "position"))


def test_latency_reports_what_was_with_the_stamp_of_then(make: Make) -> None:
    late, exact = make(), make()
    late.set_faults(SimFaults(state_latency=0.032))
    for core in (late, exact):
        core.forward(FORWARD, [0.3] * 6)
    seen = {round(sample.stamp, 6): sample for sample in run(late, 40) if sample is not None}
    assert late.counters["states_lost"] == 3  # nothing newer than the start had been measured
    history = {round(core_time, 6): position for core_time, position in _positions(make(state_rate=200.0), 80)}
    for stamp, sample in list(seen.items())[3:]:
        before = round(np.floor(stamp / 0.005 + 1e-9) * 0.005, 6)
        share = (stamp - before) / 0.005
        expected = history[before] + share * (history[round(before + 0.005, 6)] - history[before])
        assert np.allclose(sample.position[[late.names.index(name) for name in NAMES]], expected, atol=1e-9)
        assert sample.stamp == pytest.approx(stamp)


def _positions(core: SimRobotCore, periods: int) -> list[tuple[float, np.ndarray]]:
    core.forward(FORWARD, [0.3] * 6)
    rows = []
    for _ in range(periods):
        core.step()
        rows.append((core.time, core.joint_position.copy()))
    return rows


def test_jitter_varies_the_age_and_keeps_the_order(make: Make) -> None:
    core = make()
    core.set_faults(SimFaults(state_latency=0.01, state_jitter=0.03))
    run(core, 10)
    ages, stamps = [], []
    for _ in range(300):
        sample = core.step()
        if sample is not None:
            ages.append(core.time - sample.stamp)
            stamps.append(sample.stamp)
    assert 0.01 <= min(ages) < 0.013
    assert 0.03 < max(ages) <= 0.04
    assert (np.diff(stamps) > 0.0).all()
    assert 100 < len(stamps) < 300


def test_dropouts_lose_their_share_and_nothing_else(make: Make) -> None:
    core, whole = make(seed=1), make(seed=1)
    core.set_faults(SimFaults(state_dropout=0.3))
    samples = run(core, 1000)
    lost = samples.count(None)
    assert 230 < lost < 370
    assert core.counters["states_lost"] == lost
    assert core.counters["states"] == 1000 - lost
    run(whole, 1000)
    assert np.array_equal(core.joint_position, whole.joint_position)
    core.set_faults(SimFaults(state_dropout=1.0))
    assert run(core, 20) == [None] * 20


def test_lost_commands_are_counted_and_move_nothing(make: Make) -> None:
    core = make()
    core.set_faults(SimFaults(command_loss=1.0))
    before = core.joint_position.copy()
    assert core.forward(FORWARD, [0.3] * 6) is CommandRefusal.LOST
    run(core, 50)
    assert np.allclose(core.joint_position, before, atol=1e-4)
    core.set_faults(SimFaults(command_loss=0.3))
    answers = [core.forward(FORWARD, [0.0] * 6) for _ in range(1000)]
    assert 230 < answers.count(CommandRefusal.LOST) < 370
    assert core.counters["refused/lost"] == answers.count(CommandRefusal.LOST) + 1


def test_a_frozen_joint_reports_the_same_position_while_it_moves(make: Make) -> None:
    core = make()
    core.set_faults(SimFaults(frozen_joint=NAMES[0], position_noise=1e-3))
    core.forward(FORWARD, [0.5] * 6)
    place, other = core.names.index(NAMES[0]), core.names.index(NAMES[1])
    samples = [sample for sample in run(core, 100) if sample is not None]
    assert {sample.position[place] for sample in samples} == {samples[0].position[place]}
    assert {sample.velocity[place] for sample in samples} == {0.0}
    assert samples[-1].position[other] == pytest.approx(0.5, abs=0.01)
    assert core.joint_position[0] == pytest.approx(0.5, abs=0.01)
    core.set_faults(SimFaults())
    sample = core.step()
    assert sample is not None
    assert sample.position[place] == core.joint_position[0]


def test_a_reversed_joint_reports_with_the_wrong_sign(make: Make) -> None:
    core = make()
    core.set_faults(SimFaults(reversed_joint=NAMES[0]))
    core.forward(FORWARD, [0.5] * 6)
    place = core.names.index(NAMES[0])
    sample = run(core, 20)[-1]
    assert sample is not None
    assert sample.position[place] == -core.joint_position[0] < 0.0
    assert sample.velocity[place] == -core.plant.truth.joint_velocity[0, 0] < 0.0


@pytest.mark.parametrize("key", ["frozen_joint", "reversed_joint"])
def test_a_fault_of_an_unknown_joint_is_refused_and_changes_nothing(make: Make, key: str) -> None:
    core = make()
    before = dataclasses.replace(SimFaults(), payload=1.0)
    core.set_faults(before)
    with pytest.raises(BadInputError, match=f"{key}: no joint 'elbow'; did you mean 'elbow_joint'"):
        core.set_faults(dataclasses.replace(SimFaults(), **{key: "elbow"}))
    assert core.faults == before


@pytest.mark.parametrize("plant", ["pybullet", "mujoco"])
def test_a_payload_weighs_and_is_gone_without_a_trace(make: Make, plant: Any) -> None:
    plain, loaded = make(plant=plant), make(plant=plant)
    for core in (plain, loaded):
        core.reset()
        run(core, 30)
    light = plain.plant.truth.joint_effort[0].copy()
    loaded.set_faults(SimFaults(payload=5.0))
    loaded.forward(FORWARD, [0.1] * 6)
    run(loaded, 100)
    run(plain, 100)
    loaded.set_faults(SimFaults())
    poses = [core.reset() for core in (plain, loaded)]
    assert poses[0].tolist() == poses[1].tolist()
    for core in (plain, loaded):
        core.forward(FORWARD, (core.model.default_position + 0.3).tolist())
    assert np.array_equal(truths(plain, 100), truths(loaded, 100))
    loaded.set_faults(SimFaults(payload=5.0))
    loaded.forward(FORWARD, loaded.model.default_position.tolist())
    plain.forward(FORWARD, plain.model.default_position.tolist())
    run(plain, 200)
    run(loaded, 200)
    heavier = np.abs(loaded.plant.truth.joint_effort[0]) - np.abs(plain.plant.truth.joint_effort[0])
    # The weight of 5 kg at the tool's distance from the shoulder's lift axis, which lies above the base.
    lever = plain.tool_position[0]
    assert heavier.max() == pytest.approx(5.0 * 9.81 * lever, rel=0.2)
    assert np.isfinite(light).all()


def test_switching_one_fault_does_not_change_the_draws_of_another(make: Make) -> None:
    def noise(faults: SimFaults) -> list[float]:
        core = make(seed=9)
        core.set_faults(faults)
        samples = run(core, 50)
        core.forward(FORWARD, core.joint_position.tolist())
        return [sample.position[0] for sample in samples if sample is not None]

    plain = noise(SimFaults(position_noise=0.01))
    jittered = noise(SimFaults(position_noise=0.01, command_loss=0.5))
    assert plain == jittered
    dropped = noise(SimFaults(position_noise=0.01, state_dropout=0.5))
    assert dropped == plain[: len(dropped)]  # each report that is sent has the next draw


def test_reset_while_latent_reports_nothing_of_before(make: Make) -> None:
    core = make()
    core.set_faults(SimFaults(state_latency=0.1))
    core.forward(FORWARD, [0.5] * 6)
    run(core, 100)
    pose = core.reset()
    order = [core.names.index(name) for name in NAMES]
    for sample in run(core, 20):
        if sample is not None:
            assert np.allclose(sample.position[order], pose, atol=1e-3)
