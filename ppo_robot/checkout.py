"""Which commit of the package runs, where it runs from a checkout."""

from __future__ import annotations

import subprocess
from pathlib import Path


def git_state() -> tuple[str | None, bool | None]:
    """Return the commit of the checkout that holds this package and whether it has changes; elsewhere (None, None)."""
    root = Path(__file__).resolve().parents[1]
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
