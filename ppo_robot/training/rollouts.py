"""Episodes of a bundle's policy in simulation, recorded as a robot's are: one set of tools serves both worlds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ppo_robot.checkout import git_state
from ppo_robot.files import json_bytes, write_json
from ppo_robot.mdp.goals import check_goal
from ppo_robot.policy.bundle import Bundle
from ppo_robot.policy.draw import ActionDraw
from ppo_robot.policy.manifest import DESCRIPTION
from ppo_robot.recording.bag import BagWriter
from ppo_robot.recording.compose import Composer, split, stamped
from ppo_robot.recording.run_data import DRAWN, RUN_FILE
from ppo_robot.recording.schemas import Schemas
from ppo_robot.sim.batch_env import BatchEnv
from ppo_robot.sim.command import CommandPath
from ppo_robot.sim.plants import PlantName
from ppo_robot.state import RobotState
from ppo_robot.telemetry.matrix import POLICY_ROWS, POLICY_TIMES, Table, policy_columns
from ppo_robot.training.evaluation import EVALUATION_SEED_OFFSET
from ppo_robot.training.judge import ActionMode, guarded

Array = NDArray[np.float64]
Rows = NDArray[np.intp]

BEGIN = 1.0
"""s on the simulated clock when the first episode begins: a stamp of zero is none."""

PAUSE = 1.0
"""s between two episodes, in which the robot is put elsewhere."""

BATCH = 0.1
"""s of ticks in a message, as the policy node does it."""

COMMAND_TOPIC = "/forward_position_controller/commands"


@dataclass
class _Tapped:
    """A command path that keeps what it commanded last, (S, B, J) or (B, J) rad."""

    path: CommandPath
    last: Array

    @property
    def intervention(self) -> Array | None:
        return self.path.intervention

    def reset(self, truth: RobotState, rows: Rows) -> None:
        self.path.reset(truth, rows)

    def advance(self, joint_target: Array, truth: RobotState) -> Array:
        self.last = self.path.advance(joint_target, truth)
        return self.last


class RolloutRecorder:
    """Runs episodes one after the other and writes them down, in simulated time.

    Episode e is the first of environment e in an evaluation with the same seed: the same start, goal and noise. Each
    tick acts as the policy node does, on one robot; an evaluation acts on all environments at once, so the last bits
    of the network's answers, and a stochastic policy's draws, may be others there.
    """

    def __init__(self, bundle: Bundle, writer: BagWriter, schemas: Schemas, action: ActionMode, seed: int) -> None:
        """Write to a recording that has just begun."""
        self._bundle, self._seed, self._action = bundle, seed, action
        self._composer = Composer(writer, schemas)
        self._draw = ActionDraw(action, seed, None)
        runtime = bundle.runtime
        self._columns = policy_columns(len(bundle.robot.joints), runtime.action_size, runtime.observation_size)
        self._table = Table(self._columns, max(1, round(BATCH / bundle.task.control_period)))
        self._drawn: Table | None = None
        self._time = BEGIN
        self._sequence = 0
        info = {"bundle_id": bundle.id, "action": action, "seed": seed, "maximum_std": None}
        self._composer.text("/policy/info", BEGIN, json.dumps(info))
        self._composer.text("/robot_description", BEGIN, bundle.robot.description)

    def run(self, index: int, plant: PlantName, goal: Array | None) -> None:
        """Record the first episode of the environment with this index; the goal (3,) m is its own, or the one given.

        Raises:
            BadInputError: if the goal lies outside the robot's workspace, or the plant's library is not installed.
        """
        seed = self._seed + EVALUATION_SEED_OFFSET
        env = BatchEnv(self._bundle.robot, guarded(self._bundle.task), [index], seed, plant)
        tapped = _Tapped(env.command, np.zeros((1, env.action_size)))
        env.command = tapped
        try:
            env.fix_goal(goal)
            if env.drawn_names and self._drawn is None:
                columns = dict.fromkeys(("sequence", *env.drawn_names), 1)
                self._drawn = Table(columns, self._table.capacity)
            observation, ended, begun = env.reset(), False, True
            self._composer.goal("/goal_pose", self._time, self._bundle.robot.base_link, env.goal_position[0])
            began = self._time
            while not ended:
                action = self._tick(env, observation, began, begun)
                result = env.step(action, autoreset=False)
                self._finish_tick(env, tapped)
                observation, begun = result.observation, False
                ended = bool(result.terminated[0] or result.truncated[0])
                self._time = began + float(env.plant.truth.stamp[0])
        finally:
            env.close()
        self._flush()
        self._time += PAUSE

    def _tick(
        self, env: BatchEnv, observation: NDArray[np.float32], began: float, begun: bool
    ) -> NDArray[np.float32]:
        """Act on the newest observation (1, O), write down all but the target that comes of it; return the action."""
        measured, now = env.sensors.measured, stamped(self._time)
        stamp = stamped(began + float(measured.stamp[0]))
        joints = (measured.joint_position[0], measured.joint_velocity[0], measured.joint_effort[0])
        self._composer.joint_state("/joint_states", self._time, stamp, self._bundle.robot.joint_names, joints)
        mean, log_std = self._bundle.runtime.infer(observation)
        std = self._draw.std(log_std)
        action, log_probability = self._draw.choose(mean, std)
        self._sequence += 1
        values = {
            **{"sequence": self._sequence, "begun": begun, "state_stamp": stamp, "state_received": now},
            **{"state_ros": now, "period_cpu_s": 0.0, "log_probability": log_probability},
            **dict.fromkeys(POLICY_TIMES, now),
            **dict(zip(("joint_position", "joint_velocity", "joint_effort"), joints, strict=True)),
            **{"goal_position": env.goal_position[0], "mean": mean[0], "std": std[0], "action": action[0]},
            "observation": observation[0],
            "normalised_observation": self._bundle.runtime.normalised(observation)[0],
        }
        self._row = self._table.next()
        for name, value in values.items():
            self._row[self._table.places[name]] = value
        return action

    def _finish_tick(self, env: BatchEnv, tapped: _Tapped) -> None:
        """Write down the target of the tick and what was commanded because of it."""
        self._row[self._table.places["joint_target"]] = env.actions.joint_target[0]
        commanded = tapped.last[:, 0] if tapped.last.ndim == 3 else tapped.last
        period = self._bundle.task.control_period / len(commanded)
        sec, nanosec = split(float(self._row[self._table.places["state_stamp"]][0]))
        label = f"sequence {self._sequence} state {sec}.{nanosec:09d}"
        for step, values in enumerate(commanded):
            self._composer.numbers(COMMAND_TOPIC, self._time + step * period, label, values)
        if self._drawn is not None:
            self._drawn.next()[:] = (self._sequence, *env.drawn[0])
        if self._table.full:
            self._flush()

    def _flush(self) -> None:
        if len(self._table):
            self._composer.rows("/policy/telemetry", self._time, POLICY_ROWS, self._columns, self._table.take())
        if self._drawn is not None and len(self._drawn):
            self._composer.rows(f"/{DRAWN}", self._time, POLICY_ROWS, self._drawn.columns, self._drawn.take())


def record_rollouts(
    bundle: Bundle,
    directory: Path,
    episodes: int,
    seed: int,
    action: ActionMode = "deterministic",
    goal: Sequence[float] | None = None,
    plant: PlantName = "pybullet",
) -> None:
    """Record the first episode of each of the first environments of an evaluation.

    Args:
        bundle: loaded and checked.
        directory: of the recording; must not exist yet.
        episodes: how many, at least 1.
        seed: of starts, goals, noise and, for the stochastic policy, of its draws.
        action: the policy's mean, or a draw from it.
        goal: (3,) m, the same for every episode; by default each draws its own.
        plant: what simulates the robot.

    Raises:
        BadInputError: if the directory exists or cannot be written, or the goal lies outside the workspace.
    """
    if goal is not None:
        check_goal(np.array(goal, dtype=float), bundle.robot.workspace)
    schemas = Schemas()
    fixed = None if goal is None else np.array(goal, dtype=float)
    with BagWriter(directory, schemas=schemas, sync=False) as writer:
        writer.custom["bundle_id"] = bundle.id
        facts = run_facts(bundle, plant, episodes, seed)
        writer.attach(RUN_FILE, "application/json", json_bytes(facts))
        writer.attach(DESCRIPTION, "application/xml", bundle.robot.description.encode())
        write_json(directory / RUN_FILE, facts)
        recorder = RolloutRecorder(bundle, writer, schemas, action, seed)
        for index in range(episodes):
            recorder.run(index, plant, fixed)
            writer.flush()


def run_facts(bundle: Bundle, plant: str, episodes: int, seed: int) -> dict[str, object]:
    """Return run.json of such a recording, with the keys of a recorder's."""
    commit, dirty = git_state()
    return {
        "started": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
        "simulated": {"plant": plant, "episodes": episodes, "seed": seed},
        "host": {"ros_minus_monotonic": 0.0},
        "git": {"commit": commit, "dirty": dirty},
        "bundle": {
            "path": str(bundle.path.resolve()),
            "id": bundle.id,
            "manifest": bundle.manifest,
            "spec": bundle.contract,
        },
    }
