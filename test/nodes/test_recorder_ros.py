"""The recorder as a process: killed at any moment, full disks, events, and types that nobody knows.

Twenty kills: `pytest test/nodes/test_recorder_ros.py -m slow`.
"""

from __future__ import annotations

import base64
import json
import os
import random
import resource
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

rclpy = pytest.importorskip("rclpy", reason="needs rclpy: pip install 'ppo_robot[ros]'")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus  # noqa: E402
from lifecycle_msgs.msg import State as Unknown  # noqa: E402
from mcap.reader import NonSeekingReader, make_reader  # noqa: E402
from rclpy.context import Context  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.node import Node  # noqa: E402
from rclpy.publisher import Publisher  # noqa: E402
from rclpy.serialization import deserialize_message  # noqa: E402
from ros_harness import NodeProcess, domain, node_process, until  # noqa: E402
from rosbags.rosbag2 import Reader  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402
from std_msgs.msg import String  # noqa: E402

from ppo_robot.nodes.middleware import join_ros  # noqa: E402
from ppo_robot.nodes.ros_support import EVENTS, LATCHED, SENSORS  # noqa: E402
from ppo_robot.recording.reader import BagReader  # noqa: E402

MODULE = "ppo_robot.nodes.recorder"
SECOND = 1_000_000_000


class Talker:
    """The test's side: publishes on a few topics, and hears what the recorder says of itself."""

    def __init__(self) -> None:
        os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
        self.context = Context()
        join_ros([], self.context, domain())
        self.node = Node("talker", context=self.context, start_parameter_services=False)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.numbers = self.node.create_publisher(String, "/numbers", 100)
        self.sent: list[int] = []
        """ns, when each number was sent; the number is the place in this list."""
        self.padding = 0
        """Bytes of noise behind each number, which no compression makes smaller."""
        self.random = random.Random(0)
        self.status: dict[str, str] = {}
        self.level, self.message = b"", ""
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._hear, 10)

    def _hear(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name == "recorder":
                self.level, self.message = status.level, status.message
                self.status = {pair.key: pair.value for pair in status.values}

    def say(self) -> None:
        """Send the next number, and listen for a while."""
        noise = base64.b85encode(self.random.randbytes(self.padding)).decode()
        self.numbers.publish(String(data=f"{len(self.sent)} {noise}"))
        self.sent.append(time.time_ns())
        self.executor.spin_once(timeout_sec=0.002)

    def until(self, condition: Callable[[], object], what: str) -> None:
        until(condition, what, self.say)

    def find(self, *publishers: Publisher) -> None:
        """Wait, without a word, until the recorder listens."""
        listening = self.numbers, *publishers
        until(
            lambda: all(publisher.get_subscription_count() for publisher in listening),
            "the recorder",
            lambda: self.executor.spin_once(timeout_sec=0.01),
        )

    def close(self) -> None:
        self.node.destroy_node()
        rclpy.try_shutdown(context=self.context)


@pytest.fixture
def talker() -> Iterator[Talker]:
    made = Talker()
    yield made
    made.close()


def recorder(folder: Path, **parameters: object) -> Any:
    defaults: dict[str, object] = {"out": folder / "bag", "topics": "['/numbers']", "minimum_free_bytes": 0}
    return node_process(MODULE, folder, **(defaults | parameters))


def number(data: bytes) -> int:
    return int(deserialize_message(data, String).data.partition(" ")[0])


def numbers(directory: Path) -> list[int]:
    return [number(message.data) for message in BagReader(directory).messages(["/numbers"])]


def unaided(directory: Path) -> list[int]:
    """The numbers in a recording, by libraries that know nothing of ours; they must agree."""
    by_mcap: list[list[int]] = []
    for read in (make_reader, NonSeekingReader):
        found: list[int] = []
        for file in sorted(directory.glob("*.mcap")):
            with file.open("rb") as stream:
                found += [number(message.data) for _, _, message in read(stream).iter_messages(["/numbers"])]
        by_mcap.append(found)
    with Reader(directory) as reader:
        rows = [row for row in reader.connections if row.topic == "/numbers"]
        by_rosbags = [number(data) for _, _, data in reader.messages(rows)] if rows else []
    assert by_mcap[0] == by_mcap[1] == by_rosbags
    return by_rosbags


def killed(folder: Path, moment: float) -> None:
    """Kill a recorder `moment` s after it has begun to hear; at most the last second may be missing."""
    folder.mkdir()
    talker = Talker()  # a new one each time: to the one before, the dead recorder still seems to listen
    try:
        with recorder(folder) as process:
            talker.find()
            end = time.monotonic() + moment
            while time.monotonic() < end:
                talker.say()
            os.killpg(process.process.pid, signal.SIGKILL)
            dead = time.time_ns()
            process.process.wait(10.0)
    finally:
        talker.close()
    found = unaided(folder / "bag")
    due = [index for index, sent in enumerate(talker.sent) if sent < dead - SECOND]
    assert found == list(range(len(found)))  # none is missing in between
    assert len(found) >= len(due)


def test_killed_at_any_moment_a_recording_opens_and_lacks_a_second_at_most(tmp_path: Path) -> None:
    for index, moment in enumerate((0.3, 1.7)):
        killed(tmp_path / f"kill{index}", moment)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_at_twenty_random_moments(tmp_path: Path) -> None:
    draw = random.Random()  # another moment each time; a failure prints it
    for index in range(20):
        moment = draw.uniform(0.0, 6.0)
        print(f"kill {index} after {moment:.6f} s")
        killed(tmp_path / f"kill{index}", moment)


def test_what_is_heard_is_recorded_to_the_bit_with_what_the_run_was(
    tmp_path: Path, talker: Talker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of the packages is not installed where the recorder runs: that topic is missed, and no other."""
    stub = tmp_path / "stub" / "lifecycle_msgs" / "msg"
    stub.mkdir(parents=True)
    (stub / "__init__.py").touch()
    (stub.parent / "__init__.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "stub"))
    states = talker.node.create_publisher(JointState, "/joint_states", SENSORS)
    latched = talker.node.create_publisher(String, "policy/info", LATCHED)
    talker.node.create_publisher(Unknown, "/unknown", 1)
    latched.publish(String(data="said before the recorder was there"))
    with recorder(tmp_path, topics="['/numbers', '/unknown']") as process:
        talker.find(states)
        states.publish(JointState(name=["a"], position=[0.25]))
        talker.until(lambda: talker.status.get("unknown_type") == "1", "the diagnostics")
        talker.until(lambda: int(talker.status["recorded"]) > 200, "numbers")
        assert talker.level == DiagnosticStatus.WARN
        count = len(talker.sent)
        assert process.end() == 0
        assert process.output.count("not recorded: /unknown: lifecycle_msgs/msg/State: no package") == 1
    assert unaided(tmp_path / "bag")[:count] == list(range(count))
    reader = BagReader(tmp_path / "bag")
    found = {message.topic: decoded for message, decoded in reader.decoded(["/joint_states", "/policy/info"])}
    assert list(found["/joint_states"].position) == [0.25]
    assert found["/policy/info"].data == "said before the recorder was there"
    assert reader.topics["/joint_states"].qualities[0].reliability == "best_effort"
    assert reader.topics["/policy/info"].qualities[0].durability == "transient_local"
    assert (reader.custom["dropped"], reader.custom["lost"], reader.custom["unknown_type"]) == ("0", "0", "1")
    run = json.loads((tmp_path / "bag" / "run.json").read_text())
    assert run == json.loads(reader.attachments()["run.json"])
    assert run["deployment"]["controller"]["name"] == "forward_position_controller"
    assert run["recording"]["topics"] == ["/numbers", "/unknown"]
    message = next(iter(reader.messages(["/numbers"])))
    assert abs(message.log_time - run["started_ns"]) < 60 * SECOND
    assert 0 <= message.log_time - message.publish_time < SECOND
    monotonic = message.log_time * 1e-9 - run["host"]["system_minus_monotonic"]
    assert abs(time.monotonic() - monotonic) < 60.0


def test_on_event_the_time_before_a_stop_is_recorded(tmp_path: Path, talker: Talker) -> None:
    events = talker.node.create_publisher(DiagnosticStatus, "safety/events", EVENTS)
    with recorder(tmp_path, mode="on_event", pre_trigger=1.0, post_trigger=0.5, flush_period=0.1) as process:
        talker.find(events)
        talker.until(lambda: len(talker.sent) > 100 and talker.status, "numbers")
        events.publish(DiagnosticStatus(level=DiagnosticStatus.WARN, name="safety", message="holding"))
        before = time.monotonic()
        talker.until(lambda: time.monotonic() - before > 1.5, "more than is kept")
        assert not (tmp_path / "bag").exists()
        assert talker.message == "waiting for an event"
        events.publish(DiagnosticStatus(level=DiagnosticStatus.ERROR, name="safety", message="stopping"))
        moment = time.time_ns()
        talker.until(lambda: talker.status.get("recordings") == "1", "the recording")
        talker.until(lambda: talker.message == "waiting for an event", "its end")
        assert process.end() == 0
    found = numbers(tmp_path / "bag")
    assert found == list(range(found[0], found[-1] + 1))
    times = [talker.sent[index] for index in (found[0], found[-1])]
    assert 0.8 < (moment - times[0]) / SECOND < 1.2  # what the kept second holds, and the way of the event
    assert (times[1] - moment) / SECOND > 0.4
    ((_, event),) = BagReader(tmp_path / "bag").decoded(["/safety/events"])
    assert event.message == "stopping"


def test_a_full_disk_ends_the_recording_alone(tmp_path: Path, talker: Talker) -> None:
    """A limit of the size of files, set from outside while the recorder runs, is its full disk."""
    with recorder(tmp_path) as process:
        talker.find()
        talker.until(lambda: int(talker.status.get("recorded", 0)) > 100, "numbers")
        safe = int(talker.status["recorded"])
        limit = 6_000_000
        resource.prlimit(process.process.pid, resource.RLIMIT_FSIZE, (limit, limit))
        talker.padding = 50_000
        talker.until(lambda: talker.level == DiagnosticStatus.ERROR, "the diagnostics")
        assert "File too large; recording has stopped" in talker.message
        assert process.process.poll() is None
        talker.padding = 0
        talker.until(lambda: int(talker.status["not_recorded"]) > 0, "the count of what is missed")
        assert int(talker.status["write_failed"]) > 0
        assert process.end() == 0
    found = unaided(tmp_path / "bag")
    assert found == list(range(len(found)))
    assert len(found) >= safe


def test_a_directory_that_exists_ends_it_at_once(tmp_path: Path) -> None:
    (tmp_path / "bag").mkdir()
    process = NodeProcess(MODULE, tmp_path, {"out": tmp_path / "bag"})
    assert process.process.wait(60.0) == 2
    assert process.output.splitlines() == [
        f"ppo-robot: error: {tmp_path}/bag: exists already; give the name of a new directory"
    ]
    assert list((tmp_path / "bag").iterdir()) == []
