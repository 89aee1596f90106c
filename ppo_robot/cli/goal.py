"""`ppo-robot goal`: send the tool to a point."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ppo_robot.nodes.goal_sender import GoalSender
    from ppo_robot.policy.bundle import Bundle

HELP = "send the tool of a running robot to a point"
EXAMPLE = "ppo-robot goal 0.45 0.1 0.4 --bundle config/policies/reach --wait"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the point and what is to be checked."""
    for axis in "xyz":  # a tuple as metavar breaks argparse's own help of a positional argument
        parser.add_argument(axis, type=float, help="m, in the frame")
    parser.add_argument("--frame", default="", help="frame of the point (default: the robot's base, whatever its name)")
    parser.add_argument("--topic", default="goal_pose", help="where goals go (default: goal_pose)")
    parser.add_argument("--bundle", type=Path, metavar="DIR", help="check the point against this bundle's workspace")
    parser.add_argument("--wait", action="store_true", help="wait until the tool is there (needs --bundle)")
    parser.add_argument("--timeout", type=float, default=10.0, metavar="S", help="for each wait (default: 10)")


def run(args: argparse.Namespace) -> int:
    """Publish one goal once somebody listens."""
    import numpy as np

    from ppo_robot.errors import EXIT_GOOD, BadInputError
    from ppo_robot.mdp.goals import check_goal
    from ppo_robot.policy.bundle import load_bundle

    position = np.array([args.x, args.y, args.z])
    if not np.isfinite(position).all():
        raise BadInputError("X Y Z: expected three finite numbers, m")
    if not 0.0 < args.timeout < float("inf"):
        raise BadInputError(f"--timeout: given {args.timeout}; expected more than 0 s")
    if args.wait and args.bundle is None:
        raise BadInputError("--wait: needs --bundle, which says how joints make a tool position and how near is there")
    bundle = load_bundle(args.bundle) if args.bundle is not None else None
    if bundle is not None:
        if args.frame.lstrip("/") not in ("", bundle.robot.base_link):
            raise BadInputError(f"--frame {args.frame}: expected '{bundle.robot.base_link}', the bundle's base")
        check_goal(position, bundle.robot.workspace)

    from ppo_robot.nodes.goal_sender import GoalSender

    with GoalSender(args.topic) as sender:
        listeners = sender.send(position, args.frame, args.timeout)
        print(f"goal {' '.join(f'{value:g}' for value in position)} m sent to {listeners}")
        if not args.wait or bundle is None:
            return EXIT_GOOD
        return _wait(sender, bundle, position, args.timeout)


def _wait(sender: GoalSender, bundle: Bundle, position: NDArray[np.float64], timeout: float) -> int:
    """Wait for the tool; say how it ended."""
    from ppo_robot.errors import EXIT_GOOD, EXIT_NOT_GOOD_ENOUGH

    tolerance = bundle.task.success.tolerance
    arrival = sender.await_arrival(bundle, position, timeout)
    if arrival.held:
        print(f"there after {arrival.seconds:.1f} s, {1000.0 * arrival.error:.1f} mm from it")
        return EXIT_GOOD
    print(f"not there within {timeout:g} s: {1000.0 * arrival.error:.1f} mm away, allowed {1000.0 * tolerance:g} mm")
    return EXIT_NOT_GOOD_ENOUGH
