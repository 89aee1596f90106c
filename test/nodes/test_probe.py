"""Tests of what `ppo-robot doctor` sees of the ROS graph."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

rclpy = pytest.importorskip("rclpy", reason="needs rclpy: pip install 'ppo_robot[ros]'")

from ros_harness import domain  # noqa: E402

from ppo_robot.nodes import probe  # noqa: E402
from ppo_robot.nodes.middleware import join_ros  # noqa: E402
from ppo_robot.nodes.ros_support import UNKNOWN_NODE  # noqa: E402

TOPIC = "/arm/commands"


@pytest.fixture
def prober(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("ROS_DOMAIN_ID", str(domain()))
    join_ros([])
    made = probe._Prober("/joint_states")
    made.node.get_topic_names_and_types = lambda: [(TOPIC, ["std_msgs/msg/Float64MultiArray"])]
    yield made
    made.node.destroy_node()
    rclpy.utilities.try_shutdown()


def hear(prober: Any, *answers: tuple[str, ...]) -> list[int]:
    """Let the graph know these subscribers at one look after the other, the last ones from then on; count the looks."""
    looks: list[int] = []

    def subscribers(topic: str) -> list[SimpleNamespace]:
        looks.append(len(looks))
        return [SimpleNamespace(node_name=name) for name in answers[min(looks[-1], len(answers) - 1)]]

    prober.node.get_subscriptions_info_by_topic = subscribers
    return looks


def test_a_name_that_comes_later_is_waited_for(prober: Any) -> None:
    """A suite on a busy machine once saw the telemetry node, an observer, before it knew its name."""
    looks = hear(prober, (UNKNOWN_NODE, "sim_robot"), (UNKNOWN_NODE, "sim_robot"), ("telemetry", "sim_robot"))
    assert prober.listeners() == {TOPIC: ("sim_robot",)}
    assert len(looks) >= 3


def test_a_listener_without_any_name_is_shown(prober: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A controller that speaks DDS alone has none; to leave it out would say that nobody listens."""
    monkeypatch.setattr(probe, "DISCOVERY", 0.1)
    hear(prober, (UNKNOWN_NODE,))
    assert prober.listeners() == {TOPIC: (UNKNOWN_NODE,)}
