"""What a deployment asks of the recorder: when it writes, how much it may write, and what else it listens to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ppo_robot.spec.strict import setting

MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class RecordingSpec:
    """How the recorder works; each is a ROS parameter of it, too."""

    mode: Literal["continuous", "on_event"] = "continuous"
    topics: tuple[str, ...] = setting((), doc="topics beside those of the interface; '/name' or '/name:pkg/msg/Type'")
    split_bytes: int = setting(256 * MEGABYTE, low=MEGABYTE, doc="size after which a new file is begun")
    split_duration: float = setting(600.0, low=0.0, doc="s after which a new file is begun; 0: never")
    flush_period: float = setting(0.5, low=0.05, high=60.0, doc="s; what a crash can take")
    quota_bytes: int = setting(0, low=0, doc="bytes that all recordings of the folder may take; 0: no limit")
    remove_oldest: bool = setting(False, doc="remove the folder's oldest recording where the quota asks for it")
    minimum_free_bytes: int = setting(512 * MEGABYTE, low=0, doc="bytes of the disk that are left free")
    pre_trigger: float = setting(30.0, low=0.0, high=3600.0, doc="s before an event that are kept, on_event")
    post_trigger: float = setting(10.0, low=0.0, high=3600.0, doc="s after an event that are recorded, on_event")
    pre_trigger_bytes: int = setting(256 * MEGABYTE, low=MEGABYTE, doc="bytes of memory for the time before an event")
    queue_bytes: int = setting(64 * MEGABYTE, low=MEGABYTE, doc="bytes that may wait for the disk; more are dropped")

    def __post_init__(self) -> None:
        for topic in self.topics:
            name, _, kind = topic.partition(":")
            if not name.strip("/") or (kind and kind.count("/") != 2):
                raise ValueError(f"topics: given {topic!r}; expected '/name' or '/name:package/msg/Type'")
        if self.quota_bytes and self.quota_bytes < self.split_bytes:
            raise ValueError(
                f"quota_bytes: given {self.quota_bytes}; expected 0 or at least split_bytes {self.split_bytes}"
            )
        if self.remove_oldest and not self.quota_bytes:
            raise ValueError("remove_oldest: true without quota_bytes; give the quota that it is to keep")
