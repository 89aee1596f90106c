"""Recordings: what is written is what `mcap`, `rosbags` and our own reader read, at every moment."""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcap.reader import NonSeekingReader, make_reader
from rosbags.rosbag2 import Reader

from ppo_robot.errors import BadInputError
from ppo_robot.recording import mcap_file
from ppo_robot.recording.bag import BagWriter
from ppo_robot.recording.metadata import Quality
from ppo_robot.recording.reader import BagReader
from ppo_robot.recording.schemas import Schemas, UnknownTypeError

SCHEMAS = Schemas()
STATE = "sensor_msgs/msg/JointState"
TEXT = "std_msgs/msg/String"
SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND


def joint_state(position: float) -> bytes:
    kinds = SCHEMAS.store.types
    header = kinds["std_msgs/msg/Header"](kinds["builtin_interfaces/msg/Time"](3, 4), "base")
    empty = np.zeros(0)
    return SCHEMAS.encode(kinds[STATE](header, ["a", "b"], np.array([position, -position], float), empty, empty), STATE)


def text(data: str) -> bytes:
    return SCHEMAS.encode(SCHEMAS.store.types[TEXT](data), TEXT)


def by_mcap(directory: Path, seeking: bool = True) -> list[tuple[str, int, bytes]]:
    """What the mcap library reads, by the index or from the front to the end."""
    found = []
    for file in sorted(directory.glob("*.mcap"), key=lambda path: int(path.stem.rpartition("_")[2])):
        with file.open("rb") as stream:
            reader = make_reader(stream) if seeking else NonSeekingReader(stream)
            found += [(channel.topic, message.log_time, message.data) for _, channel, message in reader.iter_messages()]
    return found


def by_rosbags(directory: Path) -> list[tuple[str, int, bytes]]:
    with_reader = Reader(directory)
    with_reader.open()
    try:
        return [(row.topic, time, bytes(data)) for row, time, data in with_reader.messages()]
    finally:
        with_reader.close()


def all_agree(directory: Path) -> list[tuple[str, int, bytes]]:
    ours = [(message.topic, message.log_time, message.data) for message in BagReader(directory).messages()]
    assert ours == by_mcap(directory) == by_mcap(directory, seeking=False) == by_rosbags(directory)
    return ours


def two_topics(bag: BagWriter) -> None:
    bag.add_topic("/joint_states", STATE, [Quality("best_effort", depth=5)])
    bag.add_topic("/note", TEXT, [Quality(durability="transient_local")])


def test_what_is_written_is_read_by_all(tmp_path: Path) -> None:
    written = []
    with BagWriter(tmp_path / "bag") as bag:
        two_topics(bag)
        bag.custom["drops"] = "0"
        bag.attach("run.json", "application/json", b'{"a": 1}', START)
        for index in range(300):
            name, data = ("/note", text(f"n{index}")) if index % 10 == 0 else ("/joint_states", joint_state(index))
            bag.write(name, START + index, data, publish_time=START + index - 7, sequence=index)
            written.append((name, START + index, data))
            if index % 40 == 0:
                bag.flush()
    assert all_agree(tmp_path / "bag") == written
    reader = BagReader(tmp_path / "bag")
    assert {name: (topic.type, topic.count) for name, topic in reader.topics.items()} == {
        "/joint_states": (STATE, 270),
        "/note": (TEXT, 30),
    }
    assert (reader.start, reader.end, reader.message_count) == (START, START + 299, 300)
    assert reader.attachments() == {"run.json": b'{"a": 1}'}
    assert reader.custom == {"drops": "0"}
    assert reader.topics["/joint_states"].qualities == (Quality("best_effort", depth=5),)
    messages = list(reader.decoded(["/joint_states"], start=START + 2, end=START + 4))
    assert [list(message.position) for _, message in messages] == [[2.0, -2.0], [3.0, -3.0]]
    assert messages[0][0].publish_time == START + 2 - 7
    assert messages[0][0].sequence == 2


def test_a_bag_without_messages_opens(tmp_path: Path) -> None:
    BagWriter(tmp_path / "bag").close()
    assert all_agree(tmp_path / "bag") == []
    assert BagReader(tmp_path / "bag").start == 0


def test_rosbags_finds_types_definitions_and_quality_of_service(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "bag") as bag:
        two_topics(bag)
        bag.write("/joint_states", START, joint_state(1.0))
        bag.write("/note", START + 5, text("x"))
    with Reader(tmp_path / "bag") as reader:
        found = {row.topic: row for row in reader.connections}
        assert found["/joint_states"].msgdef.data == SCHEMAS.describe(STATE)[0]
        assert found["/joint_states"].digest == SCHEMAS.describe(STATE)[1]
        assert found["/note"].ext.offered_qos_profiles[0].durability.name == "TRANSIENT_LOCAL"  # type: ignore[union-attr]
        assert (reader.message_count, reader.duration) == (2, 6)  # its own way to count: the end is exclusive


def test_while_it_is_written_it_reads_as_of_the_last_flush(tmp_path: Path) -> None:
    bag = BagWriter(tmp_path / "bag")
    assert all_agree(tmp_path / "bag") == []
    two_topics(bag)
    expected = []
    for index in range(5):
        bag.write("/note", START + index, text("x" * index))
        assert all_agree(tmp_path / "bag") == expected
        bag.flush()
        expected.append(("/note", START + index, text("x" * index)))
        assert all_agree(tmp_path / "bag") == expected
    bag.close()
    assert all_agree(tmp_path / "bag") == expected


def interrupted_writes(write: Callable[[], None], monkeypatch: pytest.MonkeyPatch, look: Callable[[], None]) -> int:
    """Call `look` before every change of a file, and in the middle of every one that a signal can split."""
    pwrite, truncate, calls = os.pwrite, os.ftruncate, 0

    def watched_write(file: int, data: Any, offset: int) -> int:
        nonlocal calls
        calls += 1
        look()
        data = bytes(data)
        while offset // mcap_file.PAGE != (offset + len(data) - 1) // mcap_file.PAGE:  # a signal may come between pages
            part = mcap_file.PAGE - offset % mcap_file.PAGE
            pwrite(file, data[:part], offset)
            look()
            return part
        return pwrite(file, data, offset)

    def watched_truncate(file: int, size: int) -> None:
        look()
        truncate(file, size)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", watched_write)
        patch.setattr(os, "ftruncate", watched_truncate)
        write()
    return calls


def test_between_any_two_pages_that_are_written_the_file_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal cannot split a write inside one page; between any two of them it may come."""
    monkeypatch.setattr(mcap_file, "STEP", 8192)
    monkeypatch.setattr(mcap_file, "SPARE_SLOT", 1024)
    bag = BagWriter(tmp_path / "bag", sync=False)
    two_topics(bag)
    random = np.random.default_rng(0)
    flushed: list[int] = [0]

    def look() -> None:
        read = {seeking: len(by_mcap(tmp_path / "bag", seeking)) for seeking in (True, False)}
        read |= {"rosbags": len(by_rosbags(tmp_path / "bag"))}  # type: ignore[dict-item]
        assert set(read.values()) <= {flushed[0], flushed[-1]}, (read, flushed)

    def write() -> None:
        count = 0
        for _ in range(8):
            for _ in range(3):
                bag.write("/note", START + count, text(random.bytes(int(random.integers(3000))).hex()))
                count += 1
            flushed[:] = [flushed[-1], count]
            bag.flush()
            flushed[:] = [count]
        bag.close()

    assert interrupted_writes(write, monkeypatch, look) > 40
    assert len(all_agree(tmp_path / "bag")) == 24


def test_after_a_split_every_part_opens_and_all_of_it_is_in_order(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "bag", split_bytes=20_000, split_duration=0.0) as bag:
        two_topics(bag)
        for index in range(400):
            bag.write("/joint_states", START + index, joint_state(index))
    files = sorted(path.name for path in (tmp_path / "bag").glob("*.mcap"))
    assert files[:2] == ["bag_0.mcap", "bag_1.mcap"]
    assert [time - START for _, time, _ in all_agree(tmp_path / "bag")] == list(range(400))
    assert BagReader(tmp_path / "bag").topics["/joint_states"].count == 400


def test_a_split_by_time_begins_a_file_at_the_first_message_beyond_it(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "bag", split_duration=10.0) as bag:
        two_topics(bag)
        for index in range(25):
            bag.write("/note", START + index * SECOND, text(str(index)))
    rows = BagReader(tmp_path / "bag").metadata["files"]
    assert [row["message_count"] for row in rows] == [10, 10, 5]
    assert [row["duration"]["nanoseconds"] for row in rows] == [9 * SECOND, 9 * SECOND, 4 * SECOND]


def test_a_directory_that_exists_or_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "file").write_text("mine")
    for path, message in (("there", "exists already"), ("file", "exists already"), ("file/bag", "cannot be written")):
        with pytest.raises(BadInputError, match=message) as raised:
            BagWriter(tmp_path / path)
        assert "\n" not in str(raised.value)
    assert (tmp_path / "file").read_text() == "mine"


def test_what_is_no_recording_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="no such recording"):
        BagReader(tmp_path / "none")
    with pytest.raises(BadInputError, match="no metadata.yaml"):
        BagReader(tmp_path)
    with BagWriter(tmp_path / "bag") as bag:
        two_topics(bag)
        bag.write("/note", START, text("x"))
    file = tmp_path / "bag" / "bag_0.mcap"
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(BadInputError, match="is torn .* ppo-robot record recover"):
        BagReader(tmp_path / "bag")
    file.unlink()
    with pytest.raises(BadInputError, match="is missing"):
        BagReader(tmp_path / "bag")


def test_a_type_that_nobody_knows_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "bag") as bag:
        with pytest.raises(UnknownTypeError, match="made_up/msg/Thing: no definition of it is installed here"):
            bag.add_topic("/thing", "made_up/msg/Thing")
        assert bag.topics == ()


def test_a_type_that_only_an_installed_package_defines_is_found_and_travels_with_the_bag(tmp_path: Path) -> None:
    folder = tmp_path / "share" / "made_up" / "msg"
    folder.mkdir(parents=True)
    (folder / "Inner.msg").write_text("float32 value  # a comment\n")
    (folder / "Thing.msg").write_text("std_msgs/Header header\nInner[] inner\nuint8 LEFT=1\nstring name\n")
    here = Schemas(folders=[tmp_path])
    name = "made_up/msg/Thing"
    with BagWriter(tmp_path / "bag", schemas=here) as bag:
        bag.add_topic("/thing", name)
        kinds = here.store.types
        header = kinds["std_msgs/msg/Header"](kinds["builtin_interfaces/msg/Time"](1, 2), "f")
        thing = kinds[name](header, [kinds["made_up/msg/Inner"](2.5)], "n")
        bag.write("/thing", START, here.encode(thing, name))
    ((_, found),) = BagReader(tmp_path / "bag").decoded()  # whose typestore never saw that folder
    assert (found.inner[0].value, found.name, found.header.frame_id) == (2.5, "n", "f")


@settings(max_examples=25)
@given(sizes=st.lists(st.integers(0, 9000), max_size=12), flushes=st.sets(st.integers(0, 11)))
def test_any_sizes_and_flushes_are_read_by_all(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], flushes: set[int]
) -> None:
    directory = tmp_path_factory.mktemp("any") / "bag"
    with BagWriter(directory, sync=False) as bag:
        two_topics(bag)
        for index, size in enumerate(sizes):
            bag.write("/note", START + index, text("x" * size))
            if index in flushes:
                bag.flush()
    assert [len(data) for _, _, data in all_agree(directory)] == [4 + 4 + size + 1 for size in sizes]
    shutil.rmtree(directory)


def test_a_disk_that_is_full_spoils_nothing_that_was_flushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit of the size of a file stands for the disk: writes fail in the middle, as they do on a full disk."""
    bag = BagWriter(tmp_path / "bag", sync=False)
    two_topics(bag)
    bag.write("/note", START, text("kept"))
    bag.flush()
    pwrite = os.pwrite

    def full(file: int, data: Any, offset: int) -> int:
        if len(data) > 4096:
            return pwrite(file, bytes(data)[:4096], offset)
        raise OSError(28, "No space left on device")

    bag.write("/note", START + 1, os.urandom(30_000))
    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OSError, match="No space"):
        bag.flush()
    assert [time for _, time, _ in all_agree(tmp_path / "bag")] == [START]
    with pytest.raises(OSError, match="No space"):
        bag.close()
    assert [time for _, time, _ in all_agree(tmp_path / "bag")] == [START]


def test_the_room_that_is_not_used_is_a_hole(tmp_path: Path) -> None:
    bag = BagWriter(tmp_path / "bag")
    file = tmp_path / "bag" / "bag_0.mcap"
    assert file.stat().st_blocks * 512 < file.stat().st_size / 4
    bag.close()
    assert file.stat().st_size < 1000
    assert struct.unpack("<Q", file.read_bytes()[-28:-20])[0] < file.stat().st_size
