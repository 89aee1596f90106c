"""`ppo-robot replay`: run a recording again and compare it with itself, bit for bit."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ppo_robot.replay.difference import Findings
    from ppo_robot.replay.run import Replayed
    from ppo_robot.sim.tracking import JointTracking

HELP = "run a recording again through bundle and envelope, and compare it bit for bit"
EXAMPLE = "ppo-robot replay recordings/bench-1 --bundle config/policies/reach"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what can be asked of a replay."""
    parser.add_argument("recording", type=Path, metavar="BAG", help="a recording, of a robot or of evaluate --record")
    parser.add_argument(
        "--bundle", type=Path, metavar="DIR", help="a policy bundle, intact or changed (default: the recorded one)"
    )
    parser.add_argument(
        "--in-sim",
        nargs="?",
        const="pybullet",
        choices=["pybullet", "mujoco"],
        help="drive a simulated robot with the recorded commands, too, and compare how both follow",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the findings there")


def run(args: argparse.Namespace) -> int:
    """Replay, print what was found, and return 1 where anything differs."""
    from ppo_robot.cli.outputs import check_output, write_figures
    from ppo_robot.errors import EXIT_GOOD, EXIT_NOT_GOOD_ENOUGH
    from ppo_robot.replay.run import replay

    check_output(args.json)
    found = replay(args.recording, args.bundle)
    _show(found)
    tree = found.tree()
    if args.in_sim is not None:
        from ppo_robot.replay.motion import recorded_motions
        from ppo_robot.sim.tracking import track

        motions = recorded_motions(found.data, found.bundle)
        joints = track(found.bundle.robot, found.bundle.task, motions, args.in_sim)
        _show_tracking(joints, args.in_sim, sum(motion.duration for motion in motions))
        tree["in_sim"] = {"plant": args.in_sim, "joints": [joint.tree() for joint in joints]}
    write_figures(args.json, tree)
    return EXIT_NOT_GOOD_ENOUGH if found.differing else EXIT_GOOD


def _show(found: Replayed) -> None:
    print(f"bundle: {found.bundle.path} ({found.bundle.id[:12]})")
    for note in found.notes:
        print(f"note: {note}")
    for place, findings in enumerate(found.policy, 1):
        name = "policy" if len(found.policy) == 1 else f"policy, activation {place}"
        _show_findings(name, "tick", findings)
    if found.safety is None:
        print("safety: not recorded")
    else:
        _show_findings("safety", "cycle", found.safety)


def _show_findings(name: str, what: str, findings: Findings) -> None:
    print(f"{name}: {findings.differing} differing {what}s of {findings.total}")
    if findings.first is not None:
        print(f"  {findings.first.text(what)}")
        for stage, count in findings.stages.items():
            apart = findings.largest.get(stage)
            print(f"  {stage}: {count} {what}s" + (f", by up to {apart:.3g}" if apart is not None else ""))
    for gap in findings.gaps:
        missed = f"{gap.missed} {what}s are missing" if gap.missed else f"{what}s are missing, or came before it"
        print(f"  gap before {what} {gap.number} at {gap.time:.6f} s: {missed}; {_after(gap.uncompared, what)}")


def _after(uncompared: int, what: str) -> str:
    if not uncompared:
        return "all others are compared"
    if what == "tick":
        return f"{uncompared} ticks behind it are compared without observation and action path"
    return f"{uncompared} cycles are not compared, until the envelope was disarmed"


def _show_tracking(joints: list[JointTracking], plant: str, seconds: float) -> None:
    rows: list[list[Any]] = [["joint", "rms rad", "max rad", "lag s"]]
    for joint in joints:
        lag = "-" if joint.lag is None else f"{joint.lag:+.4f}"
        rows.append([joint.name, f"{joint.rms:.5f}", f"{joint.largest:.5f}", lag])
    print(f"in {plant}, {seconds:.1f} s of recorded commands: recorded less simulated position, and how much later")
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
