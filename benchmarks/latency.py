"""Measure the latency of a whole deployment at three rates and write docs/results/latency.md.

    .venv/bin/python benchmarks/latency.py              # half an hour and a bit; leave the machine alone meanwhile

Figures go to runs/results/latency/; a run that is there already is not made again.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RUNS = ROOT / "runs" / "results" / "latency"
PAGE = ROOT / "docs" / "results" / "latency.md"

RATES, SECONDS = (50, 100, 200), 600
DELAY, SHORT = 0.03, 60
STAGES = (
    *("sensor_to_policy", "wait_for_tick", "observe", "inference", "act", "policy_to_safety", "wait_for_cycle"),
    *("command", "to_controller", "end_to_end", "observation_age", "period", "period_jitter", "response"),
)
COLUMNS = ("p50", "p90", "p99", "p99.9", "max")


def figures_of(name: str, *arguments: str) -> dict[str, Any]:
    """Return the figures of one call of the bench, made now where they are missing."""
    path = RUNS / f"{name}.json"
    if not path.is_file():
        RUNS.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "ppo_robot.cli", "bench", "latency", *arguments, "--json", str(path)]
        subprocess.run(command, check=True, cwd=ROOT)
    (found,) = json.loads(path.read_text(encoding="utf-8")).values()
    return dict(found)


def table(figures: dict[str, Any]) -> list[str]:
    """Return the stages of one run as the lines of a table."""
    rows = [(name, figures["stages_ms"][name]) for name in STAGES if name in figures["stages_ms"]]
    rows.append(("end to end on the robot's own clock", figures["robot_end_to_end_ms"]))
    return [
        f"| {figures['rate_hz']:g} Hz, ms | {' | '.join(COLUMNS)} | count |",
        "|---|" + "---|" * (len(COLUMNS) + 1),
        *(
            f"| {name} | {' | '.join(f'{values[key]:.2f}' for key in COLUMNS)} | {values['count']:.0f} |"
            for name, values in rows
        ),
        "",
        f"{figures['ticks']:,} ticks, {figures['deadline_misses']} missed deadlines, the longest run"
        f" {figures['longest_run']}.",
        "",
    ]


def main() -> None:
    """Measure what is missing and write the page."""
    runs = [figures_of(f"{rate}hz", "--rates", str(rate), "--seconds", str(SECONDS)) for rate in RATES]
    short = ("--rates", "50", "--seconds", str(SHORT))
    pairs = [figures_of("plain", *short), figures_of("delayed", *short, "--delay", str(DELAY))]
    commit = subprocess.run(["git", "rev-parse", "--short=10", "HEAD"], capture_output=True, text=True, cwd=ROOT)
    lines = [
        "# Latency",
        "",
        "A whole deployment against the simulated robot in real time: `sim_robot`, `policy`, `safety` at 200 Hz,",
        "`telemetry`, each a process. What the stages are: [telemetry.md](../telemetry.md). Joint states come at 100",
        "Hz, at 200 Hz for the policy at 200 Hz. At 50 Hz the policy is the shipped one, at the others an untrained",
        "one of the same size.",
        "",
        "```",
        f"ppo-robot bench latency --rates 50 100 200 --seconds {SECONDS}  # benchmarks/latency.py: this page",
        f"ppo-robot bench latency --rates 50 --seconds {SHORT} --delay {DELAY:g}",
        "```",
        "",
    ]
    for figures in runs:
        lines += table(figures)
    lines += [
        "## Telemetry beside the robot's own clock",
        "",
        "The simulated robot notes when it measured a state and when the first command that names this state came; it",
        "shares nothing with telemetry but that name. Ratio of the two:",
        "",
        "| run | p50, telemetry / robot, ms | p99, telemetry / robot, ms | ratio p50 | ratio p99 |",
        "|---|---|---|---|---|",
    ]
    for name, figures in [
        *((f"{figures['rate_hz']:g} Hz, {SECONDS} s", figures) for figures in runs),
        (f"50 Hz, {SHORT} s", pairs[0]),
        (f"50 Hz, {SHORT} s, states {1e3 * DELAY:g} ms late", pairs[1]),
    ]:
        told, own = figures["stages_ms"]["end_to_end"], figures["robot_end_to_end_ms"]
        shares = figures["telemetry_over_robot"]
        lines.append(
            f"| {name} | {told['p50']:.2f} / {own['p50']:.2f} | {told['p99']:.2f} / {own['p99']:.2f} |"
            f" {shares['p50']:.3f} | {shares['p99']:.3f} |"
        )
    lines += ["", f"2 cores, x86_64, Linux, a machine shared with other work. Commit `{commit.stdout.strip()}`."]
    PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
