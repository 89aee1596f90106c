"""Tests for ppo_robot.nodes.policy_messages: what goes into a telemetry message comes out of it, to the bit."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs rclpy: pip install 'ppo_robot[ros]'")

from ppo_robot.nodes.policy_core import PolicyAction  # noqa: E402
from ppo_robot.nodes.policy_messages import SCALARS, TelemetryBatch, read_telemetry  # noqa: E402


def action(sequence: int) -> PolicyAction:
    generator = np.random.default_rng(sequence)

    def drawn(size: int) -> np.ndarray:
        return generator.standard_normal(size, dtype=np.float32)

    return PolicyAction(
        sequence=sequence,
        joint_target=generator.standard_normal(6),
        state_stamp=1.7e9 + sequence * 0.02,
        observation=drawn(11),
        mean=drawn(4),
        std=drawn(4),
        action=drawn(4),
        log_probability=float(drawn(1)[0]),
        state_age=0.003,
        inference_seconds=2e-5,
        tick_seconds=9e-5,
    )


def test_every_column_of_every_tick_comes_back_to_the_bit() -> None:
    batch = TelemetryBatch(6, 4, 11, 3)
    assert batch.empty
    for sequence in (1, 2, 3):
        assert not batch.full
        batch.add(action(sequence), 2e-4 * sequence)
    assert batch.full
    columns = read_telemetry(batch.take())
    assert tuple(columns)[: len(SCALARS)] == SCALARS
    assert columns["sequence"].tolist() == [1.0, 2.0, 3.0]
    assert columns["period_cpu_s"].tolist() == [2e-4, 4e-4, 2e-4 * 3]
    for row, sequence in enumerate((1, 2, 3)):
        given = action(sequence)
        assert columns["state_stamp"][row] == given.state_stamp
        assert columns["log_probability"][row] == given.log_probability
        for name in ("joint_target", "mean", "std", "action", "observation"):
            assert np.array_equal(columns[name][row], getattr(given, name))


def test_a_batch_taken_early_holds_what_there_is_and_begins_anew() -> None:
    batch = TelemetryBatch(6, 4, 11, 5)
    batch.add(action(1), 0.0)
    batch.add(action(2), 0.0)
    assert read_telemetry(batch.take())["sequence"].tolist() == [1.0, 2.0]
    assert batch.empty
    batch.add(action(3), 0.0)
    assert read_telemetry(batch.take())["sequence"].tolist() == [3.0]


def test_numbers_that_do_not_fit_their_layout_are_refused() -> None:
    batch = TelemetryBatch(6, 4, 11, 2)
    batch.add(action(1), 0.0)
    message = batch.take()
    message.data = message.data[:-1]
    with pytest.raises(ValueError, match="do not fit the layout"):
        read_telemetry(message)
