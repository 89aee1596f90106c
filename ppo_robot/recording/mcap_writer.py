"""Messages into an MCAP file: schemas, channels, compressed chunks, and the index of all of it at every flush."""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import zstandard
from mcap.data_stream import RecordBuilder
from mcap.records import (
    Attachment,
    AttachmentIndex,
    Channel,
    Chunk,
    ChunkIndex,
    McapRecord,
    MetadataIndex,
    Schema,
    Statistics,
)
from mcap.records import Metadata as MetadataRecord

from ppo_robot import __version__
from ppo_robot.recording.mcap_file import McapFile

LIBRARY = f"ppo_robot/{__version__}"
CHUNK = 1024 * 1024
"""Bytes of messages after which a chunk is closed without waiting for a flush."""

_MESSAGE = struct.Struct("<BQHIQQ")  # opcode, length, channel, sequence, log time, publish time
_MESSAGE_LENGTH = _MESSAGE.size - 9
_INDEX = struct.Struct("<BQHI")  # opcode, length, channel, bytes of entries
_MESSAGE_OPCODE, _INDEX_OPCODE = 0x05, 0x07


class McapWriter:
    """One MCAP file with a ros2 profile; what was flushed is safe (see `McapFile`), and is all that a reader sees.

    Attributes:
        counts: messages flushed, by channel id.
        start, end: ns, first and last log time of what was flushed; 0 where there is none.
    """

    def __init__(self, path: Path, sync: bool = True) -> None:
        """Create the file.

        Raises:
            OSError: if it exists or cannot be written.
        """
        self.counts: Counter[int] = Counter()
        self.start = self.end = 0
        self._compressor = zstandard.ZstdCompressor(level=3)
        self._schemas: list[bytes] = []
        self._channels: list[bytes] = []
        self._chunks: list[bytes] = []  # index records of chunks, attachments and metadata
        self._attachments = 0
        self._metadata = 0
        self._chunk = _Chunk()
        self._definitions: list[bytes] = []  # of schemas and channels that no chunk holds yet
        self._chunk_count = 0
        self._file = McapFile(path, LIBRARY, self._summary(), sync)

    @property
    def size(self) -> int:
        """Bytes of the file and of what waits for the next flush, the latter before compression."""
        return self._file.position + self._chunk.size

    def add_schema(self, name: str, text: str) -> int:
        """Add a message definition in ros2msg text; return its id."""
        identifier = len(self._schemas) + 1
        record = _bytes(Schema(id=identifier, data=text.encode(), encoding="ros2msg" if text else "", name=name))
        self._schemas.append(record)
        self._definitions.append(record)
        return identifier

    def add_channel(self, topic: str, schema: int, metadata: Mapping[str, str]) -> int:
        """Add a topic whose messages are CDR; return its id."""
        identifier = len(self._channels) + 1
        channel = Channel(id=identifier, topic=topic, message_encoding="cdr", metadata=dict(metadata), schema_id=schema)
        self._channels.append(_bytes(channel))
        self._definitions.append(self._channels[-1])
        return identifier

    def write(self, channel: int, log_time: int, publish_time: int, data: bytes, sequence: int = 0) -> None:
        """Add a message; times in ns.

        Raises:
            OSError: if a chunk is full and cannot be written.
        """
        self._chunk.add(channel, log_time, publish_time, data, sequence)
        if self._chunk.size >= CHUNK:
            self.flush()

    def attach(self, name: str, media_type: str, data: bytes, time: int) -> None:
        """Add an attachment made at `time` ns, and flush.

        Raises:
            OSError: if it cannot be written.
        """
        self.flush()
        record = _bytes(Attachment(create_time=time, log_time=time, name=name, media_type=media_type, data=data))
        index = AttachmentIndex(
            offset=self._file.position,
            length=len(record),
            create_time=time,
            log_time=time,
            data_size=len(data),
            name=name,
            media_type=media_type,
        )
        self._attachments += 1
        self._commit(record, index)

    def describe(self, name: str, values: Mapping[str, str]) -> None:
        """Add a metadata record, and flush.

        Raises:
            OSError: if it cannot be written.
        """
        self.flush()
        record = _bytes(MetadataRecord(name=name, metadata=dict(values)))
        self._metadata += 1
        self._commit(record, MetadataIndex(offset=self._file.position, length=len(record), name=name))

    def flush(self) -> int:
        """Let everything that was added become part of the file; return how many messages that were.

        Raises:
            OSError: if it cannot be written; these messages are then lost.
        """
        if not self._chunk.counts:
            return 0
        chunk, self._chunk = self._chunk, _Chunk()
        begin = self._file.position
        raw = b"".join(self._definitions) + b"".join(chunk.parts)
        shift = sum(map(len, self._definitions))
        packed = self._compressor.compress(raw)
        record = _bytes(
            Chunk(
                compression="zstd",
                data=packed,
                message_start_time=chunk.start,
                message_end_time=chunk.end,
                uncompressed_crc=zlib.crc32(raw),
                uncompressed_size=len(raw),
            )
        )
        offsets, indexes = {}, b""
        for channel, entries in chunk.entries.items():
            offsets[channel] = begin + len(record) + len(indexes)
            entries[1::2] = [offset + shift for offset in entries[1::2]]
            length = 8 * len(entries)
            indexes += _INDEX.pack(_INDEX_OPCODE, 6 + length, channel, length)
            indexes += struct.pack(f"<{len(entries)}Q", *entries)
        index = ChunkIndex(
            chunk_length=len(record),
            chunk_start_offset=begin,
            compression="zstd",
            compressed_size=len(packed),
            message_end_time=chunk.end,
            message_index_length=len(indexes),
            message_index_offsets=offsets,
            message_start_time=chunk.start,
            uncompressed_size=len(raw),
        )
        before = self.counts.copy(), self.start, self.end
        self.start = min(self.start, chunk.start) if self.counts else chunk.start
        self.end = max(self.end, chunk.end)
        self.counts += chunk.counts
        self._chunk_count += 1
        try:
            self._commit(record + indexes, index)
        except OSError:
            self.counts, self.start, self.end = before
            self._chunk_count -= 1
            raise
        self._definitions = []
        return sum(chunk.counts.values())

    def close(self) -> None:
        """Flush and end the file.

        Raises:
            OSError: if the last messages, or the summary, cannot be written; the file is whole all the same.
        """
        try:
            self.flush()
        except OSError:
            self._file.abandon()
            raise
        self._file.close(self._summary())

    def abandon(self) -> None:
        """Let go of the file as of the last flush."""
        self._file.abandon()

    def _commit(self, records: bytes, index: McapRecord) -> None:
        self._chunks.append(_bytes(index))
        try:
            self._file.commit(records, self._summary())
        except OSError:
            self._chunks.pop()
            raise

    def _summary(self) -> bytes:
        statistics = Statistics(
            attachment_count=self._attachments,
            channel_count=len(self._channels),
            channel_message_counts=dict(self.counts),
            chunk_count=self._chunk_count,
            message_count=sum(self.counts.values()),
            message_end_time=self.end,
            message_start_time=self.start,
            metadata_count=self._metadata,
            schema_count=len(self._schemas),
        )
        return b"".join((*self._schemas, *self._channels, *self._chunks, _bytes(statistics)))


class _Chunk:
    """Messages that wait to be compressed together."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.size = 0
        self.entries: dict[int, list[int]] = {}  # by channel: log time, offset, log time, offset ...
        self.counts: Counter[int] = Counter()
        self.start = self.end = 0

    def add(self, channel: int, log_time: int, publish_time: int, data: bytes, sequence: int) -> None:
        length = _MESSAGE_LENGTH + len(data)
        head = _MESSAGE.pack(_MESSAGE_OPCODE, length, channel, sequence, log_time, publish_time)
        self.parts += (head, data)
        self.entries.setdefault(channel, []).extend((log_time, self.size))
        self.start = min(self.start, log_time) if self.counts else log_time
        self.end = max(self.end, log_time)
        self.size += len(head) + len(data)
        self.counts[channel] += 1


def _bytes(record: McapRecord) -> bytes:
    builder = RecordBuilder()
    record.write(builder)
    return bytes(builder.end())
