"""Torn recordings are mended with all that can be read, the original stays, and what is lost is said."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcap.reader import make_reader
from rosbags.rosbag2 import Reader, StoragePlugin
from rosbags.rosbag2 import Writer as OtherWriter

from ppo_robot.errors import BadInputError
from ppo_robot.recording.bag import BagWriter
from ppo_robot.recording.metadata import Quality
from ppo_robot.recording.reader import BagReader
from ppo_robot.recording.recovery import recover
from ppo_robot.recording.schemas import Schemas

SCHEMAS = Schemas()
TEXT = "std_msgs/msg/String"
START = 1_700_000_000_000_000_000


def text(data: str) -> bytes:
    return SCHEMAS.encode(SCHEMAS.store.types[TEXT](data), TEXT)


def write(directory: Path, close: bool = True, chunks: int = 10, per_chunk: int = 3, split: bool = False) -> BagWriter:
    """Message n at START + n; a chunk holds three."""
    bag = BagWriter(directory, sync=False)
    bag.custom["mine"] = "yes"
    bag.add_topic("/note", TEXT, [Quality("best_effort", depth=7)])
    bag.attach("run.json", "application/json", b"{}", START)
    for chunk in range(chunks):
        if split and chunk == chunks // 2:
            bag.split()
        for index in range(per_chunk):
            number = chunk * per_chunk + index
            bag.write("/note", START + number, text(f"{number}" * 20), sequence=number)
        bag.flush()
    (directory / "run.json").write_text("{}")
    if close:
        bag.close()
    else:
        bag.abandon()  # as a kill does: nothing more is written
    return bag


def numbers(directory: Path) -> list[int]:
    found = [message.log_time - START for message in BagReader(directory).messages()]
    with Reader(directory) as reader:
        assert [time - START for _, time, _ in reader.messages()] == found
    return found


def test_a_recording_that_nobody_closed_has_lost_nothing(tmp_path: Path, tree_hash: Callable[[Path], str]) -> None:
    write(tmp_path / "bag", close=False)
    before = tree_hash(tmp_path / "bag")
    done = recover(tmp_path / "bag")
    assert (done.lost, done.messages, done.directory) == (False, 30, tmp_path / "bag_recovered")
    assert numbers(done.directory) == list(range(30))
    assert tree_hash(tmp_path / "bag") == before
    assert (done.directory / "bag_recovered_0.mcap").stat().st_size < (tmp_path / "bag/bag_0.mcap").stat().st_size / 100
    reader = BagReader(done.directory)
    assert reader.attachments() == {"run.json": b"{}"}
    assert reader.topics["/note"].qualities == (Quality("best_effort", depth=7),)
    assert (reader.custom["mine"], reader.custom["recovered"]) == ("yes", "true")
    assert (done.directory / "run.json").is_file()


def test_a_file_that_was_cut_keeps_what_stands_before_the_cut(tmp_path: Path) -> None:
    write(tmp_path / "bag")
    file = tmp_path / "bag" / "bag_0.mcap"
    with file.open("rb") as stream:
        summary = make_reader(stream).get_summary()
    assert summary is not None
    file.write_bytes(file.read_bytes()[: summary.chunk_indexes[6].chunk_start_offset + 40])
    done = recover(tmp_path / "bag")
    assert numbers(done.directory) == list(range(18))
    assert (done.lost, done.lost_messages, done.unread_bytes) == (True, 12, 40)


def test_a_chunk_that_the_disk_has_altered_is_left_out_and_counted(tmp_path: Path) -> None:
    write(tmp_path / "bag")
    file = tmp_path / "bag" / "bag_0.mcap"
    with file.open("rb") as stream:
        summary = make_reader(stream).get_summary()
    assert summary is not None
    data = bytearray(file.read_bytes())
    data[summary.chunk_indexes[4].chunk_start_offset + 60] ^= 0xFF
    file.write_bytes(bytes(data))
    (tmp_path / "bag" / "metadata.yaml").unlink()
    done = recover(tmp_path / "bag")
    assert numbers(done.directory) == [number for number in range(30) if number not in (12, 13, 14)]
    assert (done.lost, done.lost_messages) == (True, 3)


def test_in_place_replaces_the_recording_and_leaves_nothing_else(tmp_path: Path) -> None:
    write(tmp_path / "bag", close=False, split=True)
    done = recover(tmp_path / "bag", in_place=True)
    assert done.directory == tmp_path / "bag"
    assert [path.name for path in tmp_path.iterdir()] == ["bag"]
    names = {path.name for path in (tmp_path / "bag").iterdir()}
    assert names == {"bag_0.mcap", "bag_1.mcap", "metadata.yaml", "run.json"}
    assert numbers(tmp_path / "bag") == list(range(30))


@pytest.mark.parametrize("metadata", ["", "{", "a: 1\n", None])
def test_metadata_that_is_torn_or_missing_is_made_anew(tmp_path: Path, metadata: str | None) -> None:
    write(tmp_path / "bag")
    path = tmp_path / "bag" / "metadata.yaml"
    path.unlink() if metadata is None else path.write_text(metadata)
    done = recover(tmp_path / "bag")
    assert not done.lost
    assert numbers(done.directory) == list(range(30))


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    write(tmp_path / "bag", split=True)
    (tmp_path / "bag" / "bag_0.mcap").unlink()
    done = recover(tmp_path / "bag")
    assert (done.lost, done.missing_files, done.lost_messages) == (True, ("bag_0.mcap",), 15)
    assert numbers(done.directory) == list(range(15, 30))


def test_a_torn_recording_of_another_tool_is_mended_too(tmp_path: Path) -> None:
    with OtherWriter(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        row = writer.add_connection("/note", TEXT, typestore=SCHEMAS.store)
        for number in range(5000):
            writer.write(row, START + number, text("x" * 500))
    file = tmp_path / "bag" / "bag.mcap"
    file.write_bytes(file.read_bytes()[:-3000])
    done = recover(tmp_path / "bag")
    assert 0 < len(numbers(done.directory)) <= 5000


def test_what_cannot_be_mended_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for path, message in ((tmp_path / "none", "no such directory"), (tmp_path / "empty", "holds no .mcap file")):
        with pytest.raises(BadInputError, match=message):
            recover(path)
    bag = BagWriter(tmp_path / "busy")
    with pytest.raises(BadInputError, match="a recorder is writing it"):
        recover(tmp_path / "busy")
    bag.close()
    with pytest.raises(BadInputError, match="exists already"):
        recover(tmp_path / "busy", out=tmp_path / "empty")
    with pytest.raises(BadInputError, match="expected one of them"):
        recover(tmp_path / "busy", out=tmp_path / "x", in_place=True)


@settings(max_examples=30)
@given(data=st.data())
def test_whatever_is_cut_or_altered_what_is_kept_is_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("any")
    write(folder / "bag", close=data.draw(st.booleans()))
    file = folder / "bag" / "bag_0.mcap"
    content = bytearray(file.read_bytes())
    used = 4000
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, used))]
    for _ in range(data.draw(st.integers(0, 3))):
        if content:
            content[data.draw(st.integers(0, min(used, len(content)) - 1))] = data.draw(st.integers(0, 255))
    file.write_bytes(bytes(content))
    done = recover(folder / "bag")
    kept = {message.log_time - START: message.data for message in BagReader(done.directory).messages()}
    assert len(kept) == done.messages
    expected = {number: text(f"{number}" * 20) for number in range(30)}
    assert kept.items() <= expected.items()
    assert done.lost or len(kept) == 30
    shutil.rmtree(folder)
