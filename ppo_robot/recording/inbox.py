"""What waits for the disk: bounded, so that a slow disk costs counted messages and not the machine's memory."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from ppo_robot.recording.ring import OVERHEAD, Incoming


class Inbox:
    """From the thread that receives to the one that writes; neither waits for the other.

    Attributes:
        dropped: messages that found no room.
    """

    def __init__(self, limit: int) -> None:
        """Let at most `limit` bytes wait."""
        self.dropped = 0
        self._limit = limit
        self._size = 0
        self._items: list[Any] = []
        self._changed = threading.Condition()

    @property
    def size(self) -> int:
        """Bytes that wait."""
        return self._size

    def put(self, messages: Sequence[Incoming]) -> None:
        """Add messages; those for which there is no room are dropped, the newest first."""
        if not messages:
            return
        with self._changed:
            for message in messages:
                size = len(message.data) + OVERHEAD
                if self._size + size > self._limit:
                    self.dropped += 1
                    continue
                self._size += size
                self._items.append(message)
            self._changed.notify()

    def tell(self, item: object) -> None:
        """Add something that is no message and always finds room; it is taken in its turn."""
        with self._changed:
            self._items.append(item)
            self._changed.notify()

    def take(self, timeout: float) -> list[Any]:
        """Return all that waits, in order; wait up to `timeout` s for it where there is nothing."""
        with self._changed:
            if not self._items:
                self._changed.wait(timeout)
            items, self._items, self._size = self._items, [], 0
            return items
