"""Tests that processes end as they should: no hang, no orphan, nothing left in shared memory, whoever is killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from ppo_robot.errors import RunFailedError
from ppo_robot.sim.shared import SharedArrays
from ppo_robot.sim.vector_env import WorkerVectorEnv
from ppo_robot.spec.robot import load_robot
from ppo_robot.spec.task import load_task

DEADLINE = 60.0  # s; only a hang reaches it


def wait_until(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie, which only waits to be asked after, does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def shared_memory_of(pid: int) -> set[str]:
    """Files of /dev/shm that a process holds open, with or without a name."""
    found = set()
    with contextlib.suppress(OSError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                target = os.readlink(link)
                if target.startswith("/dev/shm/"):
                    found.add(target)
    return found


@pytest.fixture
def env() -> Iterator[WorkerVectorEnv]:
    env = WorkerVectorEnv(load_robot("arm6"), load_task("reach"), 3, 2)
    yield env
    env.close()


def test_a_killed_worker_is_one_error_and_leaves_nothing(env: WorkerVectorEnv) -> None:
    env.reset(seed=0)
    victim, other = (worker.process for worker in env._workers)
    victim.kill()
    victim.wait()
    with pytest.raises(RunFailedError) as caught:
        env.step(np.zeros((3, 6)))
    assert f"simulation worker {victim.pid} died by signal 9" in str(caught.value)
    assert "resume" in str(caught.value)
    assert "\n" not in str(caught.value)
    env.close()
    assert other.returncode == 0
    assert not alive(victim.pid)


def test_a_worker_killed_while_it_works_is_noticed(env: WorkerVectorEnv) -> None:
    env.reset(seed=0)
    process = env._workers[1].process
    # Stopped, it cannot answer: the learner waits for it when the kill arrives.
    process.send_signal(signal.SIGSTOP)
    killer = subprocess.Popen([sys.executable, "-c", f"import os, time; time.sleep(0.3); os.kill({process.pid}, 9)"])
    with pytest.raises(RunFailedError, match=f"worker {process.pid} died by signal 9"):
        env.step(np.zeros((3, 6)))
    killer.wait()


def test_workers_ignore_what_is_meant_for_the_learner(env: WorkerVectorEnv) -> None:
    env.reset(seed=0)
    for worker in env._workers:
        worker.process.send_signal(signal.SIGINT)
        worker.process.send_signal(signal.SIGTERM)
    for _ in range(3):
        env.step(np.zeros((3, 6)))
    assert [worker.process.poll() for worker in env._workers] == [None, None]


def test_an_unwilling_worker_is_killed_at_close(env: WorkerVectorEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ppo_robot.sim.vector_env.CLOSE_TIMEOUT", 0.2)
    process = env._workers[0].process
    process.send_signal(signal.SIGSTOP)
    env.close()
    assert process.returncode == -signal.SIGKILL


def test_shared_memory_has_no_name_and_goes_with_its_owner() -> None:
    before = set(os.listdir("/dev/shm"))
    held = shared_memory_of(os.getpid())
    shared = SharedArrays({"a": ("float64", (3, 2)), "b": ("bool", (5,)), "c": ("uint64", (0,))})
    assert set(os.listdir("/dev/shm")) <= before
    assert len(shared_memory_of(os.getpid()) - held) >= 1
    other = SharedArrays(shared.layout, os.dup(shared.descriptor))
    shared["a"][:] = 7.0
    shared["b"][4] = True
    assert other["a"].tolist() == [[7.0, 7.0]] * 3
    assert other["b"].tolist() == [False, False, False, False, True]
    assert all(array.ctypes.data % 64 == 0 for array in shared.arrays.values() if array.size)
    view = other["a"]
    for each in (shared, other):
        each.close()
        each.close()
    assert view.tolist() == [[7.0, 7.0]] * 3  # an array outlives the close
    del view
    assert shared_memory_of(os.getpid()) <= held


LEARNER = """
import signal, sys
import numpy as np
from ppo_robot.sim.vector_env import WorkerVectorEnv
from ppo_robot.spec.robot import load_robot
from ppo_robot.spec.task import load_task
interrupts = []
signal.signal(signal.SIGINT, lambda number, frame: interrupts.append(number))
env = WorkerVectorEnv(load_robot("arm6"), load_task("reach"), 4, 2)
env.reset(seed=0)
print(*(worker.process.pid for worker in env._workers), flush=True)
while not interrupts:
    env.step(np.zeros((4, 6)))
env.step(np.zeros((4, 6)))
print("interrupted", *(worker.process.poll() for worker in env._workers), flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def learner() -> Iterator[subprocess.Popen[str]]:
    root = Path(__file__).resolve().parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", LEARNER],
        cwd=root,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    yield process
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with process:  # closes the pipes and waits
        pass


def worker_pids(learner: subprocess.Popen[str]) -> list[int]:
    assert learner.stdout is not None
    pids = [int(text) for text in learner.stdout.readline().split()]
    assert len(pids) == 2
    assert all(alive(pid) for pid in pids)
    return pids


def test_workers_vanish_with_a_killed_learner(learner: subprocess.Popen[str]) -> None:
    pids = worker_pids(learner)
    memory = shared_memory_of(pids[0])
    assert memory
    assert all(path.endswith("(deleted)") for path in memory)
    learner.kill()
    learner.wait()
    assert wait_until(lambda: not any(alive(pid) for pid in pids))


def test_ctrl_c_reaches_the_learner_and_spares_the_workers(learner: subprocess.Popen[str]) -> None:
    pids = worker_pids(learner)
    os.killpg(learner.pid, signal.SIGINT)  # what a terminal does
    assert learner.stdout is not None
    assert learner.stdout.readline() == "interrupted None None\n"
    assert all(alive(pid) for pid in pids)
    assert learner.stdin is not None
    learner.stdin.close()
    learner.wait(DEADLINE)
    assert wait_until(lambda: not any(alive(pid) for pid in pids))
