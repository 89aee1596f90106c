"""A recording in rosbag2's layout: a directory with `metadata.yaml` and MCAP files, whole at every moment."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from ppo_robot.errors import BadInputError
from ppo_robot.recording.mcap_writer import McapWriter
from ppo_robot.recording.metadata import BagMetadata, FilePart, Quality, Topic, write_metadata
from ppo_robot.recording.schemas import Schemas

SPLIT_BYTES = 256 * 1024 * 1024
SPLIT_DURATION = 600.0


class BagWriter:
    """Writes one recording; a reader sees what was flushed, also while it is written and after a crash.

    Attributes:
        directory: of the recording.
        custom: what stands under `custom_data` in `metadata.yaml` from the next flush on.
    """

    def __init__(
        self,
        directory: Path,
        *,
        name: str = "",
        schemas: Schemas | None = None,
        split_bytes: int = SPLIT_BYTES,
        split_duration: float = SPLIT_DURATION,
        sync: bool = True,
        distribution: str = "jazzy",
    ) -> None:
        """Create the directory and its first file.

        Args:
            directory: must not exist yet; those above it are made.
            name: what the files are called after; by default the directory's name.
            schemas: where message definitions come from.
            split_bytes: size after which a new file is begun.
            split_duration: s after which a new file is begun; 0 for never.
            sync: whether each flush waits for the disk, so that a power cut takes no more than a crash does.
            distribution: of ROS, named in the metadata.

        Raises:
            BadInputError: if the directory exists or cannot be made.
        """
        self.directory = directory
        self.custom: dict[str, str] = {}
        self._name = name or directory.name
        self._schemas = schemas or Schemas(distribution)
        self._split_bytes = split_bytes
        self._split_duration = round(split_duration * 1e9)
        self._sync = sync
        self._distribution = distribution
        self._topics: dict[str, Topic] = {}
        self._texts: dict[str, str] = {}
        self._counts: Counter[str] = Counter()  # messages flushed, by topic
        self._finished: Counter[str] = Counter()  # those in files that are closed
        self._files: list[FilePart] = []
        self._channels: dict[str, int] = {}  # of this file
        self._schema_ids: dict[str, int] = {}
        self._first = 0  # ns, log time of the first message of this file
        self._writer: McapWriter | None = None
        try:
            directory.mkdir(parents=True)
            self._open()
        except FileExistsError:
            raise BadInputError(f"{directory}: exists already; give the name of a new directory") from None
        except OSError as error:
            raise BadInputError(f"{directory}: cannot be written ({error.strerror}); give another place") from None

    @property
    def topics(self) -> tuple[str, ...]:
        """The names of the topics so far."""
        return tuple(self._topics)

    @property
    def message_count(self) -> int:
        """Messages that were flushed."""
        return sum(self._counts.values())

    def add_topic(
        self,
        name: str,
        type_name: str,
        qualities: Sequence[Quality] = (),
        text: str | None = None,
        type_hash: str = "",
    ) -> None:
        """Add a topic; one that is there already is left as it is.

        Args:
            name: of the topic, absolute.
            type_name: such as `sensor_msgs/msg/JointState`.
            qualities: what its publishers offer.
            text: its definition in ros2msg text with all that it needs; looked up where it is not given.
            type_hash: RIHS01 hash of the type, where `text` is given.

        Raises:
            UnknownTypeError: if the type is unknown and no text is given.
            BadInputError: if the topic is there with another type.
        """
        if name in self._topics:
            if self._topics[name].type != type_name:
                raise BadInputError(f"{name}: given type {type_name}; expected {self._topics[name].type}, as before")
            return
        if text is None:
            text, type_hash = self._schemas.describe(type_name)
        self._texts[type_name] = text
        self._topics[name] = Topic(name, type_name, tuple(qualities), type_hash)

    def write(self, topic: str, log_time: int, data: bytes, publish_time: int | None = None, sequence: int = 0) -> None:
        """Add a message of a topic that was added.

        Args:
            topic: its name.
            log_time: ns since 1970 when it was received.
            data: CDR, with its four bytes of encapsulation.
            publish_time: ns when it was sent; that of the log where it is not known.
            sequence: the publisher's own number.

        Raises:
            OSError: if the disk is full or fails.
        """
        writer = self._require()
        if self._first and (
            writer.size >= self._split_bytes
            or (self._split_duration and log_time - self._first >= self._split_duration)
        ):
            writer = self._split()
        if topic not in self._channels:
            self._channels[topic] = self._add_channel(writer, self._topics[topic])
        self._first = self._first or log_time
        writer.write(
            self._channels[topic], log_time, log_time if publish_time is None else publish_time, data, sequence
        )

    def attach(self, name: str, media_type: str, data: bytes, time_ns: int | None = None) -> None:
        """Add an attachment to the first file, so to say a file inside the recording.

        Raises:
            OSError: if the disk is full or fails.
        """
        self._require().attach(name, media_type, data, time.time_ns() if time_ns is None else time_ns)

    def describe(self, name: str, values: Mapping[str, str]) -> None:
        """Add a metadata record to the file that is being written.

        Raises:
            OSError: if the disk is full or fails.
        """
        self._require().describe(name, values)

    def flush(self) -> None:
        """Let what was written so far survive whatever happens; `metadata.yaml` counts it.

        Raises:
            OSError: if the disk is full or fails.
        """
        writer = self._require()
        writer.flush()
        self._note(writer, sync=False)

    def close(self) -> None:
        """End the recording.

        Raises:
            OSError: if the disk is full or fails; what was flushed is there all the same.
        """
        writer, self._writer = self._writer, None
        if writer is None:
            return
        try:
            writer.close()
        finally:
            self._note(writer)

    def split(self) -> None:
        """Go on in a new file.

        Raises:
            OSError: if the disk is full or fails.
        """
        self._split()

    def abandon(self) -> None:
        """Let go of a recording whose disk has failed; what was flushed is there, and is whole."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.abandon()

    def __enter__(self) -> BagWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _require(self) -> McapWriter:
        if self._writer is None:
            raise ValueError(f"{self.directory}: the recording is closed")
        return self._writer

    def _open(self) -> McapWriter:
        name = f"{self._name}_{len(self._files)}.mcap"
        writer = self._writer = McapWriter(self.directory / name, self._sync)
        self._channels, self._schema_ids, self._first = {}, {}, 0
        self._files.append(FilePart(name, 0, 0, 0))
        self._write_metadata()
        if self._sync:  # the names, too
            for folder in (self.directory, self.directory.parent):
                _sync_directory(folder)
        return writer

    def _split(self) -> McapWriter:
        writer = self._require()
        try:
            writer.close()
        finally:
            self._note(writer)
        self._finished = self._topic_counts(writer)
        return self._open()

    def _add_channel(self, writer: McapWriter, topic: Topic) -> int:
        if topic.type not in self._schema_ids:
            self._schema_ids[topic.type] = writer.add_schema(topic.type, self._texts[topic.type])
        metadata = {"offered_qos_profiles": json.dumps(topic.profiles) if topic.profiles else ""}
        if topic.type_hash:
            metadata["topic_type_hash"] = topic.type_hash
        return writer.add_channel(topic.name, self._schema_ids[topic.type], metadata)

    def _topic_counts(self, writer: McapWriter) -> Counter[str]:
        here = Counter({name: writer.counts[channel] for name, channel in self._channels.items()})
        return self._finished + here

    def _note(self, writer: McapWriter, sync: bool = True) -> None:
        """Take over what a writer has flushed, and tell `metadata.yaml`."""
        part = self._files[-1]
        self._files[-1] = FilePart(part.name, writer.start, writer.end, sum(writer.counts.values()))
        self._counts = self._topic_counts(writer)
        self._write_metadata(sync)

    def _write_metadata(self, sync: bool = True) -> None:
        topics = tuple(replace(topic, count=self._counts[topic.name]) for topic in self._topics.values())
        metadata = BagMetadata(topics, tuple(self._files), self.custom, self._distribution)
        write_metadata(self.directory, metadata, sync and self._sync)


def _sync_directory(directory: Path) -> None:
    """Let the names in a directory survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
