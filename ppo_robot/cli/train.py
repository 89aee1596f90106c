"""`ppo-robot train`: train a policy for a task and export its bundle."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

HELP = "train a policy for a task and export its bundle"
EXAMPLE = "ppo-robot train reach --robot arm6 --seed 0 --set training.ppo.epochs=6"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what can be given to a run."""
    parser.add_argument("task", nargs="?", help="a task of config/tasks, or the path of a YAML file")
    parser.add_argument("--robot", help="a robot of config/robots, or a path (default: the task's own, or arm6)")
    parser.add_argument("--training", help="a file of config/training, or a path (default: default)")
    parser.add_argument("--seed", type=int, help="decides every random draw of the run (default: 0)")
    parser.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override a value, for example task.success.tolerance=0.02; may be given often",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="run directory (default: a new one under runs/)")
    parser.add_argument("--resume", type=Path, metavar="DIR", help="continue a run, bit for bit")
    parser.add_argument("--episodes", type=int, help="episodes that judge the bundle (default: the training file's)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there too")


def run(args: argparse.Namespace) -> int:
    """Train, export the best policy, judge the bundle, and say where everything lies."""
    from ppo_robot.cli.outputs import check_output, write_figures
    from ppo_robot.errors import EXIT_GOOD, EXIT_INTERRUPTED
    from ppo_robot.training import finish
    from ppo_robot.training import run as runs
    from ppo_robot.training.sinks import JsonLinesSink, ProgressSink, Sink, TensorBoardSink
    from ppo_robot.training.trainer import Outcome

    check_output(args.json)
    directory = _prepare(args)
    print(f"run directory: {directory}", flush=True)
    sinks: list[Sink] = [JsonLinesSink(directory), TensorBoardSink(directory), ProgressSink()]
    outcome = runs.train(directory, sinks, resume=args.resume is not None)
    if outcome is Outcome.INTERRUPTED:
        print(f"interrupted and saved; continue with: ppo-robot train --resume {shlex.quote(str(directory))}")
        return EXIT_INTERRUPTED
    result = finish.export_and_judge(directory, args.episodes)
    finish.print_result(result)
    write_figures(args.json, result)
    print(f"bundle: {directory / runs.BUNDLE}")
    return EXIT_GOOD


def _prepare(args: argparse.Namespace) -> Path:
    from ppo_robot.cli.outputs import check_seed
    from ppo_robot.errors import BadInputError
    from ppo_robot.spec.experiment import load_experiment, restore_experiment
    from ppo_robot.spec.kinds import default_robot
    from ppo_robot.training import run as runs

    if args.episodes is not None and args.episodes < 1:
        raise BadInputError(f"--episodes: given {args.episodes}; expected at least 1")
    if args.seed is not None:
        check_seed(args.seed)
    if args.resume is not None:
        given = [name for name in ("task", "robot", "training", "seed", "out") if getattr(args, name) is not None]
        if given or args.overrides:
            names = ", ".join(given + ["--set"] * bool(args.overrides))
            raise BadInputError(f"--resume: a resumed run is what it was; leave out {names}")
        restore_experiment(args.resume)
        return Path(args.resume)
    if args.task is None:
        raise BadInputError("task: missing; expected a task of config/tasks, for example: ppo-robot train reach")
    robot, training, seed = args.robot or default_robot(args.task), args.training or "default", args.seed or 0
    experiment = load_experiment(args.task, robot, training, seed, args.overrides)
    command = ["ppo-robot", "train", args.task, "--robot", robot, "--training", training, "--seed", str(seed)]
    for override in args.overrides:
        command += ["--set", override]
    directory = args.out or runs.default_directory(experiment)
    runs.create(experiment, directory, shlex.join(command))
    return Path(directory)
