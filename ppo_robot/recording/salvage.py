"""What can still be read of an MCAP file, from the front: every record that is whole, whatever is missing behind it."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import lz4.frame
import zstandard
from mcap.data_stream import ReadDataStream
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.records import Attachment, Channel, Chunk, McapRecord, Message, MessageIndex, Metadata, Schema

from ppo_robot.recording.mcap_file import HEAD, MAGIC, UNUSED

LONGEST = 1 << 32
"""Bytes of a record, beyond which its length is taken for damage."""

DAMAGED = (ValueError, McapError, struct.error, zstandard.ZstdError, RuntimeError, MemoryError, OverflowError)
"""What the parts that read records raise when the bytes are not those that were written."""

_CHECKSUM = struct.Struct("<I")
_OF_CHUNKS: dict[int, Any] = {Opcode.CHANNEL: Channel, Opcode.SCHEMA: Schema}
_OF_FILES = _OF_CHUNKS | {Opcode.ATTACHMENT: Attachment, Opcode.METADATA: Metadata}


@dataclass
class Damage:
    """What was missing in one file.

    Attributes:
        whole: whether the file has its index and its end.
        messages: of damaged chunks, as far as their number is known.
        chunks: damaged chunks.
        unread: bytes behind the last record that could be read.
    """

    whole: bool = False
    messages: int = 0
    chunks: int = 0
    unread: int = 0
    _pending: bool = field(default=False, repr=False)

    @property
    def lost(self) -> bool:
        """Whether data is missing; a file that was never closed has lost nothing by that alone."""
        return bool(self.messages or self.chunks or self.unread)


def salvage(path: Path, damage: Damage) -> Iterator[McapRecord]:
    """Yield the schemas, channels, messages, attachments and metadata of a file in their order.

    `damage` is filled on the way.

    Raises:
        OSError: if the file cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            damage.unread = size
            return
        while True:
            begin = file.tell()
            head = file.read(HEAD.size)
            if len(head) < HEAD.size:
                damage.unread = len(head)
                return
            opcode, length = HEAD.unpack(head)
            if opcode == Opcode.DATA_END or opcode == Opcode.FOOTER:
                damage.whole = _ends_well(file, size)
                return
            if length > LONGEST or begin + HEAD.size + length > size:
                damage.unread = size - begin if opcode < UNUSED else 0  # else: room that was never used
                return
            if opcode >= UNUSED:
                file.seek(length, 1)
                continue
            yield from _records(opcode, file.read(length), damage)


def _records(opcode: int, data: bytes, damage: Damage) -> Iterator[McapRecord]:
    """Yield what one record of the data section holds."""
    try:
        if opcode == Opcode.CHUNK:
            yield from _unpacked(Chunk.read(ReadDataStream(BytesIO(data))))
            damage._pending = False
        elif opcode == Opcode.MESSAGE:
            yield Message.read(ReadDataStream(BytesIO(data)), len(data))
        elif opcode == Opcode.MESSAGE_INDEX and damage._pending:
            damage.messages += len(MessageIndex.read(ReadDataStream(BytesIO(data))).records)
        elif opcode in _OF_FILES:
            if opcode == Opcode.ATTACHMENT and data[-4:] != _CHECKSUM.pack(zlib.crc32(data[:-4])):
                raise ValueError("checksum")
            yield _OF_FILES[opcode].read(ReadDataStream(BytesIO(data)))
    except DAMAGED:
        damage.chunks += 1
        damage._pending = opcode == Opcode.CHUNK  # the index behind it says how many messages it held


def _unpacked(chunk: Chunk) -> list[McapRecord]:
    """Return what a chunk holds, all of it or nothing.

    Raises:
        ValueError: if the bytes are not those that were written.
    """
    if chunk.compression == "zstd":
        raw = zstandard.ZstdDecompressor().decompress(chunk.data, max_output_size=chunk.uncompressed_size)
    elif chunk.compression == "lz4":
        raw = lz4.frame.decompress(chunk.data)
    else:
        raw = chunk.data
    if len(raw) != chunk.uncompressed_size or (chunk.uncompressed_crc and zlib.crc32(raw) != chunk.uncompressed_crc):
        raise ValueError("checksum")
    records: list[McapRecord] = []
    place = 0
    while place < len(raw):
        opcode, length = HEAD.unpack_from(raw, place)
        data = raw[place + HEAD.size : place + HEAD.size + length]
        place += HEAD.size + length
        if opcode == Opcode.MESSAGE:
            records.append(Message.read(ReadDataStream(BytesIO(data)), length))
        elif opcode in _OF_CHUNKS:
            records.append(_OF_CHUNKS[opcode].read(ReadDataStream(BytesIO(data))))
    return records


def _ends_well(file: BinaryIO, size: int) -> bool:
    file.seek(size - len(MAGIC))
    return file.read() == MAGIC
