"""A subscription that wakes nobody: its messages are fetched, many at a time, when its owner wants them."""

from __future__ import annotations

from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from rclpy.qos import QoSProfile


class NoExecutor(CallbackGroup):
    """A group whose subscriptions no executor waits for: their owner takes the messages, many at a time."""

    def can_execute(self, entity: Any) -> bool:
        """Return that no executor may."""
        return False

    def beginning_execution(self, entity: Any) -> bool:
        """Return that no executor may."""
        return False

    def ending_execution(self, entity: Any) -> None:
        """There is nothing to end."""


class QuietSubscription:
    """Listens to a topic. An executor's turn costs more than most messages; here there is none.

    The middleware keeps as many messages as the profile's depth says; `fetch` must be called before they are more.
    """

    def __init__(self, node: Node, kind: Any, topic: str, quality: QoSProfile, raw: bool = False) -> None:
        """Begin to listen; with `raw`, messages are bytes."""
        self._subscription = node.create_subscription(
            kind, topic, _ignore, quality, callback_group=NoExecutor(), raw=raw
        )

    @property
    def topic_name(self) -> str:
        """The topic as it is remapped."""
        return str(self._subscription.topic_name)

    def fetch(self) -> list[tuple[Any, dict[str, Any]]]:
        """Return what came since the last call, in its order: each message, and what the middleware says of it."""
        subscription = self._subscription
        found: list[tuple[Any, dict[str, Any]]] = []
        with subscription.handle:
            while True:
                taken = subscription.handle.take_message(subscription.msg_type, subscription.raw)
                if taken is None:
                    return found
                found.append(taken)


def _ignore(message: Any) -> None:
    """Never called: no executor knows the subscription."""
