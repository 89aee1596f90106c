"""Reads a recording without ROS: topics, raw and decoded messages, attachments and metadata."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from mcap.exceptions import McapError
from mcap.reader import McapReader, make_reader
from mcap.records import Attachment

from ppo_robot.errors import BadInputError
from ppo_robot.recording.metadata import Quality, Topic, read_metadata
from ppo_robot.recording.schemas import Schemas, UnknownTypeError


@dataclass(frozen=True)
class RawMessage:
    """One recorded message.

    Attributes:
        topic: its name.
        type: such as `sensor_msgs/msg/JointState`.
        log_time: ns since 1970, when it was received.
        publish_time: ns since 1970, when it was sent.
        sequence: the publisher's own number, 0 where it is not known.
        data: CDR.
    """

    topic: str
    type: str
    log_time: int
    publish_time: int
    sequence: int
    data: bytes


class BagReader:
    """A recording: a rosbag2 directory, or one MCAP file. Also one that is being written, or that nobody closed.

    Attributes:
        directory: what was given.
        files: the MCAP files, in their order.
        topics: by name, with types and numbers of messages as the files say.
        custom: `custom_data` of `metadata.yaml`.
        metadata: the mapping in `metadata.yaml`; empty for a single file.
    """

    def __init__(self, path: Path | str, schemas: Schemas | None = None) -> None:
        """Look into a recording; a torn file is one that `ppo-robot record recover` mends.

        Raises:
            BadInputError: if there is none, or a file of it is missing or torn.
        """
        self.directory = Path(path)
        self.schemas = schemas or Schemas()
        self.metadata: dict[str, Any] = {}
        if self.directory.is_file():
            if self.directory.suffix != ".mcap":
                raise BadInputError(f"{path}: no recording; give the directory that `ppo-robot record` wrote")
            self.files = [self.directory]
        elif self.directory.is_dir():
            self.metadata = read_metadata(self.directory)
            self.files = [self.directory / Path(str(name)).name for name in self.metadata["relative_file_paths"]]
        else:
            raise BadInputError(f"{path}: no such recording; give the directory that `ppo-robot record` wrote")
        self.custom: dict[str, str] = dict(self.metadata.get("custom_data") or {})
        self.topics: dict[str, Topic] = {}
        self._times: list[tuple[int, int]] = []
        for file in self.files:
            self._look_into(file)

    @property
    def message_count(self) -> int:
        """Messages in the files."""
        return sum(topic.count for topic in self.topics.values())

    @property
    def start(self) -> int:
        """Log time of the first message, ns; 0 without one."""
        return min((start for start, _ in self._times), default=0)

    @property
    def end(self) -> int:
        """Log time of the last message, ns; 0 without one."""
        return max((end for _, end in self._times), default=0)

    def messages(
        self, topics: Collection[str] | None = None, start: int | None = None, end: int | None = None
    ) -> Iterator[RawMessage]:
        """Yield messages in the order of their log times, file by file.

        Args:
            topics: their names; all where it is None.
            start, end: ns; messages from `start` on and before `end`.

        Raises:
            BadInputError: if a file is torn.
        """
        wanted = None if topics is None else list(topics)
        for file in self.files:
            with _opened(file) as reader:
                for schema, channel, message in reader.iter_messages(wanted, starting_at=start, ending_before=end):
                    name = schema.name if schema is not None else ""
                    yield RawMessage(
                        channel.topic, name, message.log_time, message.publish_time, message.sequence, message.data
                    )

    def decoded(
        self, topics: Collection[str] | None = None, start: int | None = None, end: int | None = None
    ) -> Iterator[tuple[RawMessage, Any]]:
        """Yield messages with what is in them, by the definitions that the recording holds; arrays are numpy arrays.

        Raises:
            BadInputError: if a file is torn, or a definition in it cannot be read.
        """
        for message in self.messages(topics, start, end):
            yield message, self.decode(message)

    def decode(self, message: RawMessage) -> Any:
        """Return what is in a message.

        Raises:
            BadInputError: if the recording does not hold a readable definition of its type.
        """
        try:
            return self.schemas.decode(message.data, message.type)
        except UnknownTypeError as error:
            raise BadInputError(f"{self.directory}: {message.topic}: {error}") from None
        except Exception as error:  # the decoder's own errors are of many kinds
            raise BadInputError(
                f"{self.directory}: {message.topic}: a message of {len(message.data)} bytes is no {message.type}"
                f" ({' '.join(str(error).split())})"
            ) from None

    def attachments(self) -> dict[str, bytes]:
        """Return the attachments of all files by name."""
        found: dict[str, bytes] = {}
        for file in self.files:
            with _opened(file) as reader:
                attachment: Attachment
                for attachment in reader.iter_attachments():
                    found[attachment.name] = attachment.data
        return found

    def records(self) -> dict[str, dict[str, str]]:
        """Return the MCAP metadata records of all files by name."""
        found: dict[str, dict[str, str]] = {}
        for file in self.files:
            with _opened(file) as reader:
                found |= {record.name: dict(record.metadata) for record in reader.iter_metadata()}
        return found

    def _look_into(self, file: Path) -> None:
        with _opened(file) as reader:
            summary = reader.get_summary()
        if summary is None or summary.statistics is None:
            raise BadInputError(f"{file}: has no index; mend it: ppo-robot record recover {self.directory}")
        for schema in summary.schemas.values():
            with contextlib.suppress(UnknownTypeError):  # who decodes such a message is told
                self.schemas.learn(schema.name, schema.data.decode(errors="replace"))
        statistics = summary.statistics
        for number, channel in summary.channels.items():
            name = summary.schemas[channel.schema_id].name if channel.schema_id in summary.schemas else ""
            topic = self.topics.get(channel.topic) or Topic(
                channel.topic, name, self._qualities(channel.topic), channel.metadata.get("topic_type_hash", "")
            )
            count = topic.count + statistics.channel_message_counts.get(number, 0)
            self.topics[channel.topic] = replace(topic, count=count)
        if statistics.message_count:
            self._times.append((statistics.message_start_time, statistics.message_end_time))

    def _qualities(self, topic: str) -> tuple[Quality, ...]:
        for row in self.metadata.get("topics_with_message_count", ()):
            described = row["topic_metadata"]
            if described["name"] == topic and not isinstance(described.get("offered_qos_profiles"), str):
                return tuple(
                    Quality(
                        str(profile["reliability"]),
                        str(profile["durability"]),
                        str(profile["history"]),
                        int(profile["depth"]),
                    )
                    for profile in described.get("offered_qos_profiles") or ()
                )
        return ()


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[McapReader]:
    """Yield a reader of one file; what is wrong with the file becomes one line."""
    try:
        stream: BinaryIO = file.open("rb")
    except FileNotFoundError:
        raise BadInputError(f"{file}: is missing, but {file.parent} names it; copy the whole directory") from None
    except OSError as error:
        raise BadInputError(f"{file}: cannot be read ({error.strerror})") from None
    with stream:
        try:
            yield make_reader(stream)
        except (McapError, ValueError, KeyError, EOFError) as error:
            raise BadInputError(
                f"{file}: is torn ({type(error).__name__}); mend it: ppo-robot record recover {file.parent}"
            ) from None
