"""`metadata.yaml` of a rosbag2 directory, version 9: what is in it, and reading it back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ppo_robot.errors import BadInputError
from ppo_robot.files import write_atomically
from ppo_robot.spec.strict import read_yaml

FILE = "metadata.yaml"
INFINITE = {"sec": 9223372036, "nsec": 854775807}
"""How rosbag2 writes a duration that never ends."""


@dataclass(frozen=True)
class Quality:
    """The quality of service that a publisher offered, in rosbag2's words."""

    reliability: str = "reliable"
    durability: str = "volatile"
    history: str = "keep_last"
    depth: int = 1

    def profile(self) -> dict[str, Any]:
        """Return the profile as rosbag2 writes it."""
        return {
            "history": self.history,
            "depth": self.depth,
            "reliability": self.reliability,
            "durability": self.durability,
            "deadline": INFINITE,
            "lifespan": INFINITE,
            "liveliness": "automatic",
            "liveliness_lease_duration": INFINITE,
            "avoid_ros_namespace_conventions": False,
        }


@dataclass(frozen=True)
class Topic:
    """One topic of a recording."""

    name: str
    type: str
    qualities: tuple[Quality, ...] = ()
    type_hash: str = ""
    count: int = 0

    @property
    def profiles(self) -> list[dict[str, Any]]:
        """The profiles that publishers offered."""
        return [quality.profile() for quality in self.qualities]


@dataclass(frozen=True)
class FilePart:
    """One file of a recording; times in ns, 0 where it holds no message."""

    name: str
    start: int
    end: int
    count: int


@dataclass(frozen=True)
class BagMetadata:
    """What stands in `metadata.yaml`."""

    topics: tuple[Topic, ...]
    files: tuple[FilePart, ...]
    custom: Mapping[str, str]
    distribution: str = "jazzy"


def write_metadata(directory: Path, metadata: BagMetadata, sync: bool = True) -> None:
    """Write the file, atomically. JSON is YAML, costs a tenth of the time to write, and cannot be quoted wrongly.

    Without `sync` a power cut may bring back an older file; a crash does not.

    Raises:
        OSError: if it cannot be written; then the file before it stays.
    """
    filled = [part for part in metadata.files if part.count]
    start = min((part.start for part in filled), default=0)
    end = max((part.end for part in filled), default=0)
    information = {
        "version": 9,
        "storage_identifier": "mcap",
        "duration": {"nanoseconds": end - start},
        "starting_time": {"nanoseconds_since_epoch": start},
        "message_count": sum(part.count for part in metadata.files),
        "topics_with_message_count": [_topic_row(topic) for topic in metadata.topics],
        "compression_format": "",
        "compression_mode": "",
        "relative_file_paths": [part.name for part in metadata.files],
        "files": [_file_row(part) for part in metadata.files],
        "custom_data": dict(metadata.custom) or None,
        "ros_distro": metadata.distribution,
    }
    text = json.dumps({"rosbag2_bagfile_information": information}, indent=1) + "\n"
    if sync:
        write_atomically(directory / FILE, text.encode())
        return
    temporary = directory / f".{FILE}.tmp"
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(directory / FILE)


def read_metadata(directory: Path) -> dict[str, Any]:
    """Return the mapping below `rosbag2_bagfile_information`.

    Raises:
        BadInputError: if there is no such file, or it is something else.
    """
    path = directory / FILE
    if not path.is_file():
        raise BadInputError(f"{directory}: no {FILE}; expected the directory of a recording")
    information = read_yaml(path).get("rosbag2_bagfile_information")
    if not isinstance(information, Mapping) or not isinstance(information.get("relative_file_paths"), Sequence):
        raise BadInputError(f"{path}: is not that of a recording; mend it: ppo-robot record recover {directory}")
    return dict(information)


def _topic_row(topic: Topic) -> dict[str, Any]:
    return {
        "topic_metadata": {
            "name": topic.name,
            "type": topic.type,
            "serialization_format": "cdr",
            "offered_qos_profiles": topic.profiles,
            "type_description_hash": topic.type_hash,
        },
        "message_count": topic.count,
    }


def _file_row(part: FilePart) -> dict[str, Any]:
    return {
        "path": part.name,
        "starting_time": {"nanoseconds_since_epoch": part.start},
        "duration": {"nanoseconds": part.end - part.start},
        "message_count": part.count,
    }
