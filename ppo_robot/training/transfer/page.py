"""docs/results/transfer.md: one page for all matrices, of which each command writes its own section."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ppo_robot.files import write_atomically
from ppo_robot.spec.transfer import TransferSpec
from ppo_robot.training.transfer.pool import Pooled, Table, best_row

HEAD = """# Transfer

Policies trained in several ways (rows), each tried on robots that it has never seen (columns). MuJoCo is another
engine, with contacts and motors of its own, and no policy was ever trained in it. What rows and columns are:
[../transfer.md](../transfer.md).
"""


@dataclass(frozen=True)
class Section:
    """What a section says.

    Attributes:
        spec: the matrix.
        command: the command line that makes it.
        table: what was measured.
        picture: of the heat map, relative to the page.
        trainings: of each run: row, seed, steps, wall seconds, commit.
        where: the line about machine and versions.
        worst: row to the values of the robot that its first policy can bear least, by entry.
    """

    spec: TransferSpec
    command: str
    table: Table
    picture: str
    trainings: Sequence[Mapping[str, Any]]
    where: str
    worst: Mapping[str, Mapping[str, float]]


def titles(items: Mapping[str, Any]) -> dict[str, str]:
    """Return the titles of rows or columns by name; the name where there is none."""
    return {name: item.title or name.replace("_", " ") for name, item in items.items()}


def write_section(page: Path, section: Section) -> None:
    """Put a section in its place on the page; the others stay what they are, byte for byte."""
    page.parent.mkdir(parents=True, exist_ok=True)
    text = page.read_text(encoding="utf-8") if page.is_file() else HEAD
    write_atomically(page, put_section(text, section.spec.name, render(section)).encode())


def put_section(text: str, name: str, body: str) -> str:
    """Return a page with the section of this name replaced by `body`, or added at its end."""
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    block = f"{begin}\n{body.strip()}\n{end}"
    found = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if found.search(text):
        return found.sub(lambda _: block, text, count=1)
    return f"{text.rstrip()}\n\n{block}\n"


def render(section: Section) -> str:
    """Return the Markdown of a section."""
    spec, table = section.spec, section.table
    rows, columns = titles(spec.rows), titles(spec.columns)
    lines = [f"## {spec.name}", "", "```", section.command, "```", ""]
    lines += [f"![Success by row and column]({section.picture})", "", _verdict(section), ""]
    lines += ["Success, % (95 % Wilson interval over the episodes of all seeds; least seed):", ""]
    lines += _grid(rows, columns, table, _success)
    lines += ["", "How fast the action changes (rms, 1/s) / effort over its limit (rms, %):", ""]
    lines += _grid(rows, columns, table, _cost)
    lines += ["", "Mean final error, mm:", ""]
    lines += _grid(rows, columns, table, lambda cell: f"{1e3 * cell.final_error:.2f}")
    if section.worst:
        lines += ["", *_worst(rows, section.worst)]
    lines += ["", *_trainings(rows, section.trainings), "", section.where]
    return "\n".join(lines)


def _verdict(section: Section) -> str:
    spec, best = section.spec, best_row(section.table, list(section.spec.columns))
    if best is None:
        return "No row is whole yet."
    row, least = best
    done = "reaches" if least >= spec.bar else "does not reach"
    return (
        f"Best row: **{titles(spec.rows)[row]}**, {100 * least:.1f} % in its worst column; that {done} the bar of"
        f" {100 * spec.bar:g} %."
    )


def _grid(
    rows: Mapping[str, str], columns: Mapping[str, str], table: Table, show: Callable[[Pooled], str]
) -> list[str]:
    lines = [f"| trained with | {' | '.join(columns.values())} |", f"|---|{'---|' * len(columns)}"]
    for row, title in rows.items():
        cells = (table.get(row, {}).get(column) for column in columns)
        lines.append(f"| {title} | {' | '.join('–' if cell is None else show(cell) for cell in cells)} |")
    return lines


def _success(cell: Pooled) -> str:
    low, high = cell.interval
    return f"{100 * cell.success_rate:.1f} ({100 * low:.1f} to {100 * high:.1f}; {100 * min(cell.by_seed):.1f})"


def _cost(cell: Pooled) -> str:
    rate = "–" if cell.action_rate is None else f"{cell.action_rate:.2f}"
    return f"{rate} / {'–' if cell.effort is None else f'{100 * cell.effort:.1f}'}"


def _worst(rows: Mapping[str, str], worst: Mapping[str, Mapping[str, float]]) -> list[str]:
    names = list(dict.fromkeys(name for values in worst.values() for name in values))
    lines = ["The worst robot that was found for the first policy of each row:", ""]
    lines += [f"| | {' | '.join(rows[row] for row in worst)} |", f"|---|{'---|' * len(worst)}"]
    for name in names:
        cells = (values.get(name) for values in worst.values())
        lines.append(f"| `{name}` | {' | '.join('–' if cell is None else f'{cell:.4g}' for cell in cells)} |")
    return lines


def _trainings(rows: Mapping[str, str], trainings: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = ["| trained with | seed | policy of step | training, s | commit |", "|---|---|---|---|---|"]
    for run in trainings:
        commit = f"`{str(run['git_commit'])[:10]}`{' + changes' if run['git_dirty'] else ''}"
        lines.append(
            f"| {rows[run['row']]} | {run['seed']} | {run['steps']:,} | {run['wall_seconds']:.0f} | {commit} |"
        )
    return lines
