"""The last seconds in memory, for what is written only once something has happened."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple


class Incoming(NamedTuple):
    """A message on its way to the disk; times in ns since 1970."""

    topic: str
    data: bytes
    log_time: int
    publish_time: int
    sequence: int


OVERHEAD = 200
"""Bytes that Python needs for each message beside its data."""


class Ring:
    """Keeps the messages of the last `duration` s, and of less where these do not fit into `limit` bytes.

    Attributes:
        size: bytes that are kept.
        shortened: messages that were let go before their time because of the limit.
    """

    def __init__(self, duration: float, limit: int) -> None:
        """Keep nothing yet."""
        self.size = 0
        self.shortened = 0
        self._duration = round(duration * 1e9)
        self._limit = limit
        self._messages: deque[Incoming] = deque()

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def oldest(self) -> int:
        """Log time of the oldest message in ns, 0 without one."""
        return self._messages[0].log_time if self._messages else 0

    def add(self, message: Incoming) -> None:
        """Add the newest message; the oldest go."""
        self._messages.append(message)
        self.size += len(message.data) + OVERHEAD
        limit = message.log_time - self._duration
        while self._messages and (self._messages[0].log_time < limit or self.size > self._limit):
            oldest = self._messages.popleft()
            self.size -= len(oldest.data) + OVERHEAD
            self.shortened += oldest.log_time >= limit

    def take(self) -> list[Incoming]:
        """Return all messages in the order in which they were added, and keep none."""
        messages = list(self._messages)
        self._messages.clear()
        self.size = 0
        return messages
