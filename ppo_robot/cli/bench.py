"""`ppo-robot bench`: measure speed and print figures."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ppo_robot.policy.bundle import Bundle
    from ppo_robot.spec.experiment import Experiment

HELP = "measure speed and print figures"
EXAMPLE = "ppo-robot bench rollout --json out.json"

FAST_PERIOD = 0.005
"""s; the second rate at which the policy node is measured."""

MOST_HZ = 200
LONGEST_DELAY = 0.09
"""s; the envelope stops a robot whose state is older than 0.1 s."""
LONGEST_WINDOW = 600.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what can be measured, and how long."""
    parser.add_argument(
        "what",
        choices=["rollout", "node", "envelope", "telemetry", "latency"],
        help="rollout: bare physics, rollouts and training, in turn; node: the policy node beside a bare rclpy process;"
        " envelope: adversarial cycles of the safety envelope, judged by a witness; telemetry: what it costs a policy,"
        " and what the recorder keeps; latency: from sensor stamp to command in a whole deployment, stage by stage",
    )
    parser.add_argument("--task", default="reach", help="rollout: a task of config/tasks, or a path (default: reach)")
    parser.add_argument(
        "--robot", help="rollout, envelope: a file of config/robots, or a path (default: the task's own, or arm6)"
    )
    parser.add_argument("--training", default="default", help="rollout: a file of config/training, or a path")
    parser.add_argument(
        "--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE", help="rollout: override a value"
    )
    parser.add_argument(
        "--randomization",
        choices=["on", "off"],
        help="rollout: rollouts alone, with all that the task draws beside none of it, or with none; a task that draws"
        " nothing stands for the one called after it with _randomized",
    )
    parser.add_argument("--bundle", type=Path, metavar="DIR", help="of node, telemetry, latency (default: reach)")
    parser.add_argument("--rounds", type=int, default=5, help="rollout: measurements of each, interleaved (default: 5)")
    parser.add_argument("--seconds", type=float, help="of one measurement (default: rollout 5, others 60)")
    parser.add_argument("--cycles", type=int, default=1_000_000, help="envelope: how many (default: 1000000)")
    parser.add_argument("--timing", action="store_true", help="envelope: what a cycle costs, instead")
    parser.add_argument("--seed", type=int, default=0, help="envelope: of all that is tried (default: 0)")
    parser.add_argument(
        "--rates", type=int, nargs="+", default=[50, 100, 200], metavar="HZ", help="latency: rates of the policy"
    )
    parser.add_argument(
        "--delay", type=float, default=0.0, metavar="S", help="latency: injected between measurement and publication"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")


def run(args: argparse.Namespace) -> int:
    """Measure, print a table of medians, and write the figures."""
    from ppo_robot.cli.outputs import check_output, check_seed, write_figures
    from ppo_robot.errors import EXIT_GOOD, EXIT_NOT_GOOD_ENOUGH, BadInputError

    if args.rounds < 1 or (args.seconds is not None and not args.seconds > 0.0):
        raise BadInputError(f"--rounds {args.rounds} --seconds {args.seconds}: expected at least 1 and above 0")
    if args.cycles < 1:
        raise BadInputError(f"--cycles: given {args.cycles}; expected at least 1")
    if not all(0 < rate <= MOST_HZ for rate in args.rates) or not 0.0 <= args.delay <= LONGEST_DELAY:
        raise BadInputError(
            f"--rates {' '.join(map(str, args.rates))} --delay {args.delay}: expected 1 to {MOST_HZ} Hz and 0 to"
            f" {LONGEST_DELAY} s"
        )
    if args.what == "latency" and args.seconds is not None and not 1.0 <= args.seconds <= LONGEST_WINDOW:
        raise BadInputError(f"--seconds {args.seconds}: expected 1 to {LONGEST_WINDOW:g} with latency")
    check_seed(args.seed)
    check_output(args.json)
    measures = {"rollout": _rollout, "node": _node, "envelope": _envelope, "telemetry": _telemetry}
    figures = {**measures, "latency": _latency}[args.what](args)
    write_figures(args.json, figures)
    return EXIT_NOT_GOOD_ENOUGH if figures.get("violations") else EXIT_GOOD


def _envelope(args: argparse.Namespace) -> dict[str, Any]:
    import os

    from ppo_robot.safety.bench import bench_envelope, time_envelope
    from ppo_robot.spec.kinds import DEFAULT_ROBOT
    from ppo_robot.spec.robot import load_robot
    from ppo_robot.spec.task import load_task
    from ppo_robot.training.progress import counting

    robot, period = load_robot(args.robot or DEFAULT_ROBOT), load_task(args.task).control_period
    if args.timing:
        figures = time_envelope(robot, period)
        print(f"cycle_us p50 {figures['cycle_us']['p50']:.0f}, p99 {figures['cycle_us']['p99']:.0f}")
        return figures
    with counting("cycles", args.cycles) as advance:
        figures = bench_envelope(robot, period, args.cycles, args.seed, os.cpu_count() or 1, advance)
    print(f"cycles {figures['cycles']:,}, setpoints {figures['setpoints']:,}, tolerance {figures['tolerance']:g}")
    for name, count in figures["violations_by_limit"].items():
        share = figures["largest_share_of_limit"].get(name)
        print(f"{name:<14} {count} violations" + (f", at most {share:.9f} of the limit" if share is not None else ""))
    print(f"violations     {figures['violations']}")
    return figures


def _rollout(args: argparse.Namespace) -> dict[str, Any]:
    from ppo_robot.spec.experiment import load_experiment
    from ppo_robot.spec.kinds import default_robot
    from ppo_robot.training.bench_rollout import bench_rollout
    from ppo_robot.training.progress import counting

    robot = args.robot or default_robot(args.task)
    experiment = load_experiment(args.task, robot, args.training, 0, args.overrides)
    if args.randomization is not None:
        return _randomization(args, experiment)
    with counting("rounds", args.rounds) as advance:
        figures = bench_rollout(experiment, args.rounds, args.seconds or 5.0, advance)
    for name in ("raw_steps_per_s", "rollout_steps_per_s", "train_steps_per_s"):
        print(f"{name:<20} {figures[name]:>10,.0f}")
    for name in ("rollout_over_raw", "train_over_raw"):
        print(f"{name:<20} {figures[name]:>10.2f}")
    return figures


def _randomization(args: argparse.Namespace, experiment: Experiment) -> dict[str, Any]:
    from ppo_robot.spec.experiment import load_experiment
    from ppo_robot.spec.robot import find_config
    from ppo_robot.training.bench_randomization import bench_randomization
    from ppo_robot.training.progress import counting

    full = find_config("tasks", args.task).with_name(f"{args.task}_randomized.yaml")
    draws = bool(experiment.task.simulation.randomization)
    if args.randomization == "on" and not draws and full.is_file():
        experiment = load_experiment(str(full), args.robot or experiment.robot.name, args.training, 0, args.overrides)
    with counting("rounds", args.rounds) as advance:
        figures = bench_randomization(
            experiment, args.randomization == "on", args.rounds, args.seconds or 5.0, advance
        )
    for name, value in figures.items():
        if isinstance(value, float):
            print(f"{name:<28} {value:>10,.{2 if 'over' in name else 0}f}")
    return figures


def _node(args: argparse.Namespace) -> dict[str, Any]:
    """Measure the policy node beside a bare process, at both rates."""
    from ppo_robot.nodes.bench_node import bench_node

    own, fast = _at_both_rates(args, bench_node)
    keys = ("inference_us", "policy_us", "tick_us", "bare_tick_us", "deadline_misses", "bare_deadline_misses")
    print(f"{'':<22} {own['rate_hz']:>8.0f} Hz p50 / p99 {fast['rate_hz']:>8.0f} Hz p50 / p99")
    for key in keys:
        shown = [
            f"{one[key]['p50']:.0f} / {one[key]['p99']:.0f}" if isinstance(one[key], dict) else str(one[key])
            for one in (own, fast)
        ]
        print(f"{key:<22} {shown[0]:>19} {shown[1]:>22}")
    ratio = own["tick_us"]["p50"] / own["bare_tick_us"]["p50"]
    print(f"{'tick over bare, p50':<22} {ratio:>19.2f} {fast['tick_us']['p50'] / fast['bare_tick_us']['p50']:>22.2f}")
    misses = {"50_hz": own["deadline_misses"], "200_hz": fast["deadline_misses"]}
    return {**own, "deadline_misses": misses, "tick_over_bare": ratio, "fast": fast}


def _telemetry(args: argparse.Namespace) -> dict[str, Any]:
    """Measure what telemetry costs the policy process, at both rates, and what the recorder keeps."""
    from ppo_robot.nodes.bench_recorder import bench_recorder
    from ppo_robot.nodes.bench_telemetry import bench_policy

    own, fast = _at_both_rates(args, bench_policy)
    print(f"{'':<28} {own['rate_hz']:>8.0f} Hz p50 / p99 / mean {fast['rate_hz']:>8.0f} Hz p50 / p99 / mean")
    for key in ("telemetry_us_per_tick", "telemetry_wall_us_per_tick", "beside_us_per_tick"):
        shown = [f"{one[key]['p50']:.1f} / {one[key]['p99']:.1f} / {one[key]['mean']:.1f}" for one in (own, fast)]
        print(f"{key:<28} {shown[0]:>28} {shown[1]:>28}")
    recorder = bench_recorder(args.seconds or 60.0)
    for key, value in recorder.items():
        if not isinstance(value, list):
            print(f"{key:<28} {value:>28,.4g}" if isinstance(value, float) else f"{key:<28} {value!s:>28}")
    for row in recorder["recorder_search"]:
        print(f"{row['reached_hz']:>12,.0f} Hz on each topic: {row['dropped']} of {row['sent']} missing")
    return {**own, "fast": fast, **recorder}


def _latency(args: argparse.Namespace) -> dict[str, Any]:
    """Run a whole deployment at each rate; at the bundle's own rate it is the bundle, else an untrained one."""
    from ppo_robot.nodes.bench_latency import QUANTILES, bench_latency
    from ppo_robot.paths import share_directory
    from ppo_robot.policy.bundle import load_bundle
    from ppo_robot.training.progress import counting

    path = args.bundle or share_directory() / "config" / "policies" / "reach"
    bundle, seconds = load_bundle(path), args.seconds or 60.0
    found: dict[str, Any] = {}
    for rate in args.rates:
        with tempfile.TemporaryDirectory() as folder, counting(f"seconds at {rate} Hz", round(seconds)) as advance:
            place, chosen = path, bundle
            if abs(bundle.task.control_period * rate - 1.0) > 1e-9:
                place = Path(folder) / "bundle"
                _export_at(bundle, place, 1.0 / rate)
                chosen = load_bundle(place)
            one = bench_latency(chosen, place, seconds, args.delay, lambda done: advance(int(done)))  # noqa: B023
        found[f"{rate}_hz"] = one
        print(f"{rate} Hz: {one['ticks']} ticks, {one['deadline_misses']} missed deadlines; ms")
        print(f"  {'':<18}" + "".join(f"{name:>9}" for name in QUANTILES))
        for name, values in (one["stages_ms"] | {"robot's own clock": one["robot_end_to_end_ms"]}).items():
            print(f"  {name:<18}" + "".join(f"{values[key]:>9.2f}" for key in QUANTILES))
        shares = one["telemetry_over_robot"]
        print(f"  telemetry over the robot's own clock: p50 {shares['p50']:.3f}, p99 {shares['p99']:.3f}")
    return found


def _at_both_rates(
    args: argparse.Namespace, measure: Callable[[Bundle, Path, float], dict[str, Any]]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Measure the bundle at its own rate, and an untrained one of the same shape at 200 Hz."""
    from ppo_robot.paths import share_directory
    from ppo_robot.policy.bundle import load_bundle

    path = args.bundle or share_directory() / "config" / "policies" / "reach"
    bundle = load_bundle(path)
    seconds = args.seconds or 60.0
    own = measure(bundle, path, seconds)
    with tempfile.TemporaryDirectory() as folder:
        fast_path = Path(folder) / "bundle"
        _export_at(bundle, fast_path, FAST_PERIOD)
        return own, measure(load_bundle(fast_path), fast_path, seconds)


def _export_at(bundle: Any, destination: Path, period: float) -> None:
    """Write a bundle of the same shape, untrained, with another control period in s."""
    from ppo_robot.policy.export import export_bundle
    from ppo_robot.ppo.actor_critic import ActorCritic
    from ppo_robot.spec.experiment import Experiment
    from ppo_robot.spec.training import TrainingSpec

    simulation = replace(bundle.task.simulation, physics_period=min(FAST_PERIOD, period))
    task = replace(bundle.task, control_period=period, simulation=simulation)
    training = TrainingSpec()
    size, actions = bundle.runtime.observation_size, bundle.runtime.action_size
    actor_critic = ActorCritic(size, size, actions, training.network)
    experiment = Experiment(bundle.robot, task, training, 0)
    export_bundle(destination, actor_critic, experiment, {}, None, "ppo-robot bench")
