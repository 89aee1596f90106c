"""When a run fails: one clear line, its own exit code, no process left, and the last good checkpoint as it was."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path

import pytest
import torch

from ppo_robot.cli.main import main
from ppo_robot.errors import RunFailedError
from ppo_robot.ppo import loss
from ppo_robot.ppo.actor_critic import ActorCritic
from ppo_robot.ppo.learner import Learner
from ppo_robot.spec.experiment import Experiment, restore_experiment
from ppo_robot.training.checkpoint import CheckpointStore
from ppo_robot.training.sinks import JsonLinesSink, read_records
from ppo_robot.training.trainer import Trainer


def checkpoints(run: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (run / "checkpoints").iterdir()}


def test_a_dead_worker_ends_the_run_which_can_be_resumed(
    launch, tmp_path, tiny_arguments, children_of, alive, eventually
) -> None:
    run = tmp_path / "run"
    command = launch("train", "reach", "--out", run, *tiny_arguments)
    third = run / "checkpoints" / "iteration_00000003.json"
    command.until(third.is_file, "the checkpoint of iteration 3")
    workers = children_of(command.process.pid)
    victim = random.Random(3).choice(workers[:2])  # those that train; evaluation has others
    os.kill(victim, signal.SIGKILL)
    assert command.wait() == 4
    said = [line for line in command.stderr.splitlines() if "steps/s" not in line]
    assert len(said) == 1, command.stderr
    assert said[0].startswith(f"ppo-robot: error: simulation worker {victim} died by signal 9")
    eventually(lambda: not any(map(alive, workers)), "the other workers to vanish")

    checkpoint = CheckpointStore(run / "checkpoints").newest()
    assert checkpoint.counters["iteration"] >= 3
    trainer = Trainer(restore_experiment(run), run)
    try:
        trainer.resume(checkpoint)
        trainer.iterate()
    finally:
        trainer.close()
    assert trainer.counters.iteration == checkpoint.counters["iteration"] + 1


def test_an_observation_that_overflows_names_its_term(tmp_path, tiny_arguments, capfd, children_of) -> None:
    """Finite while the arm rests, infinite in single precision once a joint moves at 1 rad/s."""
    run = tmp_path / "run"
    before = children_of(os.getpid())
    spoilt = ("--set", "task.observations.joint_velocity.scale=3e38")
    assert main(["train", "reach", "--out", str(run), *tiny_arguments, *spoilt]) == 4
    err = capfd.readouterr().err.splitlines()
    assert len(err) == 1, err
    assert "observation term 'joint_velocity' is not finite in environment" in err[0]
    assert CheckpointStore(run / "checkpoints").newest().counters["iteration"] == 0
    assert children_of(os.getpid()) == before


def test_a_first_observation_that_is_not_finite_leaves_no_run_behind(tmp_path, tiny_arguments, capfd) -> None:
    run = tmp_path / "run"
    spoilt = ("offset=1e308", "scale=1e308")
    words = [word for part in spoilt for word in ("--set", f"task.observations.goal_position.{part}")]
    assert main(["train", "reach", "--out", str(run), *tiny_arguments, *words]) == 4
    err = capfd.readouterr().err.splitlines()
    assert len(err) == 1 and "observation term 'goal_position' is not finite" in err[0]
    assert not run.exists()


def fail_in_iteration_4(experiment: Experiment, run: Path, poison) -> str:
    """Train three iterations (the third is saved), poison the fourth; return the diagnosis."""
    trainer = Trainer(experiment, run, [JsonLinesSink(run)])
    try:
        saved: dict[str, bytes] = {}

        def collect_then_poison():
            figures = collect()
            if trainer.counters.iteration == 3:
                saved.update(checkpoints(run))
                poison(trainer)
            return figures

        collect, trainer.collector.collect = trainer.collector.collect, collect_then_poison
        with pytest.raises(RunFailedError) as caught:
            trainer.run()
    finally:
        trainer.close()
    assert caught.value.exit_code == 4
    assert checkpoints(run) == saved and "iteration_00000003.json" in saved
    assert CheckpointStore(run / "checkpoints").newest().counters["iteration"] == 3
    assert [record["iteration"] for record in read_records(run / "metrics.jsonl")] == [1, 2, 3]
    assert trainer.counters.iteration == 3
    return str(caught.value)


def spoil_advantage(trainer: Trainer) -> None:
    trainer.collector.buffer.advantage[3, 2] = float("nan")


def spoil_weight(trainer: Trainer) -> None:
    with torch.no_grad():
        next(trainer.actor_critic.actor.parameters())[0, 0] = float("nan")


@pytest.mark.parametrize(("poison", "term"), [(spoil_advantage, "advantage"), (spoil_weight, "policy_loss")])
def test_a_number_that_is_not_finite_in_an_update_names_its_term(tiny, tmp_path, poison, term: str) -> None:
    message = fail_in_iteration_4(tiny, tmp_path, poison)
    assert message.startswith(f"iteration 4: {term} is not finite")
    assert "the checkpoints before it are intact" in message


def test_a_loss_that_is_not_finite_names_itself(tiny, tmp_path, monkeypatch) -> None:
    def spoil(trainer: Trainer) -> None:
        monkeypatch.setattr(loss, "value_loss", lambda value, *arguments: value.sum() * float("nan"))

    assert fail_in_iteration_4(tiny, tmp_path, spoil).startswith("iteration 4: value_loss is not finite")


def test_an_action_that_is_not_finite_stops_the_run(tiny, tmp_path, monkeypatch) -> None:
    trainer = Trainer(tiny, tmp_path)
    act = ActorCritic.act

    def spoilt(self: ActorCritic, *arguments: object):
        action, log_probability, mean = act(self, *arguments)
        return action * float("nan"), log_probability, mean

    monkeypatch.setattr(ActorCritic, "act", spoilt)
    try:
        with pytest.raises(RunFailedError, match="action"):
            trainer.run()
    finally:
        trainer.close()
    assert CheckpointStore(tmp_path / "checkpoints").newest().counters["iteration"] == 0


def test_workers_end_with_a_trainer_whatever_ended_it(tiny, tmp_path, monkeypatch, children_of) -> None:
    """A bug of ours is no reason to leave processes behind."""
    from ppo_robot.spec.experiment import save_experiment
    from ppo_robot.training import run as runs

    before = children_of(os.getpid())
    save_experiment(tiny, tmp_path)

    def fail(*arguments: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Learner, "update", fail)
    with pytest.raises(ZeroDivisionError):
        runs.train(tmp_path, [], resume=False)
    assert children_of(os.getpid()) == before
