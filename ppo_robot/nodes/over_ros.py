"""A bundle judged over ROS 2: starts the system where none is running, and draws the goals."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import rclpy
from numpy.typing import NDArray

from ppo_robot.mdp.goals import GOALS, check_goal
from ppo_robot.nodes.background import deployment
from ppo_robot.nodes.evaluation import EvaluationNode
from ppo_robot.nodes.middleware import join_ros
from ppo_robot.policy.bundle import Bundle

Array = NDArray[np.float64]

COLUMNS = ("success", "final_error", "settle_time", "intervention")
LOOK_AROUND = 2.0
"""Seconds in which a system that runs already is found."""
START_TIMEOUT = 60.0


def evaluate_over_ros(
    bundle: Bundle,
    path: Path,
    episodes: int,
    seed: int,
    plant: str,
    action: str,
    goal: Sequence[float] | None = None,
    on_progress: Callable[[int], None] | None = None,
    real_time: bool = True,
) -> Array:
    """Return the summaries (E, 4) of E episodes, columns as COLUMNS, by the simulated robot's own truth.

    Where a policy node and a simulated robot run in this ROS domain already, they are used as they are; otherwise
    `ppo-robot up deploy` runs while this does: in real time, or in simulated time that waits for the nodes.

    Raises:
        RunFailedError: if the system does not come up, or stops answering.
        BadInputError: if the goal lies outside the workspace.
    """
    generator = np.random.default_rng(seed)

    def uniform(rows: NDArray[np.intp], size: int) -> Array:
        return generator.random((len(rows), size))

    draw = GOALS.bind(bundle.task.goal.term, bundle.task.goal.params, "goal")
    if goal is not None:
        check_goal(np.array(goal, dtype=float), bundle.robot.workspace)
    join_ros([])
    node = EvaluationNode(bundle.robot, bundle.task)
    try:
        with _system(node, path, seed, plant, action, real_time):
            rows = []
            for episode in range(episodes):
                drawn = draw(bundle.robot.workspace, np.arange(1), uniform)[0]
                summary = node.run(drawn if goal is None else np.array(goal, dtype=float))
                rows.append([summary[name] for name in COLUMNS])
                if on_progress is not None:
                    on_progress(episode + 1)
            return np.array(rows)
    finally:
        node.close()
        rclpy.try_shutdown()


@contextlib.contextmanager
def _system(
    node: EvaluationNode, path: Path, seed: int, plant: str, action: str, real_time: bool
) -> Iterator[None]:
    if node.running(LOOK_AROUND):
        yield
        return
    chosen = "sim" if plant == "pybullet" else plant
    arguments = [f"plant:={chosen}", f"bundle:={path.resolve()}", f"action:={action}", f"seed:={seed}"]
    arguments.append("telemetry:=false")
    arguments += [] if real_time else ["real_time:=false"]
    with deployment(arguments) as running:
        running.require(node.running(START_TIMEOUT))
        yield
