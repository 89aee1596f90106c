"""Checkpoints are whole or do not count, whatever happened to the disk."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ppo_robot.errors import CheckpointError
from ppo_robot.training import checkpoint as module
from ppo_robot.training.checkpoint import CheckpointStore


class PowerCutError(Exception):
    """The moment at which the machine stops."""


def arrays(iteration: int) -> dict[str, np.ndarray]:
    return {
        "weights": np.full((3, 4), iteration, np.float32).T,  # not contiguous
        "moments": np.array([np.pi, 1e-300, -0.0]) * iteration,
        "random": np.array([2**64 - 1, iteration], np.uint64),
        "flags": np.array([True, False]),
        "empty": np.empty((0, 3), np.int64),
    }


def counters(iteration: int) -> dict[str, object]:
    return {"iteration": iteration, "steps": 10 * iteration, "best": 0.1 + 0.2, "passed": False}


def filled(directory: Path, *iterations: int, keep: int = 3) -> CheckpointStore:
    store = CheckpointStore(directory, keep)
    for iteration in iterations:
        store.save(arrays(iteration), counters(iteration))
    return store


def manifest(directory: Path, iteration: int) -> Path:
    return directory / f"iteration_{iteration:08d}.json"


def data(directory: Path, iteration: int) -> Path:
    return manifest(directory, iteration).with_suffix(".safetensors")


def test_what_was_saved_is_loaded_bit_for_bit(tmp_path: Path) -> None:
    loaded = filled(tmp_path, 5).newest()
    assert loaded.counters == counters(5)
    assert loaded.arrays.keys() == arrays(5).keys()
    for name, array in arrays(5).items():
        assert loaded.arrays[name].dtype == array.dtype and loaded.arrays[name].shape == array.shape, name
        assert loaded.arrays[name].tobytes() == array.tobytes(), name


def test_the_last_three_and_the_best_are_kept(tmp_path: Path) -> None:
    store = filled(tmp_path, 1, 2)
    store.save(arrays(2), counters(2), best=True)
    for iteration in (3, 4):
        store.save(arrays(iteration), counters(iteration))
    store.save(arrays(4), counters(4), best=True)
    store.save(arrays(5), counters(5))
    names = sorted(path.name for path in tmp_path.iterdir())
    kept = [path.name for iteration in (3, 4, 5) for path in (manifest(tmp_path, iteration), data(tmp_path, iteration))]
    assert names == sorted([*kept, "best.json", "best_iteration_00000004.safetensors"])
    assert store.newest().counters["iteration"] == 5
    assert store.best().counters["iteration"] == 4


def test_without_a_best_one_the_newest_is_the_best(tmp_path: Path) -> None:
    assert filled(tmp_path, 1, 2).best().counters["iteration"] == 2


@pytest.mark.parametrize("best", [False, True])
@pytest.mark.parametrize("crashes_at", ["data", "manifest"])
def test_a_crash_while_saving_leaves_the_checkpoint_before(tmp_path, monkeypatch, crashes_at: str, best: bool) -> None:
    store = filled(tmp_path, 1)
    store.save(arrays(1), counters(1), best=True)

    def crash(*arguments: object) -> None:
        raise PowerCutError

    monkeypatch.setattr(module, "write_atomically" if crashes_at == "data" else "write_json", crash)
    with pytest.raises(PowerCutError):
        store.save(arrays(2), counters(2), best=best)
    monkeypatch.undo()
    after = CheckpointStore(tmp_path)
    for found in (after.newest(), after.best()):
        assert found.counters["iteration"] == 1
        assert found.arrays["weights"].tobytes() == np.ascontiguousarray(arrays(1)["weights"]).tobytes()
    after.save(arrays(2), counters(2), best=best)
    assert (after.best() if best else after.newest()).counters["iteration"] == 2


def test_a_crash_while_writing_a_file_leaves_the_old_one(tmp_path, monkeypatch) -> None:
    """Half of the data on disk, as a full disk leaves it: under the final name stands the old file."""
    store = filled(tmp_path, 1)
    before = data(tmp_path, 1).read_bytes()

    def crash(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", crash)
    with pytest.raises(OSError, match="No space"):
        store.save(arrays(7), counters(1))
    monkeypatch.undo()
    assert data(tmp_path, 1).read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == [manifest(tmp_path, 1).name, data(tmp_path, 1).name]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def alter(path: Path, **entries: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


DAMAGE: dict[str, Callable[[Path], None]] = {
    "data cut short": lambda folder: cut(data(folder, 3)),
    "data with one bit flipped": lambda folder: flip(data(folder, 3)),
    "data empty": lambda folder: data(folder, 3).write_bytes(b""),
    "data missing": lambda folder: data(folder, 3).unlink(),
    "data of another checkpoint": lambda folder: data(folder, 3).write_bytes(data(folder, 2).read_bytes()),
    "manifest cut short": lambda folder: cut(manifest(folder, 3)),
    "manifest empty": lambda folder: manifest(folder, 3).write_bytes(b""),
    "manifest not text": lambda folder: manifest(folder, 3).write_bytes(b"\xff\xfe\x00"),
    "manifest of another kind": lambda folder: manifest(folder, 3).write_text("[1]"),
    "manifest a directory": lambda folder: manifest(folder, 3).unlink() or manifest(folder, 3).mkdir(),
    "another hash": lambda folder: alter(manifest(folder, 3), sha256="0" * 64),
    "no hash": lambda folder: alter(manifest(folder, 3), sha256=None),
    "another file": lambda folder: alter(manifest(folder, 3), file=data(folder, 2).name),
    "no file": lambda folder: alter(manifest(folder, 3), file=None),
    "other counters": lambda folder: alter(manifest(folder, 3), counters=counters(3) | {"steps": 31}),
    "counters of another kind": lambda folder: alter(manifest(folder, 3), counters=[1, 2]),
    "counters that are no JSON": lambda folder: alter(manifest(folder, 3), counters={"steps": float("nan")}),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_newest_checkpoint_is_named_and_the_one_before_is_used(tmp_path, caplog, damage: str) -> None:
    store = filled(tmp_path, 1, 2, 3)
    DAMAGE[damage](tmp_path)
    with caplog.at_level(logging.WARNING):
        found = store.newest()
    assert found.counters["iteration"] == 2
    assert found.arrays["weights"].tobytes() == np.ascontiguousarray(arrays(2)["weights"]).tobytes()
    (record,) = caplog.records
    assert "iteration_00000003" in record.getMessage() and "iteration_00000002" in record.getMessage()


def test_all_damaged_is_an_error_that_names_each_and_touches_nothing(tmp_path, caplog, tree_hash) -> None:
    store = filled(tmp_path, 1, 2, 3)
    for iteration in (1, 2, 3):
        flip(data(tmp_path, iteration))
    before = tree_hash(tmp_path)
    with pytest.raises(CheckpointError, match="no intact checkpoint") as caught:
        store.newest()
    assert all(data(tmp_path, iteration).name in str(caught.value) for iteration in (1, 2, 3))
    assert caught.value.exit_code == 2
    assert tree_hash(tmp_path) == before and not caplog.records  # nothing to fall back to


def test_none_at_all_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        CheckpointStore(tmp_path / "checkpoints").newest()


def test_a_damaged_best_one_is_an_error_and_not_silently_another_policy(tmp_path: Path) -> None:
    store = filled(tmp_path, 1, 2)
    store.save(arrays(1), counters(1), best=True)
    flip(tmp_path / "best_iteration_00000001.safetensors")
    with pytest.raises(CheckpointError, match="torn"):
        store.best()


def test_going_on_after_a_fallback_replaces_the_damaged_one(tmp_path: Path) -> None:
    store = filled(tmp_path, 1, 2, 3)
    flip(data(tmp_path, 3))
    assert store.newest().counters["iteration"] == 2
    store.save(arrays(3), counters(3))
    assert store.newest().counters["iteration"] == 3
