"""The frame around the commands: one line for what went wrong, and the right exit code."""

from __future__ import annotations

import subprocess
import sys
from argparse import ArgumentParser, Namespace
from types import SimpleNamespace

import pytest

import ppo_robot
from ppo_robot.cli import main as cli
from ppo_robot.errors import RunFailedError, SpecError


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Put a command of our own behind every name; a test may replace its `run`."""

    def add_arguments(parser: ArgumentParser) -> None:
        parser.add_argument("task")
        parser.add_argument("--episodes", type=int, default=1)

    def run(args: Namespace) -> int:
        print(args.task, args.episodes)
        return 1

    command = SimpleNamespace(HELP="do it", EXAMPLE="ppo-robot train reach", add_arguments=add_arguments, run=run)
    monkeypatch.setattr(cli, "load", lambda name: command)
    return command


def raising(error: BaseException):
    def run(args: Namespace) -> int:
        raise error

    return run


def test_arguments_reach_the_command_and_its_exit_code_comes_back(fake, capsys) -> None:
    assert cli.main(["train", "reach", "--episodes", "3"]) == 1
    assert capsys.readouterr().out == "reach 3\n"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["trian"], "unknown command 'trian'; did you mean 'train'?"),
        (["zzz"], "unknown command 'zzz'; one of train, evaluate,"),
        (["--verison"], "--verison"),
        (["train"], "the following arguments are required: task"),
        (["train", "reach", "--epsiodes", "3"], "unknown argument '--epsiodes'; did you mean '--episodes'?"),
        (["train", "reach", "--epis", "3"], "unknown argument '--epis'"),
        (["train", "reach", "--episodes", "many"], "invalid int value: 'many'"),
    ],
)
def test_wrong_arguments_are_one_line_and_exit_2(fake, capsys, arguments: list[str], expected: str) -> None:
    assert cli.main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert expected in err


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (SpecError("reach.yaml:\n  no"), 2, "ppo-robot: error: reach.yaml: no"),
        (RunFailedError("worker 1 died"), 4, "ppo-robot: error: worker 1 died"),
        (ModuleNotFoundError("No module named 'torch'", name="torch.nn"), 2, "pip install 'ppo_robot[train]'"),
    ],
)
def test_our_errors_are_one_line_and_their_own_code(fake, capsys, error: Exception, code: int, line: str) -> None:
    fake.run = raising(error)
    assert cli.main(["train", "reach"]) == code
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert line in err


def test_an_interrupt_leaves_no_traceback(fake, capsys) -> None:
    fake.run = raising(KeyboardInterrupt())
    assert cli.main(["train", "reach"]) == 130
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("error", [ZeroDivisionError(), ModuleNotFoundError("no", name="nowhere"), BrokenPipeError()])
def test_a_bug_keeps_its_traceback(fake, error: Exception) -> None:
    fake.run = raising(error)
    with pytest.raises(type(error)):
        cli.main(["train", "reach"])


def test_help_of_a_command_ends_with_its_example(fake, capsys) -> None:
    assert cli.main(["train", "--help"]) == 0
    assert capsys.readouterr().out.endswith("example:\n  ppo-robot train reach\n")


def test_top_help_lists_every_command_and_imports_none(capsys) -> None:
    probe = "import sys; from ppo_robot.cli.main import main; main(['--help']); sys.exit('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert all(f"  {name}" in done.stdout for name in cli.COMMANDS)


def test_version(capsys) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"ppo-robot {ppo_robot.__version__}\n"


def test_no_command_shows_the_help_and_exits_2(capsys) -> None:
    assert cli.main([]) == 2
    assert "commands:" in capsys.readouterr().err


def test_a_reader_that_went_away_is_no_error() -> None:
    """As in `ppo-robot inspect ... | head -1`."""
    probe = (
        "import sys; from types import SimpleNamespace; from ppo_robot.cli import main as cli\n"
        "def run(args): print('x\\n' * 100_000); return 0\n"
        "cli.load = lambda name: SimpleNamespace(HELP='', EXAMPLE='', add_arguments=lambda parser: None, run=run)\n"
        "sys.exit(cli.main(['inspect']))"
    )
    process = subprocess.Popen([sys.executable, "-c", probe], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    err = process.stderr.read()
    process.stderr.close()
    assert (process.wait(timeout=60), err) == (141, b"")
