"""`ppo-robot <command> ...`: find the command, run it, turn what went wrong into one line and an exit code.

A command is a module `ppo_robot/cli/<command>.py` with `HELP` (one line), `EXAMPLE` (one command line that works),
`add_arguments(parser)` and `run(args) -> int`. Only the module of the command that was asked for is imported.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import os
import select
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NoReturn, Protocol, cast

from ppo_robot import __version__
from ppo_robot.errors import EXIT_BAD_INPUT, EXIT_GOOD, PpoRobotError

PROGRAM = "ppo-robot"
EXIT_KEYBOARD_INTERRUPT = 130  # 128 + SIGINT, as shells count
EXIT_BROKEN_PIPE = 141  # 128 + SIGPIPE

COMMANDS = {
    "train": "train a policy for a task and export its bundle",
    "evaluate": "run a bundle for many episodes and judge it",
    "sensitivity": "find which ranges of randomization matter to a policy",
    "transfer": "train in several ways and try each policy on unseen robots",
    "export": "write the policy bundle of a run",
    "inspect": "check a bundle and show what is in it",
    "up": "start the processes of a launch file without ros2 launch",
    "goal": "send the tool of a running robot to a point",
    "stop": "stop the robot, at once and inside its limits, and keep it stopped",
    "reset": "leave a latched stop; the robot stays disarmed",
    "arm": "let the safety node pass on what the policy asks for",
    "doctor": "check ROS 2, joint states, controllers and the policy node",
    "record": "record what a running robot does, or mend a torn recording",
    "report": "write one HTML page about a run or a recording",
    "replay": "run a recording again through bundle and envelope, and compare it bit for bit",
    "bench": "measure speed and print figures",
    "demo": "train the reaching arm, evaluate it and report on it",
}

EXTRA_OF_LIBRARY = {
    "torch": "train",
    "pybullet": "train",
    "pybullet_data": "train",
    "gymnasium": "train",
    "tensorboard": "train",
    "rich": "train",
    "matplotlib": "train",
    "onnx": "train",
    "safetensors": "train",
    "mujoco": "mujoco",
    "rclpy": "ros",
    "pyarrow": "parquet",
}


class Command(Protocol):
    """What a command module offers."""

    HELP: str
    EXAMPLE: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's own arguments to its parser."""

    def run(self, args: argparse.Namespace) -> int:
        """Do the work and return an exit code of `ppo_robot.errors`."""


class OneLineParser(argparse.ArgumentParser):
    """An argument parser whose complaint is one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        """Print one line and leave with exit code 2."""
        self.exit(EXIT_BAD_INPUT, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def nearest(given: str, allowed: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` for the closest allowed word, or an empty string when none is close."""
    close = difflib.get_close_matches(given, list(allowed), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def top_parser() -> OneLineParser:
    """Return the parser of what stands before the command; its help lists the commands."""
    listing = "\n".join(f"  {name:<11} {line}" for name, line in COMMANDS.items())
    parser = OneLineParser(
        prog=PROGRAM,
        usage=f"{PROGRAM} [-h] [--version] COMMAND ...",
        description="Train a policy with PPO in PyBullet and run it on a ROS 2 robot.",
        epilog=f"commands:\n{listing}\n\n`{PROGRAM} COMMAND --help` explains one.\n\nexample:\n  {PROGRAM} demo",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    return parser


def load(name: str) -> Command:
    """Import the module of one command."""
    return cast(Command, importlib.import_module(f"ppo_robot.cli.{name}"))


def parse(name: str, command: Command, arguments: Sequence[str]) -> argparse.Namespace:
    """Parse what follows the command's name.

    Raises:
        SystemExit: 0 after --help, 2 after one line about a wrong argument.
    """
    parser = OneLineParser(
        prog=f"{PROGRAM} {name}",
        description=command.HELP,
        epilog=f"example:\n  {command.EXAMPLE}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.add_arguments(parser)
    args, unknown = parser.parse_known_args(arguments)
    if unknown:
        options = [option for action in parser._actions for option in action.option_strings]
        given = unknown[0].partition("=")[0]
        parser.error(f"unknown argument {unknown[0]!r}{nearest(given, options)}")
    return args


def dispatch(arguments: Sequence[str]) -> int:
    """Run the command that the arguments name and return its exit code."""
    parser = top_parser()
    if not arguments:
        parser.print_help(sys.stderr)
        return EXIT_BAD_INPUT
    name, rest = arguments[0], arguments[1:]
    if name.startswith("-"):
        parser.parse_args([name])  # --help and --version leave from here
        parser.error(f"expected a command, got {name!r}")
    if name not in COMMANDS:
        parser.error(f"unknown command {name!r}{nearest(name, COMMANDS) or '; one of ' + ', '.join(COMMANDS)}")
    command = load(name)
    return command.run(parse(name, command, rest))


def complain(message: str) -> None:
    """Print one line of error, whatever line breaks the message holds."""
    print(f"{PROGRAM}: error: {' '.join(message.split())}", file=sys.stderr)


def reader_is_gone() -> bool:
    """Return whether nobody reads our output any more, as after `| head`."""
    poll = select.poll()
    for stream in (sys.stdout, sys.stderr):
        try:
            poll.register(stream.fileno(), 0)
        except (OSError, ValueError):  # a stream that is closed or has no file behind it
            continue
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def guarded(arguments: Sequence[str]) -> int:
    """Run the command; turn every ending but a bug into an exit code and at most one line."""
    try:
        return dispatch(arguments)
    except SystemExit as leaving:  # argparse has said what there is to say
        return leaving.code if isinstance(leaving.code, int) else EXIT_GOOD
    except PpoRobotError as error:
        complain(str(error))
        return error.exit_code
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library not in EXTRA_OF_LIBRARY:
            raise
        complain(f"this needs {library}, which is not installed: pip install 'ppo_robot[{EXTRA_OF_LIBRARY[library]}]'")
        return EXIT_BAD_INPUT
    except KeyboardInterrupt:
        print(f"\n{PROGRAM}: interrupted", file=sys.stderr)
        return EXIT_KEYBOARD_INTERRUPT


def main(argv: Sequence[str] | None = None) -> int:
    """Run `ppo-robot` with the arguments (by default those of the process) and return the exit code.

    0 good, 1 the thing judged is not good enough, 2 bad input, 3 and 4 as in `ppo_robot.errors`, 130 after Ctrl-C, 141
    when the reader of the output went away. An exception that is not one of ours is a bug and keeps its traceback.
    """
    try:
        code = guarded(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        if not reader_is_gone():  # then the pipe was another one, to a worker say
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains once more at exit
        return EXIT_BROKEN_PIPE


def ros_main() -> int:
    """Run the command that the executable is called after: `ros2 run ppo_robot train` starts lib/ppo_robot/train."""
    return main([Path(sys.argv[0]).name, *sys.argv[1:]])
