"""Package ppo_robot for pip and, as an ament_python package, for colcon."""

import re
import sys
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).resolve().parent
NAME = "ppo_robot"
SHARE = f"share/{NAME}"
COMMANDS = ("train", "evaluate", "export", "inspect", "up", "goal", "stop", "reset", "arm", "doctor", "report", "bench")
COMMANDS += ("record", "replay", "demo", "sensitivity", "transfer")
NODES = {"policy_node": "policy", "sim_robot_node": "sim_robot", "safety_node": "safety", "telemetry_node": "telemetry"}
NODES |= {"recorder_node": "recorder", "flight_node": "flight", "sim_flight_node": "sim_flight"}


def version() -> str:
    """Return `__version__` of the package, read without importing it."""
    text = (HERE / NAME / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)
    if found is None:
        raise SystemExit(f'{NAME}/__init__.py: expected a line __version__ = "X.Y.Z"')
    return found.group(1)


def share_files(*folders: str) -> list[tuple[str, list[str]]]:
    """Return every file below the folders as data_files rows that keep the tree under share/ppo_robot."""
    rows: dict[str, list[str]] = {}
    for folder in folders:
        for path in sorted((HERE / folder).rglob("*")):
            relative = path.relative_to(HERE)
            hidden = any(part.startswith(".") or part == "__pycache__" for part in relative.parts)
            if path.is_file() and not hidden:
                rows.setdefault(f"{SHARE}/{relative.parent.as_posix()}", []).append(relative.as_posix())
    return list(rows.items())


def console_scripts() -> list[str]:
    """Return `ppo-robot`, and under colcon one executable per command and per node as well.

    colcon calls `setup.py install` or `setup.py develop`, which put executables into lib/ppo_robot where `ros2 run`
    looks (see setup.cfg). pip never does; it puts them on PATH, where nothing called `train` belongs.
    """
    scripts = ["ppo-robot = ppo_robot.cli.main:main"]
    if {"install", "develop"} & set(sys.argv[1:]):
        scripts += [f"{command} = ppo_robot.cli.main:ros_main" for command in COMMANDS]
        scripts += [f"{executable} = ppo_robot.nodes.{module}:main" for executable, module in NODES.items()]
    return scripts


setup(
    name=NAME,
    version=version(),
    description="Train a policy with PPO in PyBullet and run it on a ROS 2 robot behind a safety envelope.",
    maintainer="ppo_robot maintainers",
    maintainer_email="maintainers@ppo-robot.dev",
    license="Apache-2.0",
    packages=find_packages(include=[NAME, f"{NAME}.*"]),
    package_data={f"{NAME}.report": ["assets/*"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (SHARE, ["package.xml"]),
        *share_files("config", "urdf", "launch"),
    ],
    zip_safe=False,
    python_requires=">=3.10",
    install_requires=["numpy", "pyyaml", "onnxruntime", "pin", "ruckig", "mcap", "prometheus-client", "rosbags"],
    extras_require={
        "train": [
            "torch==2.13.0",
            "pybullet>=3.2.7",
            "gymnasium",
            "tensorboard",
            "rich",
            "matplotlib",
            "onnx",
            "safetensors",
        ],
        "mujoco": ["mujoco>=3.17"],
        "parquet": ["pyarrow"],
        "ros": [
            "ros-jazzy-rclpy[fastrtps]",
            "ros-jazzy-sensor-msgs",
            "ros-jazzy-trajectory-msgs",
            "ros-jazzy-diagnostic-msgs",
            "ros-jazzy-std-srvs",
            "ros-jazzy-geometry-msgs",
            "ros-jazzy-nav-msgs",
            "ros-jazzy-lifecycle-msgs",
            "ros-jazzy-rosgraph-msgs",
        ],
        "test": [
            "pytest",
            "pytest-timeout",
            "hypothesis",
            "pyarrow",
            "ruff",
            "mypy",
            "types-PyYAML",
            "import-linter",
            "catkin-pkg",
            "colcon-common-extensions",
            "stable-baselines3",
            "setuptools<80",
        ],
        "mutation": ["mutmut"],
    },
    entry_points={"console_scripts": console_scripts()},
)
