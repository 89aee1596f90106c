"""Frozen dataclasses from plain mappings, strictly: no unknown key, no wrong type, no value out of range.

Every error is one line: the file, the key, what was given, what is allowed.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import sys
import types
import typing
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml

from ppo_robot.errors import SpecError

T = TypeVar("T")


def setting(
    default: Any = dataclasses.MISSING,
    *,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    below: float | None = None,
    doc: str = "",
) -> Any:
    """Declare a dataclass field with its allowed range.

    `low` and `high` are inclusive bounds, `above` and `below` exclusive ones; for sequences they hold for each element.
    """
    metadata = {"low": low, "high": high, "above": above, "below": below, "doc": doc}
    if default is not dataclasses.MISSING and isinstance(default, (dict, list)):
        return dataclasses.field(default_factory=lambda: type(default)(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read one YAML mapping.

    Raises:
        SpecError: if the file is missing, is not YAML, repeats a key, or is not a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SpecError(f"{path}: no such file; give the path of a YAML file{_neighbours(path)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{path}: cannot be read ({error})") from None
    try:
        data = parse_yaml(text)
    except ValueError as error:
        raise SpecError(f"{path}: not valid YAML ({error})") from None
    if not isinstance(data, dict):
        raise SpecError(f"{path}: given {_kind(data)}; expected a mapping of keys to values")
    return data


def parse_yaml(text: str) -> Any:
    """Return the value of a YAML document.

    Raises:
        ValueError: if it is not YAML, repeats a key, or holds a value that Python cannot; the message is one line.
    """
    try:
        return yaml.load(text, Loader=_UniqueKeyLoader)  # noqa: S506 - a SafeLoader that also refuses repeated keys
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except (yaml.YAMLError, ValueError, TypeError, KeyError) as error:  # a date such as 2020-99-99 is a ValueError
        raise ValueError(" ".join(str(error).split())) from None


def build(cls: type[T], data: Any, source: str, path: str = "") -> T:
    """Build the frozen dataclass `cls` from `data`; `source` names the file and `path` the key in error messages.

    Raises:
        SpecError: at the first key that is unknown, missing, of the wrong type, or out of range.
    """
    if not isinstance(data, Mapping):
        raise _wrong(source, path, data, "a mapping")
    hints = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}  # type: ignore[arg-type]
    for key in data:
        if key not in fields:
            raise SpecError(f"{source}: {_join(path, key)}: unknown key{nearest(str(key), fields)}")
    values: dict[str, Any] = {}
    for name, field in fields.items():
        where = _join(path, name)
        if name in data:
            values[name] = _convert(hints[name], data[name], field.metadata, source, where)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise SpecError(f"{source}: {where}: missing; expected {_describe(hints[name])}")
    try:
        return cls(**values)
    except ValueError as error:
        raise SpecError(f"{source}: {path + ': ' if path else ''}{error}") from None


def of_kind(classes: Sequence[type[T]], data: Any) -> type[T]:
    """Return the dataclass whose field `kind` has, by default, what `data` says there; or else the first."""
    kind = data.get("kind") if isinstance(data, Mapping) else None
    named = {f.default: cls for cls in classes for f in dataclasses.fields(cls) if f.name == "kind"}  # type: ignore[arg-type]
    return named.get(kind, classes[0]) if isinstance(kind, str) else classes[0]


def nearest(key: str, known: typing.Iterable[str]) -> str:
    """Return the hint that ends an unknown-name error: the nearest known name, or all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(key, names, n=1, cutoff=0.5)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; allowed: {', '.join(names)}" if names else "; no key is allowed here"


def plain(value: Any) -> Any:
    """Turn dataclasses, tuples and mappings into what YAML and JSON can hold."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value) if f.init}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in value]
    return value


class _UniqueKeyLoader(yaml.SafeLoader):
    """A safe loader that refuses a key given twice, which YAML would otherwise resolve silently to the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue  # `<<: *anchor`; what it brings may be given again
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise yaml.constructor.ConstructorError(
                    None, None, f"a key in line {key_node.start_mark.line + 1} is a list or a mapping"
                )
            if key in seen:
                line = key_node.start_mark.line + 1
                raise yaml.constructor.ConstructorError(None, None, f"key '{key}' is given twice, again in line {line}")
            seen.add(key)
        return super().construct_mapping(node, deep)


def _convert(hint: Any, value: Any, metadata: Mapping[str, Any], source: str, path: str) -> Any:
    origin = typing.get_origin(hint)
    arguments = typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        inner = [argument for argument in arguments if argument is not type(None)]
        if all(dataclasses.is_dataclass(argument) for argument in inner):
            return build(of_kind(inner, value), value, source, path)
        if len(inner) > 1:  # a number for all or one for each, the only other such union in use
            sequence = isinstance(value, Sequence) and not isinstance(value, str)
            inner = [argument for argument in inner if (typing.get_origin(argument) is tuple) == sequence] or inner
        return _convert(inner[0], value, metadata, source, path)
    if origin is Literal:
        if value not in arguments or isinstance(value, bool):
            raise _wrong(source, path, value, "one of " + ", ".join(map(str, arguments)), arguments)
        return value
    if origin is tuple:
        return _convert_tuple(arguments, value, metadata, source, path)
    if origin in (dict, Mapping, typing.get_origin(Mapping[str, int])):
        if not isinstance(value, Mapping):
            raise _wrong(source, path, value, "a mapping")
        item = arguments[1]
        return {str(key): _convert(item, entry, metadata, source, _join(path, key)) for key, entry in value.items()}
    if dataclasses.is_dataclass(hint):
        return build(typing.cast(type, hint), value, source, path)
    if hint is Any:
        return value
    return _convert_scalar(hint, value, metadata, source, path)


def _convert_tuple(
    arguments: tuple[Any, ...], value: Any, metadata: Mapping[str, Any], source: str, path: str
) -> tuple[Any, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise _wrong(source, path, value, "a list")
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        arguments = (arguments[0],) * len(value)
    if len(arguments) != len(value):
        raise SpecError(f"{source}: {path}: given {len(value)} values; expected {len(arguments)}")
    return tuple(
        _convert(argument, item, metadata, source, f"{path}[{index}]")
        for index, (argument, item) in enumerate(zip(arguments, value, strict=True))
    )


def _convert_scalar(hint: Any, value: Any, metadata: Mapping[str, Any], source: str, path: str) -> Any:
    if hint in (float, int) and isinstance(value, str) and _is_number(value):
        # YAML 1.1 reads 3e-4 as a string; nobody who writes it means one.
        value = float(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value) if abs(value) <= sys.float_info.max else math.inf
    if hint is int and isinstance(value, float) and value.is_integer():
        value = int(value)  # 1.5e6 steps
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise _wrong(source, path, value, _describe(hint))
    if isinstance(value, float) and not math.isfinite(value):
        raise _wrong(source, path, value, "a finite number")
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        _check_range(value, metadata, source, path)
    return value


def _check_range(value: float, metadata: Mapping[str, Any], source: str, path: str) -> None:
    checks = (
        ("low", lambda bound: value >= bound, ">="),
        ("above", lambda bound: value > bound, ">"),
        ("high", lambda bound: value <= bound, "<="),
        ("below", lambda bound: value < bound, "<"),
    )
    bounds = [(sign, metadata[key], holds) for key, holds, sign in checks if metadata.get(key) is not None]
    if not all(holds(bound) for _, bound, holds in bounds):
        allowed = " and ".join(f"{sign} {bound:g}" for sign, bound, _ in bounds)
        raise SpecError(f"{source}: {path}: given {value!r}; expected a value {allowed}")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text.strip()[-1:].isdigit() or text.strip().endswith(".")


def _wrong(
    source: str, path: str, value: Any, expected: str, choices: typing.Iterable[Any] | None = None
) -> SpecError:
    hint = ""
    if choices is not None and isinstance(value, str):
        close = difflib.get_close_matches(value, [str(choice) for choice in choices], n=1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
    where = f"{path}: " if path else ""
    return SpecError(f"{source}: {where}given {value!r} ({_kind(value)}); expected {expected}{hint}")


def _describe(hint: Any) -> str:
    names = {int: "an integer", float: "a number", str: "a text", bool: "true or false"}
    if hint in names:
        return names[hint]
    origin = typing.get_origin(hint)
    if origin is tuple:
        return "a list"
    if origin is Literal:
        return "one of " + ", ".join(map(str, typing.get_args(hint)))
    return "a mapping" if dataclasses.is_dataclass(hint) or origin is dict else "a value"


def _kind(value: Any) -> str:
    names = {dict: "mapping", list: "list", str: "text", int: "integer", float: "number", bool: "boolean"}
    return "nothing" if value is None else names.get(type(value), type(value).__name__)


def _join(path: str, key: Any) -> str:
    return f"{path}.{key}" if path else str(key)


def _neighbours(path: Path) -> str:
    if not path.parent.is_dir():
        return ""
    names = sorted(entry.name for entry in path.parent.glob("*.yaml"))
    return f"; beside it are: {', '.join(names)}" if names else ""
