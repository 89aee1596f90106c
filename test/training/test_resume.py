"""A run that was killed, interrupted or moved to other workers, and continued, is the run that nothing disturbed."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from ppo_robot.errors import CheckpointError, RunFailedError
from ppo_robot.spec.experiment import save_experiment
from ppo_robot.training import run as runs
from ppo_robot.training.checkpoint import CheckpointStore
from ppo_robot.training.sinks import JsonLinesSink, read_records
from ppo_robot.training.trainer import Outcome, Trainer

TIMING = ("wall_s", "steps_per_s", "memory_mb")


def store(directory: Path) -> CheckpointStore:
    return CheckpointStore(directory / "checkpoints")


def untimed(directory: Path) -> list[dict]:
    records = read_records(directory / "metrics.jsonl")
    return [{name: value for name, value in record.items() if name not in TIMING} for record in records]


def iterations(directory: Path) -> int:
    """Return how many iterations the metrics tell of; the file may be growing."""
    path = directory / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.is_file() else 0


def untimed_bundle(directory: Path) -> dict[str, object]:
    """Return the files of a bundle but for those that say how long training took, or when."""
    files: dict[str, object] = {}
    for path in (directory / "bundle").iterdir():
        if path.name == "train.json":
            train = json.loads(path.read_text())
            moving = ("cpu_seconds", "wall_seconds", "git_commit", "git_dirty")
            files[path.name] = {key: value for key, value in train.items() if key not in moving}
        elif path.name not in ("manifest.json", "MODEL_CARD.md"):
            files[path.name] = path.read_bytes()
    return files


def has_checkpoint(directory: Path, iteration: int) -> bool:
    return (directory / "checkpoints" / f"iteration_{iteration:08d}.json").is_file()


def test_killed_again_and_again_and_resumed_is_bit_for_bit_the_straight_run(
    straight, launch, tmp_path, tiny_arguments, children_of, alive, eventually, same_checkpoint
) -> None:
    draw = random.Random(7)
    run = tmp_path / "run"
    moments = (  # within the first rollouts; just after a checkpoint; between two
        (lambda: has_checkpoint(run, 0), draw.uniform(0.0, 0.2)),
        (lambda: has_checkpoint(run, 3), 0.0),
        (lambda: iterations(run) >= 7, draw.uniform(0.0, 0.1)),
    )
    for number, (moment, delay) in enumerate(moments):
        begin = ("reach", "--out", run, *tiny_arguments) if number == 0 else ("--resume", run)
        command = launch("train", *begin)
        command.until(moment, f"moment {number}")
        time.sleep(delay)
        workers = children_of(command.process.pid)
        command.process.kill()
        assert command.wait() == -signal.SIGKILL, "it had ended before the kill"
        assert len(workers) >= 2
        eventually(lambda pids=workers: not any(map(alive, pids)), "the workers to vanish")
    command = launch("train", "--resume", run)
    assert command.wait() == 0, command.stderr
    same_checkpoint(store(run), store(straight.directory))
    assert untimed(run) == untimed(straight.directory)
    assert [record["iteration"] for record in untimed(run)] == list(range(1, 13))
    assert untimed_bundle(run) == untimed_bundle(straight.directory)
    assert "Traceback" not in command.stderr and "Warning" not in command.stderr


def test_ctrl_c_and_sigterm_finish_the_iteration_save_and_say_how_to_go_on(
    straight, launch, tmp_path, tiny_arguments, children_of, alive, eventually, same_checkpoint
) -> None:
    run = tmp_path / "a run"
    for number, begin in ((signal.SIGINT, ("reach", "--out", run, *tiny_arguments)), (signal.SIGTERM, ())):
        before = iterations(run)
        command = launch("train", *(begin or ("--resume", run)))
        command.until(lambda already=before: iterations(run) > already + 1, "two more iterations")
        workers = children_of(command.process.pid)
        os.killpg(command.process.pid, number)  # Ctrl-C reaches the workers too
        assert command.wait() == 3, command.stderr
        assert f"continue with: ppo-robot train --resume '{run}'" in command.stdout
        assert "Traceback" not in command.stderr and "error" not in command.stderr
        assert len(workers) >= 2
        eventually(lambda pids=workers: not any(map(alive, pids)), "the workers to vanish")
        assert store(run).newest().counters["iteration"] == iterations(run) < 12
    assert runs.train(run, [JsonLinesSink(run)], resume=True) is Outcome.STEPS_USED_UP
    same_checkpoint(store(run), store(straight.directory))
    assert untimed(run) == untimed(straight.directory)


def test_resumed_with_another_number_of_workers(straight, tiny, tmp_path) -> None:
    run = tmp_path / "run"
    shutil.copytree(straight.directory, run)
    for iteration in (9, 12):
        (run / "checkpoints" / f"iteration_{iteration:08d}.json").unlink()
    (run / "checkpoints" / "best.json").unlink()
    assert store(run).newest().counters["iteration"] == 6
    save_experiment(replace(tiny, training=replace(tiny.training, num_workers=1)), run)
    assert runs.train(run, [], resume=True) is Outcome.STEPS_USED_UP
    one, other = store(run).newest(), store(straight.directory).newest()
    assert one.arrays.keys() == other.arrays.keys()
    assert [n for n in one.arrays if one.arrays[n].tobytes() != other.arrays[n].tobytes()] == []


def test_a_stop_before_the_first_iteration_and_one_after_an_iterations_own_save_are_saved(
    straight, tiny, tmp_path, monkeypatch, same_checkpoint
) -> None:
    """The two moments at which an interrupted run could end without a checkpoint to continue from."""
    early = Trainer(tiny, tmp_path, stop_requested=True)
    try:
        assert early.run() is Outcome.INTERRUPTED
    finally:
        early.close()
    assert store(tmp_path).newest().counters["iteration"] == 0

    save_experiment(tiny, tmp_path)
    iterate = Trainer.iterate

    def iterate_then_stop(self: Trainer) -> None:
        iterate(self)
        self.stop_requested = self.counters.iteration == 2

    monkeypatch.setattr(Trainer, "iterate", iterate_then_stop)
    assert runs.train(tmp_path, [], resume=True) is Outcome.INTERRUPTED
    assert store(tmp_path).newest().counters["iteration"] == 2
    monkeypatch.undo()
    assert runs.train(tmp_path, [], resume=True) is Outcome.STEPS_USED_UP
    same_checkpoint(store(tmp_path), store(straight.directory))


def test_resuming_a_finished_run_trains_no_further(straight, tmp_path, same_checkpoint) -> None:
    run = tmp_path / "run"
    shutil.copytree(straight.directory, run)
    assert runs.train(run, [JsonLinesSink(run)], resume=True) is Outcome.STEPS_USED_UP
    assert (run / "metrics.jsonl").read_bytes() == (straight.directory / "metrics.jsonl").read_bytes()
    same_checkpoint(store(run), store(straight.directory))


def test_an_altered_configuration_is_refused(straight, tiny, tmp_path) -> None:
    """Other networks, and other sensors: what was learnt, or what the episodes were, would no longer fit."""
    run = tmp_path / "run"
    shutil.copytree(straight.directory, run)
    network = replace(tiny.training.network, hidden_sizes=(8,))
    save_experiment(replace(tiny, training=replace(tiny.training, network=network)), run)
    with pytest.raises(CheckpointError, match="does not fit the run's configuration"):
        runs.train(run, [], resume=True)
    with pytest.raises(CheckpointError, match="does not fit the network"):
        runs.load_policy(run)
    simulation = replace(tiny.task.simulation, gravity=3.7)
    save_experiment(replace(tiny, task=replace(tiny.task, simulation=simulation)), run)
    with pytest.raises(RunFailedError, match="replayed episodes differ"):
        runs.train(run, [], resume=True)


def test_a_run_directory_belongs_to_one_process(straight, tmp_path) -> None:
    run = tmp_path / "run"
    shutil.copytree(straight.directory, run)
    with runs.exclusive(run), pytest.raises(runs.BadInputError, match="another process is training"):
        runs.train(run, [], resume=True)
