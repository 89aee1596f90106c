"""`ppo-robot record`: record what a robot does, or mend a recording that was torn."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

HELP = "record what a running robot does, or mend a torn recording"
EXAMPLE = "ppo-robot record --out recordings/monday\n  ppo-robot record recover recordings/monday"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add where to, when, and what to mend."""
    parser.add_argument("what", nargs="*", metavar="recover DIR", help="mend the recording in DIR instead of recording")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="directory that is to hold the recording; must not exist yet"
    )
    parser.add_argument("--mode", choices=["continuous", "on_event"], help="on_event: only around a stop of the robot")
    parser.add_argument("--config", default="sim", help="a file of config/deploy, or a path (default: sim)")
    parser.add_argument("--bundle", default="", metavar="DIR", help="bundle to describe (default: the policy node's)")
    parser.add_argument(
        "--topic", dest="topics", action="append", default=[], metavar="NAME[:TYPE]", help="record this topic, too"
    )
    parser.add_argument(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a setting of `recording:`, for example quota_bytes=1e9",
    )
    parser.add_argument("--in-place", action="store_true", help="recover: replace the torn recording")
    parser.add_argument("--json", type=Path, metavar="FILE", help="recover: write the figures there")


def run(args: argparse.Namespace) -> int:
    """Record until the signal to end comes, or mend."""
    from ppo_robot.errors import BadInputError

    if args.what:
        if args.what[0] != "recover" or len(args.what) != 2:
            raise BadInputError(f"given {' '.join(args.what)!r}; expected recover DIR, or nothing but options")
        return _recover(args)
    if args.in_place or args.json is not None:
        raise BadInputError("--in-place and --json belong to `ppo-robot record recover DIR`")
    return _record(args)


def _record(args: argparse.Namespace) -> int:
    from ppo_robot.nodes.recorder import RecorderNode
    from ppo_robot.nodes.ros_support import run_node
    from ppo_robot.nodes.system import ros_arguments, system

    given = {"out": str(args.out or ""), "mode": args.mode or "", "config": args.config, "bundle": args.bundle}
    (process,) = system("record", given | {"topics": " ".join(args.topics)})
    return run_node(RecorderNode, ros_arguments({**process.parameters, **_settings(args.settings)}))


def _settings(given: list[str]) -> dict[str, Any]:
    """Return settings by name.

    Raises:
        BadInputError: if one is not KEY=VALUE, or unknown.
    """
    import dataclasses

    from ppo_robot.errors import BadInputError
    from ppo_robot.spec.recording import RecordingSpec
    from ppo_robot.spec.strict import build, nearest, parse_yaml

    known = [field.name for field in dataclasses.fields(RecordingSpec)]
    values: dict[str, Any] = {}
    for word in given:
        key, separator, text = word.partition("=")
        if not separator:
            raise BadInputError(f"--set {word}: expected KEY=VALUE, for example quota_bytes=1e9")
        if key not in known:
            raise BadInputError(f"--set {word}: unknown setting{nearest(key, known)}")
        try:
            values[key] = parse_yaml(text)
        except ValueError as error:
            raise BadInputError(f"--set {word}: {error}") from None
    alone = {"quota_bytes", "remove_oldest"}  # which depend on each other, and on what the deployment says
    spec = build(RecordingSpec, {key: value for key, value in values.items() if key not in alone}, "--set")
    return {key: getattr(spec, key) if key not in alone else _whole(value) for key, value in values.items()}


def _whole(value: Any) -> Any:
    """Return 1e9 as a whole number, which ROS tells from a number with a fraction."""
    try:
        return value if isinstance(value, bool) else int(float(value))
    except (TypeError, ValueError):
        return value


def _recover(args: argparse.Namespace) -> int:
    from ppo_robot.cli.outputs import check_output, write_figures
    from ppo_robot.errors import EXIT_GOOD, EXIT_NOT_GOOD_ENOUGH
    from ppo_robot.recording.recovery import recover

    check_output(args.json)
    done = recover(Path(args.what[1]), args.out, args.in_place)
    figures = done.figures()
    write_figures(args.json, figures)
    print(f"{done.messages} messages are in {done.directory}")
    if not done.lost:
        print("nothing is lost")
        return EXIT_GOOD
    print(
        f"lost: at least {done.lost_messages} messages; {done.unread_bytes} bytes could not be read, "
        f"{figures['damaged_chunks']} chunks are damaged, {len(done.missing_files)} files are missing"
    )
    return EXIT_NOT_GOOD_ENOUGH
