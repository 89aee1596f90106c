"""eval.json: the gates that a policy had to pass, and the figures behind them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ppo_robot.errors import BundleError
from ppo_robot.policy.manifest import EVALUATION

GATE_KEYS = ("name", "threshold", "value", "ci95", "episodes", "seeds", "passed")


def success_gate(summary: Mapping[str, Any], threshold: float, seeds: Sequence[int]) -> dict[str, Any]:
    """Return the gate `success_rate >= threshold` for the summary of an evaluation."""
    return {
        "name": "success_rate",
        "threshold": float(threshold),
        "value": float(summary["success_rate"]),
        "ci95": [float(bound) for bound in summary["success_ci95"]],
        "episodes": int(summary["episodes"]),
        "seeds": [int(seed) for seed in seeds],
        "passed": bool(summary["success_rate"] >= threshold),
    }


def check_evaluation(evaluation: Mapping[str, Any], source: str = EVALUATION) -> dict[str, Any]:
    """Return the evaluation as it goes into a bundle; `source` names it in errors.

    Raises:
        BundleError: if `gates` is no list, or a gate lacks a key, is malformed, or claims to have passed and did not.
    """
    gates = evaluation.get("gates")
    if not isinstance(gates, list):
        raise BundleError(f"{source}: gates: missing; expected a list (empty where nothing was evaluated)")
    for index, gate in enumerate(gates):
        where = f"{source}: gates[{index}]"
        if not isinstance(gate, Mapping) or sorted(gate) != sorted(GATE_KEYS):
            raise BundleError(f"{where}: expected the keys {', '.join(GATE_KEYS)}")
        for key in ("threshold", "value"):
            if isinstance(gate[key], bool) or not isinstance(gate[key], (int, float)) or not math.isfinite(gate[key]):
                raise BundleError(f"{where}.{key}: given {gate[key]!r}; expected a number")
        low_high = gate["ci95"]
        if low_high is not None and not (isinstance(low_high, list) and len(low_high) == 2):
            raise BundleError(f"{where}.ci95: given {low_high!r}; expected a lower and an upper bound, or null")
        if not isinstance(gate["passed"], bool):
            raise BundleError(f"{where}.passed: given {gate['passed']!r}; expected true or false")
        if gate["name"] == "success_rate" and gate["passed"] != (gate["value"] >= gate["threshold"]):
            raise BundleError(f"{where}.passed: given {gate['passed']}; value and threshold say otherwise")
    return dict(evaluation)
