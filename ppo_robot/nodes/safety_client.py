"""Asks the safety node for one thing, for `ppo-robot stop`, `arm` and `reset`."""

from __future__ import annotations

import time

import rclpy
from rclpy.utilities import try_shutdown
from std_srvs.srv import Trigger

from ppo_robot.errors import RunFailedError
from ppo_robot.nodes.middleware import join_ros

ANSWER_TIMEOUT = 0.5
"""s after which a request is sent again: DDS drops the answer to a client that the server has yet to find."""


def ask_safety(what: str, timeout: float) -> tuple[bool, str]:
    """Call `safety/<what>`; return whether it was done, and the new state or the reason why not.

    Raises:
        RunFailedError: if no safety node answers within `timeout` s.
    """
    join_ros([])
    node = rclpy.create_node("ppo_robot_safety_client", enable_rosout=False, start_parameter_services=False)
    client = node.create_client(Trigger, f"safety/{what}")
    limit = time.monotonic() + timeout
    try:
        while (left := limit - time.monotonic()) > 0.0:
            if not client.wait_for_service(min(left, ANSWER_TIMEOUT)):
                continue
            future = client.call_async(Trigger.Request())
            rclpy.spin_until_future_complete(node, future, timeout_sec=min(left, ANSWER_TIMEOUT))
            if future.done():
                response = future.result()
                return bool(response.success), str(response.message)
        raise RunFailedError(
            f"no safety node answered safety/{what} within {timeout:g} s: is it running in this ROS_DOMAIN_ID?"
            " (ppo-robot doctor looks around)"
        )
    finally:
        node.destroy_node()
        try_shutdown()
