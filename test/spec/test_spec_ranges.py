"""Tests for ppo_robot.spec.ranges: wider, narrower, and single values of what an entry draws."""

from __future__ import annotations

import dataclasses

import pytest

from ppo_robot.spec.randomization import RandomizationSpec, check_randomization
from ppo_robot.spec.ranges import fixed, parameter_of, scaled, scaled_entries, value_at
from ppo_robot.spec.task import load_task

ENTRIES = load_task("reach_randomized").simulation.randomization
NOMINAL = {name: 1.0 if parameter_of(name, entry).meets == "factor" else 0.0 for name, entry in ENTRIES.items()}


def scale(parameter: str, nominal: float, by: float, **spec: object) -> RandomizationSpec:
    entry = RandomizationSpec(parameter, **spec)  # type: ignore[arg-type]
    return scaled(entry, parameter_of(parameter, entry), nominal, by)


def test_a_range_is_scaled_about_what_holds_without_it() -> None:
    assert scale("gravity", 1.0, 1.25, range=(0.9, 1.2)).range == pytest.approx((0.875, 1.25))
    assert scale("payload", 0.0, 0.25, range=(0.0, 2.0)).range == pytest.approx((0.0, 0.5))
    lag = scale("servo_lag", 1.0, 2.0, distribution="log_uniform", range=(0.5, 2.0))
    assert lag.range == pytest.approx((0.25, 4.0))
    # A nominal value outside the range leaves the end next to it where it is.
    assert scale("contact_friction", 0.25, 1.5, range=(0.5, 1.0)).range == pytest.approx((0.5, 1.25))


def test_deviations_and_values_are_scaled_and_a_normal_distributions_limits_with_them() -> None:
    normal = scale("joint_zero", 0.0, 1.5, distribution="normal", mean=0.1, std=0.2, limits=(-0.4, 0.4))
    assert (normal.mean, normal.std) == pytest.approx((0.15, 0.3))
    assert normal.limits == pytest.approx((-0.6, 0.6))
    assert scale("gravity", 1.0, 2.0, range=(0.9, 1.1), limits=(0.85, 2.0)).limits == (0.85, 2.0)
    choice = scale("joint_position_step", 0.0, 2.0, distribution="choice", values=(0.0, 0.25, 0.75))
    assert choice.values == pytest.approx((0.0, 0.5, 1.0))  # and no further than has a meaning


@pytest.mark.parametrize("by", [0.25, 1.25, 5.0])
def test_every_entry_of_the_full_set_stays_one_that_is_allowed(by: float) -> None:
    wider = scaled_entries(ENTRIES, NOMINAL, by)
    check_randomization(wider)
    assert wider.keys() == ENTRIES.keys() and wider != ENTRIES
    for name, entry in wider.items():
        same = {field: getattr(entry, field) for field in ("when", "interval", "duration", "episodes", "only")}
        assert same == {field: getattr(ENTRIES[name], field) for field in same}


def test_none_and_all() -> None:
    assert scaled_entries(ENTRIES, NOMINAL, 0.0) == {}
    assert scaled_entries(ENTRIES, NOMINAL, 1.0) == ENTRIES


def test_positions_of_a_range() -> None:
    gravity = RandomizationSpec("gravity", range=(0.9, 1.3))
    lag = RandomizationSpec("servo_lag", "log_uniform", range=(0.5, 2.0))
    load = RandomizationSpec("payload", range=(0.0, 2.0), limits=(0.5, 2.5))

    def at(entry: RandomizationSpec, *positions: float) -> list[float]:
        return [value_at(entry, parameter_of("", entry), position) for position in positions]

    assert at(gravity, 0.0, 0.25, 1.0, 1.5) == pytest.approx([0.9, 1.0, 1.3, 1.5])
    assert at(lag, 0.0, 0.5, 1.0, 1.5) == pytest.approx([0.5, 1.0, 2.0, 4.0])
    assert at(load, -0.5, 0.5, 1.5) == pytest.approx([0.5, 1.0, 2.5])
    with pytest.raises(ValueError, match="draws from no range but normal"):
        at(RandomizationSpec("joint_zero", "normal", std=0.1), 0.5)


@pytest.mark.parametrize("name", ENTRIES)
def test_one_value_for_all_is_an_entry_too(name: str) -> None:
    entry = fixed(ENTRIES[name], 0.25)
    check_randomization({name: entry})
    assert entry.range == (0.25, 0.25) and entry.shared
    assert dataclasses.replace(entry, shared=False).when == ENTRIES[name].when
