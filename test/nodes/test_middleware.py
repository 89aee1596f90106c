"""Tests for ppo_robot.nodes.middleware: we join the ROS graph without shared memory, unless a person wants it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="needs rclpy: pip install 'ppo_robot[ros]'")

from ros_harness import ros_environment, until  # noqa: E402

from ppo_robot.nodes.middleware import PEERS, PROFILES, RANGE, TRANSPORTS, without_shared_memory  # noqa: E402

JOIN = """
import sys, rclpy
from ppo_robot.nodes.middleware import join_ros
join_ros([])
node = rclpy.create_node(sys.argv[1], start_parameter_services=False)
print("/dev/shm/fastrtps_" in open("/proc/self/maps").read(), flush=True)
while sys.stdin.readline():
    print(sorted(node.get_node_names()), flush=True)
rclpy.shutdown()
"""
PLAIN = JOIN.replace("from ppo_robot.nodes.middleware import join_ros\njoin_ros([])", "rclpy.init()")
PROFILE = """<profiles xmlns="http://www.eprosima.com">
  <participant profile_name="theirs" is_default_profile="true"/>
</profiles>"""


def started(script: str, name: str, **variables: str) -> tuple[subprocess.Popen[str], bool]:
    """Start a process that joins the graph; return it, and whether it uses shared memory."""
    bare = {key: value for key, value in ros_environment().items() if key not in (RANGE, TRANSPORTS, *PROFILES)}
    process = subprocess.Popen(
        [sys.executable, "-c", script, name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=bare | variables,
    )
    assert process.stdout is not None
    return process, {"True": True, "False": False}[process.stdout.readline().strip()]


def uses_shared_memory(**variables: str) -> bool:
    process, found = started(JOIN, "joined", **variables)
    process.communicate(timeout=60.0)
    return found


def seen(process: subprocess.Popen[str]) -> list[str]:
    """Return whom a process sees."""
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return list(ast.literal_eval(process.stdout.readline()))


@pytest.mark.parametrize("reach", ["LOCALHOST", "SUBNET"])
def test_a_process_of_ours_uses_sockets_wherever_others_may_be(reach: str) -> None:
    assert not uses_shared_memory(**{RANGE: reach})


def test_one_with_sockets_and_one_with_shared_memory_find_each_other_on_this_machine() -> None:
    processes = [started(script, name, **{RANGE: "LOCALHOST"}) for script, name in ((JOIN, "joined"), (PLAIN, "plain"))]
    assert [shared for _, shared in processes] == [False, True]
    try:
        for process, _ in processes:
            until(lambda one=process: seen(one) == ["joined", "plain"], "the other")
    finally:
        for process, _ in processes:
            process.kill()


def test_the_choice_of_a_person_stands(tmp_path: Path) -> None:
    assert uses_shared_memory(**{TRANSPORTS: "DEFAULT"})
    profile = tmp_path / "profiles.xml"
    profile.write_text(PROFILE)
    assert uses_shared_memory(**{PROFILES[1]: str(profile)})
    assert without_shared_memory({PROFILES[0]: str(profile), RANGE: "LOCALHOST"}) == {}
    assert without_shared_memory({PEERS: "192.168.0.7", RANGE: "LOCALHOST"}) == {}


def test_a_process_that_one_of_ours_started_does_as_that_one() -> None:
    local = without_shared_memory({RANGE: "LOCALHOST"})
    assert local[RANGE] == "SYSTEM_DEFAULT" and Path(local[PROFILES[0]]).is_file()
    assert without_shared_memory(local | {RANGE: "LOCALHOST"}) == local
    subnet = without_shared_memory({})
    assert subnet == {TRANSPORTS: "UDPv4"}
    assert without_shared_memory(subnet) == subnet
    assert without_shared_memory(subnet | {RANGE: "LOCALHOST"}) == local
