"""`ppo-robot doctor`: look at the ROS 2 side of this machine and say what to do."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ppo_robot.nodes.health import Row

HELP = "check ROS 2, joint states, controllers and the policy node"
EXAMPLE = "ppo-robot doctor --bundle config/policies/reach --config forward_position"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what to compare with, and for how long to look."""
    parser.add_argument("--bundle", type=Path, metavar="DIR", help="compare joints and description with this bundle")
    parser.add_argument("--config", default="sim", help="a file of config/deploy, or a path (default: sim)")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long to watch the topics (default: 3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there too")


def run(args: argparse.Namespace) -> int:
    """Print one row for each thing that was looked at; 1 if one of them keeps a policy from running."""
    from ppo_robot.cli.outputs import check_output, write_figures
    from ppo_robot.errors import EXIT_GOOD, EXIT_NOT_GOOD_ENOUGH, BadInputError
    from ppo_robot.nodes.health import Row, environment_rows, graph_rows
    from ppo_robot.policy.bundle import load_bundle
    from ppo_robot.spec.deployment import load_deployment

    check_output(args.json)
    if not 0.1 <= args.seconds <= 60.0:
        raise BadInputError(f"--seconds: given {args.seconds}; expected 0.1 to 60")
    bundle = load_bundle(args.bundle) if args.bundle is not None else None
    deployment = load_deployment(args.config)
    rows = environment_rows()
    try:
        from ppo_robot.nodes.probe import look_around
    except ImportError as error:
        advice = "source /opt/ros/<distribution>/setup.bash, or pip install 'ppo_robot[ros]'"
        rows.append(Row("rclpy", "fail", f"cannot be imported: {error}", advice))
    else:
        rows.append(Row("rclpy", "ok", "imports"))
        rows += graph_rows(look_around(deployment.joint_state_topic, args.seconds), deployment, bundle)
    _print(rows)
    failed = [row.name for row in rows if row.verdict == "fail"]
    figures = {"good": not failed, "rows": [vars(row) for row in rows]}
    write_figures(args.json, figures)
    return EXIT_NOT_GOOD_ENOUGH if failed else EXIT_GOOD


def _print(rows: list[Row]) -> None:
    width = max(len(row.name) for row in rows)
    for row in rows:
        print(f"{row.verdict:<4}  {row.name:<{width}}  {row.found}")
        if row.advice:
            print(f"{'':<4}  {'':<{width}}  -> {row.advice}")
