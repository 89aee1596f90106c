"""`ppo-robot demo`: train the reaching arm, evaluate it and report on it."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

HELP = "train the reaching arm, evaluate it and report on it"
EXAMPLE = "ppo-robot demo --out runs/demo"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add where it goes, and the seed."""
    parser.add_argument("--out", type=Path, default=Path("runs/demo"), metavar="DIR", help="(default: runs/demo)")
    parser.add_argument("--seed", type=int, default=0, help="(default: 0)")


def run(args: argparse.Namespace) -> int:
    """Train until an evaluation over 1000 episodes passes the bar, judge the bundle, write the report."""
    from ppo_robot.cli.outputs import check_seed
    from ppo_robot.errors import EXIT_GOOD, EXIT_INTERRUPTED, EXIT_NOT_GOOD_ENOUGH
    from ppo_robot.training import finish
    from ppo_robot.training import run as runs
    from ppo_robot.training.report import write_report
    from ppo_robot.training.sinks import JsonLinesSink, ProgressSink, TensorBoardSink
    from ppo_robot.training.trainer import Outcome

    check_seed(args.seed)
    began = time.monotonic()
    directory, resume = _place(args)
    print(f"demo: training the arm to reach in {directory}{' (continued)' if resume else ''}", flush=True)
    outcome = runs.train(directory, [JsonLinesSink(directory), TensorBoardSink(directory), ProgressSink()], resume)
    if outcome is Outcome.INTERRUPTED:
        print("interrupted and saved; the same command continues")
        return EXIT_INTERRUPTED
    print("demo: judging the bundle", flush=True)
    result = finish.export_and_judge(directory)
    print("demo: writing the report", flush=True)
    page = write_report(directory)
    finish.print_result(result)
    print(f"took             {(time.monotonic() - began) / 60.0:.1f} min")
    print(f"bundle           {directory / runs.BUNDLE}")
    print(f"report           {page}   <- open this")
    passed = result["evaluation"]["success_rate"] >= result["success_bar"]
    return EXIT_GOOD if passed else EXIT_NOT_GOOD_ENOUGH


def _place(args: argparse.Namespace) -> tuple[Path, bool]:
    """Return the run directory, and whether an interrupted demo in it is to be continued."""
    from ppo_robot.spec.experiment import CONFIG_FILE, load_experiment
    from ppo_robot.training import run as runs
    from ppo_robot.training.trainer import CHECKPOINTS

    directory: Path = args.out
    if (directory / CONFIG_FILE).is_file():
        finished = (directory / runs.RESULT_FILE).is_file()
        if not finished and any((directory / CHECKPOINTS).glob("iteration_*.json")):
            return directory, True
        directory = directory.with_name(f"{directory.name}-{time.strftime('%Y%m%d-%H%M%S')}")
    bar = load_experiment("reach", "arm6", "default").task.success.bar
    overrides = [f"training.evaluation.stop_success_rate={bar}"]
    experiment = load_experiment("reach", "arm6", "default", args.seed, overrides)
    runs.create(experiment, directory, f"ppo-robot demo --seed {args.seed}")
    return directory, False
