"""Tests for ppo_robot.spec.strict: every wrong value is one line that names file, key, what was given and allowed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from ppo_robot.errors import SpecError
from ppo_robot.spec.strict import build, nearest, parse_yaml, plain, read_yaml, setting


@dataclass(frozen=True)
class Inner:
    gain: float = setting(0.5, above=0.0, below=1.0)
    steps: int = setting(1, low=1, high=10)

    def __post_init__(self) -> None:
        if self.steps == 7:
            raise ValueError("steps: given 7; expected a luckier number")


@dataclass(frozen=True)
class Outer:
    name: str
    inner: Inner = field(default_factory=Inner)
    mode: Literal["fast", "slow"] = "fast"
    flag: bool = False
    clip: float | None = setting(None, above=0.0)
    pair: tuple[float, float] = (0.0, 1.0)
    sizes: tuple[int, ...] = setting((1,), low=1)
    both: float | tuple[float, ...] = 1.0
    table: dict[str, float] = field(default_factory=dict)
    parts: dict[str, Inner] = field(default_factory=dict)


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("unknown key, nearest", {"nmae": "a"}, "f.yaml: nmae: unknown key; did you mean 'name'?"),
    ("unknown key, far", {"name": "a", "zzz": 1}, "f.yaml: zzz: unknown key; allowed: both, clip, flag"),
    ("unknown inner key", {"name": "a", "inner": {"gian": 1}}, "f.yaml: inner.gian: unknown key; did you mean 'gain'?"),
    ("unknown key of another type", {"name": "a", 3: 1}, "f.yaml: 3: unknown key"),
    ("missing", {}, "f.yaml: name: missing; expected a text"),
    ("number for text", {"name": 3}, "f.yaml: name: given 3 (integer); expected a text"),
    ("text for number", {"name": "a", "inner": {"gain": "much"}}, "inner.gain: given 'much' (text); expected a number"),
    ("nothing for number", {"name": "a", "inner": {"gain": None}}, "inner.gain: given None (nothing); expected a num"),
    ("boolean for number", {"name": "a", "inner": {"gain": True}}, "inner.gain: given True (boolean); expected a num"),
    ("boolean for integer", {"name": "a", "inner": {"steps": True}}, "inner.steps: given True (boolean); expected an"),
    ("integer for boolean", {"name": "a", "flag": 1}, "flag: given 1 (integer); expected true or false"),
    ("fraction for integer", {"name": "a", "inner": {"steps": 2.5}}, "inner.steps: given 2.5 (number); expected an in"),
    ("list for mapping", {"name": "a", "inner": [1]}, "inner: given [1] (list); expected a mapping"),
    ("mapping for list", {"name": "a", "pair": {"x": 1}}, "pair: given {'x': 1} (mapping); expected a list"),
    ("text for list", {"name": "a", "sizes": "12"}, "sizes: given '12' (text); expected a list"),
    ("too many", {"name": "a", "pair": [1, 2, 3]}, "pair: given 3 values; expected 2"),
    ("element", {"name": "a", "pair": [1, "x"]}, "pair[1]: given 'x' (text); expected a number"),
    ("element out of range", {"name": "a", "sizes": [3, 0]}, "sizes[1]: given 0; expected a value >= 1"),
    ("at an open bound", {"name": "a", "inner": {"gain": 1.0}}, "inner.gain: given 1.0; expected a value > 0 and < 1"),
    ("above", {"name": "a", "inner": {"steps": 11}}, "inner.steps: given 11; expected a value >= 1 and <= 10"),
    ("optional out of range", {"name": "a", "clip": 0.0}, "clip: given 0.0; expected a value > 0"),
    ("NaN", {"name": "a", "table": {"x": float("nan")}}, "table.x: given nan (number); expected a finite number"),
    ("infinite", {"name": "a", "pair": [0.0, float("inf")]}, "pair[1]: given inf (number); expected a finite number"),
    ("infinite as text", {"name": "a", "pair": [0.0, "1e999"]}, "pair[1]: given inf (number); expected a finite numbe"),
    ("integer beyond floats", {"name": "a", "pair": [0, 10**400]}, "pair[1]: given inf (number); expected a finite"),
    ("choice", {"name": "a", "mode": "fats"}, "mode: given 'fats' (text); expected one of fast, slow; did you mean 'f"),
    ("choice of another type", {"name": "a", "mode": ["fast"]}, "mode: given ['fast'] (list); expected one of fast, s"),
    ("dataclass in mapping", {"name": "a", "parts": {"p": {"gain": 2}}}, "parts.p.gain: given 2.0; expected a value >"),
    ("own check", {"name": "a", "parts": {"p": {"steps": 7}}}, "f.yaml: parts.p: steps: given 7; expected a luckier"),
    ("union", {"name": "a", "both": "x"}, "both: given 'x' (text); expected a number"),
    ("union element", {"name": "a", "both": [1, "x"]}, "both[1]: given 'x' (text); expected a number"),
]


@pytest.mark.parametrize(("data", "message"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_a_wrong_value_is_one_line(data: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        build(Outer, data, "f.yaml")
    assert message in str(caught.value)
    assert str(caught.value).startswith("f.yaml: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "name", "value"),
    [
        ("pair: [1, 2]", "pair", (1.0, 2.0)),
        ("pair: [1e-3, '2']", "pair", (0.001, 2.0)),
        ("clip: 3e-4", "clip", 3e-4),
        ("clip: null", "clip", None),
        ("clip: ~", "clip", None),
        ("inner: {steps: 1e1}", "inner", Inner(steps=10)),
        ("inner: {steps: 3.0}", "inner", Inner(steps=3)),
        ("both: 2", "both", 2.0),
        ("both: [1, 2]", "both", (1.0, 2.0)),
        ("sizes: []", "sizes", ()),
        ("table: {1: 2}", "table", {"1": 2.0}),
        ("parts: {p: {}}", "parts", {"p": Inner()}),
        ("mode: slow", "mode", "slow"),
    ],
)
def test_a_good_value_is_converted(given: str, name: str, value: object) -> None:
    built = getattr(build(Outer, parse_yaml(f"name: a\n{given}"), "f.yaml"), name)
    assert built == value
    assert type(built) is type(value)
    if isinstance(built, tuple) and isinstance(value, tuple):
        assert [type(item) for item in built] == [type(item) for item in value]


def test_plain_is_what_yaml_and_json_hold_and_builds_again() -> None:
    outer = Outer("a", Inner(0.25, 3), "slow", True, 0.1, (0.1, 0.2), (3, 4), (1.0, 2.0), {"x": 1e-9}, {"p": Inner()})
    data = plain(outer)
    assert data["pair"] == [0.1, 0.2]
    assert data["parts"] == {"p": {"gain": 0.5, "steps": 1}}
    assert build(Outer, data, "f.yaml") == outer


def test_defaults_are_not_shared() -> None:
    assert build(Outer, {"name": "a"}, "f").table is not build(Outer, {"name": "a"}, "f").table


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2\n", "key 'a' is given twice, again in line 2"),
        ("x: {a: 1, b: 2, a: 3}\n", "key 'a' is given twice"),
        ("? [a, b]\n: 1\n", "a key in line 1 is a list or a mapping"),
        ("a: [1, 2\n", "not valid YAML"),
        ("a: 2020-99-99\n", "month must be in 1..12"),
        ("a: !!bool maybe\n", "not valid YAML"),
        ("a: !!python/object:os.system {}\n", "could not determine a constructor"),
        ("a: " + "9" * 5000, "not valid YAML"),
        ("a: " + "[" * 5000, "nested too deeply"),
        ("- a\n- b\n", "given list; expected a mapping"),
        ("", "given nothing; expected a mapping"),
        ("just words\n", "given text; expected a mapping"),
    ],
)
def test_a_wrong_file_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    with pytest.raises(SpecError) as caught:
        read_yaml(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_names_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "arm6.yaml").write_text("a: 1")
    with pytest.raises(SpecError, match=r"arm7\.yaml: no such file.*beside it are: arm6\.yaml"):
        read_yaml(tmp_path / "arm7.yaml")


def test_bytes_and_folders_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bytes.yaml"
    path.write_bytes(b"a: \xff\xfe")
    for wrong in (path, tmp_path):
        with pytest.raises(SpecError, match="cannot be read"):
            read_yaml(wrong)


def test_an_anchor_may_be_merged(tmp_path: Path) -> None:
    path = tmp_path / "merge.yaml"
    path.write_text("base: &base {x: 1, y: 2}\nother: {<<: *base, y: 3}\n")
    assert read_yaml(path)["other"] == {"x": 1, "y": 3}


def test_nearest_names_the_closest_or_all() -> None:
    assert nearest("elbw_joint", ["elbow_joint", "wrist_joint"]) == "; did you mean 'elbow_joint'?"
    assert nearest("q", ["b", "a"]) == "; allowed: a, b"
    assert nearest("q", []) == "; no key is allowed here"
