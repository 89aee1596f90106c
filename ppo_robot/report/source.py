"""Tells a recording from a run, without reading either."""

from __future__ import annotations

from pathlib import Path


def is_bag(path: Path) -> bool:
    """Return whether a path is a recording: a rosbag2 directory or an MCAP file."""
    return path.suffix == ".mcap" or (path.is_dir() and ((path / "metadata.yaml").exists() or any(path.glob("*.mcap"))))
