"""Two groups of environments that advance each at its own pace, however many workers there are.

Where the groups part depends on the number of environments alone, so that what a learner does with a group (a matrix
product of that many rows, a draw from that group's generator) is the same whatever the number of workers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def lane_rows(num_envs: int) -> list[slice]:
    """Return the environments of each lane: two halves, or one lane where there is but one environment."""
    middle = (num_envs + 1) // 2
    return [slice(0, middle), slice(middle, num_envs)] if num_envs > 1 else [slice(0, 1)]


def worker_rows(num_envs: int, num_workers: int) -> list[tuple[slice, frozenset[int]]]:
    """Return the environments of each worker, and the lanes that they belong to: one, unless there is one worker."""
    lanes = lane_rows(num_envs)
    if num_workers == 1:
        return [(slice(0, num_envs), frozenset(range(len(lanes))))]
    shares: list[tuple[slice, frozenset[int]]] = []
    for lane, count in enumerate(((num_workers + 1) // 2, num_workers // 2)):
        for part in np.array_split(np.arange(num_envs)[lanes[lane]], count):
            shares.append((slice(int(part[0]), int(part[-1]) + 1), frozenset([lane])))
    return shares


class LaneBook:
    """Keeps which worker may start, which works, and which lane is ready."""

    def __init__(self, lanes_of_worker: Sequence[frozenset[int]]) -> None:
        """Begin with every worker idle."""
        self._lanes_of = list(lanes_of_worker)
        self._asked: list[set[int]] = [set() for _ in lanes_of_worker]
        self._done: list[set[int]] = [set() for _ in lanes_of_worker]
        self.working: set[int] = set()

    def send(self, lane: int) -> list[int]:
        """Note that a lane has its actions; return the workers that are to start, all of whose lanes have theirs.

        Raises:
            RuntimeError: if the lane was sent already and has not been taken since.
        """
        starting = []
        for worker, lanes in enumerate(self._lanes_of):
            if lane not in lanes:
                continue
            if lane in self._asked[worker] or lane in self._done[worker] or worker in self.working:
                raise RuntimeError(f"lane {lane}: sent twice; take it with wait_any first")
            self._asked[worker].add(lane)
            if self._asked[worker] == lanes:
                self._asked[worker] = set()
                self.working.add(worker)
                starting.append(worker)
        return starting

    def answer(self, worker: int) -> None:
        """Note that a worker has finished its step."""
        self.working.discard(worker)
        self._done[worker] = set(self._lanes_of[worker])

    def take(self) -> int | None:
        """Return a lane all of whose workers have finished, once, or None."""
        for lane in sorted(frozenset().union(*self._lanes_of)):
            serving = [worker for worker, lanes in enumerate(self._lanes_of) if lane in lanes]
            if all(lane in self._done[worker] for worker in serving):
                for worker in serving:
                    self._done[worker].discard(lane)
                return lane
        return None
