"""Registries: how a term in a task's YAML finds its function, and how its parameters are checked."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from ppo_robot.errors import SpecError
from ppo_robot.spec.strict import nearest

F = TypeVar("F", bound=Callable[..., Any])


class Registry(Generic[F]):
    """Named functions of one kind (observations, rewards, …) whose keyword parameters a task may set."""

    def __init__(self, kind: str, base: Registry[F] | None = None) -> None:
        """Name the kind for error messages; what `base` holds by now is in this registry too."""
        self.kind = kind
        self._functions: dict[str, F] = dict(base._functions) if base is not None else {}
        self._facts: dict[str, dict[str, str]] = dict(base._facts) if base is not None else {}

    def register(self, **facts: str) -> Callable[[F], F]:
        """Add the decorated function under its own name, with facts such as its unit and frame."""

        def add(function: F) -> F:
            name = function.__name__
            if name in self._functions:
                raise ValueError(f"{self.kind} term '{name}' is registered twice")
            self._functions[name] = function
            self._facts[name] = facts
            return function

        return add

    @property
    def names(self) -> tuple[str, ...]:
        """All registered names."""
        return tuple(self._functions)

    def facts(self, name: str) -> Mapping[str, str]:
        """Return the facts that the function was registered with."""
        return self._facts[name]

    def bind(self, name: str, params: Mapping[str, float], where: str) -> F:
        """Return the function with its parameters set.

        Raises:
            SpecError: if the name or a parameter is unknown, or a parameter without default is missing; `where`
                names the place in the task.
        """
        if name not in self._functions:
            raise SpecError(f"{where}: no {self.kind} term '{name}'{nearest(name, self._functions)}")
        function = self._functions[name]
        allowed = {
            parameter.name: parameter
            for parameter in inspect.signature(function).parameters.values()
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY
        }
        for key in params:
            if key not in allowed:
                hint = nearest(key, allowed)
                raise SpecError(f"{where}.params.{key}: {self.kind} '{name}' has no such parameter{hint}")
        for key, parameter in allowed.items():
            if parameter.default is inspect.Parameter.empty and key not in params:
                raise SpecError(f"{where}.params.{key}: missing; {self.kind} '{name}' needs it")
        return functools.partial(function, **params) if params else function  # type: ignore[return-value]
