"""The robot's side of a deployment runs where torch and PyBullet cannot be imported, the simulated robot elsewhere."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy", reason="needs rclpy: pip install 'ppo_robot[ros]'")

from geometry_msgs.msg import PointStamped, PoseStamped  # noqa: E402
from rclpy.context import Context  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.node import Node  # noqa: E402
from ros_harness import domain, node_process, ros_environment, until  # noqa: E402
from std_msgs.msg import String  # noqa: E402

from ppo_robot.nodes.middleware import join_ros  # noqa: E402
from ppo_robot.nodes.ros_support import COMMANDS, LATCHED, seconds  # noqa: E402
from ppo_robot.paths import share_directory  # noqa: E402
from ppo_robot.policy.bundle import load_bundle  # noqa: E402

BUNDLE = share_directory() / "config" / "policies" / "reach"
GOAL = (0.5, 0.1, 0.4)
BLOCKED = ("torch", "pybullet")

# Every Python that finds this on its path, children too, refuses the blocked libraries; each that has proved it to
# itself writes down its number and its command line.
BLOCKER = """
import importlib.abc, os, sys

class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"{{name}} is blocked", name=name)
        return None

sys.meta_path.insert(0, Block())
refused = []
for name in {blocked!r}:
    try:
        __import__(name)
    except ModuleNotFoundError:
        refused.append(name)
if tuple(refused) == {blocked!r}:
    with open({log!r}, "a") as log:
        print(os.getpid(), *sys.orig_argv, file=log)
"""


class Person:
    """Knows when the policy is active, sends a goal, and sees where the tool really is."""

    def __init__(self) -> None:
        os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
        self.context = Context()
        join_ros([], self.context, domain())
        self.node = Node("person", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.infos: list[String] = []
        self.tools: list[PointStamped] = []
        self.goal = self.node.create_publisher(PoseStamped, "goal_pose", COMMANDS)
        self.node.create_subscription(String, "policy/info", self.infos.append, LATCHED)
        self.node.create_subscription(PointStamped, "sim_robot/tool", self.tools.append, 100)

    def send(self, goal: tuple[float, float, float]) -> None:
        message = PoseStamped()
        message.pose.position.x, message.pose.position.y, message.pose.position.z = goal
        self.goal.publish(message)

    def errors(self, goal: tuple[float, float, float], duration: float) -> np.ndarray:
        """Return the tool's distances from the goal in the last `duration` s of truth; infinity before so much came."""
        stamps = np.array([seconds(tool.header.stamp) for tool in self.tools])
        if not len(stamps) or stamps[-1] - stamps[0] < duration:
            return np.array([np.inf])
        points = np.array([(tool.point.x, tool.point.y, tool.point.z) for tool in self.tools])
        distances: np.ndarray = np.linalg.norm(points - goal, axis=1)
        return distances[stamps >= stamps[-1] - duration]

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


@pytest.fixture
def person() -> Iterator[Person]:
    made = Person()
    yield made
    made.close()


@contextlib.contextmanager
def deployment(folder: Path, log: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """Run `ppo-robot up deploy plant:=running` behind the blocker; what it prints goes to the path."""
    (folder / "sitecustomize.py").write_text(BLOCKER.format(blocked=BLOCKED, log=str(log)))
    output = folder / "deploy.log"
    path = os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))
    with output.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "ppo_robot.cli", "up", "deploy", "plant:=running", f"bundle:={BUNDLE}"],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=ros_environment() | {"PYTHONPATH": path},
        )
    try:
        yield process, output
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30.0)
        except subprocess.TimeoutExpired:
            process.kill()  # its nodes are on leashes, which end with it
            process.wait(10.0)


def libraries(pid: int) -> set[str]:
    """Return which of the blocked libraries the process has mapped into its memory."""
    text = Path(f"/proc/{pid}/maps").read_text()
    return {name for name in BLOCKED if f"/{name}" in text or f"lib{name}" in text}


def test_the_policy_runs_without_torch_and_pybullet_against_a_robot_elsewhere(tmp_path: Path, person: Person) -> None:
    log, success = tmp_path / "blocked.log", load_bundle(BUNDLE).task.success
    with (
        node_process("ppo_robot.nodes.sim_robot", tmp_path, bundle=BUNDLE) as robot,
        deployment(tmp_path, log) as (process, output),
    ):

        def turn() -> None:
            assert process.poll() is None, output.read_text()
            assert robot.process.poll() is None, robot.output
            person.executor.spin_once(timeout_sec=0.05)

        until(lambda: person.infos and person.tools and person.goal.get_subscription_count(), "the policy", turn)
        assert (person.errors(GOAL, 0.0) > 0.1).all()
        person.send(GOAL)
        until(lambda: (person.errors(GOAL, success.hold) <= success.tolerance).all(), "the tool to arrive", turn)

        blocked = {line.split(maxsplit=1)[1]: int(line.split()[0]) for line in log.read_text().splitlines()}
        for module in ("ppo_robot.nodes.policy", "ppo_robot.nodes.safety"):
            (pid,) = {number for line, number in blocked.items() if f"-m {module} " in line and "leash" not in line}
            assert libraries(pid) == set()
        assert libraries(robot.process.pid) == {"pybullet"}  # so that the look into the memory is known to find it
    assert process.returncode == 0, output.read_text()
