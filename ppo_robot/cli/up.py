"""`ppo-robot up`: start a system where `ros2 launch` is not installed."""

from __future__ import annotations

import argparse

HELP = "start the processes of a launch file without ros2 launch"
EXAMPLE = "ppo-robot up deploy plant:=sim bundle:=config/policies/reach"

SYSTEMS = ("sim", "deploy", "fly", "record")
_EMPTY = "''"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the system and its arguments."""
    parser.add_argument("system", help="sim (a simulated robot), deploy (a policy at the controls), fly or record")
    parser.add_argument("given", nargs="*", metavar="NAME:=VALUE", help="its arguments; --show-args lists them")
    parser.add_argument("--show-args", action="store_true", help="list the system's arguments and end")


def run(args: argparse.Namespace) -> int:
    """Start the system and stay until it ends."""
    from ppo_robot.errors import EXIT_GOOD, BadInputError
    from ppo_robot.nodes.supervisor import Supervisor
    from ppo_robot.nodes.system import system
    from ppo_robot.spec.strict import nearest

    if args.system not in SYSTEMS:
        raise BadInputError(f"unknown system '{args.system}'{nearest(args.system, SYSTEMS)}")
    if args.show_args:
        _show(args.system)
        return EXIT_GOOD
    return Supervisor(system(args.system, _split(args.given))).run()


def _split(given: list[str]) -> dict[str, str]:
    """Return the values by name.

    Raises:
        BadInputError: if a word is not NAME:=VALUE, or a name is given twice.
    """
    from ppo_robot.errors import BadInputError

    values: dict[str, str] = {}
    for word in given:
        name, separator, value = word.partition(":=")
        if not separator or not name:
            raise BadInputError(f"given {word!r}; expected NAME:=VALUE, for example plant:=sim")
        if name in values:
            raise BadInputError(f"{name}:= is given twice")
        values[name] = value
    return values


def _show(name: str) -> None:
    from ppo_robot.nodes.system import ARGUMENTS

    for argument in ARGUMENTS[name]:
        default = f"share/{argument.default}" if argument.in_share else argument.default
        print(f"{argument.name}:={default or _EMPTY}\n    {argument.description}")
        if argument.choices:
            print(f"    one of: {', '.join(choice or _EMPTY for choice in argument.choices)}")
