"""Tests for ppo_robot.replay.motion: what a robot was told and did, parted where it paused or was put elsewhere."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from ppo_robot.cli.main import main
from ppo_robot.errors import BadInputError
from ppo_robot.policy.bundle import Bundle
from ppo_robot.recording.reader import BagReader
from ppo_robot.recording.run_data import Commands, JointStates, RunData, read_run
from ppo_robot.replay.motion import recorded_motions
from ppo_robot.telemetry.matrix import SAFETY_SCALARS, Kind

HOME = np.array([0.0, -1.0, 1.0, 0.0, 1.0, 0.0])


def recorded(bundle: Bundle, times: np.ndarray, commands: np.ndarray, jump: float | None = None) -> RunData:
    """A robot that reports at these times, in another order of its joints, and gets commands at those."""
    names = bundle.robot.joint_names
    position = np.tile(HOME, (len(times), 1)) + 0.01 * (times - times[0])[:, None]
    if jump is not None:
        position[times >= jump] += 1.0
    states = JointStates(names[::-1], times, position[:, ::-1], np.zeros_like(position), np.zeros_like(position))
    values = np.tile(HOME, (len(commands), 1)) + np.arange(len(commands))[:, None]
    zeros = np.zeros(len(commands))
    sent = Commands("/forward_position_controller/commands", (), commands, values, zeros, zeros, zeros)
    return RunData("test", {}, (), {}, states, (sent,), np.zeros((0, 4)), (), None)


def test_one_motion_begins_with_the_last_state_before_its_first_command(shipped: Bundle) -> None:
    data = recorded(shipped, np.arange(10.0, 12.0, 0.01), np.arange(10.505, 11.5, 0.005))
    (motion,) = recorded_motions(data, shipped)
    assert motion.time[0] == pytest.approx(10.5) and motion.time[-1] == pytest.approx(11.74, abs=0.011)
    assert motion.position[0] == pytest.approx(HOME + 0.005)
    assert motion.command_time[0] == 10.505 and np.array_equal(motion.command[0], HOME)


def test_a_pause_of_the_commands_and_a_jump_of_the_robot_part_motions(shipped: Bundle) -> None:
    commands = np.r_[np.arange(10.1, 10.8, 0.005), np.arange(11.5, 12.9, 0.005)]
    data = recorded(shipped, np.arange(10.0, 13.0, 0.01), commands, jump=12.2)
    motions = recorded_motions(data, shipped)
    assert len(motions) == 3
    starts = [10.1, 11.5, 12.2]
    assert [motion.command_time[0] for motion in motions] == pytest.approx(starts, abs=0.02)
    for motion in motions:
        assert np.abs(np.diff(motion.position, axis=0)).max() < 0.1


def test_setpoints_count_when_they_were_published_on_the_clock_of_the_stamps(shipped: Bundle) -> None:
    count = 200
    now = 5.0 + 0.005 * np.arange(count)
    rows = {name: np.zeros(count) for name in SAFETY_SCALARS}
    rows |= {"kind": np.full(count, float(Kind.CYCLE)), "now": now, "ros_now": now + 5.1, "published": now + 0.001}
    rows |= {"position": np.tile(HOME, (count, 1))}
    rows["published"][3], rows["position"][5], rows["kind"][7] = np.nan, np.nan, Kind.STATE
    data = dataclasses.replace(recorded(shipped, np.arange(10.0, 12.0, 0.01), np.zeros(0)), safety=rows)
    (motion,) = recorded_motions(data, shipped)
    sent = np.delete(np.arange(count), [3, 5, 7])
    assert motion.command_time == pytest.approx((now + 5.101)[sent])
    simulated = {**rows, "ros_now": now}
    data = dataclasses.replace(recorded(shipped, np.arange(5.0, 6.0, 0.01), np.zeros(0)), safety=simulated)
    (motion,) = recorded_motions(data, shipped)
    assert np.array_equal(motion.command_time, now[sent][: len(motion.command_time)])
    assert len(motion.command_time) > 190


def test_what_has_no_motion_in_it_is_refused(shipped: Bundle) -> None:
    times = np.arange(10.0, 12.0, 0.01)
    for data, why in (
        (dataclasses.replace(recorded(shipped, times, times), joint_states=None), "no joint states"),
        (recorded(shipped, times, np.zeros(0)), "no command"),
        (recorded(shipped, times, times + 50.0), "nothing to compare"),
    ):
        with pytest.raises(BadInputError, match=why):
            recorded_motions(data, shipped)


def test_the_simulator_tracks_its_own_recording_up_to_the_noise(
    drawn: Path, shipped: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(recorded_motions(read_run(BagReader(drawn)), shipped)) == 2  # one for each episode
    assert main(["replay", str(drawn), "--in-sim", "--json", str(tmp_path / "found.json")]) == 0
    assert "in pybullet, " in capsys.readouterr().out
    noise = shipped.task.simulation.sensors.joint_position.noise
    in_sim = json.loads((tmp_path / "found.json").read_text())["in_sim"]
    assert in_sim["plant"] == "pybullet" and len(in_sim["joints"]) == 6
    for joint in in_sim["joints"]:
        assert joint["rms_rad"] < 1.5 * noise and abs(joint["lag_s"]) < 0.001
