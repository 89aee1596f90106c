"""Where a run comes from: commit, library versions, machine. Written beside every result."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from typing import Any

import ppo_robot
from ppo_robot.checkout import git_state

_LIBRARIES = ("numpy", "torch", "pybullet", "mujoco", "pin", "gymnasium", "onnx", "onnxruntime", "safetensors")


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


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
