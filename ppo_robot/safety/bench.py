"""`ppo-robot bench envelope`: millions of adversarial cycles over all cores, and what a cycle costs."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from functools import partial
from typing import Any

from ppo_robot.safety.adversary import Adversary, Tally, drawn_spec, time_cycles
from ppo_robot.safety.body import LinkBody
from ppo_robot.safety.limits import make_limits
from ppo_robot.safety.witness import TOLERANCE
from ppo_robot.spec.robot import RobotSpec
from ppo_robot.spec.safety import SafetySpec

CHUNK = 15_000
"""Cycles of one adversary; the next one has other settings."""

TIMED_CYCLES = 20_000


def _chunk(robot: RobotSpec, control_period: float, cycles: int, seed: int) -> Tally:
    spec = drawn_spec(seed)
    body = LinkBody(robot) if spec.self_collision else None
    return Adversary(make_limits(robot, spec), spec, control_period, seed, body).run(cycles)


def bench_envelope(
    robot: RobotSpec,
    control_period: float,
    cycles: int,
    seed: int,
    processes: int,
    on_progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Run at least `cycles` adversarial cycles; return counts of violations by limit and of everything that was tried.

    The same seed gives the same figures, whatever the number of processes.
    """
    chunk = min(CHUNK, cycles)
    seeds = [seed * 1_000_003 + index for index in range(-(-cycles // chunk))]
    total = Tally()
    # Not forked: a child would inherit the parent's threads halfway through whatever they did.
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for done, tally in enumerate(pool.imap(partial(_chunk, robot, control_period, chunk), seeds), start=1):
            total.add(tally)
            if on_progress is not None:
                on_progress(done * chunk)
    return {
        "robot": robot.name,
        "cycles": total.cycles,
        "setpoints": total.setpoints,
        "seed": seed,
        "tolerance": TOLERANCE,
        "violations": sum(total.violations.values()),
        "violations_by_limit": dict(sorted(total.violations.items())),
        "largest_share_of_limit": total.used,
        "first_violation": total.first or None,
        "seen": dict(sorted(total.seen.items())),
    }


def time_envelope(robot: RobotSpec, control_period: float) -> dict[str, Any]:
    """Return what a cycle costs in µs, inputs and self-collision included, with the default settings."""
    spec = SafetySpec()
    figures = time_cycles(make_limits(robot, spec), spec, control_period, TIMED_CYCLES, LinkBody(robot))
    return {"robot": robot.name, "rate_hz": spec.rate, "cycles": TIMED_CYCLES, "cycle_us": figures}
