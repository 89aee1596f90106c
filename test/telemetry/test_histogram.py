"""Histograms: the promised precision of quantiles, exact extremes, and sums in any order."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppo_robot.telemetry.histogram import HIGHEST, LOWEST, RELATIVE_ERROR, BoundedCounts, Histogram, Recent

ANY = st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=40)
TIMES = st.lists(st.floats(LOWEST, HIGHEST * 0.999), min_size=1, max_size=200)


def filled(values: list[float]) -> Histogram:
    histogram = Histogram()
    histogram.record(values)
    return histogram


def merged(*parts: Histogram) -> Histogram:
    whole = Histogram()
    for part in parts:
        whole.merge(part)
    return whole


def test_quantiles_of_a_thousand_known_values() -> None:
    summary = filled([0.001 * number for number in range(1, 1001)]).summary()
    assert summary.count == 1000
    assert summary.quantiles == {
        "p50": pytest.approx(0.5, rel=0.01),
        "p90": pytest.approx(0.9, rel=0.01),
        "p99": pytest.approx(0.99, rel=0.01),
        "p99.9": pytest.approx(0.999, rel=0.01),
    }
    assert summary.maximum == 1.0
    assert summary.mean == pytest.approx(0.5005, abs=1e-9)


def test_the_stated_error_is_at_most_one_percent() -> None:
    assert RELATIVE_ERROR < 0.01


@given(TIMES, st.floats(0.0, 1.0))
def test_a_quantile_is_the_sample_of_its_rank_within_the_stated_error(values: list[float], share: float) -> None:
    found = filled(values).quantiles([share])[0]
    rank = max(1, math.ceil(share * len(values) * (1.0 - 1e-12)))
    assert found == pytest.approx(sorted(values)[rank - 1], rel=RELATIVE_ERROR * 1.001)
    assert min(values) <= found <= max(values)


@given(TIMES)
def test_extremes_are_exact_and_the_sum_is_good_to_a_nanosecond_a_value(values: list[float]) -> None:
    histogram = filled(values)
    assert (histogram.minimum, histogram.maximum) == (min(values), max(values))
    assert histogram.total == pytest.approx(math.fsum(values), abs=1e-9 * len(values))


@given(ANY, ANY, ANY)
def test_merging_is_associative_and_commutative_to_the_bit(
    one: list[float], two: list[float], three: list[float]
) -> None:
    a, b, c = filled(one), filled(two), filled(three)
    assert merged(merged(a, b), c) == merged(a, merged(b, c)) == merged(c, b, a) == filled(one + two + three)


@given(ANY)
def test_every_value_is_counted_once_and_in_its_place(values: list[float]) -> None:
    histogram = filled(values)
    assert histogram.not_finite == sum(not math.isfinite(value) for value in values)
    assert histogram.negative == sum(-math.inf < value < 0.0 for value in values)
    assert histogram.count + histogram.not_finite + histogram.negative == len(values)


@settings(max_examples=20)
@given(st.lists(ANY, max_size=6))
def test_memory_is_constant(batches: list[list[float]]) -> None:
    histogram = Histogram()
    before = histogram._counts.nbytes
    for batch in batches:
        histogram.record(batch)
    assert histogram._counts.nbytes == before < 10_000


def test_values_outside_the_buckets_count_and_are_told_exactly() -> None:
    histogram = filled([0.0, 1e-9, 1.0, 250.0, 1e300])
    assert histogram.count == 5
    assert histogram.quantiles([0.2, 0.4]) == [0.0, 0.0]
    assert histogram.quantiles([1.0]) == [1e300]
    assert histogram.negative == histogram.not_finite == 0


def test_an_empty_one_has_no_quantiles() -> None:
    summary = filled([-1.0, math.nan]).summary()
    assert (summary.count, summary.refused) == (0, 2)
    assert math.isnan(summary.maximum)
    assert all(math.isnan(value) for value in summary.quantiles.values())


def test_a_value_on_a_bound_counts_below_it() -> None:
    counts = BoundedCounts([0.01, 0.1])
    counts.record([0.005, 0.01, 0.02, 0.1, 0.5, math.nan, -1.0])
    assert counts.cumulative() == [2, 4, 5]
    assert counts.total == pytest.approx(0.635)


def test_bounds_must_ascend() -> None:
    with pytest.raises(ValueError, match="ascend"):
        BoundedCounts([0.1, 0.1])


@given(st.lists(st.floats(0.0, 10.0), max_size=60), st.lists(st.floats(1e-3, 9.0), min_size=1, max_size=8, unique=True))
def test_bounded_counts_agree_with_counting(values: list[float], bounds: list[float]) -> None:
    counts = BoundedCounts(sorted(bounds))
    counts.record(np.array(values))
    expected = [sum(value <= bound for value in values) for bound in sorted(bounds)]
    assert counts.cumulative() == [*expected, len(values)]


def test_what_is_older_than_the_window_is_forgotten_only_in_the_window() -> None:
    recent = Recent(window=10.0)
    recent.record([0.5], now=100.0)
    recent.record([0.1, 0.1], now=105.0)
    assert recent.recent(109.0).count == 3
    assert recent.recent(110.5).count == 2
    assert recent.recent(130.0).count == 0
    recent.record([0.2], now=130.0)
    assert recent.recent(130.0).maximum == 0.2
    assert recent.all.count == 4
    assert recent.all.maximum == 0.5
