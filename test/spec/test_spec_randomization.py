"""Tests for ppo_robot.spec.randomization: what an entry may say, and that tasks without any stay what they were."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from ppo_robot.errors import SpecError
from ppo_robot.spec.randomization import ARM_PARAMETERS, PARAMETERS, RandomizationSpec
from ppo_robot.spec.strict import build, plain
from ppo_robot.spec.task import SimulationSpec, load_task

WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("unknown parameter", {"link_mas": {"range": [1, 2]}}, "randomization.link_mas: no parameter 'link_mas'"),
    ("unknown key", {"payload": {"rnage": [0, 1]}}, "randomization.payload.rnage: unknown key; did you mean 'range'?"),
    ("no range", {"payload": {}}, "range: missing; distribution uniform draws from it"),
    ("no std", {"payload": {"distribution": "normal", "range": [0, 1]}}, "std: missing; distribution normal draws"),
    ("no values", {"payload": {"distribution": "choice"}}, "values: missing; distribution choice draws from it"),
    ("two of them", {"payload": {"range": [0, 1], "std": 1.0}}, "std: given with distribution uniform; it draws from"),
    ("order", {"payload": {"range": [1, 0]}}, "range: given [1.0, 0.0]; expected the lower bound first"),
    ("limits", {"payload": {"range": [0, 1], "limits": [1, 0]}}, "limits: given [1.0, 0.0]; expected the"),
    ("log of zero", {"link_mass": {"distribution": "log_uniform", "range": [0, 1]}}, "expected above 0 for log_uni"),
    ("beyond", {"payload": {"range": [-1, 1]}}, "given [-1.0, 1.0]; payload has a meaning from 0 to 1000 kg"),
    ("limits beyond", {"payload": {"distribution": "normal", "std": 1, "limits": [-1, 1]}}, "payload has a mean"),
    ("choice beyond", {"gravity": {"distribution": "choice", "values": [11]}}, "gravity has a meaning from 0 to 10"),
    ("when", {"link_mass": {"range": [1, 2], "when": "step"}}, "when: given step; link_mass is drawn at"),
    ("no interval", {"push": {"range": [0, 1], "when": "interval"}}, "interval: missing with when: interval"),
    ("interval", {"payload": {"range": [0, 1], "interval": [1, 2]}}, "interval: given [1.0, 2.0] with when: reset"),
    ("duration", {"payload": {"range": [0, 1], "duration": 1}}, "duration: given 1.0 with when: reset; it belongs to"),
    ("one of it", {"payload": {"range": [0, 1], "only": ["a"]}}, "only: given with payload; there is one of it"),
    ("episodes", {"payload": {"range": [0, 1], "episodes": [0, 2]}}, "episodes[1]: given 2.0; expected a value >= 0"),
    (
        "absolute, twice",
        {"contact_friction": {"range": [0, 1]}, "more": {"parameter": "contact_friction", "range": [0, 1]}},
        "contact_friction is drawn by randomization.contact_friction already; expected one entry",
    ),
]


@pytest.mark.parametrize(("entries", "message"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_a_wrong_entry_is_one_line(entries: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        build(SimulationSpec, {"randomization": entries}, "task.yaml")
    assert message in str(caught.value)
    assert str(caught.value).startswith("task.yaml: ")
    assert "\n" not in str(caught.value)


def test_the_full_set_draws_every_parameter_but_two_and_comes_back_equal() -> None:
    simulation = load_task("reach_randomized").simulation
    used = {entry.parameter or name for name, entry in simulation.randomization.items()}
    # A contact that is drawn to be soft cannot be made rigid again: the price is not worth it where nothing is touched.
    left = {"contact_stiffness", "contact_damping", "joint_velocity_step", "start_position"}
    assert used == set(ARM_PARAMETERS) - left
    assert build(SimulationSpec, plain(simulation), "again") == simulation


def test_the_full_set_is_reach_but_for_what_it_draws() -> None:
    full, reach = load_task("reach_randomized"), load_task("reach")
    simulation = dataclasses.replace(full.simulation, randomization={})
    assert dataclasses.replace(full, name="reach", simulation=simulation) == reach


def test_the_documentation_has_every_parameter_as_it_is() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "randomization.md").read_text(encoding="utf-8")
    for name, parameter in PARAMETERS.items():
        cells = (f"`{name}`", parameter.per.replace("_", " "), parameter.unit, parameter.meets)
        assert f"| {' | '.join(cells)} | {', '.join(parameter.when)} | {parameter.doc} |" in text


def test_support() -> None:
    assert RandomizationSpec(range=(1.0, 2.0)).support == (1.0, 2.0)
    assert RandomizationSpec(distribution="choice", values=(3.0, 1.0)).support == (1.0, 3.0)
