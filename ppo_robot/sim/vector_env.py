"""The vector environment: N robots spread over worker processes, as a `gymnasium.vector.VectorEnv`."""

from __future__ import annotations

import contextlib
import json
import multiprocessing.connection
import os
import socket
import subprocess
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray

from ppo_robot import errors
from ppo_robot.errors import BadInputError, PpoRobotError, RunFailedError
from ppo_robot.sim.environments import check_any_goal, make_env
from ppo_robot.sim.lanes import LaneBook, lane_rows, worker_rows
from ppo_robot.sim.plants import PlantName
from ppo_robot.sim.protocol import SNAPSHOT_ARRAYS, STEP, shared_layout
from ppo_robot.sim.shared import SharedArrays
from ppo_robot.spec.kinds import AnyRobot, AnyTask
from ppo_robot.spec.strict import plain

_PACKAGE_ROOT = str(Path(errors.__file__).resolve().parent.parent)

CLOSE_TIMEOUT = 5.0
"""Seconds that a worker has to end by itself before it is killed."""


class WorkerVectorEnv(VectorEnv):
    """N environments in W processes; trajectories depend on the seed alone, never on W.

    An ended episode begins anew in the same step: `info["final_obs"]` (N, O) then holds its last observation where
    `info["_final_obs"]` (N,) is true, and `info["episode"]` (N, metrics) its summary. The arrays that `step` returns
    are views of shared memory and change with the next step.
    """

    metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012 - gymnasium's own form

    def __init__(
        self,
        robot: AnyRobot,
        task: AnyTask,
        num_envs: int,
        num_workers: int = 1,
        seed: int = 0,
        plant: PlantName = "pybullet",
    ) -> None:
        """Start the workers, whose robots live in the simulator `plant`.

        Raises:
            BadInputError: if there are more workers than environments, or the plant's library is not installed.
            PpoRobotError: what a worker raised while it built its environments.
        """
        if not 1 <= num_workers <= num_envs:
            raise BadInputError(f"num_workers: given {num_workers}; expected 1 to num_envs ({num_envs})")
        self.robot, self.task = robot, task
        self.num_envs, self.num_workers = num_envs, num_workers
        self._workers: list[_WorkerProcess] = []
        probe = make_env(robot, task, range(1), seed, plant)
        observation_size = probe.reset().shape[1]
        self.entries = probe.randomization.entries
        curriculum_size = len(self.entries) if task.curriculum is not None else 0
        critic_size = probe.critic.seen.shape[1] if task.critic_observations else 0
        self.metric_names = probe.metric_names
        probe.close()
        sizes = observation_size, probe.action_size, len(self.metric_names), task.episode_steps
        layout = shared_layout(num_envs, *sizes, critic_size, curriculum_size)
        self.shared = SharedArrays(layout)
        self._snapshot_arrays = [name for name in SNAPSHOT_ARRAYS if name in layout]
        self.single_observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (observation_size,), np.float32)
        self.single_action_space = gymnasium.spaces.Box(-1.0, 1.0, (probe.action_size,), np.float32)
        self.observation_space = gymnasium.vector.utils.batch_space(self.single_observation_space, num_envs)
        self.action_space = gymnasium.vector.utils.batch_space(self.single_action_space, num_envs)
        self.lanes = lane_rows(num_envs)
        shares = worker_rows(num_envs, num_workers)
        self._book = LaneBook([lanes for _, lanes in shares])
        try:
            for share, _ in shares:
                settings = {
                    "robot": plain(robot),
                    "task": plain(task),
                    "first": share.start,
                    "count": share.stop - share.start,
                    "seed": seed,
                    "plant": plant,
                    "layout": layout,
                }
                self._workers.append(_WorkerProcess(settings, self.shared.descriptor))
            for worker in self._workers:
                worker.receive()
        except BaseException:
            self.close()
            raise

    def send(self, lane: int, actions: NDArray[np.floating]) -> None:
        """Let the environments of a lane advance under actions (n, A); `wait_any` says when they have.

        Until then their shared arrays are the workers'. A worker that serves both lanes starts when both have sent.
        """
        self.shared["action"][self.lanes[lane]] = actions
        for worker in self._book.send(lane):
            self._workers[worker].send(STEP)

    def wait_any(self) -> int:
        """Wait until some lane that was sent has advanced, and return it.

        Raises:
            RunFailedError: if a worker died or a number was not finite.
        """
        while (lane := self._book.take()) is None:
            working: dict[object, int] = {self._workers[index].connection: index for index in self._book.working}
            if not working:
                raise RuntimeError("wait_any: no lane is under way; send one first")
            for ready in multiprocessing.connection.wait([self._workers[i].connection for i in working.values()]):
                self._workers[working[ready]].receive()
                self._book.answer(working[ready])
        return lane

    @property
    def observation_size(self) -> int:
        """Length of one observation."""
        return int(self.shared["observation"].shape[1])

    @property
    def critic_observation(self) -> NDArray[np.float32]:
        """(N, C) what the critic sees of the state that the policy sees; the policy's own where the task names none."""
        return self.shared["critic_observation" if "critic_observation" in self.shared.arrays else "observation"]

    @property
    def cpu_seconds(self) -> float:
        """Processor time of all workers so far, s; each keeps its own in its first row."""
        return float(self.shared["cpu_seconds"].sum())

    @property
    def action_size(self) -> int:
        """Length of one action."""
        return int(self.shared["action"].shape[1])

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin an episode everywhere; with a seed, from fresh random streams."""
        super().reset(seed=seed)
        self._command({"command": "reset", "seed": seed})
        return self.shared["observation"], {}

    def step(  # type: ignore[override]
        self, actions: NDArray[np.floating]
    ) -> tuple[NDArray[np.float32], NDArray, NDArray, NDArray, dict[str, Any]]:
        """Advance all environments by one control period under actions (N, A) in [-1, 1].

        Raises:
            RunFailedError: if a worker died or a number was not finite.
            ValueError: if the actions have another shape.
        """
        if np.shape(actions) != self.action_space.shape:
            raise ValueError(f"actions: given shape {np.shape(actions)}; expected {self.action_space.shape}")
        self.shared["action"][:] = actions
        for worker in self._workers:
            worker.send(STEP)
        self._wait()
        shared = self.shared
        info: dict[str, Any] = {}
        ended = shared["terminated"] | shared["truncated"]
        if ended.any():
            info = {
                "final_obs": shared["final_observation"],
                "_final_obs": ended,
                "episode": shared["episode"],
                "_episode": ended,
            }
        return shared["observation"], shared["reward"], shared["terminated"], shared["truncated"], info

    def fix_goal(self, position: tuple[float, float, float] | None) -> None:
        """Send every later episode to the same goal (3,) m, or draw goals again with None.

        Raises:
            BadInputError: if the goal lies where the robot must not be sent; nothing is changed then.
        """
        if position is not None:
            check_any_goal(np.array(position, dtype=float), self.robot)
        self._command({"command": "fix_goal", "position": position})

    def set_curriculum(self, share: NDArray[np.float64], pinned: float, corners: float = 0.0) -> None:
        """Let episodes that begin from now on draw from shares (E, 2) of `entries`; see `BatchEnv.set_curriculum`."""
        self._command({"command": "curriculum", "share": share.tolist(), "pinned": pinned, "corners": corners})

    def snapshot(self) -> dict[str, NDArray]:
        """Return copies of what rebuilds every running episode, and the observation that it must lead to."""
        return {name: self.shared[name].copy() for name in (*self._snapshot_arrays, "observation")}

    def restore(self, snapshot: dict[str, NDArray]) -> NDArray[np.float32]:
        """Continue from a snapshot and return the observation (N, O).

        Raises:
            RunFailedError: if the replayed episodes do not end in the observation of the snapshot, bit for bit.
        """
        for name in self._snapshot_arrays:
            self.shared[name][:] = snapshot[name]
        self._command({"command": "replay"})
        if not np.array_equal(self.shared["observation"], snapshot["observation"]):
            raise RunFailedError(
                "resume: the replayed episodes differ from those of the checkpoint; resume with the robot file, the"
                " task and the library versions that the run was started with"
            )
        return self.shared["observation"]

    def close(self, **kwargs: Any) -> None:
        """End the workers and free the shared memory; harmless when repeated."""
        while self._workers:
            self._workers.pop().close()
        if hasattr(self, "shared"):
            self.shared.close()
        self.closed = True

    def _command(self, message: dict[str, Any]) -> None:
        for worker in self._workers:
            worker.send(json.dumps(message).encode())
        self._wait()

    def _wait(self) -> None:
        """Receive one answer from each worker; one that died raises at once, though others still work."""
        pending: dict[object, _WorkerProcess] = {worker.connection: worker for worker in self._workers}
        while pending:
            for ready in multiprocessing.connection.wait([worker.connection for worker in pending.values()]):
                pending.pop(ready).receive()


class _WorkerProcess:
    """One worker and the pipe to it."""

    def __init__(self, settings: dict[str, Any], memory: int) -> None:
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-m", "ppo_robot.sim.worker", str(theirs.fileno()), str(memory)]
        # One thread in workers: the processes are the parallelism (OpenMP would start one thread a core in each).
        environment = dict(os.environ, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
        # The worker imports the code that runs here, however it was found, and nothing from the folder it starts in.
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [_PACKAGE_ROOT, os.environ.get("PYTHONPATH")]))
        environment["PYTHONSAFEPATH"] = "1"
        self.process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            command, pass_fds=(theirs.fileno(), memory), stdin=subprocess.DEVNULL, env=environment
        )
        theirs.close()
        self.connection = Connection(ours.detach())
        self.send(json.dumps(settings).encode())

    def send(self, message: bytes) -> None:
        try:
            self.connection.send_bytes(message)
        except (BrokenPipeError, ConnectionResetError):
            self._raise()

    def receive(self) -> None:
        try:
            answer = self.connection.recv_bytes()
        except (EOFError, ConnectionResetError):
            self._raise()
        if answer != b"{}":
            error = json.loads(answer)
            kind = getattr(errors, error["error"], RunFailedError)
            raise (kind if issubclass(kind, PpoRobotError) else RunFailedError)(error["message"])

    def _raise(self) -> None:
        """Report the death of the worker, or the last error that it sent before it."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(CLOSE_TIMEOUT)
        code = self.process.returncode
        how = f"by signal {-code}" if code is not None and code < 0 else f"with exit code {code}"
        raise RunFailedError(
            f"simulation worker {self.process.pid} died {how}; the last checkpoint is intact, resume from it"
        )

    def close(self) -> None:
        self.connection.close()
        try:
            self.process.wait(CLOSE_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
