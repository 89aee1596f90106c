"""The safety node with an error inside, which a signal brings about.

SIGUSR1: its next cycle raises. SIGUSR2: the next callback of its executor raises. SIGHUP: that callback takes long.
"""

from __future__ import annotations

import signal
import time
from typing import Any

from ppo_robot.nodes.safety import SafetyNode, main
from ppo_robot.nodes.safety_news import SafetyNews

SILENCE = 1.0
"""s, longer than the node waits for a sign of life of its executor."""

_come: set[int] = set()


def breaking_cycle(original: Any) -> Any:
    """Return how the node takes note of a cycle, which raises once it is told to."""

    def take(news: SafetyNews, verdict: Any) -> None:
        if signal.SIGUSR1 in _come:
            raise RuntimeError("the cycle is broken on purpose")
        original(news, verdict)

    return take


def breaking_callback(original: Any) -> Any:
    """Return the node's callback for joint states, which raises or takes long once it is told to."""

    def take(node: SafetyNode, message: Any) -> None:
        if signal.SIGUSR2 in _come:
            raise RuntimeError("the callback is broken on purpose")
        if signal.SIGHUP in _come:
            _come.discard(signal.SIGHUP)
            time.sleep(SILENCE)
        original(node, message)

    return take


if __name__ == "__main__":
    for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP):
        signal.signal(number, lambda number, frame: _come.add(number))
    SafetyNews.take = breaking_cycle(SafetyNews.take)
    SafetyNode._on_joint_states = breaking_callback(SafetyNode._on_joint_states)
    main()
