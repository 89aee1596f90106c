"""`ppo-robot reset`: call the safety node's `safety/reset`."""

from __future__ import annotations

import argparse

HELP = "leave a latched stop; the robot stays disarmed"
EXAMPLE = "ppo-robot reset"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add how long to wait for an answer."""
    parser.add_argument("--timeout", type=float, default=5.0, metavar="S", help="for an answer (default: 5)")


def run(args: argparse.Namespace) -> int:
    """Ask once; print the state of the safety node, or why it refused."""
    from ppo_robot.cli.safety_call import print_safety_answer

    return print_safety_answer("reset", args.timeout)
