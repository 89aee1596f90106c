"""The launch files with ROS 2's own `launch`; without it, that each names a system of the table."""

from __future__ import annotations

import ast
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ppo_robot.nodes.system import ARGUMENTS

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted((ROOT / "launch").glob("*.launch.py"))
NAMES = [path.name.removesuffix(".launch.py") for path in FILES]

RUN = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource

given = [tuple(word.split(":=", 1)) for word in sys.argv[2:]]
source = PythonLaunchDescriptionSource(sys.argv[1])
service = LaunchService()
service.include_launch_description(LaunchDescription([IncludeLaunchDescription(source, launch_arguments=given)]))
sys.exit(service.run())
"""


def launch_is_installed() -> bool:
    """Our own folder `launch/` is a namespace package to Python; ROS 2's has modules."""
    try:
        found = [importlib.util.find_spec(name) for name in ("launch.actions", "launch_ros.actions")]
    except ImportError:
        return False
    return all(found)


def package_is_built() -> bool:
    """Whether `ros2 run ppo_robot` would find its executables."""
    prefixes = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
    return any((Path(prefix) / "share/ament_index/resource_index/packages/ppo_robot").is_file() for prefix in prefixes)


needs_launch = pytest.mark.skipif(
    not launch_is_installed(), reason="ROS 2's launch and launch_ros are not installed (they are not on PyPI)"
)


def test_there_is_a_launch_file_for_each_system_and_no_other() -> None:
    assert set(NAMES) == set(ARGUMENTS)


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_each_file_describes_the_system_of_its_name(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    named = [ast.literal_eval(call.args[0]) for call in calls if getattr(call.func, "id", "") == "describe"]
    assert named == [path.name.removesuffix(".launch.py")]
    assert "generate_launch_description" in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@needs_launch
@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_arguments_are_declared_with_description_and_choices(path: Path) -> None:
    from launch.launch_description_sources import get_launch_description_from_python_launch_file

    description = get_launch_description_from_python_launch_file(str(path))
    declared = {argument.name: argument for argument in description.get_launch_arguments()}
    expected = ARGUMENTS[path.name.removesuffix(".launch.py")]
    assert set(declared) == {argument.name for argument in expected}
    for argument in expected:
        assert declared[argument.name].description.startswith(argument.description)
        assert list(declared[argument.name].choices or ()) == list(argument.choices)
        assert declared[argument.name].default_value is not None


def launch(path: Path, *arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run a launch file to its end."""
    return subprocess.run(
        [sys.executable, "-c", RUN, str(path), *arguments],
        env={**os.environ, "ROS_LOG_DIR": str(home), "ROS_DOMAIN_ID": str(1 + os.getpid() % 100)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )


@needs_launch
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bundle:=/b"], "config:=sim, which is for the simulated robot; give plant:=sim"),
        (["bundle:=/b", "plant:=simm"], "Valid options are"),
        (["bundle:=/b", "plant:=sim", "seed:=x"], "seed:=x: expected a whole number"),
    ],
)
def test_deploy_refuses_in_one_line(arguments: list[str], message: str, tmp_path: Path) -> None:
    done = launch(ROOT / "launch" / "deploy.launch.py", *arguments, home=tmp_path)
    assert done.returncode == 1, done.stdout
    assert message in done.stdout
    assert "Traceback" not in done.stdout


@needs_launch
def test_train_runs_the_command_and_its_end_ends_all(tmp_path: Path) -> None:
    done = launch(ROOT / "launch" / "train.launch.py", "task:=reech", home=tmp_path)
    assert "did you mean 'reach'" in done.stdout
    assert "exit code 2" in done.stdout


@needs_launch
@pytest.mark.skipif(not package_is_built(), reason="the package is not built with colcon and sourced")
def test_deploy_starts_its_nodes_and_ends_all_when_one_does(tmp_path: Path) -> None:
    done = launch(ROOT / "launch" / "deploy.launch.py", "plant:=sim", "bundle:=/no/such/bundle", home=tmp_path)
    assert done.stdout.count("process started") == 3
    assert "was required: shutting down launched system" in done.stdout
    assert done.stdout.count("process has died") + done.stdout.count("process has finished cleanly") == 3
