"""From messages to recordings: when one is begun, flushed and ended, and what happens when the disk fails."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from ppo_robot import __version__
from ppo_robot.errors import BadInputError
from ppo_robot.files import write_atomically
from ppo_robot.recording.bag import BagWriter
from ppo_robot.recording.metadata import Topic
from ppo_robot.recording.ring import Incoming, Ring
from ppo_robot.recording.schemas import Schemas
from ppo_robot.recording.space import MARK, Space
from ppo_robot.spec.recording import RecordingSpec

FOLDER = Path("recordings")
"""Where recordings go whose place is not given."""


@dataclass(frozen=True)
class Attachment:
    """A file inside a recording, and beside its MCAP files where it is a person's, too."""

    name: str
    media_type: str
    data: bytes
    beside: bool = False


def new_directory(now: float | None = None) -> Path:
    """Return a directory below `recordings/` that is named after the time, UTC."""
    moment = datetime.fromtimestamp(time.time() if now is None else now, timezone.utc)
    return FOLDER / moment.strftime("%Y%m%d-%H%M%S-%f")[:-3]


class Session:
    """Records into one directory (continuous), or into one for each event (on_event).

    One thread calls it. After the disk has failed, or has no room, nothing more is recorded, and `failure` says why;
    with on_event the next event tries again.

    Attributes:
        counters: `write_failed`: messages lost with the disk; `not_recorded`: came after recording had stopped;
            `events`; `recordings`.
        failure: why nothing is recorded, or why the last recording ended early; empty otherwise.
        bag: the recording that is being written.
    """

    def __init__(
        self,
        spec: RecordingSpec,
        out: Path | None,
        attachments: Callable[[], Iterable[Attachment]] = tuple,
        schemas: Schemas | None = None,
        distribution: str = "jazzy",
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin to record, or to wait for an event.

        Args:
            spec: how.
            out: directory of the recording; None for one below `recordings/` named after the time.
            attachments: what each recording is given when it begins, and again when `attach_again` is called.
            schemas: of message types.
            distribution: of ROS.
            now: monotonic clock, s.

        Raises:
            BadInputError: if the directory exists, cannot be made, or there is no room.
        """
        self.counters: Counter[str] = Counter()
        self.failure = ""
        self.bag: BagWriter | None = None
        self._spec = spec
        self._out = out
        self._schemas = schemas or Schemas(distribution)
        self._distribution = distribution
        self._attachments = attachments
        self._now = now
        self._topics: dict[str, Topic] = {}
        self._kept: dict[str, Incoming] = {}  # the newest of each topic that is published once
        self._ring = Ring(spec.pre_trigger, spec.pre_trigger_bytes)
        self._flushed = self._ends = now()
        self._stopped = False
        self._written = 0  # messages given to the recording that is being written
        self._recorded = 0  # messages in those that have ended
        self._lasting: set[str] = set()
        self._extra: dict[str, str] = {}
        if out is not None and out.exists():
            raise BadInputError(f"{out}: exists already; give the name of a new directory")
        folder = (out or new_directory()).parent
        self._space = Space(folder, spec)
        self._make(folder)
        if spec.mode == "continuous":
            self._begin()

    @property
    def waiting(self) -> bool:
        """Whether it waits for an event."""
        return self.bag is None and not self._stopped

    @property
    def ring(self) -> Ring:
        """What came before an event that has not come yet."""
        return self._ring

    def counts(self) -> dict[str, int]:
        """Return all counters: the attribute's; `recorded`: messages that are safe; `removed`: old recordings that made
        room; `pre_trigger_shortened`: messages that found no room in memory.
        """
        safe = self._recorded + (self.bag.message_count if self.bag is not None else 0)
        own = {"recorded": safe, "removed": self._space.removed, "pre_trigger_shortened": self._ring.shortened}
        return own | {key: self.counters[key] for key in ("write_failed", "not_recorded", "events", "recordings")}

    def declare(self, topic: Topic) -> None:
        """Make a topic known before its first message.

        Raises:
            UnknownTypeError: if its type is unknown.
        """
        self._schemas.describe(topic.type)
        self._topics[topic.name] = topic
        if any(quality.durability == "transient_local" for quality in topic.qualities):
            self._lasting.add(topic.name)
        if self.bag is not None:
            self._add(self.bag, topic)

    def take(self, messages: Iterable[Incoming]) -> None:
        """Record messages of topics that were declared, or keep them for an event."""
        for message in messages:
            if message.topic in self._lasting:
                self._kept[message.topic] = message
            if self.bag is not None:
                self._write(self.bag, message)
            elif self._stopped:
                self.counters["not_recorded"] += 1
            else:
                self._ring.add(message)

    def trigger(self) -> None:
        """An event: what came before it is written, and what comes until it is `post_trigger` ago."""
        self.counters["events"] += 1
        if self._spec.mode != "on_event":
            return
        self._ends = self._now() + self._spec.post_trigger
        if self.bag is not None:
            return
        try:
            self._begin()
        except BadInputError as error:
            self.failure = str(error)
            return
        self.take(self._ring.take())

    def turn(self, extra: dict[str, str] | None = None) -> None:
        """Flush where it is time, look at the room that is left, and end what is over.

        `extra` is what `metadata.yaml` is to say beside our own counters.
        """
        self._extra = extra or self._extra
        bag, now = self.bag, self._now()
        if bag is None or now - self._flushed < self._spec.flush_period:
            return
        self._flushed = now
        try:
            bag.custom.update(self._custom(bag))
            bag.flush()
            refusal = self._space.refusal(bag.directory)
        except OSError as error:
            self._fail(f"{bag.directory}: {error.strerror}")
            return
        if refusal is not None:
            self._fail(refusal)
        elif self._spec.mode == "on_event" and now >= self._ends:
            self._end()

    def attach_again(self) -> None:
        """Give the attachments to the recording once more: they have become fuller."""
        if self.bag is not None:
            self._attach(self.bag)

    def close(self) -> None:
        """End the recording."""
        self._end()
        self._stopped = True

    def _begin(self) -> None:
        """Begin a recording.

        Raises:
            BadInputError: if there is no room, or it cannot be written.
        """
        directory = self._next_directory()
        try:
            refusal = self._space.refusal(None)
        except OSError as error:
            refusal = f"{directory.parent}: {error.strerror}"
        if refusal is not None:
            raise BadInputError(refusal)
        bag = BagWriter(
            directory,
            schemas=self._schemas,
            split_bytes=self._spec.split_bytes,
            split_duration=self._spec.split_duration,
            distribution=self._distribution,
        )
        self.bag, self.failure, self._written, self._flushed = bag, "", 0, self._now()
        self.counters["recordings"] += 1
        bag.custom.update(self._custom(bag))
        for topic in self._topics.values():
            self._add(bag, topic)
        self._attach(bag)
        first = self._ring.oldest or time.time_ns()
        for message in self._kept.values():  # was sent once, perhaps long ago, and holds still
            if message.log_time < first and self.bag is not None:
                self._write(bag, message._replace(log_time=first))

    def _next_directory(self) -> Path:
        if self._out is None:
            return new_directory()
        directory, count = self._out, 1
        while self._spec.mode == "on_event" and directory.exists():
            count += 1
            directory = self._out.with_name(f"{self._out.name}-{count}")
        return directory

    def _add(self, bag: BagWriter, topic: Topic) -> None:
        bag.add_topic(topic.name, topic.type, topic.qualities)

    def _attach(self, bag: BagWriter) -> None:
        try:
            for attachment in self._attachments():
                if attachment.beside:
                    write_atomically(bag.directory / attachment.name, attachment.data)
                bag.attach(attachment.name, attachment.media_type, attachment.data)
        except OSError as error:
            self._fail(f"{bag.directory}: {error.strerror}")

    def _write(self, bag: BagWriter, message: Incoming) -> None:
        topic, data, log_time, publish_time, sequence = message
        try:
            bag.write(topic, log_time, data, publish_time, sequence)
            self._written += 1
        except OSError as error:
            self._written += 1
            self._fail(f"{bag.directory}: {error.strerror}")

    def _fail(self, why: str) -> None:
        """End a recording that cannot go on; what was flushed is safe."""
        self.failure = f"{why}; recording has stopped"
        self._end()
        self._stopped = self._spec.mode == "continuous"

    def _end(self) -> None:
        bag, self.bag = self.bag, None
        if bag is None:
            return
        try:
            bag.flush()
            bag.custom.update(self._custom(bag))
            bag.close()
        except OSError as error:
            self.failure = self.failure or f"{bag.directory}: {error.strerror}; recording has stopped"
            bag.abandon()
        self.counters["write_failed"] += self._written - bag.message_count
        self._recorded += bag.message_count

    def _custom(self, bag: BagWriter) -> dict[str, str]:
        """Return what `metadata.yaml` says of a recording beside rosbag2's own."""
        counts = self.counts() | {"recorded": self._recorded + bag.message_count}
        return {MARK: f"ppo_robot {__version__}", **self._extra, **{key: str(n) for key, n in counts.items()}}

    def _make(self, folder: Path) -> None:
        """Make the folder of the recordings.

        Raises:
            BadInputError: if it cannot be made or written to.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadInputError(f"{folder}: cannot be made ({error.strerror}); give another place") from None
        if not os.access(folder, os.W_OK | os.X_OK):
            raise BadInputError(f"{folder}: may not be written; give another place")
