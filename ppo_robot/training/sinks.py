"""Where the figures of a run go: a JSON-lines file, TensorBoard, and a progress bar. Each is one object with hooks."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ppo_robot.files import write_atomically
from ppo_robot.training.collector import HISTOGRAM_EDGES

METRICS_FILE = "metrics.jsonl"

Record = dict[str, Any]


class Sink(Protocol):
    """What the trainer tells of a run."""

    def on_start(self, iteration: int, steps: int, total_steps: int) -> None:
        """The run begins, or continues after `iteration` iterations and `steps` steps."""

    def on_iteration(self, record: Record) -> None:
        """An iteration ended with these figures."""

    def on_end(self) -> None:
        """The run ends, for whatever reason."""


class JsonLinesSink:
    """One JSON object an iteration; a number that does not exist (no episode ended) or is not finite is null."""

    def __init__(self, directory: Path) -> None:
        """Write to `metrics.jsonl` in the run directory."""
        self.path = directory / METRICS_FILE

    def on_start(self, iteration: int, steps: int, total_steps: int) -> None:
        """Drop the lines of iterations that a killed run made after the checkpoint that it continues from."""
        kept = [line for line in read_records(self.path) if line["iteration"] <= iteration]
        write_atomically(self.path, "".join(json.dumps(line) + "\n" for line in kept).encode())
        self._file = self.path.open("a", encoding="utf-8")

    def on_iteration(self, record: Record) -> None:
        """Append the record and hand it to the operating system."""
        self._file.write(json.dumps(_finite(record), allow_nan=False) + "\n")
        self._file.flush()

    def on_end(self) -> None:
        """Close the file."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()


def read_records(path: Path) -> list[Record]:
    """Read the records of a metrics file; a torn last line, which a kill can leave, is skipped."""
    if not path.is_file():
        return []
    records = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            records.append(json.loads(line))
        except ValueError:
            continue
    return records


class TensorBoardSink:
    """Scalars under rollout/, policy/, speed/ and evaluation/, and a histogram of the actions."""

    def __init__(self, directory: Path) -> None:
        """Write event files to `tensorboard/` in the run directory."""
        self.directory = directory / "tensorboard"

    def on_start(self, iteration: int, steps: int, total_steps: int) -> None:
        """Open an event file that hides what a killed run wrote after `steps`."""
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(self.directory), purge_step=steps + 1 if steps else None)

    def on_iteration(self, record: Record) -> None:
        """Write every number of the record."""
        steps = record["steps"]
        for name, value in _scalars(record):
            self._writer.add_scalar(name, value, steps)
        counts = np.array(record["action_histogram"], dtype=float)
        centres = 0.5 * (HISTOGRAM_EDGES[1:] + HISTOGRAM_EDGES[:-1])
        self._writer.add_histogram_raw(
            "policy/action",
            min=-1.0,
            max=1.0,
            num=counts.sum(),
            sum=float(counts @ centres),
            sum_squares=float(counts @ centres**2),
            bucket_limits=HISTOGRAM_EDGES[1:].tolist(),
            bucket_counts=counts.tolist(),
            global_step=steps,
        )

    def on_end(self) -> None:
        """Close the event file."""
        self._writer.close()


class ProgressSink:
    """A progress bar on a terminal; elsewhere a line about every ten seconds."""

    INTERVAL = 10.0

    def __init__(self, console: Console | None = None) -> None:
        """Draw on standard error, which leaves standard output to results."""
        self._console = console or Console(stderr=True)
        self._progress: Progress | None = None
        self._total = 1
        self._last_line = 0.0
        self._evaluation = ""

    def on_start(self, iteration: int, steps: int, total_steps: int) -> None:
        """Show the bar, with what a killed run had already done."""
        self._total = total_steps
        if self._console.is_terminal:
            columns = (BarColumn(bar_width=24), TextColumn("{task.percentage:3.0f}%"), TextColumn("{task.description}"))
            self._progress = Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=self._console)
            self._task = self._progress.add_task("starting", total=total_steps, completed=steps)
            self._progress.start()

    def on_iteration(self, record: Record) -> None:
        """Move the bar, or print a line if the last one is old."""
        if evaluation := record.get("evaluation"):
            self._evaluation = f" · evaluated {evaluation['success_rate']:.1%}"
        text = self._describe(record)
        if self._progress is not None:
            self._progress.update(self._task, completed=record["steps"], description=text)
        elif time.monotonic() - self._last_line >= self.INTERVAL or record["steps"] >= self._total:
            self._last_line = time.monotonic()
            rate = record["steps_per_s"]["total"]
            left = max(0, self._total - record["steps"]) / max(rate, 1e-9)
            print(f"{record['steps']:>9,} steps · {text} · {left:.0f} s left", file=sys.stderr, flush=True)

    def on_end(self) -> None:
        """Leave the bar as it stands."""
        if self._progress is not None:
            self._progress.stop()

    def _describe(self, record: Record) -> str:
        def shown(name: str, form: str) -> str:
            value = record[name]
            return "–" if value is None else format(value, form)

        return (
            f"{record['steps_per_s']['total']:,.0f} steps/s · return {shown('episode_return_mean', '.2f')}"
            f" · success {shown('success_rate', '.0%')} · KL {record['policy_kl']:.4f}{self._evaluation}"
        )


_GROUPS = {
    "rollout": ("episode_return_mean", "reward_variance", "success_rate", "episode_length_mean", "final_error_mean_m"),
    "policy": (
        *("policy_kl", "clip_fraction", "entropy", "explained_variance", "gradient_norm", "learning_rate"),
        *("policy_loss", "value_loss", "epochs_run", "action_std"),
    ),
    "speed": ("memory_mb",),
}


def _scalars(record: Record) -> list[tuple[str, float]]:
    pairs = [(f"{group}/{name}", record[name]) for group, names in _GROUPS.items() for name in names]
    pairs += [(f"speed/steps_per_s_{part}", value) for part, value in record["steps_per_s"].items()]
    pairs += [(f"reward/{name}", value) for name, value in record["reward_terms"].items()]
    for name, ends in (record.get("ranges") or {}).items():
        pairs += [(f"ranges/{name}_{end}", value) for end, value in zip(("low", "high"), ends, strict=True)]
    pairs += [(f"ranges/share_{name}", value) for name, value in (record.get("range_share") or {}).items()]
    evaluation = record.get("evaluation") or {}
    pairs += [(f"evaluation/{name}", value) for name, value in evaluation.items() if isinstance(value, float)]
    return [(name, value) for name, value in pairs if value is not None and math.isfinite(value)]


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
