"""A worker process: one batch of environments, driven over a pipe, writing into shared arrays.

Started as `python -m ppo_robot.sim.worker PIPE MEMORY`, so that it imports nothing of the learner (no torch, no
`__main__`) and no object is pickled between the two.
"""

from __future__ import annotations

import signal

if __name__ == "__main__":
    # Ctrl-C reaches the whole process group; the learner alone decides what it means, and ends the workers itself.
    # Before the slow imports: a signal during them must not kill the worker either.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)

import dataclasses  # noqa: E402
import json  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from multiprocessing.connection import Connection  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402

from ppo_robot.errors import PpoRobotError  # noqa: E402
from ppo_robot.sim.environments import AnyEnv, make_env  # noqa: E402
from ppo_robot.sim.episodes import StepResult  # noqa: E402
from ppo_robot.sim.protocol import CRITIC_ARRAYS, SNAPSHOT_ARRAYS, STEP  # noqa: E402
from ppo_robot.sim.shared import SharedArrays  # noqa: E402
from ppo_robot.spec.kinds import build_robot, build_task  # noqa: E402


class Worker:
    """The environments `first` to `first + B` of a vector environment, bound to their slice of shared memory."""

    def __init__(self, env: AnyEnv, shared: SharedArrays, first: int) -> None:
        """Bind `env` to the rows that start at `first`; its episode arrays move into shared memory."""
        self.env = env
        rows = slice(first, first + env.batch)
        self.arrays = {name: array[rows] for name, array in shared.arrays.items()}
        for name in SNAPSHOT_ARRAYS:
            if name in self.arrays:
                setattr(env, name, self.arrays[name])
        self._results = [field.name for field in dataclasses.fields(StepResult) if field.name in self.arrays]

    def handle(self, message: dict[str, Any]) -> None:
        """Carry out one command of the learner."""
        command = message["command"]
        if command == "reset":
            if message["seed"] is not None:
                self.env.seed(message["seed"])
            self.arrays["observation"][:] = self.env.reset()
            self._share_critic()
        elif command == "replay":
            self.arrays["observation"][:] = self.env.replay(self.arrays["episode_step"].copy())
            self._share_critic()
        elif command == "curriculum":
            self.env.set_curriculum(np.array(message["share"]), message["pinned"], message["corners"])
        elif command == "fix_goal":
            goal = message["position"]
            self.env.fix_goal(None if goal is None else np.array(goal))
        else:
            raise ValueError(f"unknown command {command!r}")

    def _share_critic(self) -> None:
        if CRITIC_ARRAYS[0] in self.arrays:
            self.arrays[CRITIC_ARRAYS[0]][:] = self.env.critic.seen

    def step(self) -> None:
        """Take the actions from shared memory and put one step's results there."""
        result = self.env.step(self.arrays["action"])
        for name in self._results:
            self.arrays[name][:] = getattr(result, name)
        self.arrays["cpu_seconds"][0] = time.process_time()


def serve(connection: Connection, memory: int) -> None:
    """Answer the learner's messages until it closes the pipe; errors are sent back as JSON."""
    settings = json.loads(connection.recv_bytes())
    env = make_env(
        build_robot(settings["robot"], "robot"),
        build_task(settings["task"], "task"),
        range(settings["first"], settings["first"] + settings["count"]),
        settings["seed"],
        settings["plant"],
    )
    layout = {name: (dtype, tuple(shape)) for name, (dtype, shape) in settings["layout"].items()}
    worker = Worker(env, SharedArrays(layout, memory), settings["first"])
    connection.send_bytes(b"{}")
    while True:
        try:
            message = connection.recv_bytes()
        except (EOFError, OSError):
            return  # the learner is gone, by close() or by death; either way there is nobody to work for
        if message == STEP:
            worker.step()
        else:
            worker.handle(json.loads(message))
        connection.send_bytes(b"{}")


def main() -> None:
    """Run as `python -m ppo_robot.sim.worker PIPE MEMORY`, both inherited file descriptors."""
    connection = Connection(int(sys.argv[1]))
    np.seterr(all="ignore")  # a number that is not finite is an error of its own, which names the term
    try:
        serve(connection, int(sys.argv[2]))
    except (PpoRobotError, ValueError) as error:
        connection.send_bytes(json.dumps({"error": type(error).__name__, "message": str(error)}).encode())
        sys.exit(1)
    except (BrokenPipeError, ConnectionResetError):
        sys.exit(0)


if __name__ == "__main__":
    main()
