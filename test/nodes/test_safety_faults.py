"""A whole deployment with a fault in it: the robot's own record shows a stop inside the limits.

`benchmarks/safety_faults.py` does the same twenty times each and writes docs/results/safety_faults.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs rclpy: pip install 'ppo_robot[ros]'")

from fault_cases import CASES, Case  # noqa: E402
from fault_record import Record, bounds_of, judge  # noqa: E402
from fault_rig import Rig, run_cases  # noqa: E402
from rcl_interfaces.srv import SetParameters  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402

from ppo_robot.spec.robot import load_robot  # noqa: E402

QUICK = ("policy-stop", "state-stop", "safety-stop", "flood", "nan-velocity", "ahead-other", "safety-kill")
"""In this order, on one system; the last ends it."""


def named(name: str) -> Case:
    return next(case for case in CASES if case.name == name)


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    made = Rig(tmp_path_factory.mktemp("rig"), CASES[0])
    yield made
    made.close()


def test_no_parameter_can_be_changed_while_it_runs(rig: Rig) -> None:
    client = rig.node.create_client(SetParameters, "safety/set_parameters")
    values = {"arm": True, "deployment": "another", "bundle": "another"}
    parameters = [Parameter(name, value=value).to_parameter_msg() for name, value in values.items()]
    results = rig.call(client, SetParameters.Request(parameters=parameters)).results
    assert [result.successful for result in results] == [False] * 3


@pytest.mark.parametrize("name", QUICK)
def test_a_fault_in_full_motion_ends_in_a_stand_inside_the_limits(rig: Rig, name: str) -> None:
    outcome = rig.run(named(name), 0)
    assert outcome.failures == []
    assert outcome.sent > 20
    assert outcome.used[1] > 0.2  # it did move


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in CASES if case.name not in QUICK], ids=lambda case: case.name)
def test_every_other_fault_does_so_too(tmp_path: Path, case: Case) -> None:
    (outcome,) = run_cases(tmp_path, case, 1, lambda repetition, outcome: None)
    assert outcome.failures == []


PERIOD = 0.005


def moved(steps: list[float], numbers: list[int] | None = None) -> Record:
    """Return a record of setpoints in which one joint moves by these steps, and the robot takes all of them."""
    rows = [[position, *[0.0] * 5] for position in np.cumsum(steps).tolist()]
    return Record(list(zip(numbers or range(len(rows)), rows, strict=True)), [(0.0, row) for row in rows], [])


def test_the_judge_sees_a_jump_and_takes_no_hole_for_one() -> None:
    bounds = bounds_of(load_robot("arm6"))
    step = 0.5 * float(bounds.velocity[0]) * PERIOD
    still = judge(moved([0.0] * 5), bounds, PERIOD)
    assert (sum(still.violations.values()), still.holes, still.untaken, still.foreign) == (0, 0, 0, 0)
    jump = judge(moved([0.0, 0.0, step, 0.0, 0.0]), bounds, PERIOD)
    assert jump.violations == {"position": 0, "velocity": 0, "acceleration": 2, "jerk": 2}
    hole = judge(moved([0.0, 0.0, step, 0.0, 0.0], [1, 2, 9, 10, 11]), bounds, PERIOD)
    assert (sum(hole.violations.values()), hole.holes) == (0, 6)
    far = judge(moved([0.0, 0.0, 20.0 * step, 0.0, 0.0], [1, 2, 9, 10, 11]), bounds, PERIOD)
    assert far.violations["velocity"] == 1


def test_the_judge_holds_the_robots_record_against_what_was_sent() -> None:
    bounds, record = bounds_of(load_robot("arm6")), moved([0.001] * 6)
    del record.taken[2]
    assert (judge(record, bounds, PERIOD).untaken, judge(record, bounds, PERIOD).foreign) == (1, 0)
    record.taken[2] = (0.0, [0.5] * 6)
    assert (judge(record, bounds, PERIOD).untaken, judge(record, bounds, PERIOD).foreign) == (2, 1)


def test_what_the_robot_has_from_a_sender_that_died_is_judged_too() -> None:
    bounds, record = bounds_of(load_robot("arm6")), moved([0.001] * 6)
    record.taken.insert(0, (0.0, [0.3] * 6))  # of the arming before
    del record.sent[-1]
    heard = judge(record, bounds, PERIOD)
    assert (heard.untaken, heard.foreign, sum(heard.violations.values())) == (0, 0, 0)
    record.taken[-1] = (0.0, [0.5] * 6)
    assert judge(record, bounds, PERIOD).violations["velocity"] == 6


def test_a_stand_is_a_stand_to_the_end() -> None:
    record = Record(truth=[(0.01 * at, [0.0], [0.2 if at in (0, 3) else 0.0]) for at in range(10)])
    assert record.standstill(0.0, 1.0) == pytest.approx(0.04)
    assert record.standstill(0.0, 0.03) == float("inf")
    assert record.stands(0.045) and not record.stands(0.055)
    assert record.braking(0.0, 1.0, 0.01) == pytest.approx(20.0)
