"""When recordings begin and end, what a full disk does, and whose recordings are removed."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rosbags.rosbag2 import Reader

from ppo_robot.errors import BadInputError
from ppo_robot.recording.bag import BagWriter
from ppo_robot.recording.metadata import Quality, Topic
from ppo_robot.recording.reader import BagReader
from ppo_robot.recording.ring import OVERHEAD, Incoming, Ring
from ppo_robot.recording.schemas import Schemas
from ppo_robot.recording.session import Attachment, Session
from ppo_robot.recording.space import is_being_written, recordings
from ppo_robot.spec.recording import MEGABYTE, RecordingSpec

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND
SPEC = RecordingSpec(minimum_free_bytes=0)
EVENTS = RecordingSpec(mode="on_event", pre_trigger=5.0, post_trigger=2.0, minimum_free_bytes=0)
SCHEMAS = Schemas()
TEXT = "std_msgs/msg/String"


class Machine:
    """A session in a time of its own: second n has one message `n` on /note."""

    def __init__(self, spec: RecordingSpec, out: Path, **options: object) -> None:
        self.time = 0.0
        self.session = Session(spec, out, schemas=SCHEMAS, now=lambda: self.time, **options)  # type: ignore[arg-type]
        self.session.declare(Topic("/note", TEXT))
        self.session.declare(Topic("/once", TEXT, (Quality(durability="transient_local"),)))

    def message(self, topic: str, size: int = 10) -> Incoming:
        data = SCHEMAS.encode(SCHEMAS.store.types[TEXT]("x" * size), TEXT)
        return Incoming(topic, data, START + round(self.time * SECOND), 1, 1)

    def run(self, seconds: int, size: int = 10) -> None:
        for _ in range(seconds):
            self.time += 1.0
            self.session.take([self.message("/note", size)])
            self.session.turn()


def times(directory: Path, topic: str = "/note") -> list[int]:
    return [(message.log_time - START) // SECOND for message in BagReader(directory).messages([topic])]


def test_the_ring_keeps_seconds_or_bytes_whichever_is_less() -> None:
    ring = Ring(2.0, 10 * (OVERHEAD + 100))
    for index in range(100):
        ring.add(Incoming("/t", bytes(100), index * SECOND // 2, 0, 0))
    assert [message.log_time for message in ring.take()] == [index * SECOND // 2 for index in range(95, 100)]
    assert (ring.shortened, ring.size, len(ring)) == (0, 0, 0)
    for index in range(100):
        ring.add(Incoming("/t", bytes(100), index, 0, 0))
    assert [message.log_time for message in ring.take()] == list(range(90, 100))
    assert ring.shortened == 90


def test_continuous_records_all_of_it_and_flushes_by_itself(tmp_path: Path) -> None:
    machine = Machine(SPEC, tmp_path / "bag")
    machine.run(20)
    assert times(tmp_path / "bag") == list(range(1, 21))  # not closed yet
    machine.session.close()
    assert times(tmp_path / "bag") == list(range(1, 21))
    custom = BagReader(tmp_path / "bag").custom
    assert (custom["recorded"], custom["write_failed"], custom["not_recorded"]) == ("20", "0", "0")


def test_on_event_writes_nothing_until_something_happens_and_then_what_was_before(tmp_path: Path) -> None:
    machine = Machine(EVENTS, tmp_path / "bag")
    machine.session.take([machine.message("/once")])
    machine.run(20)
    assert list(tmp_path.iterdir()) == []
    machine.session.trigger()
    machine.run(10)
    assert times(tmp_path / "bag") == [15, 16, 17, 18, 19, 20, 21, 22]
    assert times(tmp_path / "bag", "/once") == [15]  # said once at 0, and still true
    assert machine.session.waiting
    machine.run(3)
    machine.session.trigger()
    machine.run(1)
    machine.session.trigger()  # goes on from here
    machine.run(5)
    assert times(tmp_path / "bag-2") == [28, 29, 30, 31, 32, 33, 34, 35, 36]
    assert machine.session.counts()["recordings"] == 2
    assert machine.session.counts()["recorded"] == 8 + 1 + 9 + 1


def test_what_came_between_two_events_is_not_lost_to_the_ring(tmp_path: Path) -> None:
    machine = Machine(EVENTS, tmp_path / "bag")
    machine.run(3)
    machine.session.trigger()
    machine.run(3)
    machine.session.trigger()
    machine.run(3)
    assert times(tmp_path / "bag") + times(tmp_path / "bag-2") == list(range(1, 9))


def test_attachments_are_in_the_recording_and_beside_it(tmp_path: Path) -> None:
    facts = {"state": "early"}

    def attachments() -> list[Attachment]:
        return [Attachment("run.json", "application/json", json.dumps(facts).encode(), beside=True)]

    machine = Machine(SPEC, tmp_path / "bag", attachments=attachments)
    assert json.loads((tmp_path / "bag" / "run.json").read_bytes()) == {"state": "early"}
    facts["state"] = "later"
    machine.session.attach_again()
    machine.session.close()
    assert json.loads((tmp_path / "bag" / "run.json").read_bytes()) == {"state": "later"}
    assert json.loads(BagReader(tmp_path / "bag").attachments()["run.json"]) == {"state": "later"}
    with Reader(tmp_path / "bag") as reader:
        assert reader.message_count == 0


def test_a_disk_that_fills_ends_the_recording_and_keeps_what_was_flushed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(SPEC, tmp_path / "bag")
    machine.run(5)

    def full(file: int, data: object, offset: int) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        machine.run(3)
    assert "bag: No space left on device; recording has stopped" in machine.session.failure
    assert times(tmp_path / "bag") == [1, 2, 3, 4, 5]
    counts = machine.session.counts()
    assert (counts["recorded"], counts["write_failed"], counts["not_recorded"]) == (5, 1, 2)
    assert not is_being_written(tmp_path / "bag")


def test_a_disk_that_fills_ends_an_event_and_the_next_one_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(EVENTS, tmp_path / "bag")
    machine.run(2)
    machine.session.trigger()
    pwrite = os.pwrite
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", lambda *_: pwrite(-1, b"", 0))
        machine.run(1)
    assert "Bad file descriptor" in machine.session.failure
    assert machine.session.waiting
    machine.run(2)
    machine.session.trigger()
    assert machine.session.failure == ""
    machine.run(4)
    assert times(tmp_path / "bag-2") == [4, 5, 6, 7]


def test_too_little_free_space_is_said_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="are free; expected minimum_free_bytes 999999999999999999"):
        Session(replace(SPEC, minimum_free_bytes=999_999_999_999_999_999), tmp_path / "bag")
    assert not (tmp_path / "bag").exists()


def test_a_directory_that_is_there_or_may_not_be_written_is_said_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "bag").mkdir()
    (tmp_path / "file").write_text("mine")
    for spec in (SPEC, EVENTS):
        with pytest.raises(BadInputError, match="exists already"):
            Session(spec, tmp_path / "bag")
        with pytest.raises(BadInputError, match="cannot be made"):
            Session(spec, tmp_path / "file" / "below" / "bag")


def filled(directory: Path, recorded_by_us: bool, start: int) -> None:
    with BagWriter(directory, split_bytes=MEGABYTE) as bag:
        if recorded_by_us:
            bag.custom["recorder"] = "ppo_robot"
        bag.add_topic("/note", TEXT)
        random = np.random.default_rng(start)
        for index in range(4):
            bag.write("/note", START + (start * 10 + index) * SECOND, random.bytes(400_000))


def quota(megabytes: float, **more: object) -> RecordingSpec:
    limits = {"split_bytes": MEGABYTE, "quota_bytes": round(megabytes * MEGABYTE)}
    return replace(SPEC, **limits, **more)  # type: ignore[arg-type]


def test_over_the_quota_the_oldest_recording_of_ours_goes_only_where_that_is_allowed(tmp_path: Path) -> None:
    for name, ours, start in (("c", True, 3), ("a", True, 1), ("b", True, 2), ("not-ours", False, 0)):
        filled(tmp_path / name, ours, start)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_bytes(bytes(10_000_000))
    assert [recording.path.name for recording in recordings(tmp_path)] == ["a", "b", "c"]
    with pytest.raises(BadInputError, match="expected quota_bytes 4194304 at most; raise it, move recordings away"):
        Session(quota(4.0), tmp_path / "new")
    machine = Machine(quota(4.0, remove_oldest=True), tmp_path / "new")
    assert {path.name for path in tmp_path.iterdir()} == {"b", "c", "not-ours", "mine", "new"}
    assert machine.session.counts()["removed"] == 1
    machine.session.close()


def test_a_recording_that_another_recorder_writes_is_not_removed(tmp_path: Path) -> None:
    bag = BagWriter(tmp_path / "busy")
    bag.custom["recorder"] = "ppo_robot"
    bag.add_topic("/note", TEXT)
    bag.write("/note", START, os.urandom(2_000_000))
    bag.flush()
    assert is_being_written(tmp_path / "busy")
    with pytest.raises(BadInputError, match="expected quota_bytes"):
        Session(quota(1.5, remove_oldest=True), tmp_path / "new")
    bag.close()
    Session(quota(1.5, remove_oldest=True), tmp_path / "new").close()
    assert not (tmp_path / "busy").exists()


def test_a_recording_that_outgrows_the_quota_by_itself_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(quota(1.5, remove_oldest=True), tmp_path / "bag")
    random = np.random.default_rng(0)
    for _ in range(4):
        machine.time += 1.0
        noise = Incoming("/note", random.bytes(600_000), START + round(machine.time * SECOND), 0, 0)
        machine.session.take([noise])
        machine.session.turn()
    assert "expected quota_bytes" in machine.session.failure
    assert len(times(tmp_path / "bag")) == 3


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"topics": ("/",)}, "expected '/name'"),
        ({"topics": ("/a:b/c",)}, "expected '/name' or '/name:package/msg/Type'"),
        ({"quota_bytes": 5}, "at least split_bytes"),
        ({"remove_oldest": True}, "without quota_bytes"),
    ],
)
def test_settings_that_make_no_sense_are_named(given: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RecordingSpec(**given)  # type: ignore[arg-type]
