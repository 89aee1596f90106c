"""Tests for how our processes join the ROS graph: without shared memory, unless a person configured the middleware."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="needs rclpy: pip install 'ppo_robot[ros]'")

from ros_harness import ros_environment  # noqa: E402

SCRIPT = """
import rclpy
from ppo_robot.nodes.ros_support import join_ros
join_ros([])
node = rclpy.create_node("joined", start_parameter_services=False)
print("/dev/shm/fastrtps_" in open("/proc/self/maps").read())
rclpy.shutdown()
"""
PROFILE = """<profiles xmlns="http://www.eprosima.com">
  <participant profile_name="ours" is_default_profile="true"/>
</profiles>"""


def maps_shared_memory(**variables: str) -> bool:
    environment = {key: value for key, value in ros_environment().items() if key != "FASTDDS_BUILTIN_TRANSPORTS"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, env=environment | variables
    )
    return {"True": True, "False": False}[done.stdout.strip()]


def test_a_process_of_ours_uses_sockets() -> None:
    assert not maps_shared_memory()


def test_the_choice_of_a_person_stands(tmp_path: Path) -> None:
    assert maps_shared_memory(FASTDDS_BUILTIN_TRANSPORTS="DEFAULT")
    profile = tmp_path / "profiles.xml"
    profile.write_text(PROFILE)
    assert maps_shared_memory(FASTRTPS_DEFAULT_PROFILES_FILE=str(profile))
