"""`ppo-robot report`: write one HTML page about a run."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "write one HTML page about a run"
EXAMPLE = "ppo-robot report runs/reach-arm6-seed0 --out report.html"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what can be asked of a report."""
    parser.add_argument("run", type=Path, help="run directory, ended or not")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the page (default: report.html in the run directory)")
    parser.add_argument("--no-video", action="store_true", help="leave out the moving picture, which takes most time")


def run(args: argparse.Namespace) -> int:
    """Write the page and say where it lies."""
    from ppo_robot.errors import EXIT_GOOD
    from ppo_robot.training.report import write_report

    path = write_report(args.run, args.out, video=not args.no_video)
    print(f"report: {path}")
    return EXIT_GOOD
