"""What follows a training: export the best policy, judge the bundle itself, write down the result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ppo_robot.files import write_json
from ppo_robot.policy.bundle import load_bundle
from ppo_robot.policy.export import export_bundle
from ppo_robot.policy.gates import success_gate
from ppo_robot.training.evaluation import Evaluation
from ppo_robot.training.judge import judge
from ppo_robot.training.run import BUNDLE, RESULT_FILE, first_passed, load_policy

EPISODES_FILE = "evaluation.npz"
SUCCESS_BAR = 0.99
"""The success rate that a shipped policy must reach, and whose first passing a result records."""


def export_and_judge(directory: Path, episodes: int | None = None) -> dict[str, Any]:
    """Export the best policy of a run, evaluate the bundle, and return the result that is also written.

    The bundle is written twice: its `eval.json` says how the bundle itself did, so it must exist to be judged.
    """
    actor_critic, experiment, origin = load_policy(directory)
    command = origin["command"]
    bundle_path = directory / BUNDLE
    export_bundle(bundle_path, actor_critic, experiment, origin, None, command)
    episodes = episodes or experiment.training.evaluation.final_episodes
    evaluation = judge(load_bundle(bundle_path), episodes, experiment.seed, workers=experiment.training.num_workers)
    summary = evaluation.summary()
    verdict = {"gates": [success_gate(summary, SUCCESS_BAR, [experiment.seed])], "summary": summary}
    export_bundle(bundle_path, actor_critic, experiment, origin, verdict, command)
    save_episodes(evaluation, directory / EPISODES_FILE)
    result = {
        "task": experiment.task.name,
        "robot": experiment.robot.name,
        "seed": experiment.seed,
        "steps": origin["steps"],
        "steps_to_bar": first_passed(directory, SUCCESS_BAR),
        "wall_seconds": origin["wall_seconds"],
        "cpu_seconds": origin["cpu_seconds"],
        "git_commit": origin["git_commit"],
        "git_dirty": origin["git_dirty"],
        "evaluation": summary,
    }
    write_json(directory / RESULT_FILE, result)
    return result


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
        passed = result["steps_to_bar"]
        print(f"policy of step   {result['steps']:,}" + (f"; 99 % first passed at {passed:,}" if passed else ""))
