"""A transfer matrix from its file to its page: what is there already is taken, the rest is trained and measured."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ppo_robot.files import write_atomically
from ppo_robot.spec.transfer import TransferSpec
from ppo_robot.training.kept import Kept
from ppo_robot.training.provenance import provenance
from ppo_robot.training.run import PROVENANCE_FILE, RESULT_FILE
from ppo_robot.training.sinks import Sink
from ppo_robot.training.transfer.cells import bind_columns, episodes_of, measure
from ppo_robot.training.transfer.heatmap import draw_heat_map
from ppo_robot.training.transfer.page import Section, titles, write_section
from ppo_robot.training.transfer.pool import Pooled, best_row, pool
from ppo_robot.training.transfer.rows import PlannedRun, bundle_of, complete

CELLS_FILE = "transfer.json"
PAGE = Path("results") / "transfer.md"

Sinks = Callable[[PlannedRun], Sequence[Sink]]
Counting = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]


@dataclass
class Matrix:
    """A matrix as it fills, row by row and cell by cell.

    Attributes:
        spec: what it is.
        source: its file, for errors.
        runs: its trainings.
        episodes: of each cell of each training.
        workers: simulation processes of an evaluation; no figure depends on it.
        say: is told a line for each training and each cell.
        cells: what was measured, by row, column and seed.
    """

    spec: TransferSpec
    source: str
    runs: Sequence[PlannedRun]
    episodes: int
    workers: int
    say: Callable[[str], None]
    cells: dict[tuple[str, str, int], dict[str, Any]] = field(default_factory=dict)

    def fill(self, sinks: Sinks, counting: Counting, trained: Sequence[str]) -> bool:
        """Train and measure what is missing; return False where a training was interrupted, and saved.

        Runs of other rows than `trained` are taken where they are finished, and leave gaps where they are not.
        """
        for run in self.runs:
            if not run.is_finished:
                if run.row not in trained:
                    self.say(f"{run.row}, seed {run.seed}: not finished, left out")
                    continue
                self.say(f"{run.row}, seed {run.seed}: training in {run.directory}")
                if not complete(run, sinks(run), self.episodes):
                    return False
            self._measure(run, counting)
        return True

    def _measure(self, run: PlannedRun, counting: Counting) -> None:
        bundle, kept = bundle_of(run), Kept(run.directory / CELLS_FILE)
        for column in bind_columns(self.spec, bundle, self.source):
            label = f"{run.row}, seed {run.seed}: {column.name}"
            with counting(label, episodes_of(column, self.episodes)) as advance:
                figures = measure(bundle, column, run.seed, self.episodes, self.workers, kept, advance)
            self.cells[run.row, column.name, run.seed] = figures
            self.say(f"{label}: {100 * figures['success_rate']:.1f} %")

    def table(self) -> dict[str, dict[str, Pooled]]:
        """Return what was measured, pooled over the seeds."""
        table: dict[str, dict[str, Pooled]] = {}
        for row in self.spec.rows:
            for column in self.spec.columns:
                found = [cell for (at, of, _), cell in sorted(self.cells.items()) if (at, of) == (row, column)]
                if found:
                    table.setdefault(row, {})[column] = pool(found)
        return table

    def passed(self) -> bool:
        """Return whether some row reaches the bar in every column."""
        best = best_row(self.table(), list(self.spec.columns))
        return best is not None and best[1] >= self.spec.bar

    def figures(self) -> dict[str, Any]:
        """Return all of it as plain values."""
        best = best_row(self.table(), list(self.spec.columns))
        return {
            "name": self.spec.name,
            "task": self.spec.task,
            "robot": self.spec.robot,
            "bar": self.spec.bar,
            "best_row": None if best is None else {"row": best[0], "least_success_rate": best[1]},
            "passed": self.passed(),
            "table": {row: {name: cell.tree() for name, cell in cells.items()} for row, cells in self.table().items()},
            "cells": [
                {"row": row, "column": column, **figures} for (row, column, _), figures in sorted(self.cells.items())
            ],
            "trainings": self._trainings(),
        }

    def write(self, docs: Path, command: str) -> Path:
        """Write page and picture below the folder `docs`; return the page."""
        picture = docs / "images" / f"transfer-{self.spec.name}.png"
        picture.parent.mkdir(parents=True, exist_ok=True)
        table, rows, columns = self.table(), titles(self.spec.rows), titles(self.spec.columns)
        seeds = len({seed for _, _, seed in self.cells})
        title = f"{self.spec.name}: success, %, of {seeds} x {self.episodes} episodes, with 95 % intervals"
        write_atomically(picture, draw_heat_map(table, rows, columns, title))
        image = f"../images/{picture.name}"
        section = Section(self.spec, command, table, image, self._trainings(), _where(), self._worst())
        write_section(docs / PAGE, section)
        return docs / PAGE

    def _worst(self) -> dict[str, dict[str, float]]:
        """Return the worst robot that was found for the first policy of each row."""
        found: dict[str, dict[str, float]] = {}
        for row in self.spec.rows:
            cells = [cell for (at, _, _), cell in sorted(self.cells.items()) if at == row and "worst" in cell]
            if cells:
                found[row] = min(cells, key=lambda cell: cell["seed"])["worst"]
        return found

    def _trainings(self) -> list[dict[str, Any]]:
        done = {(row, seed) for row, _, seed in self.cells}
        found = []
        for run in sorted(self.runs, key=lambda run: list(self.spec.rows).index(run.row)):
            if (run.row, run.seed) in done:
                result = json.loads((run.directory / RESULT_FILE).read_text(encoding="utf-8"))
                origin = json.loads((run.directory / PROVENANCE_FILE).read_text(encoding="utf-8"))
                names = ("seed", "steps", "wall_seconds", "git_commit", "git_dirty")
                found.append({"row": run.row, **{name: result[name] for name in names}, "command": origin["command"]})
        return found


def _where() -> str:
    origin = provenance()
    machine, libraries = origin["machine"], origin["libraries"]
    return (
        f"Machine: {machine['cores']} cores, {machine['architecture']}, {machine['system']}, shared with other work."
        f" torch {libraries['torch']}, PyBullet {libraries['pybullet']}, MuJoCo {libraries['mujoco']},"
        f" numpy {libraries['numpy']}."
    )
