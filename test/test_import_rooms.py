"""Every module imports on a machine without the libraries of other rooms: the robot has neither torch nor PyBullet."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

TRAINING_LIBRARIES = ("gymnasium", "matplotlib", "onnx", "pybullet", "pybullet_data", "rich", "safetensors", "torch")
PHYSICS = ("gymnasium", "mujoco", "pybullet", "pybullet_data")
ROS = ("ament_index_python", "builtin_interfaces", "diagnostic_msgs", "geometry_msgs", "launch", "launch_ros")
ROS += ("lifecycle_msgs", "rcl_interfaces", "rclpy", "rosgraph_msgs", "sensor_msgs", "std_msgs", "std_srvs")
ROS += ("trajectory_msgs",)
LAUNCH = "nodes.launch_actions"  # needs ROS 2's own launch, which is not on PyPI

NODES = (
    *("bare_tick", "bench_node", "bench_tick", "evaluation", "goal_sender", "lifecycle", "over_ros", "policy"),
    *("middleware", "policy_messages", "telemetry_thread"),
    *("probe", "ros_support", "safety", "safety_client", "safety_log", "safety_messages", "sim_record", "sim_robot"),
    *("bench_latency", "bench_telemetry", "command_listener", "quiet_subscription", "telemetry", "telemetry_rows"),
    *("bench_recorder", "recorder", "recorder_facts", "recorder_topics", "safety_news", "flight", "sim_flight"),
)
ROS_MODULES = (LAUNCH, *(f"nodes.{name}" for name in NODES))
"""What may import rclpy: a new core that does is found."""

# Runs in its own process: argv is the folder that holds the package, and JSON lists of blocked libraries and modules.
PROBE = """
import importlib, importlib.abc, json, sys
root, blocked, modules = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])

class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ModuleNotFoundError(f"{name} is blocked", name=name)
        return None

sys.meta_path.insert(0, Block())
sys.path.insert(0, root)
wrong = {}
for name in modules:
    try:
        importlib.import_module(name)
    except Exception as error:
        wrong[name] = f"{type(error).__name__}: {error}"
assert sys.modules["ppo_robot"].__file__.startswith(root), sys.modules["ppo_robot"].__file__
print(json.dumps(wrong))
"""


def modules_below(root: Path) -> list[str]:
    """Return the dotted names of all modules of the package, found on disk."""
    names = []
    for path in sorted((root / "ppo_robot").rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        names.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return names


def is_in(module: str, rooms: Sequence[str]) -> bool:
    """Return whether the module is one of the rooms or stands inside one."""
    return any(module == f"ppo_robot.{room}" or module.startswith(f"ppo_robot.{room}.") for room in rooms)


def failures(root: Path, blocked: Sequence[str], exempt: Sequence[str]) -> dict[str, str]:
    """Import all modules but the exempt rooms with the libraries blocked; return what failed and why."""
    modules = [name for name in modules_below(root) if not is_in(name, exempt)]
    done = subprocess.run(
        [sys.executable, "-c", PROBE, str(root), json.dumps(blocked), json.dumps(modules)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    ("blocked", "exempt"),
    [
        pytest.param(TRAINING_LIBRARIES, ("ppo", "training", "sim", "policy.export", LAUNCH), id="robot"),
        pytest.param(("torch",), ("ppo", "training", "policy.export", LAUNCH), id="simulation-without-torch"),
        pytest.param(PHYSICS, ("sim", "training", LAUNCH), id="learning-without-physics"),
        pytest.param(ROS, ROS_MODULES, id="without-ros"),
    ],
)
def test_modules_import_without_the_libraries_of_other_rooms(blocked: Sequence[str], exempt: Sequence[str]) -> None:
    assert failures(ROOT, blocked, exempt) == {}


def test_a_new_module_that_breaks_the_rule_is_found(tmp_path: Path) -> None:
    ours = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "ppo_robot", tmp_path / "ppo_robot", ignore=ours)
    (tmp_path / "ppo_robot" / "cli" / "new.py").write_text("import torch\n")
    (tmp_path / "ppo_robot" / "new_room").mkdir()
    (tmp_path / "ppo_robot" / "new_room" / "__init__.py").write_text("from pybullet import connect\n")
    (tmp_path / "ppo_robot" / "lazy.py").write_text("def f():\n    import torch\n")
    found = failures(tmp_path, TRAINING_LIBRARIES, ("ppo", "training", "sim", "policy.export"))
    assert {"ppo_robot.cli.new", "ppo_robot.new_room"} <= set(found)
    assert "ppo_robot.lazy" not in found


def test_every_room_has_an_import_contract() -> None:
    """A room that .importlinter does not name could import anything, and be imported by anyone."""
    contracts = (ROOT / ".importlinter").read_text().split()
    rooms = {".".join(name.split(".")[:2]) for name in modules_below(ROOT) if "." in name}
    assert rooms - {"ppo_robot.__main__"} - set(contracts) == set()
