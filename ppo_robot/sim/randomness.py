"""One random stream for each environment, so that no draw depends on which worker an environment lives in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

STATE_WORDS = 13
"""Words of a stream's packed state: counter 4, key 2, buffer 4, position, and the half-used 32-bit draw 2."""


class _Streams:
    """A generator for each of B environments; a row's draws never depend on the other rows."""

    _generators: list[np.random.Generator]

    def uniform(self, rows: NDArray[np.intp], size: int) -> Array:
        """Draw (k, size) uniform numbers in [0, 1), a row from each of the streams `rows` (k,)."""
        out = np.empty((len(rows), size))
        for place, row in enumerate(rows):
            self._generators[row].random(out=out[place])
        return out

    def normal(self, rows: NDArray[np.intp], size: int) -> Array:
        """Draw (k, size) standard normal numbers, a row from each of the streams `rows` (k,)."""
        out = np.empty((len(rows), size))
        for place, row in enumerate(rows):
            self._generators[row].standard_normal(out=out[place])
        return out


class EnvironmentStreams(_Streams):
    """A counter-based generator (Philox) for each of B environments; a row's draws never depend on the other rows."""

    def __init__(self, seed: int, indices: Sequence[int]) -> None:
        """Start the streams of the environments with the global `indices` under `seed`."""
        self._generators: list[np.random.Generator] = []
        self.seed(seed, indices)

    def seed(self, seed: int, indices: Sequence[int]) -> None:
        """Start every stream anew."""
        self._generators = [
            np.random.Generator(np.random.Philox(np.random.SeedSequence(seed, spawn_key=(index,)))) for index in indices
        ]

    def pack(self, row: int) -> NDArray[np.uint64]:
        """Return the state of one stream as STATE_WORDS unsigned 64-bit words."""
        state = self._generators[row].bit_generator.state
        tail = [state["buffer_pos"], state["has_uint32"], state["uinteger"]]
        return np.concatenate(
            [state["state"]["counter"], state["state"]["key"], state["buffer"], np.array(tail, dtype=np.uint64)]
        )

    def unpack(self, row: int, words: NDArray[np.uint64]) -> None:
        """Put one stream back into a packed state."""
        self._generators[row].bit_generator.state = {
            "bit_generator": "Philox",
            "state": {"counter": words[0:4].copy(), "key": words[4:6].copy()},
            "buffer": words[6:10].copy(),
            "buffer_pos": int(words[10]),
            "has_uint32": int(words[11]),
            "uinteger": int(words[12]),
        }


class EpisodeStreams(_Streams):
    """A stream for each of B running episodes, made of where its environment's own stream stood when it began.

    So it needs no state of its own to be rebuilt, and what it draws takes nothing from the environment's stream: starts
    and goals stay those of an episode without it. The blocks of numbers do not meet: Philox counts its blocks in the
    lowest of the counter's four words, and the others hold the place in the environment's stream, and who draws.
    """

    EPISODE, RUN = 1, 2

    def __init__(self, batch: int) -> None:
        """Prepare B streams; call `begin` before the first draw."""
        self._generators = [np.random.Generator(np.random.Philox(0)) for _ in range(batch)]

    def begin(self, row: int, words: NDArray[np.uint64], who: int = EPISODE) -> None:
        """Start the stream of a row from the packed state of its environment's; RUN: the same in every episode."""
        place = (words[0], words[10]) if who == self.EPISODE else (0, 0)
        self._generators[row].bit_generator.state = {
            "bit_generator": "Philox",
            "state": {"counter": np.array([0, *place, who], dtype=np.uint64), "key": words[4:6].copy()},
            "buffer": np.zeros(4, dtype=np.uint64),
            "buffer_pos": 4,
            "has_uint32": 0,
            "uinteger": 0,
        }


class NumberBlocks:
    """Raw numbers for each control period of B episodes, drawn for many periods at once: a call for each costs more."""

    PERIODS = 16

    def __init__(self, streams: _Streams, batch: int, uniform: int, normal: int) -> None:
        """Prepare for `uniform` and `normal` numbers a period from streams; call `begin` before the first `take`."""
        self._streams = streams
        self._uniform = np.zeros((batch, self.PERIODS, uniform))
        self._normal = np.zeros((batch, self.PERIODS, normal))
        self._cursor = np.full(batch, self.PERIODS, dtype=np.intp)

    def begin(self, rows: NDArray[np.intp]) -> None:
        """Forget what was drawn ahead for `rows` (k,): an episode begins."""
        self._cursor[rows] = self.PERIODS

    def take(self, rows: NDArray[np.intp]) -> tuple[Array, Array]:
        """Return the uniform (k, u) and the normal (k, n) numbers of the next period of `rows` (k,)."""
        empty = rows[self._cursor[rows] == self.PERIODS]
        if len(empty):
            for block, draw in ((self._uniform, self._streams.uniform), (self._normal, self._streams.normal)):
                if block.shape[2]:
                    block[empty] = draw(empty, block[0].size).reshape(len(empty), *block.shape[1:])
            self._cursor[empty] = 0
        cursor = self._cursor[rows]
        self._cursor[rows] += 1
        return self._uniform[rows, cursor], self._normal[rows, cursor]
