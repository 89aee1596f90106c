"""What the safety node tells of its envelope: each new state with its cause, and how often each joint was limited."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from rclpy.duration import Duration
from rclpy.node import Node

from ppo_robot.nodes.ros_support import EVENTS, LATCHED
from ppo_robot.nodes.safety_messages import level_of
from ppo_robot.safety.envelope import Verdict
from ppo_robot.safety.reasons import Cause, Limit, State


class SafetyNews:
    """Publishes `safety/state`, which lasts, and `safety/events`, the same each time it changes.

    Attributes:
        limited: cycles in which the policy was limited, by `limit/<joint>/<reason>`.
    """

    def __init__(self, node: Node, joint_names: Sequence[str]) -> None:
        """Begin with a disarmed envelope, which is told."""
        self.limited: Counter[str] = Counter()
        self._joint_names = tuple(joint_names)
        self._logger = node.get_logger()
        self._state = node.create_publisher(DiagnosticStatus, "safety/state", LATCHED)
        self._events = node.create_publisher(DiagnosticStatus, "safety/events", EVENTS)
        self._told: tuple[State, Cause | None] | None = None
        self.tell(Verdict(State.DISARMED, None, (), False, None, ""))

    def take(self, verdict: Verdict) -> None:
        """Count and tell what a cycle decided."""
        if verdict.changed and verdict.state is not State.STOPPING:
            for name, limit in zip(self._joint_names, verdict.limits, strict=True):
                for bit in Limit:
                    if bit in limit:
                        self.limited[f"limit/{name}/{str(bit.name).lower()}"] += 1
        self.tell(verdict)

    def wait_until_heard(self, timeout: Duration) -> None:
        """Wait until everyone who listens has what was told: behind the end of the process nobody sends it again."""
        for publisher in (self._state, self._events):
            publisher.wait_for_all_acked(timeout)

    def tell(self, verdict: Verdict) -> None:
        """Publish a new state or cause; ACTIVE and LIMITED follow each other too fast to be news."""
        state = State.ACTIVE if verdict.state is State.LIMITED else verdict.state
        if (state, verdict.cause) == self._told:
            return
        before, self._told = self._told, (state, verdict.cause)
        status = DiagnosticStatus(level=level_of(state), name="safety", message=state.value)
        cause = verdict.cause.name.lower() if verdict.cause is not None else ""
        pairs = {"cause": cause, "detail": verdict.detail, "before": before[0].value if before else ""}
        status.values = [KeyValue(key=key, value=value) for key, value in pairs.items()]
        self._state.publish(status)
        self._events.publish(status)
        if verdict.cause is not None and state is not State.DISARMED:
            self._logger.error(f"{state.value}: {verdict.cause.value} ({verdict.detail})")
