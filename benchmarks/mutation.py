"""Mutation testing of ppo_robot/safety: change the code one operator at a time, and count what the tests notice.

    make mutants                                    # or, with mutmut installed: .venv/bin/python benchmarks/mutation.py
    .venv/bin/python benchmarks/mutation.py --survivors          # try again those that no test noticed
    .venv/bin/python benchmarks/mutation.py --report             # only count, and write docs/results/mutation.md

Works in build/mutation, a copy, so that no changed code is ever where somebody runs it. It may be ended at any time and
goes on where it was; code that has changed since then is done anew.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections import Counter
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "mutation"
PAGE = ROOT / "docs" / "results" / "mutation.md"
REASONS = Path(__file__).with_name("mutation_survivors.json")
COPIED = ("ppo_robot", "test", "config", "urdf", "launch", "conftest.py", "package.xml", "pyproject.toml")
INSTRUMENTS = ("adversary", "bench")
"""Modules that try and judge the envelope; most of what they do is drawn at random."""

FIRST = "ppo_robot.safety.limits.x__first*"

SURVIVED, NO_TEST = 0, 33
"""mutmut's codes; every other one is how the tests ended that noticed: failed, hung or died."""


def copy_sources() -> None:
    """Bring the copy up to date; what did not change keeps its times, and with them its results."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "COLCON_IGNORE").touch()
    for name in COPIED:
        source, target = ROOT / name, FOLDER / name
        if source.is_dir():
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target)


def results() -> dict[str, dict[str, int | None]]:
    """Return of each module, by name of the mutant, how the tests ended; None if it was not tried yet."""
    found = {}
    for path in sorted((FOLDER / "mutants" / "ppo_robot" / "safety").glob("*.py.meta")):
        codes = json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"]
        if codes:
            found[path.name.split(".")[0]] = codes
    return found


def forget_survivors() -> None:
    """Let the next run try again what no test noticed; nothing tries the instruments, so they stay as they are."""
    for path in (FOLDER / "mutants" / "ppo_robot" / "safety").glob("*.py.meta"):
        if path.name.split(".")[0] not in INSTRUMENTS:
            data = json.loads(path.read_text(encoding="utf-8"))
            codes = data["exit_code_by_key"]
            codes.update(dict.fromkeys(survivors(codes)))
            path.write_text(json.dumps(data, indent=4), encoding="utf-8")


def difference(mutant: str) -> str:
    """Return what a mutant changes, in one line."""
    from mutmut.mutation.diff_apply import get_diff_for_mutant

    lines = [line for line in get_diff_for_mutant(mutant).splitlines() if re.match(r"[-+](?![-+]{2} )", line)]
    old, new = (" ".join(line[1:].strip() for line in lines if line[0] == side) for side in "-+")
    return f"{old} → {new}"


def survivors(codes: dict[str, int | None]) -> list[str]:
    """Return the mutants that no test noticed."""
    return [mutant for mutant, code in codes.items() if code in (SURVIVED, NO_TEST)]


def explained(found: dict[str, dict[str, int | None]]) -> list[str]:
    """Return the survivors outside the instruments under the reason why each may stay, as lines of the page."""
    reasons = json.loads(REASONS.read_text(encoding="utf-8"))
    groups: dict[str, list[str]] = {entry["reason"]: [] for entry in reasons}
    groups["Not explained."] = []
    for module, codes in found.items():
        for mutant in survivors(codes) if module not in INSTRUMENTS else []:
            function = mutant.rpartition(".x")[2].partition("__mutmut")[0].replace("ǁ", ".").strip("_.")
            line = f"{module}.{function}: {difference(mutant)}"
            reason = next((one["reason"] for one in reasons if re.search(one["pattern"], line)), "Not explained.")
            groups[reason].append(line)
    lines = []
    for reason, members in groups.items():
        if members:
            lines += [f"**{len(members)}** {reason}", "", *(f"* `{line}`" for line in members), ""]
    return lines


def table(found: dict[str, dict[str, int | None]]) -> list[str]:
    """Return the table of modules and of both totals, as lines of the page."""
    rows: dict[str, Counter[str]] = {}
    for module, codes in found.items():
        survived, tried = len(survivors(codes)), sum(code is not None for code in codes.values())
        rows[module] = Counter(mutants=len(codes), killed=tried - survived, survived=survived)
    core = [name for name in rows if name not in INSTRUMENTS]
    totals = {"**all but instruments**": core, "**everything**": list(rows)}
    lines = ["| module | mutants | killed | survived | not tried | killed |", "|---|---|---|---|---|---|"]
    counted = [(name, rows[name]) for name in [*core, *(name for name in INSTRUMENTS if name in rows)]]
    counted += [(name, sum((rows[member] for member in members), Counter())) for name, members in totals.items()]
    for name, row in counted:
        waiting = row["mutants"] - row["killed"] - row["survived"]
        tried = max(1, row["mutants"] - waiting)
        lines.append(
            f"| {name} | {row['mutants']} | {row['killed']} | {row['survived']} | {waiting} |"
            f" {100.0 * row['killed'] / tried:.1f} % |"
        )
    return lines


def write_page() -> None:
    """Count, print the table and write the page."""
    found = results()
    rows = table(found)
    commit = subprocess.run(
        ["git", "-C", str(ROOT), "describe", "--always", "--dirty=+changes"], capture_output=True, text=True, check=True
    ).stdout.strip()
    text = PAGE.read_text(encoding="utf-8") if PAGE.is_file() else ""
    head = text.partition("<!-- figures -->")[0]
    lines = [
        "<!-- figures -->",
        "",
        f"mutmut {version('mutmut')}, Python {platform.python_version()}, commit `{commit}`, {os.cpu_count()} cores"
        f" ({platform.machine()}).",
        "",
        *rows,
        "",
        "## Survivors",
        "",
        *explained(found),
    ]
    temporary = PAGE.with_suffix(".md.tmp")
    temporary.write_text(head + "\n".join(lines).rstrip() + "\n", encoding="utf-8")
    temporary.replace(PAGE)
    print("\n".join(rows))


def main() -> None:
    """Run mutmut where that is asked for, and write the page."""
    parser = argparse.ArgumentParser(description="Mutation testing of ppo_robot/safety; see the top of this file.")
    parser.add_argument("--report", action="store_true", help="only count what has been tried")
    parser.add_argument("--survivors", action="store_true", help="try again what no test noticed")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    options = parser.parse_args()
    if not options.report:
        copy_sources()
        # Which tests reach which function; mutmut never looks again, and counts one that was renamed as not reached.
        (FOLDER / "mutants" / "mutmut-stats.json").unlink(missing_ok=True)
        os.chdir(FOLDER)  # where mutmut looks for what it made
        command = [sys.executable, "-m", "mutmut", "run", "--max-children", str(options.processes)]
        subprocess.run([*command, FIRST], check=True)  # makes them all
        if options.survivors:
            forget_survivors()
        subprocess.run(command, check=True)
    os.chdir(FOLDER)
    write_page()


if __name__ == "__main__":
    main()
