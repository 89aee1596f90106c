"""`ppo-robot report`: write one HTML page about a run, or about a recording."""

from __future__ import annotations

import argparse
from pathlib import Path

from ppo_robot.errors import BadInputError

HELP = "write one HTML page about a run or a recording"
EXAMPLE = "ppo-robot report recordings/bench-1 --csv tables"

_OF_BAG, _OF_RUN = ("csv", "parquet", "bundle"), ("no_video",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what can be asked of a report."""
    parser.add_argument("source", type=Path, metavar="RUN|BAG", help="run directory, ended or not; or a recording")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the page (default: report.html in that directory)")
    parser.add_argument("--no-video", action="store_true", help="run: without the moving picture, which takes longest")
    parser.add_argument("--csv", type=Path, metavar="DIR", help="recording: write its tables as CSV, too")
    parser.add_argument("--parquet", type=Path, metavar="DIR", help="recording: write its tables as Parquet, too")
    parser.add_argument("--bundle", type=Path, metavar="DIR", help="recording: its policy (default: as recorded)")


def run(args: argparse.Namespace) -> int:
    """Write the page and say where it lies."""
    from ppo_robot.errors import EXIT_GOOD
    from ppo_robot.report.source import is_bag

    bag = is_bag(args.source)
    for name in _OF_RUN if bag else _OF_BAG:
        if getattr(args, name):
            what, other = ("a recording", "runs") if bag else ("not a recording", "recordings")
            raise BadInputError(f"--{name.replace('_', '-')}: {args.source} is {what}; it is for {other} only")
    if not bag:
        from ppo_robot.training.report import write_report

        print(f"report: {write_report(args.source, args.out, video=not args.no_video)}")
        return EXIT_GOOD
    from ppo_robot.report.write import Wanted, write_bag_report

    page, *tables = write_bag_report(args.source, Wanted(args.out, args.csv, args.parquet, args.bundle))
    print(f"report: {page}")
    for directory in dict.fromkeys(path.parent for path in tables):
        print(f"tables: {directory} ({sum(path.parent == directory for path in tables)} files)")
    return EXIT_GOOD
