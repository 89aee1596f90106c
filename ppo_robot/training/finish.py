"""What follows a training: export the best policy, judge the bundle itself, write down the result."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ppo_robot.files import write_json
from ppo_robot.policy.bundle import load_bundle
from ppo_robot.policy.export import export_bundle
from ppo_robot.policy.gates import success_gate
from ppo_robot.policy.manifest import STATISTICS, parse_json
from ppo_robot.policy.statistics import (
    Gathering,
    Statistics,
    action_components,
    observation_components,
    read_statistics,
    statistics_tree,
)
from ppo_robot.training.evaluation import Evaluation
from ppo_robot.training.judge import judge
from ppo_robot.training.run import BUNDLE, RESULT_FILE, first_passed, load_policy

EPISODES_FILE = "evaluation.npz"


def export_and_judge(directory: Path, episodes: int | None = None) -> dict[str, Any]:
    """Export the best policy of a run, evaluate the bundle, and return the result that is also written.

    The bundle is written twice: its `eval.json` says how the bundle itself did, so it must exist to be judged.
    """
    actor_critic, experiment, origin = load_policy(directory)
    command = origin["command"]
    bundle_path = directory / BUNDLE
    export_bundle(bundle_path, actor_critic, experiment, origin, None, command)
    episodes = episodes or experiment.training.evaluation.final_episodes
    bundle, gathering = load_bundle(bundle_path), Gathering()
    workers = experiment.training.num_workers
    evaluation = judge(bundle, episodes, experiment.seed, workers=workers, gathering=gathering)
    summary = evaluation.summary()
    bar = experiment.task.success.bar
    verdict = {"gates": [success_gate(summary, bar, [experiment.seed])], "summary": summary}
    names = observation_components(bundle.contract), action_components(bundle.contract)
    statistics = gathering.statistics(*names)
    export_bundle(bundle_path, actor_critic, experiment, origin, verdict, command, statistics=statistics)
    save_episodes(evaluation, directory / EPISODES_FILE)
    write_json(directory / STATISTICS, statistics_tree(statistics))
    result = {
        "task": experiment.task.name,
        "robot": experiment.robot.name,
        "seed": experiment.seed,
        "steps": origin["steps"],
        "success_bar": bar,
        "steps_to_bar": first_passed(directory, bar),
        "wall_seconds": origin["wall_seconds"],
        "cpu_seconds": origin["cpu_seconds"],
        "git_commit": origin["git_commit"],
        "git_dirty": origin["git_dirty"],
        "evaluation": summary,
    }
    write_json(directory / RESULT_FILE, result)
    return result


def kept_statistics(directory: Path, steps: int, contract: Mapping[str, Any]) -> Statistics | None:
    """Return the statistics of a run's policy of step `steps`, or None where that one was not judged.

    Raises:
        BundleError: if they are damaged.
    """
    result, path = directory / RESULT_FILE, directory / STATISTICS
    if not (result.is_file() and path.is_file()):
        return None
    judged = parse_json(result.read_bytes(), str(result))
    if judged.get("steps") != steps:
        return None
    return read_statistics(parse_json(path.read_bytes(), str(path)), contract)


def save_episodes(evaluation: Evaluation, path: Path) -> None:
    """Write the summaries of every episode, for plots."""
    np.savez_compressed(path, names=np.array(evaluation.names), episodes=evaluation.episodes)


def print_result(result: dict[str, Any]) -> None:
    """Print the figures of a result, one a line."""
    evaluation = result["evaluation"]
    low, high = evaluation["success_ci95"]
    error, settle = evaluation["final_error_m"], evaluation["settle_time_s"]
    print(f"success rate     {evaluation['success_rate']:.4f}  (95 % interval {low:.4f} to {high:.4f})")
    mean, p95, most = (error[key] * 1e3 for key in ("mean", "p95", "max"))
    print(f"final error      {mean:.2f} mm mean, {p95:.2f} p95, {most:.2f} max")
    if settle is not None:
        print(f"settle time      {settle['mean']:.2f} s mean, {settle['p95']:.2f} p95")
    if evaluation.get("intervention_rate") is not None:
        print(f"intervention     {100.0 * evaluation['intervention_rate']:.2f} % of the safety envelope's cycles")
    print(f"episodes         {evaluation['episodes']}, seed {result['seed']}")
    if "steps" in result:
        passed, bar = result["steps_to_bar"], f"{100.0 * result['success_bar']:g} %"
        print(f"policy of step   {result['steps']:,}" + (f"; {bar} first passed at {passed:,}" if passed else ""))
