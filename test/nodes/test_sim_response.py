"""Tests for ppo_robot.nodes.sim_response: which command answers which state, and after how long."""

from __future__ import annotations

import numpy as np
import pytest

from ppo_robot.nodes.sim_response import AWAITED, ResponseWatch


def test_the_first_command_that_names_a_state_counts() -> None:
    watch = ResponseWatch()
    assert watch.figures() == {}
    watch.measured(1_700_000_000, 5, 10.0)
    watch.measured(1_700_000_000, 10_000_005, 10.01)
    watch.commanded("sequence 1 state 1700000000.010000005", 10.014)
    watch.commanded("sequence 1 state 1700000000.010000005", 10.018)
    watch.commanded("sequence 2 state 1700000000.000000005", 10.02)  # older than what was answered: never told
    ((stamp, seconds),) = watch.take()
    assert stamp == pytest.approx(1_700_000_000.010000005)
    assert seconds == pytest.approx(0.004)
    assert watch.take() == []
    assert watch.count == 1


@pytest.mark.parametrize("label", ["", "base_link", "state 1.5", "sequence 1 state 9.000000000", "state 1.000000000x"])
def test_what_names_no_state_that_is_waited_for_counts_nothing(label: str) -> None:
    watch = ResponseWatch()
    watch.measured(1, 0, 10.0)
    watch.commanded(label, 10.5)
    assert watch.take() == []
    watch.commanded("sequence 1 state 1.000000000", 10.5)
    assert [seconds for _, seconds in watch.take()] == [0.5]


def test_percentiles_are_those_of_the_samples() -> None:
    watch = ResponseWatch()
    delays = np.random.default_rng(0).exponential(0.01, 500)
    for number, delay in enumerate(delays):
        watch.measured(number, 7, 0.0)
        watch.commanded(f"sequence {number + 1} state {number}.000000007", float(delay))
    p50, p99 = np.percentile(delays, [50, 99])
    expected = {"response/count": "500", "response/p50_s": f"{p50:.6f}", "response/p99_s": f"{p99:.6f}"}
    assert watch.figures() == expected
    assert [seconds for _, seconds in watch.take()] == delays.tolist()


def test_states_that_nobody_answers_are_forgotten() -> None:
    watch = ResponseWatch()
    for second in range(AWAITED + 1):
        watch.measured(second, 0, float(second))
    watch.commanded("sequence 1 state 0.000000000", 1e6)
    assert watch.take() == []
    watch.commanded("sequence 1 state 1.000000000", 3.0)
    assert [seconds for _, seconds in watch.take()] == [2.0]
