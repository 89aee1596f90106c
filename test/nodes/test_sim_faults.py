"""Everything that can go wrong with the simulated robot, one fault at a time."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from sim_robots import FORWARD, NAMES, TASK, Make, cores, run, truths

from ppo_robot.errors import BadInputError
from ppo_robot.nodes.sim_controllers import CommandRefusal
from ppo_robot.nodes.sim_core import SimRobotCore
from ppo_robot.nodes.sim_faults import SimFaults, nominal_faults


@pytest.fixture
def make() -> Iterator[Make]:
    yield from cores()


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
    late, exact = make(), make(state_rate=200.0)
    late.set_faults(SimFaults(state_latency=0.032))
    for core in (late, exact):
        core.forward(FORWARD, [0.3] * 6)
    samples = [sample for sample in run(late, 40) if sample is not None]
    assert late.counters["states_lost"] == 2  # nothing newer than the start had been measured
    assert np.allclose([sample.stamp for sample in samples[1:]], np.arange(4, 41) * 0.01 - 0.032)
    times = np.arange(1, 81) * 0.005
    positions = truths(exact, 80)[:, :6]
    order = [late.names.index(name) for name in NAMES]
    for sample in samples[1:]:
        expected = [np.interp(sample.stamp, times, column) for column in positions.T]
        assert np.allclose(sample.position[order], expected, atol=1e-9)


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
        return [sample.position[0] for sample in samples if sample is not None]

    plain = noise(SimFaults(position_noise=0.01))
    dropped = noise(SimFaults(position_noise=0.01, state_dropout=0.5))
    assert len(dropped) < 40
    assert np.allclose(dropped, plain[: len(dropped)], atol=1e-5)  # each report that is sent has the next draw


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
