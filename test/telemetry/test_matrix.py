"""Tests for ppo_robot.telemetry.matrix: what goes into a table comes out of a message, to the bit and by name."""

from __future__ import annotations

import array

import numpy as np
import pytest

from ppo_robot.telemetry.matrix import (
    POLICY_ARRAYS,
    POLICY_SCALARS,
    SAFETY_ARRAYS,
    SAFETY_SCALARS,
    Kind,
    Table,
    decode,
    policy_columns,
    safety_columns,
)


def filled(columns: dict[str, int], rows: int) -> tuple[list[str], list[int], np.ndarray]:
    """Return labels, sizes and rows of a message with random numbers."""
    values = np.random.default_rng(rows).standard_normal((rows, sum(columns.values())))
    first = "tick" if "begun" in columns else "row"
    return [first, *columns], [rows, *columns.values()], values


def test_the_columns_stand_in_the_order_of_the_interface() -> None:
    assert tuple(policy_columns(6, 5, 40)) == POLICY_SCALARS + POLICY_ARRAYS
    assert policy_columns(6, 5, 40)["goal_position"] == 3
    assert [policy_columns(6, 5, 40)[name] for name in ("joint_target", "std", "normalised_observation")] == [6, 5, 40]
    assert tuple(safety_columns(6)) == SAFETY_SCALARS + SAFETY_ARRAYS
    assert [safety_columns(6)[name] for name in ("kind", "limits")] == [1, 6]
    assert [kind.value for kind in Kind] == list(range(10))


@pytest.mark.parametrize("columns", [policy_columns(6, 4, 11), safety_columns(6)], ids=["policy", "safety"])
def test_every_column_comes_back_to_the_bit(columns: dict[str, int]) -> None:
    labels, sizes, values = filled(columns, 3)
    decoded = decode(labels, sizes, array.array("d", values.tobytes()))
    assert list(decoded) == labels[1:]
    begin = 0
    for name, size in columns.items():
        expected = values[:, begin : begin + size]
        scalar = name in POLICY_SCALARS + SAFETY_SCALARS
        assert decoded[name].shape == ((3,) if scalar else (3, size))
        assert decoded[name].tobytes() == expected.tobytes()
        begin += size


def test_an_array_of_one_joint_stays_two_dimensional_and_a_message_without_rows_is_one() -> None:
    labels, sizes, values = filled(policy_columns(1, 1, 1), 2)
    decoded = decode(labels, sizes, values.ravel().tolist())
    assert decoded["mean"].shape == (2, 1)
    assert decoded["sequence"].shape == (2,)
    empty = decode(labels, [0, *sizes[1:]], [])
    assert empty["mean"].shape == (0, 1)
    assert empty["sequence"].shape == (0,)


def test_columns_that_are_added_later_do_not_disturb_a_reader() -> None:
    labels, sizes, values = filled(safety_columns(2) | {"new": 2}, 2)
    assert np.array_equal(decode(labels, sizes, values.ravel())["new"], values[:, -2:])


@pytest.mark.parametrize(
    ("labels", "sizes", "data", "message"),
    [
        pytest.param([], [], [], "expected tick or row", id="no-layout"),
        pytest.param(["tick"], [0], [], "one column or more", id="no-columns"),
        pytest.param(["frame", "kind"], [1, 1], [0.0], "expected tick or row", id="another-table"),
        pytest.param(["row", "kind"], [1], [0.0], "expected tick or row", id="sizes-missing"),
        pytest.param(["row", "kind"], [2, -1], [], "expected tick or row", id="negative"),
        pytest.param(["row", "kind", "position"], [2, 1, 2], [0.0] * 5, "5 numbers do not fit", id="too-few"),
        pytest.param(["row", "kind", "position"], [2, 1, 2], [0.0] * 7, "7 numbers do not fit", id="too-many"),
        pytest.param(["row", "kind"], [1, 2], [0.0] * 2, "scalars of size 1", id="wide-scalar"),
        pytest.param(["row", "kind", "kind"], [1, 1, 1], [0.0] * 2, "each name once", id="twice"),
    ],
)
def test_what_is_no_telemetry_is_refused(labels: list[str], sizes: list[int], data: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decode(labels, sizes, data)


def test_a_table_gathers_rows_and_begins_anew() -> None:
    table = Table({"kind": 1, "position": 2}, 2)
    for kind in (1.0, 2.0):
        assert not table.full
        row = table.next()
        row[table.places["kind"]] = kind
        row[table.places["position"]] = (10.0 * kind, 20.0 * kind)
    assert table.full
    assert len(table) == table.capacity == 2
    assert table.take().tolist() == [[1.0, 10.0, 20.0], [2.0, 20.0, 40.0]]
    assert len(table) == 0
    table.next()[:] = 7.0
    assert table.take().tolist() == [[7.0, 7.0, 7.0]]
