"""Tests for ppo_robot.sim.draws and draw_table: each distribution from raw numbers, shares, limits, names."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ppo_robot.errors import SpecError
from ppo_robot.sim.draw_table import DrawTable, StepDraws
from ppo_robot.sim.draws import Entry, bind
from ppo_robot.sim.randomness import EnvironmentStreams, EpisodeStreams, NumberBlocks
from ppo_robot.spec.randomization import RandomizationSpec
from ppo_robot.spec.robot import load_robot

ARM = load_robot("arm6")
RAW = np.array([[0.0], [0.25], [1.0]])
WHOLE = np.ones((3, 2))


def entry(name: str = "payload", **spec: Any) -> Entry:
    return bind({name: RandomizationSpec(**spec)}, ARM, {"contact_friction": 0.25})[0]


def test_uniform_and_log_uniform() -> None:
    assert entry(range=(1.0, 3.0)).values(RAW, WHOLE).ravel().tolist() == [1.0, 1.5, 3.0]
    wide = entry("joint_damping", distribution="log_uniform", range=(0.25, 4.0), shared=True)
    assert wide.values(RAW, WHOLE) == pytest.approx(np.array([[0.25] * 6, [0.5] * 6, [4.0] * 6]))


def test_normal_is_around_what_holds_without_it_and_inside_the_limits() -> None:
    raw = np.array([[-1.0], [0.0], [5.0]])
    factor = entry("gravity", distribution="normal", std=0.1, limits=(0.95, 1.2))
    assert factor.values(raw, WHOLE).ravel().tolist() == [0.95, 1.0, 1.2]
    around = entry(distribution="normal", mean=0.2, std=0.3)
    assert around.values(raw, WHOLE).ravel() == pytest.approx([0.0, 0.2, 1.7])  # no payload is negative


def test_choice_takes_each_value_alike() -> None:
    chosen = entry(distribution="choice", values=(0.0, 1.0, 2.0, 5.0))
    raw = np.array([[0.0], [0.24], [0.5], [0.999]])
    assert chosen.values(raw, np.ones((4, 2))).ravel().tolist() == [0.0, 0.0, 2.0, 5.0]


def test_a_share_goes_from_what_holds_without_the_entry_to_the_ends() -> None:
    ends = np.array([[0.0], [1.0]])
    mass = entry("gravity", range=(0.8, 1.4))
    for share, expected in (((0.0, 0.0), [1.0, 1.0]), ((0.5, 0.25), [0.9, 1.1]), ((1.0, 1.0), [0.8, 1.4])):
        assert mass.values(ends, np.tile(share, (2, 1))).ravel() == pytest.approx(expected)
    away = entry(range=(0.5, 1.5))  # what holds without it lies outside: from the nearest end
    assert away.values(ends, np.zeros((2, 2))).ravel().tolist() == [0.5, 0.5]
    wide = entry("joint_damping", distribution="log_uniform", range=(0.25, 4.0), shared=True)
    assert wide.values(ends, np.full((2, 2), 0.5))[:, 0] == pytest.approx([0.5, 2.0])
    chosen = entry("gravity", distribution="choice", values=(0.5, 1.5))
    assert chosen.values(np.array([[0.0], [0.9]]), np.array([[0.5, 0.1]] * 2)).ravel() == pytest.approx([0.75, 1.05])
    normal = entry("gravity", distribution="normal", std=0.1)
    assert normal.values(np.ones((1, 1)), np.zeros((1, 2)))[0, 0] == 1.0


def test_names_say_which_joint_link_or_axis() -> None:
    assert entry(range=(0.0, 1.0)).labels == ("payload",)
    push = entry("push", range=(0.0, 1.0), when="interval", interval=(1.0, 2.0))
    assert push.labels == ("push/x", "push/y", "push/z")
    some = entry("link_mass", range=(1.0, 2.0), only=("forearm_link", "payload_link"))
    assert some.labels == ("link_mass/forearm_link", "link_mass/payload_link")
    assert some.numbers == 2
    centre = entry("centre_of_mass", range=(0.0, 0.1), only=("forearm_link",))
    assert centre.labels == tuple(f"centre_of_mass/forearm_link/{axis}" for axis in "xyz")
    assert centre.columns.tolist() == [6, 7, 8]  # the third link with a mass
    assert entry("contact_friction", range=(0.4, 1.0)).nominal == 0.25
    with pytest.raises(SpecError, match=r"\.servo_lag\.only: robot arm6 has no joint 'elbow'; did you mean"):
        entry("servo_lag", range=(1.0, 2.0), only=("elbow",))
    with pytest.raises(SpecError, match="has no link with a mass 'base_link'"):
        entry("link_mass", range=(1.0, 2.0), only=("base_link",))


def test_bounds_hold_what_is_there_without_the_entry_too() -> None:
    assert entry(range=(0.5, 1.0)).bounds == (0.0, 1.0)
    assert entry(distribution="normal", std=1.0, limits=(0.0, 2.0)).bounds == (0.0, 2.0)
    assert entry(distribution="normal", std=1.0).bounds == (0.0, 1000.0)


def test_every_period_draws_what_its_entries_would() -> None:
    entries = bind(
        {
            "position": RandomizationSpec("joint_position_error", "normal", std=0.1, when="step", limits=(-0.15, 0.15)),
            "latency": RandomizationSpec("action_latency", range=(0.01, 0.03), when="step"),
            "chosen": RandomizationSpec("observation_latency", "choice", values=(0.0, 0.01, 0.02), when="step"),
            "load": RandomizationSpec("joint_load", range=(-0.1, 0.1), when="step", shared=True),
            "late": RandomizationSpec("action_latency", "log_uniform", range=(0.001, 0.1), when="step"),
        },
        ARM,
        {},
    )
    places, begin = [], 0
    for item in entries:
        places.append(slice(begin, begin + len(item.columns)))
        begin += len(item.columns)
    batch, rows = 3, np.arange(3)
    share = np.random.default_rng(0).uniform(0.2, 1.0, (len(entries), 2))
    acting = np.ones((batch, len(entries)), dtype=bool)
    acting[1] = False
    drawn, table = np.zeros((batch, begin)), DrawTable(entries, places)
    table.set_share(share)
    steps = StepDraws(table, streams(batch), batch)
    steps.begin(rows, acting, np.full(acting.shape, np.nan))
    table.set_share(np.zeros_like(share))  # of later episodes
    blocks = NumberBlocks(streams(batch), batch, 5, 6)
    blocks.begin(rows)
    for _ in range(40):
        steps.draw(drawn, rows)
        uniform, normal = blocks.take(rows)
        assert np.array_equal(steps.lot, uniform[:, 0])
        raws = [normal, uniform[:, [1]], uniform[:, [2]], uniform[:, [3]], uniform[:, [4]]]
        for index, (item, raw) in enumerate(zip(entries, raws, strict=True)):
            expected = item.values(raw, np.tile(share[index], (batch, 1))).copy()
            expected[1] = item.nominal
            assert drawn[:, places[index]] == pytest.approx(expected, abs=1e-15)


def streams(batch: int) -> EpisodeStreams:
    made, own = EpisodeStreams(batch), EnvironmentStreams(3, range(batch))
    for row in range(batch):
        made.begin(row, own.pack(row))
    return made


def numbers(words: NDArray[np.uint64], who: int = EpisodeStreams.EPISODE) -> list[float]:
    made = EpisodeStreams(1)
    made.begin(0, words, who)
    return list(made.uniform(np.arange(1), 400)[0])


def test_the_streams_of_episodes_never_meet() -> None:
    own = EnvironmentStreams(3, [0, 1])
    first, rows = own.pack(0), np.array([0])
    before = numbers(first)
    assert numbers(first) == before
    seen = set(before) | set(numbers(own.pack(1))) | set(numbers(first, EpisodeStreams.RUN))
    assert len(seen) == 1200
    for count in (1, 1, 6, 400):  # within one block of four, and beyond it
        own.uniform(rows, count)
        seen |= set(numbers(own.pack(0)))
    assert len(seen) == 2800
    assert seen.isdisjoint(EnvironmentStreams(3, [0]).uniform(rows, 2000)[0])
    assert numbers(own.pack(0), EpisodeStreams.RUN) == numbers(first, EpisodeStreams.RUN)
