"""Fewer points: only samples, every peak, every break."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ppo_robot.report.decimate import kept, spans_of, with_gaps

CURVES = st.integers(1, 300).flatmap(
    lambda count: st.tuples(
        arrays(float, count, elements=st.floats(0.0, 1.0)).map(np.cumsum),
        arrays(float, count, elements=st.floats(-1e6, 1e6) | st.just(np.nan)),
    )
)


@settings(max_examples=60, deadline=None)
@given(CURVES, st.integers(1, 40))
def test_every_bucket_keeps_its_extremes_its_ends_and_its_first_break(curve, buckets):
    time, value = curve
    index = kept(time, value, buckets)
    assert (np.diff(index) > 0).all()
    if len(time) <= 2 * buckets:
        assert len(index) == len(time)
        return
    assert len(index) <= 5 * buckets
    length = time[-1] - time[0]
    places = np.zeros(len(time), int)
    if length > 0.0:
        places = np.minimum(((time - time[0]) * (buckets / length)), buckets - 1).astype(int)
    for place in np.unique(places):
        rows = np.flatnonzero(places == place)
        own = index[places[index] == place]
        assert {rows[0], rows[-1]} <= set(own.tolist())
        finite = value[rows][~np.isnan(value[rows])]
        if len(finite):
            assert np.nanmin(value[own]) == finite.min()
            assert np.nanmax(value[own]) == finite.max()
        if len(finite) < len(rows):
            assert rows[np.isnan(value[rows])][0] in own


def test_one_sample_high_among_a_million_is_kept():
    time, value = np.arange(1_000_000) / 250.0, np.zeros(1_000_000)
    value[654_321] = 1.0
    index = kept(time, value, 100)
    assert len(index) <= 400
    assert 654_321 in index


def test_spans_that_matter_are_kept_whole():
    time = np.arange(10_000) / 100.0
    index = kept(time, np.sin(time), 50, [(20.0, 21.0), (99.5, 200.0)])
    assert set(range(2000, 2100)) | set(range(9950, 10_000)) <= set(index.tolist())
    assert len(index) < 400


def test_a_silence_breaks_the_line_in_its_middle():
    time, value = with_gaps(np.array([0.0, 0.1, 0.2, 1.2, 1.3]), np.arange(5.0), 0.5)
    np.testing.assert_allclose(time, [0.0, 0.1, 0.2, 0.7, 1.2, 1.3])
    np.testing.assert_array_equal(value, [0.0, 1.0, 2.0, np.nan, 3.0, 4.0])


def test_spans_end_where_the_next_sample_is_due():
    time = np.array([0.0, 1.0, 2.0, 3.0, 9.0, 10.0])
    on = np.array([True, True, False, True, False, True])
    assert spans_of(time, on, 1.5, 0.1) == [(0.0, 2.0), (3.0, 4.5), (10.0, 11.5)]
    assert spans_of(time, on, 1.5, 1.0) == [(0.0, 4.5), (10.0, 11.5)]
    assert spans_of(time, ~on, 1.5, 0.1) == [(2.0, 3.0), (9.0, 10.0)]
    assert spans_of(time, np.zeros(6, bool), 1.5, 0.1) == []
