"""What the pages say of files and tests is so."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import yaml

from ppo_robot.safety.reasons import Cause
from ppo_robot.spec.robot import load_robot
from ppo_robot.spec.safety import SafetySpec

ROOT = Path(__file__).resolve().parents[1]
SAFETY = (ROOT / "docs" / "safety.md").read_text(encoding="utf-8")
TESTS = sorted(set(re.findall(r"(test/[\w/]+\.py)::(\w+)", SAFETY)))
BOUNDED = ROOT / "config" / "ros2_control" / "bounded.yaml"


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table's rows below a heading of docs/safety.md."""
    part = SAFETY.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


@pytest.mark.parametrize("file", sorted({file for file, _ in TESTS}))
def test_every_test_that_the_safety_page_names_is_there(file: str) -> None:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    defined = {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    targets = [target for node in tree.body if isinstance(node, ast.Assign) for target in node.targets]
    defined |= {target.id for target in targets if isinstance(target, ast.Name)}
    assert {name for at, name in TESTS if at == file} - defined == set()


@pytest.mark.parametrize("heading", ["What holds by construction", "What stops the robot", "What is refused"])
def test_every_check_has_a_test(heading: str) -> None:
    found = rows(heading)
    assert len(found) > 5
    assert [row[0] for row in found if "::test_" not in row[-1]] == []


def test_every_cause_of_a_stop_has_its_row() -> None:
    named = set(re.findall(r"`(\w+)`", " ".join(row[0] for row in rows("What stops the robot"))))
    assert named == {cause.name.lower() for cause in Cause}


def test_the_bounded_controller_fits_the_shipped_arm_and_the_envelopes_rate() -> None:
    config = yaml.safe_load(BOUNDED.read_text(encoding="utf-8"))
    manager = config["controller_manager"]["ros__parameters"]
    controller = config["joint_trajectory_controller"]["ros__parameters"]
    assert controller["joints"] == list(load_robot("arm6").joint_names)
    assert controller["command_interfaces"] == ["position"]  # velocities would go on where the sender dies
    assert manager["update_rate"] % SafetySpec().rate == 0.0
    assert manager["enforce_command_limits"] is True
    assert controller["cmd_timeout"] > 0.0 and "constraints" not in controller  # it must exceed goal_time, which is 0
