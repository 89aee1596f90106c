"""The sim_robot node from start to end: lockstep under /clock, signals, and parameters that do not fit."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs rclpy: pip install 'ppo_robot[ros]'")

from ros_harness import node_process  # noqa: E402
from rosgraph_msgs.msg import Clock  # noqa: E402
from sim_listener import MODULE, Listener  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402

from ppo_robot.nodes.ros_support import seconds  # noqa: E402


@pytest.fixture
def listener() -> Iterator[Listener]:
    made = Listener()
    yield made
    made.close()


ENGAGED = 20
"""Answers after which the robot surely waits for each: on a busy machine the first ones may come too late for that."""


def run_in_lockstep(folder: Path, periods: int) -> np.ndarray:
    """Engage the lockstep, reset in the midst of it, answer each clock from then on; return the truth of that time."""
    listener = Listener()  # its own: what an earlier robot said may still be under way
    rng = np.random.default_rng(0)
    answers: list[float] = []
    reset = listener.node.create_client(Trigger, "/sim_robot/reset")

    def command() -> None:
        listener.command(rng.uniform(-0.5, 0.5, 6).tolist())

    def answer(message: Clock) -> None:
        if len(answers) > periods:
            return
        answers.append(seconds(message.clock))
        if len(answers) == ENGAGED:  # the robot waits meanwhile
            reset.call_async(Trigger.Request()).add_done_callback(lambda future: command())
        else:
            command()

    with node_process(MODULE, folder, real_time=False, lockstep_timeout=20.0, seed=3, state_rate=50.0):
        listener.connect()
        listener.until(reset.service_is_ready, "the reset service")
        listener.node.create_subscription(Clock, "/clock", answer, 1)
        listener.until(lambda: len(answers) > periods, "the answers")
        truth = [m for m in listener.truth if answers[ENGAGED] <= seconds(m.header.stamp) <= answers[-1]]
    listener.close()
    assert np.allclose(np.diff(answers), 0.02, atol=1e-6)  # no clock went by unanswered
    assert len(truth) == periods + 1 - ENGAGED
    return np.array([message.position for message in truth])


def test_in_lockstep_the_same_commands_give_the_same_motion_bit_for_bit(tmp_path: Path) -> None:
    first, second = (run_in_lockstep(tmp_path, 150) for _ in range(2))
    assert np.array_equal(first, second)
    assert np.abs(np.diff(first, axis=0)).max() > 1e-3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("parameters", [{}, {"real_time": False, "lockstep_timeout": 30.0}], ids=["real", "lockstep"])
def test_it_ends_cleanly_when_told_to(
    tmp_path: Path, listener: Listener, number: signal.Signals, parameters: dict[str, Any]
) -> None:
    with node_process(MODULE, tmp_path, **parameters) as node:
        listener.connect()
        listener.command([0.1] * 6)
        node.process.send_signal(number)
        assert node.process.wait(20.0) == 0, node.output
        assert "Traceback" not in node.output
        with pytest.raises(ProcessLookupError):
            os.killpg(node.process.pid, 0)


def test_it_ends_in_the_middle_of_a_stall(tmp_path: Path, listener: Listener) -> None:
    with node_process(MODULE, tmp_path) as node:
        listener.connect()
        assert listener.set(stall=10.0)[0].successful
        node.process.send_signal(signal.SIGINT)
        assert node.process.wait(8.0) == 0, node.output


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        pytest.param({"state_rate": 60.0}, "state_rate: given 60 Hz; expected a state period", id="rate"),
        pytest.param({"robot": "arm7"}, "robots: no 'arm7' in config/robots; did you mean 'arm6'?", id="robot"),
        pytest.param({"controller_type": "pid"}, "controller.type: given 'pid'", id="controller"),
        pytest.param({"plant": "gazebo"}, "plant: given 'gazebo'", id="plant"),
    ],
)
def test_a_wrong_parameter_is_one_line_and_exit_code_2(
    tmp_path: Path, parameters: dict[str, Any], message: str
) -> None:
    with node_process(MODULE, tmp_path, **parameters) as node:
        assert node.process.wait(60.0) == 2, node.output
        assert message in node.output
        assert "Traceback" not in node.output
