"""Train `reach` on three seeds and on a second robot and write docs/results/reach.md.

    .venv/bin/python benchmarks/reach.py

Runs go to runs/results/; one that has ended is not trained again, and one that was killed is continued.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RUNS = ROOT / "runs" / "results"
PAGE = ROOT / "docs" / "results" / "reach.md"
ROWS = [("arm6", 0), ("arm6", 1), ("arm6", 2), ("franka_panda", 0)]


def result_of(robot: str, seed: int) -> dict[str, Any]:
    """Return the result of one run, training what is missing of it."""
    directory = RUNS / f"reach-{robot}-seed{seed}"
    if not (directory / "result.json").is_file():
        command = [sys.executable, "-m", "ppo_robot.cli", "train"]
        if list((directory / "checkpoints").glob("iteration_*.json")):
            command += ["--resume", str(directory)]
        else:
            command += ["reach", "--robot", robot, "--seed", str(seed), "--out", str(directory)]
        subprocess.run(command, check=True, cwd=ROOT)
    result: dict[str, Any] = json.loads((directory / "result.json").read_text(encoding="utf-8"))
    return result


def row(result: dict[str, Any]) -> str:
    """Return one line of the table."""
    figures = result["evaluation"]
    low, high = figures["success_ci95"]
    error, settle = figures["final_error_m"], figures["settle_time_s"]
    passed = "none" if result["steps_to_bar"] is None else f"{result['steps_to_bar']:,}"
    commit = f"`{result['git_commit'][:10]}`{' + changes' if result['git_dirty'] else ''}"
    return (
        f"| {result['robot']} | {result['seed']} | {figures['success_rate']:.4f} | {low:.4f} to {high:.4f} |"
        f" {error['mean'] * 1e3:.2f} / {error['p95'] * 1e3:.2f} / {error['max'] * 1e3:.1f} | {settle['mean']:.2f} |"
        f" {result['steps']:,} | {passed} | {result['wall_seconds']:.0f} | {commit} |"
    )


def main() -> None:
    """Train what is missing and write the page."""
    results = [result_of(robot, seed) for robot, seed in ROWS]
    provenance = json.loads((RUNS / "reach-arm6-seed0" / "provenance.json").read_text(encoding="utf-8"))
    machine, libraries = provenance["machine"], provenance["libraries"]
    lines = [
        "# Reaching",
        "",
        "The tool must be within 1 cm of a goal drawn in the workspace for at least the last 0.5 s of a 2 s episode,",
        "from random start poses. Each row is one training with `config/training/default.yaml`, then 1000 episodes of",
        "its **bundle** (ONNX, deterministic action) on starts and goals that it was not trained on.",
        "",
        "```",
        "ppo-robot train reach --robot arm6 --seed 0          # one row",
        "python benchmarks/reach.py                           # the page",
        "```",
        "",
        "| robot | seed | success | 95 % interval | final error mean / p95 / max, mm | settled after, s |"
        " policy of step | 99 % first passed at step | training, s | commit |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *(row(result) for result in results),
        "",
        "*Policy of step*: the checkpoint with the best evaluation is exported. *99 % first passed*: the first",
        "evaluation during training (128 episodes, every 40 960 steps) at 0.99 or more; *none*: two or more of the 128",
        "failed each time. *Training*: rollouts and updates; the evaluations during training come on top.",
        "",
        f"Machine: {machine['cores']} cores, {machine['architecture']}, {machine['system']}, shared with other work."
        f" torch {libraries['torch']}, PyBullet {libraries['pybullet']}, numpy {libraries['numpy']}.",
    ]
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
