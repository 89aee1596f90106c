"""Drift: indices worked out by hand, repeated values, what leaves the window, and the range of training."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppo_robot.telemetry.drift import EMPTY, Drift, Reference, expected_shares, stability_index, worst

GOAL = np.array([0.4, 0.1, 0.3])


def reference_of(samples: np.ndarray) -> Reference:
    deciles = np.quantile(samples, np.arange(1, 10) / 10.0, axis=0).T
    names = tuple(f"component/{place}" for place in range(samples.shape[1]))
    return Reference(names, deciles, samples.min(axis=0), samples.max(axis=0))


def record(drift: Drift, values: np.ndarray, now: float = 100.0, goals: np.ndarray | None = None) -> None:
    drift.record(values, np.tile(GOAL, (len(values), 1)) if goals is None else goals, now)


UNIFORM = np.arange(1000.0)[:, None] / 1000.0
TENTHS = Reference(("x",), np.arange(1, 10)[None] / 10.0, np.array([0.0]), np.array([1.0]))


def test_the_index_of_two_bins_worked_out_by_hand() -> None:
    # (0.7 - 0.5) ln(0.7 / 0.5) + (0.3 - 0.5) ln(0.3 / 0.5) = 0.0673 + 0.1022
    assert stability_index(np.array([0.7, 0.3]), np.array([0.5, 0.5])) == pytest.approx(0.16946, abs=1e-5)


def test_the_same_distribution_has_an_index_of_nothing() -> None:
    drift = Drift(TENTHS, 60.0)
    record(drift, UNIFORM)
    figures = drift.figures(100.0)
    assert figures.psi == pytest.approx([0.0], abs=1e-12)
    assert figures.outside == pytest.approx([0.0])
    assert figures.ticks == 1000


def test_the_half_of_the_range_has_the_index_that_a_formula_gives() -> None:
    drift = Drift(TENTHS, 60.0)
    record(drift, UNIFORM / 2.0)
    five_full = 5 * (0.2 - 0.1) * math.log(2.0)
    five_empty = 5 * (EMPTY - 0.1) * math.log(EMPTY / 0.1)
    assert drift.figures(100.0).psi == pytest.approx([five_full + five_empty])


def test_the_share_outside_the_range_counts_both_ends_and_nan() -> None:
    drift = Drift(TENTHS, 60.0)
    record(drift, np.array([[0.0], [1.0], [-0.01], [1.01], [math.nan], [math.inf], [0.5], [0.5]]))
    assert drift.figures(100.0).outside == pytest.approx([0.5])


def test_a_component_that_never_changed_in_training_may_go_on_not_changing() -> None:
    drift = Drift(reference_of(np.full((100, 1), 0.25)), 60.0)
    record(drift, np.full((50, 1), 0.25))
    assert drift.figures(100.0).psi == pytest.approx([0.0], abs=1e-12)
    drift = Drift(reference_of(np.full((100, 1), 0.25)), 60.0)
    record(drift, np.full((50, 1), 0.2))
    assert drift.figures(100.0).psi[0] > 5.0


@given(st.lists(st.sampled_from([-1.0, 0.0, 0.5, 1.0]) | st.floats(-1.0, 1.0), min_size=100, max_size=100))
def test_repeated_values_do_not_look_like_drift(values: list[float]) -> None:
    """An atom may share a tenth with its neighbours, which is all that deciles leave unsaid."""
    samples = np.array(values)[:, None]
    reference = reference_of(samples)
    drift = Drift(reference, 60.0)
    record(drift, samples)
    shares = np.bincount((samples >= reference.deciles).sum(axis=1), minlength=10) / 100
    assert np.abs(shares - expected_shares(reference.deciles, reference.minimum)[0]).max() <= 0.2 + 1e-9
    assert expected_shares(reference.deciles, reference.minimum).sum() == pytest.approx(1.0)


def test_components_are_judged_apart_and_the_worst_is_named() -> None:
    generator = np.random.default_rng(0)
    reference = reference_of(generator.normal(size=(5000, 3)))
    drift = Drift(reference, 60.0)
    seen = generator.normal(size=(5000, 3))
    seen[:, 1] += 1.0
    record(drift, seen)
    psi = drift.figures(100.0).psi
    assert worst(drift.names, psi)[0] == "component/1"
    assert psi[1] == pytest.approx(1.0, abs=0.15)  # of two normal distributions a standard deviation apart: 1
    assert psi[[0, 2]].max() < 0.01


def test_what_is_older_than_the_window_is_forgotten() -> None:
    drift = Drift(TENTHS, 60.0)
    record(drift, np.full((100, 1), 5.0), now=100.0)
    record(drift, UNIFORM[::10], now=130.0)
    assert drift.figures(130.0).outside == pytest.approx([0.5])
    assert drift.figures(165.0).outside == pytest.approx([0.0])
    assert drift.figures(165.0).ticks == 100
    assert drift.figures(300.0).ticks == 0
    assert drift.figures(300.0).psi == pytest.approx([0.0])


def test_goals_that_follow_each_other_are_counted() -> None:
    drift = Drift(TENTHS, 60.0)
    others = np.array([GOAL, GOAL, GOAL + 0.1, GOAL])
    record(drift, UNIFORM[:4], 100.0, others)
    assert drift.figures(100.0).goals == 3
    record(drift, UNIFORM[:4], 101.0)
    assert drift.figures(101.0).goals == 3
    record(drift, UNIFORM[:4], 170.0)
    assert drift.figures(170.0).goals == 1


def test_an_empty_batch_changes_nothing() -> None:
    drift = Drift(TENTHS, 60.0)
    record(drift, UNIFORM[:0])
    assert drift.figures(100.0).ticks == 0
