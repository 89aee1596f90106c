"""`ppo-robot sensitivity`: which ranges of randomization matter to a policy."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ppo_robot.training.sensitivity.measure import Bench, Figures, Lost
    from ppo_robot.training.sensitivity.sweep import Sweep

HELP = "find which ranges of randomization matter to a policy"
EXAMPLE = "ppo-robot sensitivity config/policies/reach --plant mujoco --episodes 100 --json sensitivity.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what can be asked of a sweep."""
    parser.add_argument("bundle", type=Path, help="directory of a policy bundle")
    parser.add_argument(
        "--ranges",
        metavar="TASK",
        help="a task of config/tasks, or a path, whose ranges are swept"
        " (default: the bundle's own task; where that has none, <task>_randomized)",
    )
    parser.add_argument("--only", metavar="A,B", help="only these entries of its randomization (default: all)")
    parser.add_argument("--plant", choices=["pybullet", "mujoco"], default="pybullet", help="(default: pybullet)")
    parser.add_argument("--episodes", type=int, default=100, help="at each point (default: 100)")
    parser.add_argument("--seed", type=int, default=0, help="of starts, goals and draws (default: 0)")
    parser.add_argument("--workers", type=int, default=2, help="processes; no figure depends on it (default: 2)")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="of plot, figures and the points so far, with which the same command goes on"
        " (default: one under runs/sensitivity for this bundle and plant)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")


def run(args: argparse.Namespace) -> int:
    """Measure every point that is missing, then write plot and figures, and print what matters."""
    from ppo_robot.cli.outputs import write_figures
    from ppo_robot.errors import EXIT_GOOD
    from ppo_robot.files import write_atomically, write_json
    from ppo_robot.policy.bundle import load_bundle
    from ppo_robot.training.kept import Kept
    from ppo_robot.training.sensitivity.measure import Bench, tree
    from ppo_robot.training.sensitivity.plot import draw_sweeps
    from ppo_robot.training.sensitivity.sweep import plan_sweeps, task_of_ranges
    from ppo_robot.training.trial import nominal_values, seen_by

    _check(args)
    bundle = load_bundle(args.bundle)
    task = task_of_ranges(bundle.any_task, args.ranges)
    seen_by(bundle.any_task, task)  # refused here, before anything is written
    sweeps = _chosen(plan_sweeps(task, nominal_values(bundle.any_robot, task, args.plant)), args.only)
    directory = _directory(args.out or Path(f"runs/sensitivity/{bundle.any_task.name}-{bundle.id[:8]}-{args.plant}"))
    kept = Kept(directory / "points.json")
    bench = Bench(bundle, task, args.plant, args.episodes, args.seed, args.workers, kept)
    nominal, lost = _measure(bench, sweeps)
    facts = {"bundle": str(args.bundle), "bundle_id": bundle.id, "ranges": task.name, "plant": args.plant}
    figures = tree(nominal, lost, facts | {"episodes": args.episodes, "seed": args.seed})
    what = f"{bundle.any_task.name}, {bundle.any_robot.name}, {args.plant}: one parameter alone, the rest nominal"
    picture = draw_sweeps(nominal, lost, f"{what}; {args.episodes} episodes a point")
    write_atomically(directory / "sensitivity.png", picture)
    write_json(directory / "sensitivity.json", figures)
    write_figures(args.json, figures)
    _print(nominal, lost)
    print(f"plot: {directory / 'sensitivity.png'}")
    return EXIT_GOOD


def _check(args: argparse.Namespace) -> None:
    from ppo_robot.cli.outputs import check_output, check_seed
    from ppo_robot.errors import BadInputError

    for name in ("episodes", "workers"):
        if getattr(args, name) < 1:
            raise BadInputError(f"--{name}: given {getattr(args, name)}; expected at least 1")
    check_seed(args.seed)
    check_output(args.json)


def _directory(path: Path) -> Path:
    from ppo_robot.errors import BadInputError

    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInputError(f"--out {path}: cannot be written ({error.strerror}); give another place") from None
    return path


def _measure(bench: Bench, sweeps: list[Sweep]) -> tuple[Figures, list[Lost]]:
    from ppo_robot.training.progress import counting

    done = 0
    with counting("points", 1 + sum(len(sweep.points) for sweep in sweeps)) as advance:

        def step() -> None:
            nonlocal done
            done += 1
            advance(done)

        nominal = bench.nominal()
        step()
        return nominal, [bench.sweep(sweep, nominal, step) for sweep in sweeps]


def _print(nominal: Figures, lost: list[Lost]) -> None:
    from ppo_robot.training.sensitivity.measure import by_importance

    low, high = nominal["success_ci95"]
    print(f"{'nominal':<24} {nominal['success_rate']:.3f}  (95 % interval {low:.3f} to {high:.3f})")
    print(f"{'lost at most':<24} in its range  beyond")
    for one in by_importance(lost):
        mark = "matters" if one.matters else "beyond its range" if one.matters_beyond else ""
        print(f"{one.sweep.name:<24} {one.fall:12.3f}  {one.fall_beyond:6.3f}  {mark}".rstrip())


def _chosen(sweeps: list[Sweep], only: str | None) -> list[Sweep]:
    from ppo_robot.errors import BadInputError
    from ppo_robot.spec.strict import nearest

    if only is None:
        return sweeps
    names = [name.strip() for name in only.split(",")]
    for name in names:
        if name not in [sweep.name for sweep in sweeps]:
            known = nearest(name, [sweep.name for sweep in sweeps])
            raise BadInputError(f"--only {only}: no entry of randomization '{name}'{known}")
    return [sweep for sweep in sweeps if sweep.name in names]
