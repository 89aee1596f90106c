"""Deadlines: what is a miss, what is a run of them, whatever moment of the loop was seen first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppo_robot.telemetry.schedule import Schedule

PERIOD = 0.01


def run(ticks: list[tuple[float, float]], offset: float = 1000.0) -> Schedule:
    """Feed ticks given as (slot and share of a period at which it began, share that it took)."""
    schedule = Schedule(PERIOD)
    for place, took in ticks:
        schedule.tick(offset + place * PERIOD, offset + (place + took) * PERIOD, follows=True)
    return schedule


def counted(schedule: Schedule) -> tuple[int, int, int]:
    return schedule.counters.periods, schedule.counters.missed, schedule.counters.longest_run


def test_ticks_in_time_miss_nothing() -> None:
    assert counted(run([(slot, 0.3) for slot in range(100)])) == (100, 0, 0)


def test_three_skipped_slots_and_a_late_tick() -> None:
    on_time = [(float(slot), 0.2) for slot in range(30)]
    skipped = [(33.0, 0.2), (34.0, 0.2)]  # slots 30, 31, 32 had no tick
    late = [(35.0, 1.4), (36.4, 0.2), (37.0, 0.2)]  # published 0.4 periods after its deadline; the next one began late
    assert counted(run(on_time + skipped + late)) == (38, 4, 3)


def test_a_tick_that_overruns_by_more_than_a_period_is_one_run_with_what_it_skipped() -> None:
    ticks = [(float(slot), 0.2) for slot in range(30)]
    ticks += [(30.0, 2.5), (33.0, 0.2)]  # misses its own deadline; slots 31 and 32 never ran
    assert counted(run(ticks)) == (34, 3, 3)


def test_the_first_tick_may_have_been_late_itself() -> None:
    ticks = [(0.4, 0.2)] + [(float(slot), 0.2) for slot in range(1, 60)]
    assert counted(run(ticks)) == (60, 0, 0)


def test_the_time_between_two_starts_is_given_only_where_they_follow_each_other() -> None:
    schedule = Schedule(PERIOD)
    assert schedule.tick(1.0, 1.001, follows=False) is None
    assert schedule.tick(1.011, 1.012, follows=True) == pytest.approx(0.011)
    assert schedule.tick(1.5, 1.501, follows=False) is None  # there was no goal in between
    assert counted(schedule) == (3, 0, 0)


def test_a_new_start_has_a_new_grid() -> None:
    schedule = run([(float(slot), 0.2) for slot in range(40)])
    schedule.begin()
    for slot in range(40):
        schedule.tick(2000.0037 + slot * PERIOD, 2000.0037 + (slot + 0.99) * PERIOD, follows=slot > 0)
    assert counted(schedule) == (80, 0, 0)


@given(
    jitter=st.lists(st.floats(0.0, 0.04), min_size=25, max_size=80),
    missing=st.sets(st.integers(21, 79)),
    offset=st.floats(0.0, 1e6),
)
def test_late_wakes_are_no_misses_and_every_missing_slot_is(
    jitter: list[float], missing: set[int], offset: float
) -> None:
    slots = [slot for slot in range(len(jitter)) if slot not in missing]
    gone = len([slot for slot in missing if slot < slots[-1]])
    schedule = run([(slot + jitter[slot], 0.5) for slot in slots], offset)
    assert counted(schedule)[:2] == (slots[-1] + 1, gone)
