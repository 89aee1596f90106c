"""statistics.json: what a policy saw and did while its bundle was judged, component by component."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppo_robot.errors import BundleError
from ppo_robot.policy.manifest import STATISTICS
from ppo_robot.spec.strict import plain

Array = NDArray[np.float64]

DECILES = tuple(tenth / 10.0 for tenth in range(1, 10))
"""The quantiles that part a component's values into ten shares of the same size."""

MOST_SAMPLES = 200_000
"""Rows that a gathering keeps; 2000 episodes of `reach`, about 60 MB."""

_COLUMNS = ("minimum", "maximum", "mean", "std")


@dataclass(frozen=True)
class Components:
    """The distribution of each of n components.

    Attributes:
        names: such as `joint_position/elbow_joint`.
        minimum, maximum, mean, std: (n,).
        deciles: (n, 9) inner edges of ten bins that held a tenth of the samples each.
    """

    names: tuple[str, ...]
    minimum: tuple[float, ...]
    maximum: tuple[float, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    deciles: tuple[tuple[float, ...], ...]

    def bounds(self, margin: float, least: float) -> tuple[Array, Array]:
        """Return the range (n,) and (n,) of each component, wider by `margin` of itself at both ends.

        A range narrower than `least`, in the components' own units, is widened as if it were that wide.
        """
        low, high = np.array(self.minimum), np.array(self.maximum)
        wider = margin * np.maximum(high - low, least)
        return low - wider, high + wider


@dataclass(frozen=True)
class Statistics:
    """What a bundle was seen to observe (raw) and to do (before clip) in its own task."""

    samples: int
    observation: Components
    action: Components


class Gathering:
    """Keeps what a policy observed and did, row by row, up to `MOST_SAMPLES`."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._rows: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []
        self._count = 0

    def add(self, observation: NDArray[np.float32], action: NDArray[np.float32]) -> None:
        """Keep copies of observations (B, O) and actions (B, A) while there is room."""
        room = MOST_SAMPLES - self._count
        if room > 0:
            self._rows.append((observation[:room].copy(), action[:room].copy()))
            self._count += len(self._rows[-1][0])

    def statistics(self, observation_names: Sequence[str], action_names: Sequence[str]) -> Statistics:
        """Return the statistics of what was kept.

        Raises:
            ValueError: if nothing was kept.
        """
        if not self._rows:
            raise ValueError("statistics of no samples")
        observation, action = (np.concatenate(part) for part in zip(*self._rows, strict=True))
        return Statistics(self._count, _components(observation, observation_names), _components(action, action_names))


def observation_components(contract: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a name for each component of the observation that spec.json describes, such as `tool_to_goal/0`.

    Components of a joint have its name; those of earlier ticks end with `@-1`, `@-2` and so on.
    """
    names = []
    for term in contract["observations"]:
        history, width = term["shape"]
        labels = term["joint_names"] if len(term["joint_names"]) == width else range(width)
        for age in range(history - 1, -1, -1):  # newest last
            names += [f"{term['name']}/{label}" + (f"@-{age}" if age else "") for label in labels]
    return tuple(names)


def action_components(contract: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a name for each component of the action that spec.json describes: its joint, or what it is by name."""
    action = contract["action"]
    return tuple(action["joint_names"] if "joint_names" in action else action["names"])


def statistics_tree(statistics: Statistics | None) -> dict[str, Any]:
    """Return statistics.json as a tree of plain values; a policy that was not judged has null for both parts."""
    if statistics is None:
        return {"samples": 0, "observation": None, "action": None}
    return dict(plain(statistics))


def read_statistics(data: Mapping[str, Any], contract: Mapping[str, Any]) -> Statistics | None:
    """Return the statistics of a bundle, or None where it was not judged.

    Raises:
        BundleError: if a key is missing or unknown, or the components are not those of spec.json.
    """
    if set(data) != {"samples", "observation", "action"}:
        raise BundleError(f"{STATISTICS}: given keys {', '.join(data)}; expected samples, observation, action")
    if data["samples"] == 0 and data["observation"] is None and data["action"] is None:
        return None
    if not isinstance(data["samples"], int) or isinstance(data["samples"], bool) or data["samples"] < 1:
        raise BundleError(f"{STATISTICS}: samples: given {data['samples']!r}; expected how many there were")
    return Statistics(
        data["samples"],
        _read(data["observation"], "observation", observation_components(contract)),
        _read(data["action"], "action", action_components(contract)),
    )


def _components(values: NDArray[np.float32], names: Sequence[str]) -> Components:
    wide = values.astype(np.float64)
    deciles = np.quantile(wide, DECILES, axis=0).T
    return Components(
        names=tuple(names),
        minimum=tuple(wide.min(axis=0).tolist()),
        maximum=tuple(wide.max(axis=0).tolist()),
        mean=tuple(wide.mean(axis=0).tolist()),
        std=tuple(wide.std(axis=0).tolist()),
        deciles=tuple(map(tuple, deciles.tolist())),
    )


def _read(data: Any, key: str, names: tuple[str, ...]) -> Components:
    if not isinstance(data, dict) or set(data) != {"names", *_COLUMNS, "deciles"}:
        raise BundleError(f"{STATISTICS}: {key}: expected names, {', '.join(_COLUMNS)} and deciles")
    if tuple(data["names"]) != names:
        raise BundleError(f"{STATISTICS}: {key}: its components are not those of the policy; it is another bundle's")
    try:
        columns = {name: np.array(data[name], dtype=np.float64) for name in (*_COLUMNS, "deciles")}
    except (TypeError, ValueError):
        raise BundleError(f"{STATISTICS}: {key}: expected numbers") from None
    for name, column in columns.items():
        shape = (len(names), len(DECILES)) if name == "deciles" else (len(names),)
        if column.shape != shape or not np.isfinite(column).all():
            raise BundleError(f"{STATISTICS}: {key}.{name}: expected {' x '.join(map(str, shape))} finite numbers")
    edges = np.column_stack([columns["minimum"], columns["deciles"], columns["maximum"]])
    if (np.diff(edges, axis=1) < 0.0).any() or (columns["std"] < 0.0).any():
        raise BundleError(f"{STATISTICS}: {key}: minimum, deciles and maximum are not in order")
    rows = {name: tuple(columns[name].tolist()) for name in _COLUMNS}
    return Components(names=names, **rows, deciles=tuple(map(tuple, columns["deciles"].tolist())))
