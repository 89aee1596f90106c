"""Where a command writes its figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ppo_robot.errors import BadInputError
from ppo_robot.files import write_json


def check_output(path: Path | None) -> None:
    """Refuse, before long work begins, a file that could not be written at its end.

    Raises:
        BadInputError: if its directory does not exist, or it is a directory itself.
    """
    if path is None:
        return
    if path.is_dir():
        raise BadInputError(f"--json {path}: is a directory; give the name of a file")
    if not path.resolve().parent.is_dir():
        raise BadInputError(f"--json {path}: no such directory {path.parent}; make it first")


def write_figures(path: Path | None, figures: dict[str, Any]) -> None:
    """Write figures as JSON where a file was asked for."""
    if path is not None:
        write_json(path, figures)
