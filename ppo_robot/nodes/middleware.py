"""How our processes join the ROS graph: over sockets, never over Fast DDS's shared memory."""

from __future__ import annotations

import os
from collections.abc import Mapping

import rclpy
from rclpy.context import Context
from rclpy.signals import SignalHandlerOptions

from ppo_robot.paths import share_directory

TRANSPORTS, SOCKETS = "FASTDDS_BUILTIN_TRANSPORTS", "UDPv4"
PROFILES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
"""Of Fast DDS 3 and 2."""

RANGE, PEERS = "ROS_AUTOMATIC_DISCOVERY_RANGE", "ROS_STATIC_PEERS"


def join_ros(arguments: list[str] | None = None, context: Context | None = None, domain_id: int | None = None) -> None:
    """Initialise rclpy for this process without shared memory, and leave the signals to us."""
    os.environ.update(without_shared_memory(os.environ))
    rclpy.init(args=arguments, context=context, domain_id=domain_id, signal_handler_options=SignalHandlerOptions.NO)


def without_shared_memory(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that keep Fast DDS from shared memory; none where a person has configured it.

    When some process joins or leaves the graph, a check of its port in shared memory may hold up every publisher of
    the others for 333 ms (eProsima/Fast-DDS#6535): three of ten calls of `ppo-robot goal` stopped the robot so, for
    want of joint states. Nor do sockets leave anything behind in /dev/shm after kill -9.

    Where discovery is kept to this machine, rmw_fastrtps adds shared memory whatever the transports are; a profile of
    ours says the same without it. With peers of a person's own it is left alone.
    """
    profile = str(share_directory() / "config" / "middleware" / "localhost.xml")
    ours = {TRANSPORTS: SOCKETS} | dict.fromkeys(PROFILES, profile)  # perhaps of the process that started this one
    if any(environment.get(name, value) != value for name, value in ours.items()):
        return {}
    if environment.get(RANGE) != "LOCALHOST":
        return {TRANSPORTS: SOCKETS}
    return {} if environment.get(PEERS) else {RANGE: "SYSTEM_DEFAULT"} | dict.fromkeys(PROFILES, profile)
