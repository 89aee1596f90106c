"""The first sign of a command in the state: one sample a start from rest, and none that is not one."""

from __future__ import annotations

import numpy as np
import pytest

from ppo_robot.telemetry.matrix import Kind
from ppo_robot.telemetry.response import PATIENCE, THRESHOLD, Response

ROS = 1.7e9
PERIOD = 0.004
DEAD_TIME = 0.05


def rows(
    command: list[tuple[float, float]], state: list[tuple[float, float]], delay: float = 0.002
) -> dict[str, np.ndarray]:
    """Return safety rows of two joints; the second follows (time, position) pairs, and its states come `delay` late."""
    made = [(time, Kind.CYCLE, time, 0.0, position) for time, position in command]
    made += [(time + delay, Kind.STATE, np.nan, time, position) for time, position in state]
    made.sort(key=lambda row: row[0])
    times = np.array([row[0] for row in made])
    return {
        "kind": np.array([float(row[1]) for row in made]),
        "now": times,
        "ros_now": times + ROS,
        "stamp": np.array([row[3] for row in made]) + ROS,
        "published": np.array([row[2] for row in made]),
        "position": np.array([[0.3, row[4]] for row in made]),
    }


def path(start: float, stop: float, begin: float, speed: float) -> list[tuple[float, float]]:
    """Return positions each period: at rest until `begin`, then at a constant speed."""
    times = np.arange(start, stop, PERIOD)
    return [(float(time), float(max(0.0, time - begin) * speed)) for time in times]


def test_the_time_from_the_command_to_the_state_that_followed() -> None:
    response = Response(10.0)
    response.safety(rows(path(10.0, 11.0, 10.5, 1.0), path(10.0, 11.0, 10.5 + DEAD_TIME, 1.0)), 11.0)
    assert response.times.all.count == 1
    assert response.times.all.maximum == pytest.approx(DEAD_TIME, abs=PERIOD + 1e-6)
    assert response.unanswered == 0


def test_each_start_from_rest_is_one_sample_whatever_the_batches() -> None:
    response = Response(10.0)
    command = path(10.0, 10.7, 10.5, -1.0) + [(time, -0.2) for time in np.arange(10.7, 11.5, PERIOD)]
    command += [(time, -0.2 + position) for time, position in path(11.5, 12.0, 11.6, 1.0)]
    state = [(time + DEAD_TIME, position) for time, position in command]
    whole = rows(command, state)
    for begin in range(0, len(whole["kind"]), 7):
        response.safety({name: values[begin : begin + 7] for name, values in whole.items()}, 12.0)
    assert response.times.all.count == 2
    assert response.times.all.minimum == pytest.approx(DEAD_TIME, abs=PERIOD + 1e-6)
    assert response.times.all.maximum == pytest.approx(DEAD_TIME, abs=PERIOD + 1e-6)


def test_a_robot_that_goes_the_other_way_or_nowhere_has_not_answered() -> None:
    response = Response(10.0)
    response.safety(rows(path(10.0, 12.0, 10.5, 1.0), path(10.0, 12.0, 10.55, -1.0)), 12.0)
    assert (response.times.all.count, response.unanswered) == (0, 1)
    response.safety(rows(path(20.0, 20.4 + PATIENCE, 20.3, 1.0), path(20.0, 20.4 + PATIENCE, 99.0, 1.0)), 22.0)
    assert (response.times.all.count, response.unanswered) == (0, 2)


def test_a_robot_that_already_moved_gives_no_sample() -> None:
    response = Response(10.0)
    response.safety(rows(path(10.0, 11.0, 10.5, 1.0), path(10.0, 11.0, 10.3, 0.5)), 11.0)
    assert (response.times.all.count, response.unanswered) == (0, 0)


def test_a_creep_is_no_start() -> None:
    response = Response(10.0)
    response.safety(rows(path(10.0, 14.0, 10.5, 0.008), path(10.0, 14.0, 10.6, 0.008)), 14.0)
    assert (response.times.all.count, response.unanswered) == (0, 0)


def test_a_motion_right_after_arming_gives_no_sample() -> None:
    response = Response(10.0)
    nothing = [(float(time), 0.0) for time in np.arange(10.0, 10.45, PERIOD)]
    before = rows(nothing, nothing)
    before["published"] = np.full(len(before["published"]), np.nan)
    response.safety(before, 10.45)
    response.safety(rows(path(10.45, 11.0, 10.5, 1.0), path(10.45, 11.0, 10.55, 1.0)), 11.0)
    assert (response.times.all.count, response.unanswered) == (0, 0)


@pytest.mark.parametrize(("noise", "samples"), [(THRESHOLD / 5.0, 1), (THRESHOLD * 2.0, 0)])
def test_noise_is_no_motion_and_too_much_of_it_is_no_rest(noise: float, samples: int) -> None:
    generator = np.random.default_rng(3)
    state = [
        (time, position + noise * float(generator.uniform(-1.0, 1.0)))
        for time, position in path(10.0, 11.0, 10.5 + DEAD_TIME, 1.0)
    ]
    response = Response(10.0)
    response.safety(rows(path(10.0, 11.0, 10.5, 1.0), state), 11.0)
    assert response.times.all.count == samples
    if samples:
        assert response.times.all.maximum == pytest.approx(DEAD_TIME, abs=2.0 * PERIOD)
