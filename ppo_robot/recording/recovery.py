"""Mends a recording: a new one with index and metadata from whatever can be read of a torn one."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcap.records import Attachment, Channel, Message, Schema
from mcap.records import Metadata as MetadataRecord

from ppo_robot.errors import BadInputError
from ppo_robot.recording.bag import BagWriter
from ppo_robot.recording.metadata import FILE, Quality, read_metadata
from ppo_robot.recording.salvage import Damage, salvage
from ppo_robot.recording.space import is_being_written
from ppo_robot.spec.strict import parse_yaml

NEVER = 1 << 60
"""Bytes after which a mended recording begins a new file: it has those of the torn one."""


@dataclass(frozen=True)
class Recovery:
    """What became of a torn recording.

    Attributes:
        directory: of the mended one.
        messages: that it holds.
        files: by name, what was missing.
        lost_messages: that are known to be gone; there may have been more that nobody counted.
        unread_bytes: that could not be read.
        missing_files: that the metadata names and nobody has.
    """

    directory: Path
    messages: int
    files: dict[str, Damage]
    lost_messages: int
    unread_bytes: int
    missing_files: tuple[str, ...]

    @property
    def lost(self) -> bool:
        """Whether data is gone."""
        damaged = any(damage.lost for damage in self.files.values())
        return damaged or bool(self.lost_messages or self.missing_files)

    def figures(self) -> dict[str, Any]:
        """Return all of it as JSON holds it."""
        return {
            "directory": str(self.directory),
            "messages": self.messages,
            "lost": self.lost,
            "lost_messages": self.lost_messages,
            "unread_bytes": self.unread_bytes,
            "damaged_chunks": sum(damage.chunks for damage in self.files.values()),
            "missing_files": list(self.missing_files),
            "unclosed_files": [name for name, damage in self.files.items() if not damage.whole],
        }


def recover(directory: Path, out: Path | None = None, in_place: bool = False) -> Recovery:
    """Write a mended recording beside a torn one, or instead of it.

    Args:
        directory: of the torn one, with or without `metadata.yaml`.
        out: where to; by default the same name with `_recovered` behind it.
        in_place: replace the torn one once the mended one is complete.

    Raises:
        BadInputError: if there is no recording, it is being written, `out` exists, or there is no room.
    """
    if not directory.is_dir():
        raise BadInputError(f"{directory}: no such directory; give the directory of a recording")
    paths = sorted(directory.glob("*.mcap"), key=_number)
    if not paths:
        raise BadInputError(f"{directory}: holds no .mcap file; expected the directory of a recording")
    if is_being_written(directory):
        raise BadInputError(f"{directory}: a recorder is writing it; end that first")
    if in_place and out is not None:
        raise BadInputError("--in-place and --out: expected one of them")
    target = directory.with_name(f".{directory.name}.mended") if in_place else out
    target = target or directory.with_name(f"{directory.name}_recovered")
    if in_place:
        shutil.rmtree(target, ignore_errors=True)  # of a recovery that was killed
    before = _metadata(directory)
    try:
        damages, messages = _rewrite(paths, target, before, directory.name if in_place else target.name)
        for path in directory.iterdir():
            if path.is_file() and path.suffix != ".mcap" and path.name != FILE and not path.name.startswith("."):
                shutil.copy2(path, target / path.name)
    except OSError as error:
        shutil.rmtree(target, ignore_errors=True)
        raise BadInputError(f"{target}: cannot be written ({error.strerror}); nothing was changed") from None
    if in_place:
        aside = directory.with_name(f".{directory.name}.torn")
        directory.rename(aside)
        target.rename(directory)
        shutil.rmtree(aside)
        target = directory
    return _judge(target, messages, damages, before, {path.name for path in paths})


def _rewrite(paths: list[Path], target: Path, before: dict[str, Any], name: str) -> tuple[dict[str, Damage], int]:
    damages: dict[str, Damage] = {}
    qualities = _qualities(before)
    custom = {str(key): str(value) for key, value in (before.get("custom_data") or {}).items()}
    distribution = str(before.get("ros_distro") or "jazzy")
    with BagWriter(
        target, name=name, split_bytes=NEVER, split_duration=0.0, sync=False, distribution=distribution
    ) as bag:
        bag.custom.update(custom | {"recovered": "true"})
        for number, path in enumerate(paths):
            if number:
                bag.split()
            damages[path.name] = _copy(path, bag, qualities)
    return damages, bag.message_count


def _copy(path: Path, bag: BagWriter, qualities: dict[str, tuple[Quality, ...]]) -> Damage:
    damage = Damage()
    schemas: dict[int, Schema] = {}
    channels: dict[int, Channel] = {}
    for record in salvage(path, damage):
        if isinstance(record, Message):
            if record.channel_id not in channels:
                damage.messages += 1
                continue
            topic = channels[record.channel_id].topic
            bag.write(topic, record.log_time, record.data, record.publish_time, record.sequence)
        elif isinstance(record, Schema):
            schemas[record.id] = record
        elif isinstance(record, Channel) and (schema := schemas.get(record.schema_id)) is not None:
            channels[record.id] = record
            offered = _profiles(record.metadata.get("offered_qos_profiles", "")) or qualities.get(record.topic, ())
            text = schema.data.decode(errors="replace")
            bag.add_topic(record.topic, schema.name, offered, text, record.metadata.get("topic_type_hash", ""))
        elif isinstance(record, Attachment):
            bag.attach(record.name, record.media_type, record.data, record.create_time)
        elif isinstance(record, MetadataRecord):
            bag.describe(record.name, record.metadata)
    return damage


def _judge(
    target: Path, messages: int, damages: dict[str, Damage], before: dict[str, Any], found: set[str]
) -> Recovery:
    """Compare with what the metadata of before promised, which may be newer or older than the files."""
    missing = tuple(name for name in map(str, before.get("relative_file_paths") or ()) if name not in found)
    promised = before.get("message_count")
    lost = sum(damage.messages for damage in damages.values())
    if isinstance(promised, int):
        lost = max(lost, promised - messages)
    unread = sum(damage.unread for damage in damages.values())
    return Recovery(target, messages, damages, lost, unread, missing)


def _metadata(directory: Path) -> dict[str, Any]:
    try:
        return read_metadata(directory)
    except BadInputError:
        return {}


def _qualities(before: dict[str, Any]) -> dict[str, tuple[Quality, ...]]:
    found = {}
    for row in before.get("topics_with_message_count") or ():
        topic = row.get("topic_metadata") or {}
        found[str(topic.get("name"))] = _profiles(topic.get("offered_qos_profiles"))
    return found


def _profiles(given: Any) -> tuple[Quality, ...]:
    """Return profiles from a list, or from YAML text; what is no profile is left out."""
    try:
        rows = parse_yaml(given) if isinstance(given, str) else given
        return tuple(
            Quality(str(row["reliability"]), str(row["durability"]), str(row["history"]), int(row["depth"]))
            for row in rows or ()
        )
    except (ValueError, KeyError, TypeError):
        return ()


def _number(path: Path) -> tuple[str, int]:
    stem, _, number = path.stem.rpartition("_")
    return (stem, int(number)) if number.isdigit() else (path.stem, 0)
