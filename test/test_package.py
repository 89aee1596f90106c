"""The package is pip-installable and ament_python at once, and carries its data either way."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
import zipfile
from pathlib import Path

import pytest
from catkin_pkg.package import parse_package

import ppo_robot
from ppo_robot.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
DATA_FOLDERS = ("config", "urdf", "launch")
COMMAND = """
HELP = EXAMPLE = ""
def add_arguments(parser): parser.add_argument("task")
def run(args): print("training", args.task); return 0
"""
PACKAGE_FILES = ("package.xml", "setup.py", "setup.cfg", "pyproject.toml", "LICENSE")


def run(*command: str, cwd: Path, **environment: str) -> str:
    """Run a tool of this environment and return what it printed; show all of it when it fails."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, "PATH": path, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def files_below(folder: Path) -> set[str]:
    """Return the files that belong to the package, relative to the repository."""
    return {
        path.relative_to(ROOT).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and not any(part.startswith(".") or part == "__pycache__" for part in path.parts[-3:])
    }


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A copy of what the package is built from: building leaves files behind."""
    copy = tmp_path / "ws" / "src" / "ppo_robot"
    copy.mkdir(parents=True)
    for name in PACKAGE_FILES:
        shutil.copy(ROOT / name, copy)
    for name in ("ppo_robot", "resource", *DATA_FOLDERS):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    return copy


def test_package_xml_is_valid_and_of_this_version() -> None:
    warnings: list[str] = []
    package = parse_package(str(ROOT / "package.xml"), warnings=warnings)
    package.validate(warnings=warnings)
    assert warnings == []
    assert (package.name, package.version, package.package_format) == ("ppo_robot", ppo_robot.__version__, 3)
    assert package.get_build_type() == "ament_python"


def test_robot_dependencies_hold_no_training_library() -> None:
    tree = ElementTree.parse(ROOT / "package.xml")  # catkin_pkg keeps the conditional ones in the same list
    always = {row.text for row in tree.iter("exec_depend") if "condition" not in row.attrib}
    assert always.isdisjoint({"python3-pytorch-pip", "python3-pybullet-pip", "python3-gymnasium-pip"})


def test_resource_marker_exists() -> None:
    assert (ROOT / "resource" / "ppo_robot").is_file()


def test_colcon_sees_an_ament_python_package(source: Path) -> None:
    """An invalid package.xml would silently make it `(python)`, and `ros2 run` would not find it."""
    listed = run("colcon", "list", "--base-paths", "src", cwd=source.parents[1])
    assert listed.split("\t")[0] == "ppo_robot"
    assert listed.strip().endswith("(ros.ament_python)")


def test_wheel_carries_code_data_and_one_executable(source: Path, tmp_path: Path) -> None:
    """What is not named in setup.py by glob would be missing here: every file on disk is looked for."""
    build = ["pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path), str(source)]
    run(sys.executable, "-m", *build, cwd=tmp_path)
    with zipfile.ZipFile(next(tmp_path.glob("ppo_robot-*.whl"))) as wheel:
        names = set(wheel.namelist())
        scripts = wheel.read(next(name for name in names if name.endswith("entry_points.txt"))).decode()
    share = f"ppo_robot-{ppo_robot.__version__}.data/data/share"
    data = {f"{share}/ppo_robot/{name}" for folder in DATA_FOLDERS for name in files_below(ROOT / folder)}
    expected = files_below(ROOT / "ppo_robot") | data
    expected |= {f"{share}/ppo_robot/package.xml", f"{share}/ament_index/resource_index/packages/ppo_robot"}
    assert expected - names == set()
    assert scripts.split() == ["[console_scripts]", "ppo-robot", "=", "ppo_robot.cli.main:main"]


@pytest.mark.parametrize("arguments", [(), ("--symlink-install",)], ids=["copy", "symlink"])
def test_colcon_build_installs_data_and_commands(source: Path, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    workspace = source.parents[1]
    (source / "ppo_robot" / "cli" / "train.py").write_text(COMMAND)
    colcon = ["colcon", "--log-base", str(tmp_path / "log"), "build", *arguments]
    run(*colcon, "--executor", "sequential", "--event-handlers", "console_cohesion+", cwd=workspace)
    prefix = workspace / "install" / "ppo_robot"
    assert (prefix / "share/ament_index/resource_index/packages/ppo_robot").exists()
    assert (prefix / "share/ppo_robot/package.xml").exists()
    commands = {path.name for path in (prefix / "lib/ppo_robot").iterdir() if os.access(path, os.X_OK)}
    nodes = {"policy_node", "sim_robot_node", "safety_node", "telemetry_node", "recorder_node"}
    nodes |= {"flight_node", "sim_flight_node"}
    assert commands == {"ppo-robot", *COMMANDS} | nodes
    check = "import ppo_robot.paths as p; print(p.__file__); print(p.share_directory())"
    shell = f'. install/setup.sh && cd / && python -c "{check}" && {prefix}/lib/ppo_robot/train reach'
    module, share, printed = run("sh", "-c", shell, cwd=workspace, PPO_ROBOT_SHARE="").splitlines()[-3:]
    assert Path(module).is_relative_to(workspace)
    assert Path(share).is_relative_to(workspace)
    assert {path.name for path in (Path(share) / "config").iterdir()} >= {"robots", "tasks"}
    assert printed == "training reach"
