"""Measure rollouts and training beside bare PyBullet and write docs/results/speed.md.

    .venv/bin/python benchmarks/speed.py
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "results" / "speed.md"
COMMAND = ("bench", "rollout", "--rounds", "7", "--seconds", "5")


def measure() -> dict[str, Any]:
    """Run the bench and return its figures."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "figures.json"
        command = [sys.executable, "-m", "ppo_robot.cli", *COMMAND, "--json", str(path)]
        subprocess.run(command, check=True, cwd=ROOT)
        figures: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return figures


def main() -> None:
    """Measure and write the page."""
    figures = measure()
    origin = figures["provenance"]
    commit = f"`{origin['git_commit'][:10]}`{' + changes' if origin['git_dirty'] else ''}"
    rounds = [
        f"| {index + 1} | {one['raw']:,.0f} | {one['rollout']:,.0f} | {one['train']:,.0f} |"
        f" {one['rollout'] / one['raw']:.2f} | {one['train'] / one['raw']:.2f} |"
        for index, one in enumerate(figures["rounds"])
    ]
    lines = [
        "# Speed",
        "",
        "Control periods of one robot a second. *Bare*: nothing but the PyBullet calls that an environment makes, with",
        "an environment's arguments, in as many processes. *Rollout*: the vector environment under random actions.",
        "*Training*: rollout, inference, update and figures. Measured in turn, so that a busy moment falls on each.",
        "",
        "```",
        f"ppo-robot {' '.join(COMMAND)}      # python benchmarks/speed.py writes this page",
        "```",
        "",
        "| round | bare | rollout | training | rollout / bare | training / bare |",
        "|---|---|---|---|---|---|",
        *rounds,
        f"| **median** | {figures['raw_steps_per_s']:,.0f} | {figures['rollout_steps_per_s']:,.0f} |"
        f" {figures['train_steps_per_s']:,.0f} | {figures['rollout_over_raw']:.2f} | {figures['train_over_raw']:.2f} |",
        "",
        f"{figures['robot']}, {figures['task']}, {figures['num_envs']} environments, {figures['processes']} processes,"
        f" {origin['machine']['cores']} cores ({origin['machine']['architecture']}), a machine shared with others."
        f" Commit {commit}.",
    ]
    PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
