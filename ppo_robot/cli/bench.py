"""`ppo-robot bench`: measure speed and print figures."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "measure speed and print figures"
EXAMPLE = "ppo-robot bench rollout --json out.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what can be measured, and how long."""
    parser.add_argument("what", choices=["rollout"], help="bare physics, rollouts and training, in turn")
    parser.add_argument("--task", default="reach", help="a task of config/tasks, or a path (default: reach)")
    parser.add_argument("--robot", default="arm6", help="a robot of config/robots, or a path (default: arm6)")
    parser.add_argument("--training", default="default", help="a file of config/training, or a path")
    parser.add_argument(
        "--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE", help="override a value"
    )
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each, interleaved (default: 5)")
    parser.add_argument("--seconds", type=float, default=5.0, help="of one measurement (default: 5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")


def run(args: argparse.Namespace) -> int:
    """Measure, print a table of medians, and write the figures."""
    from ppo_robot.cli.outputs import check_output, write_figures
    from ppo_robot.errors import EXIT_GOOD, BadInputError
    from ppo_robot.spec.experiment import load_experiment
    from ppo_robot.training.bench_rollout import bench_rollout
    from ppo_robot.training.progress import counting

    if args.rounds < 1 or not args.seconds > 0.0:
        raise BadInputError(f"--rounds {args.rounds} --seconds {args.seconds}: expected at least 1 and above 0")
    check_output(args.json)
    experiment = load_experiment(args.task, args.robot, args.training, 0, args.overrides)
    with counting("rounds", args.rounds) as advance:
        figures = bench_rollout(experiment, args.rounds, args.seconds, advance)
    shown = {key: figures[key] for key in ("raw_steps_per_s", "rollout_steps_per_s", "train_steps_per_s")}
    for name, value in shown.items():
        print(f"{name:<20} {value:>10,.0f}")
    for name in ("rollout_over_raw", "train_over_raw"):
        print(f"{name:<20} {figures[name]:>10.2f}")
    write_figures(args.json, figures)
    return EXIT_GOOD

