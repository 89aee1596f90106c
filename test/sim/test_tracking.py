"""Tests for ppo_robot.sim.tracking: a simulated robot that is told what another one was told."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ppo_robot.sim.tracking import lag_of, track
from ppo_robot.spec.experiment import Experiment, load_experiment
from ppo_robot.spec.motion import Motion

PERIOD = 0.005


@pytest.fixture(scope="module")
def experiment() -> Experiment:
    return load_experiment("reach", "arm6", "default", 0)


def commanded(experiment: Experiment, seconds: float = 1.0) -> Motion:
    """A smooth command to every joint, and a robot that was not measured yet."""
    home = np.array([joint.default_position for joint in experiment.robot.joints])
    time = 50.0 + np.arange(0.0, seconds, PERIOD)
    wave = 0.2 * (1.0 - np.cos(2.0 * np.pi * (time - time[0])))
    return Motion(time, np.tile(home, (len(time), 1)), time, home + wave[:, None])


def followed(experiment: Experiment, motion: Motion, late: float = 0.0, gain: float = 1.0) -> Motion:
    """The same commands, executed by the simulator itself, `late` s later than it was and with a gain."""
    from ppo_robot.kinematics import RobotModel
    from ppo_robot.sim.plants import make_plant
    from ppo_robot.sim.tracking import simulate

    model = RobotModel(experiment.robot)
    plant = make_plant("pybullet", model, experiment.task.simulation, 1)
    try:
        position = simulate(plant, model, experiment.task, motion)
    finally:
        plant.close()
    moved = position[0] + gain * (position - position[0])
    delayed = [np.interp(motion.time - late, motion.time, moved[:, joint]) for joint in range(moved.shape[1])]
    return dataclasses.replace(motion, position=np.stack(delayed, axis=1))


def test_the_simulator_follows_as_it_did(experiment: Experiment) -> None:
    motion = followed(experiment, commanded(experiment))
    assert np.ptp(motion.position, axis=0).min() > 0.3  # it did move
    for joint in track(experiment.robot, experiment.task, [motion, motion], "pybullet"):
        assert joint.rms < 1e-9 and joint.largest < 1e-9
        assert joint.lag == pytest.approx(0.0, abs=1e-6)


def test_a_robot_that_lags_and_one_that_falls_short_are_seen(experiment: Experiment) -> None:
    told = commanded(experiment)
    motions = followed(experiment, told, late=0.03), followed(experiment, told, gain=0.9)
    late, weak = (track(experiment.robot, experiment.task, [motion], "pybullet") for motion in motions)
    assert [joint.name for joint in late] == list(experiment.robot.joint_names)
    for one, other in zip(late, weak, strict=True):
        assert one.lag == pytest.approx(0.03, abs=0.002) and 0.01 < one.rms < one.largest
        assert other.lag == pytest.approx(0.0, abs=0.002) and other.largest == pytest.approx(0.04, abs=0.005)
        assert other.tree() == {
            "name": other.name,
            "rms_rad": other.rms,
            "max_rad": other.largest,
            "lag_s": other.lag,
        }


@pytest.mark.parametrize("late", [0.0, 0.0172, -0.041])
def test_a_lag_is_found_between_samples(late: float) -> None:
    time = np.arange(0.0, 4.0, PERIOD)
    wave = np.sin(3.0 * time) + 0.3 * np.sin(7.0 * time)
    moved = np.sin(3.0 * (time - late)) + 0.3 * np.sin(7.0 * (time - late))
    assert lag_of([(moved, wave)], PERIOD) == pytest.approx(late, abs=0.002)


def test_a_joint_that_stands_has_no_lag() -> None:
    assert lag_of([(np.zeros(200), np.full(200, 0.4))], PERIOD) is None
    assert lag_of([], PERIOD) is None
