"""`ppo-robot evaluate`: run a bundle for many episodes and judge it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ppo_robot.policy.bundle import Bundle
    from ppo_robot.training.evaluation import Evaluation

HELP = "run a bundle for many episodes and judge it"
EXAMPLE = "ppo-robot evaluate config/policies/reach --episodes 1000 --json out.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what can be asked of an evaluation."""
    parser.add_argument("bundle", type=Path, help="directory of a policy bundle")
    parser.add_argument("--episodes", type=int, default=1000, help="how many (default: 1000)")
    parser.add_argument("--seed", type=int, default=0, help="of starts, goals and noise (default: 0)")
    parser.add_argument(
        "--plant",
        choices=["pybullet", "mujoco"],
        default="pybullet",
        help="which simulator; mujoco is a robot that no policy was trained on (default: pybullet)",
    )
    parser.add_argument(
        "--action",
        choices=["deterministic", "stochastic"],
        default="deterministic",
        help="the policy's mean, or a draw from it (default: deterministic)",
    )
    parser.add_argument(
        "--over",
        choices=["ros2"],
        help="through the ROS 2 nodes; starts them where none run (default: the simulation alone)",
    )
    parser.add_argument(
        "--time",
        choices=["real", "simulated"],
        default="real",
        help="with --over ros2: as a robot would, or at the pace of the nodes on a loaded machine (default: real)",
    )
    parser.add_argument("--goal", type=float, nargs=3, metavar=("X", "Y", "Z"), help="one goal for all, m, base frame")
    parser.add_argument("--workers", type=int, default=2, help="processes; no figure depends on it (default: 2)")
    parser.add_argument("--minimum-success-rate", type=float, metavar="RATE", help="exit with 1 below it")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument(
        "--record", type=Path, metavar="DIR", help="record episodes there, in the format of a robot's recordings"
    )
    parser.add_argument(
        "--record-episodes", type=int, default=4, metavar="N", help="how many of them, of the first (default: 4)"
    )


def run(args: argparse.Namespace) -> int:
    """Evaluate the bundle, print and write its figures."""
    from ppo_robot.cli.outputs import write_figures
    from ppo_robot.errors import EXIT_GOOD, EXIT_NOT_GOOD_ENOUGH
    from ppo_robot.policy.bundle import load_bundle
    from ppo_robot.training.finish import print_result
    from ppo_robot.training.judge import judge
    from ppo_robot.training.progress import counting

    _check(args)
    bundle = load_bundle(args.bundle)
    if args.over is not None or args.record is not None:
        _ = bundle.robot  # both are for robots with joints; said before the episodes are run
    with counting("episodes", args.episodes) as advance:
        if args.over is None:
            chosen = (args.episodes, args.seed, args.action, args.workers, args.goal, advance, args.plant)
            evaluation = judge(bundle, *chosen)
        else:
            evaluation = _over_ros(args, bundle, advance)
    figures = evaluation.summary() | {"seed": args.seed, "plant": args.plant, "action": args.action, "over": args.over}
    if args.over is not None:
        figures["time"] = args.time
    figures |= {"bundle": str(args.bundle), "bundle_id": bundle.id}
    print_result({"evaluation": figures, "seed": args.seed})
    if args.record is not None:
        _record(args, bundle)
    write_figures(args.json, figures)
    short = args.minimum_success_rate is not None and evaluation.success_rate < args.minimum_success_rate
    return EXIT_NOT_GOOD_ENOUGH if short else EXIT_GOOD


def _over_ros(args: argparse.Namespace, bundle: Bundle, advance: Callable[[int], None]) -> Evaluation:
    from ppo_robot.nodes.over_ros import COLUMNS, evaluate_over_ros
    from ppo_robot.training.evaluation import Evaluation

    chosen = (args.episodes, args.seed, args.plant, args.action, args.goal, advance, args.time == "real")
    rows = evaluate_over_ros(bundle, args.bundle, *chosen)
    return Evaluation(COLUMNS, rows)


def _record(args: argparse.Namespace, bundle: Bundle) -> None:
    from ppo_robot.training.rollouts import record_rollouts

    count = min(args.record_episodes, args.episodes)
    record_rollouts(bundle, args.record, count, args.seed, args.action, args.goal, args.plant)
    print(f"recorded: {args.record} ({count} episodes)")


def _check(args: argparse.Namespace) -> None:
    from ppo_robot.cli.outputs import check_output, check_seed
    from ppo_robot.errors import BadInputError

    for name in ("episodes", "workers", "record_episodes"):
        if getattr(args, name) < 1:
            raise BadInputError(f"--{name.replace('_', '-')}: given {getattr(args, name)}; expected at least 1")
    if args.record is not None:
        if args.over is not None:
            raise BadInputError("--record: not with --over; ppo-robot record records what runs over ROS")
        if args.record.exists():
            raise BadInputError(f"--record {args.record}: exists already; give the name of a new directory")
    check_seed(args.seed)
    rate = args.minimum_success_rate
    if rate is not None and not 0.0 <= rate <= 1.0:
        raise BadInputError(f"--minimum-success-rate: given {rate}; expected 0 to 1")
    check_output(args.json)
