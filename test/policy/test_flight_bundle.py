"""Tests of a bundle that flies: it holds all, is checked as one for an arm is, and is judged in both simulators."""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from flights import flight_experiment, quad

from ppo_robot.cli.main import main
from ppo_robot.errors import BundleError
from ppo_robot.policy.bundle import Bundle, load_bundle
from ppo_robot.policy.contract import describe
from ppo_robot.policy.export import export_bundle
from ppo_robot.policy.manifest import make_manifest
from ppo_robot.ppo.actor_critic import ActorCritic
from ppo_robot.sim.environments import make_env
from ppo_robot.sim.flight_env import FlightEnv
from ppo_robot.spec.robot import load_robot
from ppo_robot.training.judge import judge


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained policy whose weights and normaliser matter; nobody may write to it."""
    experiment = flight_experiment("task.episode_length=0.6")
    size = describe(experiment.robot, experiment.task)["observation_size"]
    generator = torch.Generator().manual_seed(0)
    actor = ActorCritic(size, size, 4, dataclasses.replace(experiment.training.network, last_layer_gain=1.0), generator)
    actor.observation_normaliser.update(torch.randn(500, size, generator=generator))
    folder = tmp_path_factory.mktemp("policy") / "drone"
    export_bundle(folder, actor, experiment, {"git_commit": "0" * 40}, None, "ppo-robot train drone_waypoint")
    return folder


@pytest.fixture
def bundle(path: Path) -> Bundle:
    return load_bundle(path)


def altered(path: Path, tmp_path: Path, name: str, edit: Callable[[bytes], bytes]) -> str:
    """Alter one file, mend the hashes, and return the refusal."""
    copy = tmp_path / "copy"
    shutil.copytree(path, copy)
    (copy / name).write_bytes(edit((copy / name).read_bytes()))
    files = {file.name: file.read_bytes() for file in copy.iterdir() if file.name != "manifest.json"}
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps(make_manifest(files, manifest["created"], manifest["parent"])))
    with pytest.raises(BundleError) as caught:
        load_bundle(copy)
    return str(caught.value)


def test_the_contract_says_what_is_told_and_what_is_seen(bundle: Bundle) -> None:
    action = bundle.contract["action"]
    assert action["names"] == ["collective_thrust", "body_rate_x", "body_rate_y", "body_rate_z"]
    assert action["unit"] == ["N", "rad/s", "rad/s", "rad/s"] and action["offset"][0] == pytest.approx(0.8 * 9.81)
    assert [term["name"] for term in bundle.contract["observations"]] == list(bundle.any_task.observations)
    assert bundle.envelope["command"]["body_rate_x"]["upper"] == pytest.approx(0.7 * 6.0)
    assert bundle.contract["cage"] == {"lower": [-2.0, -2.0, 0.3], "upper": [2.0, 2.0, 2.8]}
    assert (bundle.path / "MODEL_CARD.md").read_text().count("waypoints") > 0


def test_robot_and_simulation_see_the_same_bits(bundle: Bundle) -> None:
    env = make_env(bundle.any_robot, bundle.any_task, range(3), seed=11)
    assert isinstance(env, FlightEnv)
    runners = [bundle.runner() for _ in range(3)]
    try:
        seen, begins = env.reset(), np.ones(3, dtype=bool)
        for step in range(70):
            action = np.zeros((3, 4), dtype=np.float32)
            for row, runner in enumerate(runners):
                one = np.array([row])
                measured = env.sensors.measured.rows(one)
                if begins[row]:
                    runner.reset(measured)
                waypoints = np.concatenate([env.tracker.current[one], env.tracker.following[one]], axis=1)
                command = runner.tick(measured, waypoints)
                assert np.array_equal(runner.observation[0], seen[row]), (step, row)
                action[row] = runner.action[0]
            result = env.step(action)
            begins = result.terminated | result.truncated
            if not begins[2]:
                assert np.array_equal(command[0], env.actions.command[2])
            seen = result.observation
        assert step > 2 * env.task.episode_steps
    finally:
        env.close()


def test_a_policy_that_acts_otherwise_is_refused(path: Path, tmp_path: Path) -> None:
    def golden(data: bytes, name: str, change: Callable[[np.ndarray], Any]) -> bytes:
        arrays = dict(np.load(io.BytesIO(data)))
        change(arrays[name])
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)
        return buffer.getvalue()

    def wrong(name: str, place: tuple[int, ...], by: float) -> str:
        def change(array: np.ndarray) -> None:
            array[place] += by

        shutil.rmtree(tmp_path / "copy", ignore_errors=True)
        return altered(path, tmp_path, "golden.npz", lambda data: golden(data, name, change))

    assert "golden.npz: command 'body_rate_y' is" in wrong("command", (3, 1, 2), 1e-6)
    assert "golden.npz: observation 'velocity'" in wrong("state_base_linear_velocity", (5, 0, 1), 1e-3)
    assert "golden.npz: observation 'next_waypoint_error'" in wrong("goal_position", (7, 2, 4), 1e-3)
    assert "golden.npz: observation" in wrong("state_base_orientation", (2, 1, 0), 1e-3)


def test_a_contract_altered_by_hand_is_refused(path: Path, tmp_path: Path) -> None:
    edits = b'"hover_thrust": 7.8', b'"hover_thrust": 8.8'
    message = altered(path, tmp_path, "spec.json", lambda data: data.replace(*edits))
    assert "spec.json: body.hover_thrust: given 8.8" in message
    shutil.rmtree(tmp_path / "copy")
    message = altered(path, tmp_path, "envelope.yaml", lambda data: data.replace(b"-4.1", b"-5.1", 1))
    assert "envelope.yaml: command.body_rate_x.lower: given -5.1" in message


def test_it_is_held_against_the_robot_that_it_shall_fly(path: Path) -> None:
    robot = quad()
    load_bundle(path, robot)
    heavier = dataclasses.replace(robot, description=robot.description.replace('"0.8"', '"0.9"'))
    gains = dataclasses.replace(robot, controller=dataclasses.replace(robot.controller, rate_gain=(9.0, 9.0, 9.0)))
    cases = [
        (heavier, "another URDF, train for this one"),
        (gains, "controller: the robot has"),
        (load_robot("arm6"), "the robot's description has hash"),
    ]
    for other, message in cases:
        with pytest.raises(BundleError, match=message):
            load_bundle(path, other)
    cage = dataclasses.replace(robot.cage, upper=(9.0, 9.0, 9.0))
    assert load_bundle(path, dataclasses.replace(robot, cage=cage)).notes == ("cage: another one than in training",)


@pytest.mark.parametrize("plant", ["pybullet", "mujoco"])
def test_a_seed_means_the_same_episodes_whatever_the_workers(bundle: Bundle, plant: str) -> None:
    if plant == "mujoco":
        pytest.importorskip("mujoco", reason="needs MuJoCo: pip install 'ppo_robot[mujoco]'")
    one, two = (judge(bundle, 6, 3, workers=workers, plant=plant) for workers in (1, 2))  # type: ignore[arg-type]
    assert np.array_equal(one.episodes, two.episodes) and one.names == two.names
    figures = one.summary()
    assert figures["episodes"] == 6 and figures["waypoints_mean"] == one.column("waypoints").mean()


def test_commands_take_it_or_say_why_not(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(path), "--robot", "quad"]) == 0
    assert "collective_thrust" in capsys.readouterr().out
    out = tmp_path / "out.json"
    words = ["evaluate", str(path), "--episodes", "4", "--goal", "0.5", "0", "1", "--json", str(out)]
    assert main(words) == 0
    assert json.loads(out.read_text())["episodes"] == 4
    capsys.readouterr()
    assert main([*words[:5], "99", "0", "1"]) == 2
    assert "outside the cage" in capsys.readouterr().err
    assert main(["evaluate", str(path), "--episodes", "2", "--record", str(tmp_path / "bag")]) == 2
    message = capsys.readouterr().err
    assert "flies the" in message and "robots with joints alone" in message and message.count("\n") == 1
    assert not (tmp_path / "bag").exists()
    for words in (["bench", "rollout", "--task", "drone_waypoint"], ["bench", "envelope", "--robot", "quad"]):
        assert main(words) == 2
        message = capsys.readouterr().err
        assert "robots with joints alone" in message and message.count("\n") == 1
