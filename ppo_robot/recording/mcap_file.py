"""An MCAP file that is whole at every moment: whoever kills the process leaves a file that any reader opens.

MCAP's readers look for the footer at the end of the file, and a file that grows by appending has none before it is
closed. This one keeps its footer at the end from the beginning, behind room that is not used yet:

    header, chunks ..., one private record that spans the unused room, DataEnd, Footer

The unused room also holds, just before DataEnd, two slots for the summary (index and statistics), which are used in
turn. Records are written into the unused room first and become part of the file by two small writes, each inside one
page, so that no signal can split them: the 9 bytes that begin the private record begin the new records instead (for
those who read from the front), and the 8 bytes in the footer point to the other summary (for those who read from the
back). Either reader sees the old file or the new one. The data is on the disk before these writes.

The format: https://mcap.dev/spec. Its opcodes from 0x80 on are for private records, which readers skip.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from pathlib import Path

from mcap.data_stream import RecordBuilder
from mcap.records import DataEnd, Footer, Header

MAGIC = b"\x89MCAP0\r\n"
UNUSED = 0x80
"""Opcode of the private record that spans unused room."""

HEAD = struct.Struct("<BQ")
"""What begins every record: opcode and length of what follows."""

PAGE = 4096
STEP = 2 * 1024 * 1024
"""Bytes by which the file grows; they are a hole until they are used."""

SPARE_SLOT = 64 * 1024
"""Bytes that a slot is larger than the summary that it was made for."""

_POINTER = struct.Struct("<Q")
_POINTER_BEFORE_END = 8 + 4 + 8 + 8  # magic, crc, start of the summary offsets, start of the summary


def footer(summary_start: int) -> bytes:
    """Return a Footer record with the magic behind it."""
    builder = RecordBuilder()
    Footer(summary_start=summary_start, summary_offset_start=0, summary_crc=0).write(builder)
    return bytes(builder.end()) + MAGIC


def data_end() -> bytes:
    """Return a DataEnd record without checksum."""
    builder = RecordBuilder()
    DataEnd(data_section_crc=0).write(builder)
    return bytes(builder.end())


class McapFile:
    """The bytes of one MCAP file; `commit` adds whole records, `close` gives unused room back.

    After an OSError of `commit` or `close` the file holds what was committed before.
    """

    def __init__(self, path: Path, library: str, summary: bytes, sync: bool = True) -> None:
        """Create the file, at once whole, with a ros2 profile.

        Args:
            path: of a file that does not exist yet.
            library: who writes it, for the header.
            summary: the records of the summary section of an empty file.
            sync: whether each commit waits for the disk.

        Raises:
            OSError: if the file exists or cannot be written.
        """
        self.path = path
        self._sync = sync
        self._size = 0
        self._position = 0
        self._slots = (0, 0)
        self._slot_size = 0
        self._newest = 0  # where the summary that counts begins
        self._summary = summary
        self._written: dict[int, bytes] = {}  # what stands in a slot, by where the slot begins
        builder = RecordBuilder()
        Header(profile="ros2", library=library).write(builder)
        head = MAGIC + bytes(builder.end())
        temporary = path.with_name(f".{path.name}.tmp")
        self._file = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # until the process ends, however: it is in use
            self._write(head, 0)
            self._position = len(head)
            self._make_room(0, len(summary))
            if path.exists():
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
            temporary.rename(path)
        except BaseException:
            os.close(self._file)
            temporary.unlink(missing_ok=True)
            raise

    @property
    def position(self) -> int:
        """Where the next records begin, in bytes from the start of the file."""
        return self._position

    def commit(self, records: bytes, summary: bytes) -> None:
        """Add whole records, the first of which begins at `position`, and the summary of all that is then there.

        Raises:
            OSError: if the disk is full or fails.
        """
        if (self._position + len(records)) % PAGE > PAGE - HEAD.size:
            records += HEAD.pack(UNUSED, 0)  # so that the next head does not lie across two pages
        end = self._position + len(records)
        if end + HEAD.size > self._slots[0] or len(summary) + len(footer(0)) > self._slot_size:
            self._make_room(len(records), len(summary))
        self._write(records[HEAD.size :] + self._unused(end), self._position + HEAD.size)
        begin = self._write_summary(summary)
        self._flush()
        self._write(records[: HEAD.size], self._position)
        self._position = end
        self._point_to(begin)
        self._summary = summary
        self._flush()

    def close(self, summary: bytes) -> None:
        """End the file behind its last record with this summary.

        Raises:
            OSError: if the disk is full or fails; then the unused room stays, and the summary of the last commit.
        """
        if self._file < 0:
            return
        try:
            last = data_end()
            tail = last + summary + footer(self._position + len(last))
            if self._position + len(tail) > self._slots[0]:
                self._make_room(len(tail), len(summary))
            self._write(tail[HEAD.size :], self._position + HEAD.size)
            self._flush()
            self._write(tail[: HEAD.size], self._position)
            os.ftruncate(self._file, self._position + len(tail))
            self._flush()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Let go of the file as it is, which is whole."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _make_room(self, records: int, summary: int) -> None:
        """Let the file grow for so many bytes of records and a summary of so many, and move the newest summary there.

        A footer behind the end makes the file longer in one write; until the head of the unused room has followed,
        those who read from the front end at the footer before.
        """
        slot = _round_up(summary + SPARE_SLOT)
        needed = self._position + HEAD.size + records + STEP + 2 * slot
        size = _round_up(needed + len(data_end()) + len(footer(0)))
        tail = data_end() + footer(self._newest)
        self._write(tail, size - len(tail))
        self._size = size
        self._write(self._unused(self._position), self._position)
        end = size - len(tail)
        before = self._slots, self._slot_size
        self._written.clear()
        self._slots, self._slot_size = (end - 2 * slot, end - slot), slot
        try:
            begin = self._write_summary(self._summary)
            self._flush()
        except OSError:
            self._slots, self._slot_size = before
            raise
        self._point_to(begin)

    def _unused(self, begin: int) -> bytes:
        """Return the head of the record that spans the unused room from `begin` to DataEnd."""
        return HEAD.pack(UNUSED, self._size - len(data_end()) - len(footer(0)) - begin - HEAD.size)

    def _write_summary(self, summary: bytes) -> int:
        """Write a summary into the slot that is not in use; return where it begins.

        A summary grows at its end, so most of what was written into that slot last time is what belongs there now.
        """
        begin = self._slots[1] if self._newest == self._slots[0] else self._slots[0]
        block = summary + footer(begin)
        same = _common(block, self._written.get(begin, b""))
        self._written[begin] = b""  # until it is known again what is there
        self._write(block[same:], begin + same)
        self._written[begin] = block
        return begin

    def _point_to(self, begin: int) -> None:
        """Let the footer at the end of the file point to a summary: 8 bytes inside one page."""
        self._write(_POINTER.pack(begin), self._size - _POINTER_BEFORE_END)
        self._newest = begin

    def _flush(self) -> None:
        if self._sync:
            os.fdatasync(self._file)

    def _write(self, data: bytes, offset: int) -> None:
        view = memoryview(data)
        while view:
            written = os.pwrite(self._file, view, offset)
            view, offset = view[written:], offset + written


def _round_up(size: int) -> int:
    return -(-size // PAGE) * PAGE


def _common(one: bytes, other: bytes) -> int:
    """Return the length of a beginning that two have in common, in whole pages."""
    length = 0
    while length < len(one) and one[length : length + PAGE] == other[length : length + PAGE]:
        length += PAGE
    return min(length, len(one), len(other))
