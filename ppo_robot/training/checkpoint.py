"""Checkpoints: everything that a run is, in one hashed file, so that a resumed run is the run that was never killed."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from ppo_robot.errors import CheckpointError
from ppo_robot.files import json_bytes, sha256, write_atomically, write_json

_LOG = logging.getLogger(__name__)
_NAME = re.compile(r"iteration_(\d{8})\.json")
BEST = "best"


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds: arrays by name, and the counters (JSON) beside them."""

    arrays: dict[str, NDArray]
    counters: dict[str, Any]
    path: Path


class CheckpointStore:
    """The checkpoints of one run: the newest few, and the best.

    A checkpoint is a safetensors file and, written after it, a small JSON file with the counters and the hash of
    both: the second makes the first count, so a run killed while writing leaves the checkpoint before it.
    """

    def __init__(self, directory: Path, keep: int = 3) -> None:
        """Use `directory`, made at the first save; keep the newest `keep` checkpoints."""
        self.directory = directory
        self.keep = keep

    def save(self, arrays: Mapping[str, NDArray], counters: Mapping[str, Any], best: bool = False) -> Path:
        """Write a checkpoint named by counters["iteration"], or as the best one, and drop those that are too old."""
        self.directory.mkdir(parents=True, exist_ok=True)
        data = safetensors.numpy.save({name: np.ascontiguousarray(array) for name, array in arrays.items()})
        iteration = int(counters["iteration"])
        # The best one's data carries its iteration too: replacing a file that the old manifest names would, for a
        # moment, leave a manifest whose hash is wrong.
        stem = f"iteration_{iteration:08d}"
        file = self.directory / f"{BEST + '_' if best else ''}{stem}.safetensors"
        write_atomically(file, data)
        manifest = self.directory / f"{BEST if best else stem}.json"
        write_json(manifest, {"file": file.name, "sha256": _digest(data, counters), "counters": dict(counters)})
        self._prune(best, file)
        return manifest

    def newest(self) -> Checkpoint:
        """Load the newest intact checkpoint; torn ones are named in a warning and passed over.

        Raises:
            CheckpointError: if there is none.
        """
        problems = []
        for manifest in reversed(self._manifests()):
            try:
                checkpoint = self.load(manifest)
            except CheckpointError as error:
                problems.append(str(error))
                continue
            for problem in problems:
                _LOG.warning("%s; falling back to %s", problem, checkpoint.path.name)
            return checkpoint
        if problems:
            raise CheckpointError(f"{self.directory}: no intact checkpoint is left ({'; '.join(problems)})")
        raise CheckpointError(f"{self.directory}: holds no checkpoint; start the run anew")

    def best(self) -> Checkpoint:
        """Load the best checkpoint, or the newest if none was ever called best."""
        manifest = self.directory / f"{BEST}.json"
        return self.load(manifest) if manifest.is_file() else self.newest()

    def load(self, manifest: Path) -> Checkpoint:
        """Load the checkpoint of one manifest.

        Raises:
            CheckpointError: if a file is missing, unreadable, or does not have the hash that was written for it.
        """
        try:
            entry = json.loads(manifest.read_text(encoding="utf-8"))
            file = self.directory / entry["file"]
            digest, counters = entry["sha256"], entry["counters"]
            data = file.read_bytes()
            found = _digest(data, counters)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"checkpoint {manifest}: torn ({type(error).__name__}: {error})") from None
        if found != digest:
            raise CheckpointError(f"checkpoint {manifest}: torn ({file.name} or the counters are not what was written)")
        try:
            arrays = safetensors.numpy.load(data)
        except SafetensorError as error:
            raise CheckpointError(f"checkpoint {file}: not readable ({error})") from None
        return Checkpoint(arrays, counters, file)

    def _manifests(self) -> list[Path]:
        if not self.directory.is_dir():
            return []
        return sorted(path for path in self.directory.iterdir() if _NAME.fullmatch(path.name))

    def _prune(self, best: bool, written: Path) -> None:
        if best:
            for file in self.directory.glob(f"{BEST}_*.safetensors"):
                if file != written:
                    file.unlink()
            return
        for manifest in self._manifests()[: -self.keep]:
            manifest.with_suffix(".safetensors").unlink(missing_ok=True)
            manifest.unlink()


def _digest(data: bytes, counters: Mapping[str, Any]) -> str:
    return sha256(data + json_bytes(dict(counters)))
