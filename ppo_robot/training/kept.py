"""Results that are kept in a file as they come, so that what was measured once is not measured again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ppo_robot.errors import BadInputError
from ppo_robot.files import json_bytes, sha256, write_json


class Kept:
    """Figures by what they were measured of; a kill at any moment loses at most the one that was being measured."""

    def __init__(self, path: Path) -> None:
        """Use a JSON file, which need not be there yet.

        Raises:
            BadInputError: if it is there and holds something else.
        """
        self.path = path
        self._results: dict[str, Any] = {}
        if path.is_file():
            try:
                found = json.loads(path.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                found = None
            if not isinstance(found, dict) or not all(isinstance(entry, dict) for entry in found.values()):
                raise BadInputError(f"{path}: holds no results; move it away, and they are measured again")
            self._results = found

    def get(self, what: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the figures that were measured of `what` (plain values, ready for JSON), or None."""
        return self._results.get(_digest(what))

    def put(self, what: Mapping[str, Any], figures: dict[str, Any]) -> dict[str, Any]:
        """Keep the figures of `what`, and return them."""
        self._results[_digest(what)] = figures
        write_json(self.path, self._results)
        return figures


def _digest(what: Mapping[str, Any]) -> str:
    return sha256(json_bytes(dict(what)))
