"""`ppo-robot transfer`: train a task in several ways and try each policy on robots that it has never seen."""

from __future__ import annotations

import argparse
import os
import shlex
from pathlib import Path

HELP = "train in several ways and try each policy on unseen robots"
EXAMPLE = "ppo-robot transfer reach --seeds 3 --episodes 200 --json transfer.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what can be asked of a matrix."""
    parser.add_argument("task", help="a matrix of config/transfer, or the path of a YAML file")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="trainings of each row (default: 3)")
    parser.add_argument("--episodes", type=int, default=200, help="of each cell of each training (default: 200)")
    parser.add_argument(
        "--rows", metavar="A,B", help="train only these rows; the others are taken where finished (default: all)"
    )
    parser.add_argument("--finished", action="store_true", help="train nothing; take what is finished")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="of the run directories; what is there is taken or continued (default: runs/transfer/<name>)",
    )
    parser.add_argument(
        "--docs",
        type=Path,
        default=Path("docs"),
        metavar="DIR",
        help="where results/transfer.md and images/ are written (default: docs)",
    )
    parser.add_argument("--workers", type=int, default=2, help="processes; 0: none but this one (default: 2)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")


def run(args: argparse.Namespace) -> int:
    """Fill the matrix, write its page and figures, and say whether its best row reaches the bar."""
    from ppo_robot.cli.outputs import check_output, write_figures
    from ppo_robot.errors import EXIT_GOOD, EXIT_INTERRUPTED, EXIT_NOT_GOOD_ENOUGH
    from ppo_robot.spec.transfer import load_transfer
    from ppo_robot.training.progress import counting
    from ppo_robot.training.sinks import JsonLinesSink, ProgressSink, TensorBoardSink
    from ppo_robot.training.transfer.matrix import Matrix
    from ppo_robot.training.transfer.rows import plan_runs

    check_output(args.json)
    _check(args)
    spec, path = load_transfer(args.task)
    trained = [] if args.finished else _rows(args.rows, list(spec.rows))
    root = args.out or Path("runs") / "transfer" / spec.name
    planned = plan_runs(spec, args.seeds, root, str(path))
    matrix = Matrix(spec, str(path), planned, args.episodes, args.workers, lambda line: print(line, flush=True))
    if not matrix.fill(
        lambda run: [JsonLinesSink(run.directory), TensorBoardSink(run.directory), ProgressSink()],
        counting,
        trained,
    ):
        print("interrupted and saved; the same command continues")
        return EXIT_INTERRUPTED
    command = ["ppo-robot", "transfer", args.task, "--seeds", str(args.seeds), "--episodes", str(args.episodes)]
    page = matrix.write(args.docs, shlex.join(command))
    figures = matrix.figures()
    write_figures(args.json, figures)
    print(f"page: {page}")
    best = figures["best_row"]
    if best is not None:
        print(f"best row: {best['row']}, {100 * best['least_success_rate']:.1f} % in its worst column")
    return EXIT_GOOD if figures["passed"] else EXIT_NOT_GOOD_ENOUGH


def _rows(given: str | None, known: list[str]) -> list[str]:
    from ppo_robot.errors import BadInputError
    from ppo_robot.spec.strict import nearest

    if given is None:
        return known
    rows = [row.strip() for row in given.split(",")]
    for row in rows:
        if row not in known:
            raise BadInputError(f"--rows {given}: no row '{row}'{nearest(row, known)}")
    return [row for row in known if row in rows]


def _check(args: argparse.Namespace) -> None:
    from ppo_robot.errors import BadInputError

    for name, least in (("seeds", 1), ("episodes", 1), ("workers", 0)):
        if getattr(args, name) < least:
            raise BadInputError(f"--{name}: given {getattr(args, name)}; expected at least {least}")
    there = next(path for path in (args.docs.resolve(), *args.docs.resolve().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise BadInputError(f"--docs {args.docs}: cannot be written; give the folder that results/ is to lie in")
