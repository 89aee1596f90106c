"""Lanes: where environments part depends on their number alone, and a worker starts when all of its lanes have sent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppo_robot.sim.lanes import LaneBook, lane_rows, worker_rows


@given(st.integers(1, 40), st.integers(1, 40))
def test_workers_share_all_environments_and_never_cross_a_lane(num_envs: int, num_workers: int) -> None:
    num_workers = min(num_workers, num_envs)
    lanes = lane_rows(num_envs)
    shares = worker_rows(num_envs, num_workers)
    assert len(shares) == num_workers
    covered = [index for rows, _ in shares for index in range(num_envs)[rows]]
    assert covered == list(range(num_envs))
    for rows, served in shares:
        assert rows.stop > rows.start
        inside = {lane for lane, part in enumerate(lanes) for i in range(num_envs)[part] if i in range(num_envs)[rows]}
        assert inside == set(served)


def test_lanes_go_their_own_way_where_each_has_workers() -> None:
    book = LaneBook([frozenset([0]), frozenset([0]), frozenset([1])])
    assert book.send(0) == [0, 1]
    assert book.send(1) == [2]
    assert book.take() is None
    book.answer(2)
    assert book.take() == 1
    assert book.take() is None
    assert book.send(1) == [2]  # lane 1 goes on while lane 0 still works
    book.answer(0)
    assert book.take() is None
    book.answer(1)
    assert book.take() == 0
    assert book.working == {2}


def test_one_worker_starts_when_both_lanes_have_sent_and_then_both_are_ready() -> None:
    book = LaneBook([frozenset([0, 1])])
    assert book.send(0) == []
    assert book.send(1) == [0]
    book.answer(0)
    assert book.take() == 0
    assert book.send(0) == []
    assert book.take() == 1
    assert book.send(1) == [0]


def test_a_lane_that_is_under_way_cannot_be_sent_again() -> None:
    book = LaneBook([frozenset([0]), frozenset([1])])
    book.send(0)
    with pytest.raises(RuntimeError, match="sent twice"):
        book.send(0)
    book.answer(0)
    with pytest.raises(RuntimeError, match="sent twice"):
        book.send(0)
