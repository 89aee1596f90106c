"""Adversarial cycles of the envelope, judged by the witness; `ppo-robot bench envelope` runs many more."""

from __future__ import annotations

import pytest

from ppo_robot.safety.adversary import Adversary, drawn_spec
from ppo_robot.safety.bench import bench_envelope
from ppo_robot.safety.limits import make_limits
from ppo_robot.safety.reasons import Cause, Refusal, State
from ppo_robot.safety.stepper import Stepper
from ppo_robot.spec.robot import RobotSpec, load_robot


@pytest.fixture(scope="module")
def robot() -> RobotSpec:
    return load_robot("arm6")


def test_nothing_that_is_tried_breaks_a_limit_and_everything_is_tried(robot: RobotSpec) -> None:
    figures = bench_envelope(robot, 0.02, 150_000, 1, 2)
    assert figures["violations"] == 0, figures["first_violation"]
    assert figures["cycles"] >= 150_000
    seen = set(figures["seen"])
    assert {state.value for state in State} <= seen
    assert {f"action/{refusal.name.lower()}" for refusal in Refusal} <= seen
    of_the_process = {Cause.SHUTDOWN, Cause.ERROR}
    assert {f"stop/{cause.name.lower()}" for cause in set(Cause) - of_the_process} <= seen
    assert min(figures["largest_share_of_limit"].values()) > 0.99  # the limits were reached, not avoided


def test_the_same_seed_tries_the_same(robot: RobotSpec) -> None:
    one, two = (bench_envelope(robot, 0.02, 6_000, 3, processes) for processes in (1, 2))
    assert one == two


def test_the_witness_sees_an_envelope_that_is_broken(robot: RobotSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stepper, "_no_stop_behind", lambda self, wanted: (False,) * self.limits.joints)
    found = 0
    for seed in range(4):
        spec = drawn_spec(seed)
        tally = Adversary(make_limits(robot, spec), spec, 0.02, seed).run(15_000)
        found += tally.violations["stop"] + tally.violations["position"]
    assert found > 0
