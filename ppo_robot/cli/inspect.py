"""`ppo-robot inspect BUNDLE`: check a bundle and show what is in it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppo_robot.errors import EXIT_GOOD

if TYPE_CHECKING:
    from ppo_robot.policy.bundle import Bundle

HELP = "check a bundle and show what is in it"
EXAMPLE = "ppo-robot inspect config/policies/reach"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `ppo-robot inspect`."""
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="directory of a policy bundle")
    parser.add_argument("--robot", metavar="NAME", help="check it against this robot too (a name, or a YAML file)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was found as JSON")


def run(args: argparse.Namespace) -> int:
    """Load the bundle with every check that a robot makes, and print it; raises a one-line error if one fails."""
    from ppo_robot.cli.outputs import check_output, write_figures
    from ppo_robot.policy.bundle import load_bundle
    from ppo_robot.spec.kinds import load_any_robot

    check_output(args.json)
    robot = load_any_robot(args.robot) if args.robot else None
    bundle = load_bundle(args.bundle, robot)
    print(render(bundle))
    write_figures(args.json, summary(bundle) if args.json is not None else {})
    return EXIT_GOOD


def summary(bundle: Bundle) -> dict[str, Any]:
    """Return everything about a bundle, ready for JSON."""
    return {
        "path": str(bundle.path),
        "manifest": bundle.manifest,
        "signed": bundle.signed,
        "golden_deviation": bundle.golden_deviation,
        "notes": list(bundle.notes),
        "spec": bundle.contract,
        "train": bundle.train,
        "evaluation": bundle.evaluation,
        "envelope": bundle.envelope,
    }


def render(bundle: Bundle) -> str:
    """Return a bundle as text for a terminal."""
    from ppo_robot.spec.floating import FloatingSpec

    contract, manifest, robot = bundle.contract, bundle.manifest, bundle.any_robot
    frame = f"base {robot.base_link}" if isinstance(robot, FloatingSpec) else f"tool {robot.tool_frame}"
    action, latency = contract["action"], contract["assumed_latency"]
    size = sum(entry["bytes"] for entry in manifest["files"].values())
    facts = [
        ("bundle", str(bundle.path)),
        ("id", bundle.id),
        ("created", f"{manifest['created']}, {size / 1024:.0f} KiB, {'signed' if bundle.signed else 'unsigned'}"),
        ("parent", manifest["parent"] or "none"),
        ("task", f"{bundle.any_task.name}, every {1000 * contract['control_period']:g} ms"),
        ("robot", f"{robot.name}, {frame}, URDF {robot.description_hash[:12]}"),
        ("latency", ", ".join(f"{name} {1000 * value:g} ms" for name, value in latency.items()) + " assumed"),
        ("network", f"{contract['observation_size']} observations to {action['size']} actions"),
    ]
    facts += [("success", line) for line in _gates(bundle.evaluation)]
    facts += [(key, str(value)) for key, value in bundle.train.items() if isinstance(value, (str, int, float))]
    worst = max(bundle.golden_deviation.items(), key=lambda item: item[1])
    facts += [("checked", f"files, spec, graph, golden vectors (worst {worst[0]}: {worst[1]:.0%} of the tolerance)")]
    facts += [("note", note) for note in bundle.notes]
    width = max(len(name) for name, _ in facts)
    lines = [f"{name:<{width}}  {value}" for name, value in facts]
    return "\n".join([*lines, "", _observations(contract), "", _actions(contract)])


def _gates(evaluation: dict[str, Any]) -> list[str]:
    lines = []
    for gate in evaluation["gates"]:
        interval = "" if gate["ci95"] is None else f" [{gate['ci95'][0]:.4f}, {gate['ci95'][1]:.4f}]"
        verdict = "passed" if gate["passed"] else "FAILED"
        lines.append(
            f"{gate['name']} {gate['value']:.4f}{interval} over {gate['episodes']} episodes,"
            f" asked {gate['threshold']:g}: {verdict}"
        )
    return lines or ["not evaluated"]


def _observations(contract: dict[str, Any]) -> str:
    head = ["observation", "term", "size", "unit", "frame", "offset", "scale", "clip", "history"]
    rows = []
    for term in contract["observations"]:
        clip = "-" if term["clip"] is None else f"{term['clip']:g}"
        values = [term[key] for key in head[1:5]]
        rows.append([term["name"], *values, f"{term['offset']:g}", f"{term['scale']:g}", clip, term["history"]])
    return _columns(head, rows)


def _actions(contract: dict[str, Any]) -> str:
    action = contract["action"]
    if "joint_names" not in action:
        columns = (action["names"], action["unit"], action["scale"], action["offset"])
        cells = zip(*columns, strict=True)
        values = [[name, unit, f"{scale:.5g}", f"{offset:.5g}"] for name, unit, scale, offset in cells]
        return f"action {action['type']}\n" + _columns(["command", "unit", "scale", "offset"], values)
    limits = ("velocity", "acceleration", "jerk", "effort")
    head = ["joint", "default", "lower", "upper", *limits, f"scale ({action['unit']})"]
    rows = []
    for name, scale in zip(action["joint_names"], action["scale"], strict=True):
        limit = contract["joint_limits"][name]
        span = (contract["default_pose"][name], limit["position_lower"], limit["position_upper"])
        rates = tuple(limit[f"{key}_limit"] for key in limits)
        rows.append([name, *(f"{value:.5g}" for value in (*span, *rates, scale))])
    return f"action {action['type']}\n" + _columns(head, rows)


def _columns(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    table = [list(head), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(head))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table)
    return "\n".join(lines)
