"""How many of how many: since the start, and over the last seconds."""

from __future__ import annotations

from collections import deque


class Ratio:
    """Counts parts of a whole, in constant memory."""

    def __init__(self, window: float, parts: int = 10) -> None:
        """Keep the last `window` s, to a precision of `window / parts`."""
        self.part = 0
        self.whole = 0
        self._slice = window / parts
        self._parts = parts
        self._ring: deque[list[int]] = deque(maxlen=parts)

    def record(self, part: int, whole: int, now: float) -> None:
        """Add `part` of `whole`, at a time `now` in s that never goes back."""
        self.part += part
        self.whole += whole
        turn = int(now // self._slice)
        if not self._ring or self._ring[-1][0] != turn:
            self._ring.append([turn, 0, 0])
        self._ring[-1][1] += part
        self._ring[-1][2] += whole

    def recent(self, now: float) -> tuple[int, int]:
        """Return part and whole of the window that ends at `now`."""
        oldest = int(now // self._slice) - self._parts
        kept = [entry for entry in self._ring if entry[0] > oldest]
        return sum(entry[1] for entry in kept), sum(entry[2] for entry in kept)

    def share(self, now: float) -> float:
        """Return the share in the window that ends at `now`; zero where there was nothing."""
        part, whole = self.recent(now)
        return part / whole if whole else 0.0
