"""What tests of runs share: a tiny training, one finished run of it, and processes that are cleaned up."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ppo_robot.spec.experiment import Experiment, load_experiment
from ppo_robot.training.checkpoint import CheckpointStore

DEADLINE = 120.0
"""Seconds after which a wait is a failure; on an idle machine none takes more than a few."""

SETTINGS = (
    *("num_envs=6", "num_workers=2", "rollout_steps=32", "total_steps=2304", "learner_threads=1"),
    *("ppo.minibatch_size=64", "ppo.epochs=2", "checkpoint.interval_iterations=3"),
    *("evaluation.interval_iterations=4", "evaluation.episodes=6", "evaluation.final_episodes=8"),
)
OVERRIDES = tuple(f"training.{setting}" for setting in SETTINGS)
TINY = tuple(word for override in OVERRIDES for word in ("--set", override))
"""Twelve iterations of 192 steps: the arguments that make `ppo-robot train reach` a matter of seconds."""


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Poll until `condition()` is true."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, f"waited {DEADLINE:.0f} s for {what}"
        time.sleep(0.003)


def is_alive(pid: int) -> bool:
    """Return whether a process runs; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def children(pid: int) -> list[int]:
    """Return the direct children of a process, whichever of its threads started them."""
    found = []
    for listing in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(child) for child in listing.read_text().split()]
        except OSError:
            continue
    return sorted(found)


class CommandProcess:
    """`ppo-robot ...` as a process and a process group of its own."""

    def __init__(self, arguments: tuple[str, ...], folder: Path) -> None:
        self.stdout_path, self.stderr_path = folder / "stdout.txt", folder / "stderr.txt"
        with self.stdout_path.open("w") as out, self.stderr_path.open("w") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "ppo_robot.cli", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    @property
    def stdout(self) -> str:
        return self.stdout_path.read_text()

    @property
    def stderr(self) -> str:
        return self.stderr_path.read_text()

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait for something that this process is to do; it must still run when it has done it."""
        wait_until(lambda: condition() or self.process.poll() is not None, what)
        assert self.process.poll() is None, f"exit {self.process.returncode} before {what}: {self.stderr}"

    def wait(self) -> int:
        return self.process.wait(DEADLINE)

    def clean_up(self) -> None:
        """End the group: INT, then TERM, then KILL."""
        if self.process.poll() is not None:
            return  # its number may already be another group's
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            if self.process.poll() is not None:
                break
            os.killpg(self.process.pid, number)
            try:
                self.process.wait(10.0)
            except subprocess.TimeoutExpired:
                continue
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)  # whoever of its group outlived it


Launch = Callable[..., CommandProcess]


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launch]:
    """Start `ppo-robot` with these arguments; whatever still runs at the end of the test is ended."""
    started: list[CommandProcess] = []

    def start(*arguments: object) -> CommandProcess:
        folder = tmp_path / f"process{len(started)}"
        folder.mkdir()
        started.append(CommandProcess(tuple(map(str, arguments)), folder))
        return started[-1]

    yield start
    for command in started:
        command.clean_up()


@dataclass(frozen=True)
class FinishedRun:
    """A run that nothing disturbed. Nobody may write to its directory; copy it first."""

    directory: Path
    stdout: str
    stderr: str


@pytest.fixture(scope="session")
def straight(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """Train the tiny run from its start to its bundle, as a user does."""
    folder = tmp_path_factory.mktemp("straight")
    command = CommandProcess(("train", "reach", "--out", str(folder / "run"), *TINY), folder)
    try:
        assert command.wait() == 0, command.stderr
    finally:
        command.clean_up()
    return FinishedRun(folder / "run", command.stdout, command.stderr)


@pytest.fixture(scope="session")
def tiny() -> Experiment:
    """The experiment of the tiny run."""
    return load_experiment("reach", "arm6", "default", 0, OVERRIDES)


@pytest.fixture(scope="session")
def tiny_arguments() -> tuple[str, ...]:
    """What makes a command line's training tiny."""
    return TINY


@pytest.fixture(scope="session")
def alive() -> Callable[[int], bool]:
    return is_alive


@pytest.fixture(scope="session")
def children_of() -> Callable[[int], list[int]]:
    return children


@pytest.fixture(scope="session")
def eventually() -> Callable[[Callable[[], object], str], None]:
    return wait_until


@pytest.fixture(scope="session")
def tree_hash() -> Callable[[Path], str]:
    """Return a hash over every name and every byte below a directory."""

    def compute(root: Path) -> str:
        digest = hashlib.sha256()
        for path in sorted(root.rglob("*")):
            digest.update(f"{path.relative_to(root)}\0{path.is_dir()}\0".encode())
            if path.is_file():
                digest.update(hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()

    return compute


@pytest.fixture(scope="session")
def same_checkpoint() -> Callable[[CheckpointStore, CheckpointStore], None]:
    """Assert that the newest and the best checkpoints of two runs hold the same bits, times apart."""

    def compare(one: CheckpointStore, other: CheckpointStore) -> None:
        for first, second in ((one.newest(), other.newest()), (one.best(), other.best())):
            assert first.arrays.keys() == second.arrays.keys()
            kinds = {name.split(".")[0] for name in first.arrays}
            assert kinds == {"learner", "env", "random"}
            assert any(name.endswith("exp_avg_sq") for name in first.arrays)
            for name, array in first.arrays.items():
                assert array.dtype == second.arrays[name].dtype, name
                assert array.tobytes() == second.arrays[name].tobytes(), name
            counters = [
                {name: value for name, value in checkpoint.counters.items() if not name.endswith("_seconds")}
                for checkpoint in (first, second)
            ]
            assert counters[0] == counters[1]

    return compare
