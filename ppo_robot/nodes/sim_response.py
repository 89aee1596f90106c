"""How long it takes from a state to the command that follows from it, on the robot's own clock. Knows no ROS.

What telemetry reports is judged by this, so the two share nothing but the label that travels with a command.
"""

from __future__ import annotations

import re
from collections import OrderedDict, deque

import numpy as np

KEPT = 20_000
"""Newest samples that percentiles are taken of; 100 s at 200 Hz."""

AWAITED = 1_000
"""States that may still be answered; more are forgotten, the oldest first."""

LABEL = re.compile(r"state (\d+)\.(\d{9})$")


class ResponseWatch:
    """Keeps when each state was measured until the first command names it. Not thread-safe."""

    def __init__(self) -> None:
        """Begin without samples."""
        self.count = 0
        self._measured: OrderedDict[tuple[int, int], float] = OrderedDict()
        self._seconds: deque[float] = deque(maxlen=KEPT)
        self._untold: deque[tuple[float, float]] = deque(maxlen=KEPT)

    def measured(self, second: int, nanosecond: int, moment: float) -> None:
        """Take the stamp of a state and when it was measured, s on the monotonic clock."""
        self._measured[second, nanosecond] = moment
        if len(self._measured) > AWAITED:
            self._measured.popitem(last=False)

    def commanded(self, label: str, moment: float) -> None:
        """Take the label of a command and when the middleware had it, s on the monotonic clock.

        Only the first command that names a state counts; what was measured before it is not waited for any more.
        """
        found = LABEL.search(label)
        if found is None:
            return
        stamp = int(found[1]), int(found[2])
        if stamp not in self._measured:
            return
        while True:
            oldest, measured = self._measured.popitem(last=False)
            if oldest == stamp:
                break
        self.count += 1
        self._seconds.append(moment - measured)
        self._untold.append((stamp[0] + stamp[1] * 1e-9, moment - measured))

    def figures(self) -> dict[str, str]:
        """Return count, p50 and p99 in s, for a person; nothing before the first sample."""
        if not self._seconds:
            return {}
        p50, p99 = np.percentile(np.array(self._seconds), [50, 99])
        return {
            "response/count": str(self.count),
            "response/p50_s": f"{p50:.6f}",
            "response/p99_s": f"{p99:.6f}",
        }

    def take(self) -> list[tuple[float, float]]:
        """Return the samples since the last call: stamp of the state, and s until its first command came."""
        samples = list(self._untold)
        self._untold.clear()
        return samples
