"""Where a command writes its figures, and the numbers that all commands check alike."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ppo_robot.errors import BadInputError
from ppo_robot.files import write_json

MAXIMUM_SEED = 2**32 - 1


def check_output(path: Path | None) -> None:
    """Refuse, before long work begins, a file that could not be written at its end.

    Raises:
        BadInputError: if its directory does not exist, it is a directory itself, or it may not be written.
    """
    if path is None:
        return
    if path.is_dir():
        raise BadInputError(f"--json {path}: is a directory; give the name of a file")
    if not path.resolve().parent.is_dir():
        raise BadInputError(f"--json {path}: no such directory {path.parent}; make it first")
    if not os.access(path if path.exists() else path.resolve().parent, os.W_OK):
        raise BadInputError(f"--json {path}: may not be written; give another place")


def check_seed(seed: int) -> None:
    """Refuse a seed that not every generator takes and not every file holds.

    Raises:
        BadInputError: if it is below 0 or above `MAXIMUM_SEED`.
    """
    if not 0 <= seed <= MAXIMUM_SEED:
        raise BadInputError(f"--seed: given {seed}; expected 0 to {MAXIMUM_SEED}")


def write_figures(path: Path | None, figures: dict[str, Any]) -> None:
    """Write figures as JSON where a file was asked for."""
    if path is not None:
        write_json(path, figures)
