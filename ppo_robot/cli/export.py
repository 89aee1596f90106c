"""`ppo-robot export RUN`: write the policy bundle of a run."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ppo_robot.errors import EXIT_GOOD, BadInputError

HELP = "write the policy bundle of a run"
EXAMPLE = "ppo-robot export runs/reach-0 --out config/policies/reach --evaluation eval.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `ppo-robot export`."""
    parser.add_argument("run", type=Path, metavar="RUN", help="run directory; its best checkpoint is exported")
    parser.add_argument("--out", type=Path, metavar="BUNDLE", help="directory of the bundle (default: RUN/bundle)")
    parser.add_argument(
        "--evaluation",
        type=Path,
        metavar="FILE",
        help="figures of the policy, as `ppo-robot evaluate --json FILE` writes them",
    )
    parser.add_argument(
        "--threshold",
        type=float,
        help="success rate that counts as passed, where FILE has no gates (default: the task's own bar)",
    )


def run(args: argparse.Namespace) -> int:
    """Export the run; raises a one-line error if anything does not fit, and then nothing was written."""
    from ppo_robot.policy.contract import describe
    from ppo_robot.policy.export import check_destination, export_bundle
    from ppo_robot.training.finish import kept_statistics
    from ppo_robot.training.run import load_policy

    destination: Path = args.out or args.run / "bundle"
    check_destination(destination)
    actor_critic, experiment, provenance = load_policy(args.run)
    threshold = experiment.task.success.bar if args.threshold is None else args.threshold
    evaluation = None if args.evaluation is None else read_evaluation(args.evaluation, threshold)
    command = provenance["command"]
    contract = describe(experiment.robot, experiment.task)
    statistics = kept_statistics(args.run, provenance["steps"], contract)
    try:
        identifier = export_bundle(
            destination, actor_critic, experiment, provenance, evaluation, command, statistics=statistics
        )
    except OSError as error:
        raise BadInputError(f"{destination}: cannot be written ({error.strerror}); give another place") from None
    print(f"wrote {destination} (id {identifier[:12]})")
    return EXIT_GOOD


def read_evaluation(path: Path, threshold: float) -> dict[str, Any]:
    """Read an evaluation, and make the success gate where it has no gates of its own.

    Raises:
        BadInputError: if the file is missing or is no evaluation.
    """
    from ppo_robot.policy.gates import check_evaluation, success_gate
    from ppo_robot.policy.manifest import parse_json

    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadInputError(f"--evaluation {path}: cannot be read ({error.strerror})") from None
    evaluation = parse_json(data, str(path))
    if "gates" not in evaluation:
        seeds = [evaluation["seed"]] if "seed" in evaluation else []
        try:
            evaluation = {**evaluation, "gates": [success_gate(evaluation, threshold, seeds)]}
        except (KeyError, TypeError, ValueError):
            raise BadInputError(
                f"--evaluation {path}: expected success_rate, success_ci95 and episodes;"
                " `ppo-robot evaluate BUNDLE --json FILE` writes them"
            ) from None
    return check_evaluation(evaluation, str(path))
