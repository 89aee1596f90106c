"""How much of a disk recordings may take: a quota for the folder, and room that is left to others."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from ppo_robot.recording.metadata import FILE
from ppo_robot.spec.recording import RecordingSpec

MARK = "recorder"
"""Key of `custom_data` that only our own recordings have: nothing else is ever removed."""


@dataclass(frozen=True)
class Recording:
    """A recording of ours in a folder; `start` in ns since 1970, `size` in bytes of the disk."""

    path: Path
    start: int
    size: int


def disk_size(directory: Path) -> int:
    """Return the bytes of the disk that the files in a directory take; 0 where it is gone."""
    try:
        with os.scandir(directory) as entries:
            return sum(entry.stat().st_blocks * 512 for entry in entries if entry.is_file())
    except OSError:
        return 0


def recordings(folder: Path) -> list[Recording]:
    """Return the folder's recordings that were made by `ppo_robot`, oldest first."""
    found = []
    for path in folder.glob(f"*/{FILE}"):
        try:  # ours is JSON
            information = json.loads(path.read_text(encoding="utf-8"))["rosbag2_bagfile_information"]
            if MARK not in (information.get("custom_data") or {}):
                continue
            start = int(information["starting_time"]["nanoseconds_since_epoch"]) or path.stat().st_mtime_ns
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
        found.append(Recording(path.parent, start, disk_size(path.parent)))
    return sorted(found, key=lambda recording: recording.start)


def is_being_written(directory: Path) -> bool:
    """Return whether a recorder has one of the directory's files open."""
    for path in directory.glob("*.mcap"):
        try:
            with path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            continue
    return False


def remove(directory: Path) -> None:
    """Remove a recording: first out of sight, so that nobody finds half of one.

    Raises:
        OSError: if it cannot be removed.
    """
    hidden = directory.with_name(f".{directory.name}.removed")
    directory.rename(hidden)
    shutil.rmtree(hidden)


class Space:
    """Keeps a recording's folder inside its quota, and the disk from filling.

    Attributes:
        removed: recordings that were removed to make room.
    """

    def __init__(self, folder: Path, spec: RecordingSpec) -> None:
        """Watch over a folder."""
        self.removed = 0
        self._folder = folder
        self._spec = spec

    def refusal(self, current: Path | None) -> str | None:
        """Return why nothing more may be written, None where more may; the oldest recordings go where that is allowed.

        `current` is the recording that is being written, which stays.
        """
        free = shutil.disk_usage(self._folder).free
        if free < self._spec.minimum_free_bytes:
            return f"{self._folder}: {free} bytes are free; expected minimum_free_bytes {self._spec.minimum_free_bytes}"
        quota = self._spec.quota_bytes
        if not quota:
            return None
        found = recordings(self._folder)
        total = sum(recording.size for recording in found)
        for recording in found:
            if total < quota or not self._spec.remove_oldest:
                break
            if recording.path == current or is_being_written(recording.path):
                continue
            try:
                remove(recording.path)
            except OSError:
                continue
            self.removed += 1
            total -= recording.size
        if total < quota:
            return None
        hint = "raise it" if self._spec.remove_oldest else "raise it, move recordings away, or set remove_oldest"
        return f"{self._folder}: its recordings take {total} bytes; expected quota_bytes {quota} at most; {hint}"
