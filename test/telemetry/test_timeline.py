"""The way of a tick, with every delay given: what is joined, what is not, and what is counted."""

from __future__ import annotations

import numpy as np
import pytest
from telemetry_rows import DELAYS, PERIOD, ROS, TOTAL, columns, moments, policy_row, safety_rows

from ppo_robot.telemetry.matrix import SAFETY_SCALARS
from ppo_robot.telemetry.timeline import LARGEST_PENDING, PATIENCE, Timeline


def timeline(simulated: bool = False) -> Timeline:
    return Timeline(PERIOD, window=10.0, bounds=(PERIOD, 0.1), simulated=simulated)


def feed(line: Timeline, sequence: int, at: dict[str, float], without: str = "") -> None:
    if without != "policy":
        line.policy(columns([policy_row(sequence, at)]), at["to_controller"])
    if without != "safety":
        line.safety(columns(safety_rows(sequence, at)), at["to_controller"])
    if without != "arrival":
        line.arrived(sequence, ROS + at["stamp"], at["to_controller"], at["to_controller"])


def median(line: Timeline, name: str) -> float:
    return line.stages[name].all.quantiles([0.5])[0]


def test_every_stage_is_what_it_was_given_and_they_add_up() -> None:
    line = timeline()
    for sequence in range(1, 101):
        feed(line, sequence, moments(sequence))
        line.settle(moments(sequence)["to_controller"])
    # A double holds 1.7e9 s to 0.24 us, and a difference of two to half a microsecond.
    for stage, delay in DELAYS.items():
        assert line.stages[stage].all.count == 100, stage
        assert median(line, stage) == pytest.approx(delay, rel=0.0101, abs=1e-6), stage
    assert median(line, "end_to_end") == pytest.approx(TOTAL, rel=0.0101)
    assert line.stages["end_to_end"].all.maximum == pytest.approx(TOTAL, abs=1e-6)
    assert median(line, "observation_age") == pytest.approx(0.005, rel=0.0101)
    assert (line.ticks, line.pending, line.lost_rows, line.sessions) == (100, 0, 0, 1)
    assert not line.unpaired


def test_the_parts_may_come_in_any_order_and_in_batches() -> None:
    line = timeline()
    all_moments = [moments(sequence) for sequence in range(1, 51)]
    for sequence, at in enumerate(all_moments, 1):
        line.arrived(sequence, ROS + at["stamp"], at["to_controller"], 101.0)
    line.safety(
        columns([row for sequence, at in enumerate(all_moments, 1) for row in safety_rows(sequence, at)]), 101.0
    )
    line.settle(101.0)
    assert line.stages["end_to_end"].all.count == 0
    line.policy(columns([policy_row(sequence, at) for sequence, at in enumerate(all_moments, 1)]), 101.1)
    line.settle(101.1)
    assert line.stages["end_to_end"].all.count == 50
    assert line.pending == 0


def test_jitter_period_and_misses_come_from_the_starts_of_ticks() -> None:
    line = timeline()
    starts = [*range(30), 33, *range(34, 60)]
    rows = [policy_row(number, moments(slot)) for number, slot in enumerate(starts, 1)]
    line.policy(columns(rows), 101.0)
    assert line.stages["period"].all.count == 56
    assert line.stages["period"].all.maximum == pytest.approx(0.04)
    assert line.stages["period_jitter"].all.maximum == pytest.approx(0.03)
    assert (line.schedule.counters.missed, line.schedule.counters.longest_run) == (3, 3)


def test_a_restarted_policy_counts_from_one_again_and_pairs_all_the_same() -> None:
    line = timeline()
    for sequence in range(1, 11):
        feed(line, sequence, moments(sequence))
    for sequence in range(1, 11):
        feed(line, sequence, moments(500 + sequence))
    line.settle(106.0)
    assert line.stages["end_to_end"].all.count == 20
    assert line.stages["end_to_end"].all.maximum == pytest.approx(TOTAL, abs=1e-6)
    assert (line.ticks, line.sessions, line.lost_rows) == (20, 2, 0)
    assert line.schedule.counters.missed == 0
    assert line.stages["period"].all.count == 18


def test_a_dropped_batch_is_counted_and_makes_no_miss() -> None:
    line = timeline()
    for sequence in (*range(1, 26), *range(51, 76)):
        line.policy(columns([policy_row(sequence, moments(sequence))]), 101.0)
    assert (line.ticks, line.lost_rows) == (75, 25)
    assert line.schedule.counters.missed == 0
    assert line.stages["period"].all.maximum == pytest.approx(PERIOD)


def test_a_pause_is_neither_a_gap_nor_a_miss() -> None:
    line = timeline()
    line.policy(columns([policy_row(1, moments(1), begun=True), policy_row(2, moments(2))]), 100.1)
    line.policy(columns([policy_row(3, moments(300), begun=True), policy_row(4, moments(301))]), 103.1)
    assert line.stages["period"].all.count == 2
    assert line.stages["period"].all.maximum == pytest.approx(PERIOD)
    assert line.schedule.counters.missed == 0


@pytest.mark.parametrize(
    ("without", "counted", "known", "unknown"),
    [
        ("policy", {"policy_row": 1}, ("wait_for_cycle", "to_controller"), ("end_to_end", "policy_to_safety")),
        ("safety", {"action_row": 1}, ("end_to_end", "inference"), ("wait_for_cycle", "to_controller")),
        ("arrival", {"arrival": 1}, ("policy_to_safety", "wait_for_cycle"), ("end_to_end", "to_controller")),
    ],
)
def test_what_never_comes_is_counted_and_what_is_known_is_used(
    without: str, counted: dict[str, int], known: tuple[str, ...], unknown: tuple[str, ...]
) -> None:
    line = timeline()
    feed(line, 1, moments(1), without)
    line.settle(moments(1)["to_controller"] + PATIENCE)
    assert line.pending == 1
    line.settle(moments(1)["to_controller"] + PATIENCE + 0.01)
    assert line.pending == 0
    assert line.unpaired == counted
    assert [line.stages[name].all.count for name in known] == [1, 1]
    assert [line.stages[name].all.count for name in unknown] == [0, 0]


def test_a_disarmed_envelope_sends_nothing_and_that_is_no_loss() -> None:
    line = timeline()
    line.policy(columns([policy_row(1, moments(1))]), 100.1)
    line.safety(columns(safety_rows(1, moments(1), sent=False)), 100.1)
    line.settle(100.1)
    assert line.pending == 0
    assert line.unpaired == {"not_sent": 1}
    assert line.stages["command"].all.count == 0
    assert line.stages["wait_for_cycle"].all.count == 1


def test_an_action_that_a_newer_one_overtook_is_told_from_a_lost_one() -> None:
    line = timeline()
    line.policy(columns([policy_row(1, moments(1))]), 100.1)
    line.safety(columns(safety_rows(1, moments(1))[:2]), 100.1)
    line.settle(103.0)
    assert line.unpaired == {"not_used": 1}


def test_a_message_that_arrives_before_publishing_has_returned_took_no_time() -> None:
    line = timeline()
    feed(line, 1, moments(1, DELAYS | {"policy_to_safety": -0.00002, "to_controller": -0.00003}))
    line.settle(100.1)
    assert line.stages["policy_to_safety"].all.maximum == 0.0
    assert line.stages["to_controller"].all.maximum == 0.0
    assert line.stages["policy_to_safety"].all.negative == 0
    assert line.stages["end_to_end"].all.count == 1


def test_a_sensor_whose_clock_is_ahead_is_counted_as_negative() -> None:
    line = timeline()
    feed(line, 1, moments(1, DELAYS | {"sensor_to_policy": -0.5}))
    line.settle(100.1)
    assert line.stages["sensor_to_policy"].all.negative == 1
    assert line.stages["end_to_end"].all.negative == 1


def test_memory_is_bounded_when_nothing_pairs() -> None:
    line = timeline()
    for sequence in range(1, 2 * LARGEST_PENDING):
        line.arrived(sequence, ROS + sequence, 100.0, 100.0)
    line.settle(100.0)
    assert line.pending == LARGEST_PENDING
    assert line.unpaired["policy_row"] == LARGEST_PENDING - 1


def test_buckets_lie_on_the_bounds_that_were_given() -> None:
    line = timeline()
    for sequence in range(1, 11):
        feed(line, sequence, moments(sequence))
    slow = moments(20, DELAYS | {"wait_for_cycle": 0.05})
    feed(line, 11, slow)
    line.settle(101.0)
    assert line.buckets["end_to_end"].cumulative() == [10, 11, 11]


def test_in_simulated_time_only_stages_of_one_clock_are_told() -> None:
    line = timeline(simulated=True)
    for sequence in range(1, 11):
        feed(line, sequence, moments(sequence))
    line.settle(101.0)
    assert set(line.stages) == {"sensor_to_policy", "observe", "inference", "act", "command"}
    assert {line.stages[name].all.count for name in line.stages} == {10}
    assert (line.ticks, line.pending) == (10, 0)


def test_rows_that_tell_of_no_action_are_passed_over() -> None:
    line = timeline()
    empty = {name: values[:0] for name, values in columns([policy_row(1, moments(1))]).items()}
    line.policy(empty, 100.0)
    line.safety(columns([dict.fromkeys(SAFETY_SCALARS, 0.0) | {"published": np.nan}]), 100.0)
    line.arrived(0, 0.0, 100.0, 100.0)
    line.settle(200.0)
    assert line.pending == 0
    assert not line.unpaired
