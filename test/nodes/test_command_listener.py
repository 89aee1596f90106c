"""The text that names the tick, read from the bytes of real commands of both kinds."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy", reason="needs rclpy: pip install 'ppo_robot[ros]'")

from builtin_interfaces.msg import Time  # noqa: E402
from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from rclpy.serialization import serialize_message  # noqa: E402

from ppo_robot.nodes.command_listener import LABEL, label_of  # noqa: E402
from ppo_robot.nodes.commands import Command  # noqa: E402
from ppo_robot.nodes.safety_messages import ControllerMessage  # noqa: E402
from ppo_robot.spec.deployment import ControllerSpec  # noqa: E402

COMMAND = Command(("a", "b"), (1.0, 2.0), 0.004)
KINDS = {"forward_command_controller": True, "joint_trajectory_controller": False}


@pytest.mark.parametrize("kind", KINDS)
def test_the_label_of_a_command(kind: str) -> None:
    message = ControllerMessage(ControllerSpec("arm", kind), 2)  # type: ignore[arg-type]
    assert label_of(serialize_message(message.fill(COMMAND)), KINDS[kind]) == b""
    message.follow(17, Time(sec=1_700_000_000, nanosec=4))
    label = label_of(serialize_message(message.fill(COMMAND)), KINDS[kind])
    parts = LABEL.fullmatch(label)
    assert parts is not None
    assert parts.groups() == (b"17", b"1700000000", b"000000004")


@given(st.binary(max_size=80), st.booleans())
def test_other_bytes_are_no_label_and_no_error(message: bytes, forward: bool) -> None:
    assert LABEL.fullmatch(label_of(message, forward)) is None
