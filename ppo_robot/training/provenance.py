"""Where a run comes from: commit, library versions, machine. Written beside every result."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import ppo_robot

_LIBRARIES = ("numpy", "torch", "pybullet", "pin", "gymnasium", "onnx", "onnxruntime", "safetensors")


def provenance() -> dict[str, Any]:
    """Return the commit (null outside a checkout), whether it was dirty, the versions and the size of the machine."""
    commit, dirty = git_state()
    return {
        "ppo_robot": ppo_robot.__version__,
        "git_commit": commit,
        "git_dirty": dirty,
        "python": platform.python_version(),
        "libraries": {name: _version(name) for name in _LIBRARIES},
        "machine": {"system": platform.system(), "architecture": platform.machine(), "cores": os.cpu_count()},
    }


def git_state() -> tuple[str | None, bool | None]:
    """Return the commit of the checkout that holds this package and whether it has changes; elsewhere (None, None)."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None, None
    try:
        commit = _git(root, "rev-parse", "HEAD")
        return commit, bool(_git(root, "status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError):
        return None, None


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=10).stdout.strip()  # noqa: S603


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
