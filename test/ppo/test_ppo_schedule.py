"""The three learning-rate schedules."""

import pytest

from ppo_robot.ppo.schedule import LearningRateSchedule
from ppo_robot.spec.training import PpoSpec


def test_constant_ignores_progress_and_kl():
    schedule = LearningRateSchedule(PpoSpec(learning_rate=1e-3))
    assert schedule.on_progress(0.7) == schedule.on_kl(9.0) == 1e-3


def test_linear_reaches_the_minimum():
    schedule = LearningRateSchedule(PpoSpec(learning_rate=1e-3, minimum_learning_rate=1e-4, schedule="linear"))
    rates = [schedule.on_progress(progress) for progress in (0.0, 0.5, 1.0)]
    assert rates == pytest.approx([1e-3, 5.5e-4, 1e-4])
    assert schedule.on_kl(9.0) == pytest.approx(1e-4)


def test_adaptive_band_and_bounds():
    schedule = LearningRateSchedule(
        PpoSpec(learning_rate=9e-4, schedule="adaptive", desired_kl=0.01, minimum_learning_rate=3e-4,
                maximum_learning_rate=1e-3)
    )
    assert schedule.on_kl(0.01) == schedule.on_kl(0.02) == schedule.on_kl(0.005) == 9e-4
    assert schedule.on_kl(0.0201) == pytest.approx(6e-4)
    assert schedule.on_kl(0.0201) == pytest.approx(4e-4)
    assert schedule.on_kl(0.0201) == 3e-4
    assert schedule.on_kl(0.0049) == pytest.approx(4.5e-4)
    for _ in range(5):
        schedule.on_kl(0.0)
    assert schedule.learning_rate == 1e-3
    assert schedule.on_progress(0.5) == 1e-3


def test_state_round_trip():
    spec = PpoSpec(schedule="adaptive")
    schedule, other = LearningRateSchedule(spec), LearningRateSchedule(spec)
    schedule.on_kl(1.0)
    other.load_state_dict(schedule.state_dict())
    assert other.learning_rate == schedule.learning_rate != spec.learning_rate


@pytest.mark.parametrize("progress", [-0.1, 1.1, float("nan")])
def test_progress_outside_is_refused(progress):
    with pytest.raises(ValueError, match="progress"):
        LearningRateSchedule(PpoSpec()).on_progress(progress)
