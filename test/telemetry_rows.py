"""Rows of both telemetry topics in which every delay is given, for tests of whoever reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ppo_robot.telemetry.matrix import SAFETY_SCALARS, Kind
from ppo_robot.telemetry.timeline import STAGES

PERIOD = 0.01
ROS = 1.7e9
"""s that the stamps' clock is ahead of the monotonic one."""

DELAYS = {
    "sensor_to_policy": 0.002,
    "wait_for_tick": 0.003,
    "observe": 0.0001,
    "inference": 0.0002,
    "act": 0.00015,
    "policy_to_safety": 0.0004,
    "wait_for_cycle": 0.0017,
    "command": 0.00005,
    "to_controller": 0.0003,
}
TOTAL = sum(DELAYS.values())
Columns = dict[str, np.ndarray]


def moments(tick: int, delays: Mapping[str, float] = DELAYS, start: float = 100.0) -> dict[str, float]:
    """Return when each stage of a tick ended; the stamp lies so that ticks begin on the grid."""
    time = start + tick * PERIOD - delays["sensor_to_policy"] - delays["wait_for_tick"]
    found = {"stamp": time}
    for stage in STAGES:
        time += delays[stage]
        found[stage] = time
    return found


def policy_row(sequence: int, at: Mapping[str, float], begun: bool = False, ros: float = ROS) -> dict[str, float]:
    return {
        "sequence": sequence,
        "begun": float(begun),
        "state_stamp": ros + at["stamp"],
        "state_received": at["sensor_to_policy"],
        "state_ros": ros + at["sensor_to_policy"],
        "tick_began": at["wait_for_tick"],
        "observed": at["observe"],
        "inference_began": at["observe"],
        "inference_ended": at["inference"],
        "acted": at["act"],
        "published": at["act"],
    }


def safety_rows(sequence: int, at: Mapping[str, float], sent: bool = True, ros: float = ROS) -> list[dict[str, float]]:
    """Return a state, the action, the cycle that used it first and the one after."""
    both = dict.fromkeys(SAFETY_SCALARS, 0.0) | {"sequence": sequence, "stamp": ros + at["stamp"]}
    checked, published = at["wait_for_cycle"], at["command"] if sent else np.nan
    return [
        both | {"kind": Kind.STATE, "sequence": 0, "stamp": ros + at["stamp"]},
        both | {"kind": Kind.ACTION, "now": at["policy_to_safety"]},
        both | {"kind": Kind.CYCLE, "now": checked, "checked": checked, "published": published},
        both | {"kind": Kind.CYCLE, "now": checked + 9.0, "checked": checked + 9.0, "published": published + 9.0},
    ]


def columns(rows: Sequence[Mapping[str, float]], **arrays: int) -> Columns:
    """Return the columns of rows; `arrays` are further columns of so many zeros a row."""
    found = {name: np.array([row[name] for row in rows], dtype=float) for name in rows[0]}
    return found | {name: np.zeros((len(rows), size)) for name, size in arrays.items()}
