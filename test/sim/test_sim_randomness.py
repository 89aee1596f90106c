"""Tests for ppo_robot.sim.randomness: streams that do not know of each other, and their exact state."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ppo_robot.sim.randomness import STATE_WORDS, EnvironmentStreams

ALL = np.arange(3)


def pick(*rows: int) -> NDArray[np.intp]:
    return np.array(rows, dtype=np.intp)


def test_a_stream_depends_on_seed_and_global_index_only() -> None:
    whole, part = EnvironmentStreams(7, range(5)), EnvironmentStreams(7, [3, 1])
    drawn = whole.uniform(np.arange(5), 4)
    assert np.array_equal(part.uniform(pick(0, 1), 4), drawn[[3, 1]])
    assert len(np.unique(drawn)) == 20
    other = EnvironmentStreams(8, range(5)).uniform(np.arange(5), 4)
    assert not np.isin(other, drawn).any()


def test_a_draw_of_one_row_moves_no_other() -> None:
    streams, twin = EnvironmentStreams(0, range(3)), EnvironmentStreams(0, range(3))
    streams.uniform(pick(1), 13)
    streams.normal(pick(1), 7)
    drawn, expected = streams.uniform(ALL, 5), twin.uniform(ALL, 5)
    assert np.array_equal(drawn[[0, 2]], expected[[0, 2]])
    assert not np.isin(drawn[1], expected[1]).any()


def test_seeding_begins_anew() -> None:
    streams = EnvironmentStreams(1, range(3))
    first = streams.normal(ALL, 6)
    streams.seed(1, range(3))
    assert np.array_equal(streams.normal(ALL, 6), first)
    streams.seed(2, range(3))
    assert not np.array_equal(streams.normal(ALL, 6), first)


@given(before=st.lists(st.tuples(st.booleans(), st.integers(1, 9)), max_size=6), half=st.booleans())
@settings(max_examples=50)
def test_a_packed_stream_continues_exactly(before: list[tuple[bool, int]], half: bool) -> None:
    streams = EnvironmentStreams(5, range(2))
    for normal, size in before:  # leaves Philox's buffer of four words anywhere
        (streams.normal if normal else streams.uniform)(pick(1), size)
    if half:  # a 32-bit draw keeps the other half of its word for the next
        streams._generators[1].integers(0, 2**32, dtype=np.uint32)
    words = streams.pack(1)
    assert words.dtype == np.uint64
    assert words.shape == (STATE_WORDS,)
    kept = words.copy()
    expected = [streams.normal(pick(1), 5), streams.uniform(pick(1), 3)]
    expected.append(streams._generators[1].integers(0, 2**32, 3, dtype=np.uint32))
    assert np.array_equal(words, kept)  # a copy, not a view of the running state
    other = EnvironmentStreams(99, range(2))
    other.unpack(0, words)
    found = [other.normal(pick(0), 5), other.uniform(pick(0), 3)]
    found.append(other._generators[0].integers(0, 2**32, 3, dtype=np.uint32))
    assert all(np.array_equal(one, two) for one, two in zip(found, expected, strict=True))
    assert np.array_equal(words, kept)


def test_the_numbers_are_what_they_are_called() -> None:
    streams = EnvironmentStreams(0, range(4))
    uniform, normal = streams.uniform(np.arange(4), 5000), streams.normal(np.arange(4), 5000)
    assert uniform.min() >= 0.0
    assert uniform.max() < 1.0
    # Four standard deviations of the mean and of the variance of 20000 draws.
    assert uniform.mean() == pytest.approx(0.5, abs=4 * (1 / 12 / 20000) ** 0.5)
    assert normal.mean() == pytest.approx(0.0, abs=4 / 20000**0.5)
    assert normal.var() == pytest.approx(1.0, abs=4 * (2 / 20000) ** 0.5)
    correlation = np.corrcoef(normal)[np.triu_indices(4, 1)]
    assert abs(correlation).max() < 4 / 5000**0.5
