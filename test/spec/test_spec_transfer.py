"""Tests for ppo_robot.spec.transfer: every shipped matrix fits its task, and a wrong one is one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ppo_robot.errors import SpecError
from ppo_robot.paths import share_directory
from ppo_robot.spec.experiment import load_experiment
from ppo_robot.spec.strict import build
from ppo_robot.spec.task import load_task
from ppo_robot.spec.transfer import ColumnSpec, TransferSpec, column_task, load_transfer, overrides_of

SHIPPED = sorted((share_directory() / "config" / "transfer").glob("*.yaml"))
ROWS = ["none", "narrow", "wide", "adr", "adr_history", "adr_asymmetric_critic"]
SMALL: dict[str, Any] = {
    **{"name": "small", "task": "reach_randomized", "bar": 0.9},
    "rows": {"wide": {}},
    "columns": {"nominal": {"ranges": 0}},
}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_matrix_has_the_six_rows_and_fits_its_task(path: Path) -> None:
    spec, found = load_transfer(path.stem)
    assert (found, spec.name) == (path, path.stem)
    assert list(spec.rows) == ROWS
    task = load_experiment(spec.task, spec.robot, spec.training).task
    for row in spec.rows.values():
        made = load_experiment(spec.task, spec.robot, spec.training, 0, overrides_of(spec.set | row.set)).task
        assert made.simulation == task.simulation and made.rewards == task.rewards
    for name, column in spec.columns.items():
        changed = column_task(task, column, name)
        assert changed.observations == task.observations
        assert set(changed.simulation.randomization) == set(task.simulation.randomization) - set(column.without)
    assert {column.plant for column in spec.columns.values()} == {"pybullet", "mujoco"}
    assert sum(column.search is not None for column in spec.columns.values()) == 1


def test_a_columns_overrides() -> None:
    task = load_task("reach_randomized")
    column = ColumnSpec(without=("action_latency",), set={"task.simulation.actuator.delay": 0.04})
    changed = column_task(task, column, "late")
    assert changed.simulation.actuator.delay == 0.04
    assert set(task.simulation.randomization) - set(changed.simulation.randomization) == {"action_latency"}
    with pytest.raises(SpecError, match="late.without: no such entry of randomization 'action_latncy'; did you mean"):
        column_task(task, ColumnSpec(without=("action_latncy",)), "late")
    with pytest.raises(SpecError, match="simulation.actuator.dealy: unknown key; did you mean 'delay'"):
        column_task(task, ColumnSpec(set={"task.simulation.actuator.dealy": 0.04}), "late")


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"rows": {}}, "rows: given none; expected at least one"),
    ({"rows": {"a/b": {}}}, "rows.a/b: expected a name of letters, digits and _"),
    ({"rows": {"wide": {"set": {"robot.name": "x"}}}}, "rows.wide.set.robot.name: expected a key that begins with"),
    ({"columns": {"x": {"set": {"training.seed": 1}}}}, "columns.x.set.training.seed: expected a key that begins"),
    ({"set": {"task.goal": 1}}, "small.yaml: set.task.goal: expected a key that begins with training."),
    ({"columns": {"x": {"plant": "gazebo"}}}, "columns.x.plant: given 'gazebo'"),
    ({"columns": {"x": {"ranges": 0, "search": {}}}}, "columns.x: search: given with ranges: 0"),
    ({"columns": {"x": {"search": {"elites": 12}}}}, "elites: given 12; expected fewer than candidates (12)"),
    ({"bar": 1.5}, "bar: given 1.5"),
    ({"row": {}}, "row: unknown key; did you mean 'rows'?"),
]


@pytest.mark.parametrize(("change", "message"), WRONG, ids=lambda value: value if isinstance(value, str) else "")
def test_a_wrong_matrix_is_one_line(change: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        build(TransferSpec, SMALL | change, "small.yaml")
    assert str(caught.value).startswith("small.yaml: ") and message in str(caught.value)
    assert "\n" not in str(caught.value)
