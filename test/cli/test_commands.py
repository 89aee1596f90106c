"""The commands as the README and their own help show them, and what `evaluate` and `bench` write."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from ppo_robot.cli import main as cli
from ppo_robot.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
PAGES = [path for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))) if path.is_file()]


def check(line: str) -> None:
    """Fail where a shown command line is not one that the command would take."""
    words = shlex.split(line, comments=True)
    assert words[0] == "ppo-robot", line
    words = [word for word in words[1:] if word not in ("…", "...")]
    if words[0] in ("--help", "--version"):
        return
    assert words[0] in cli.COMMANDS, line
    if "--help" not in words:
        try:
            cli.parse(words[0], cli.load(words[0]), words[1:])
        except SystemExit:
            pytest.fail(f"not a command line that works: {line}")


def shown(text: str) -> list[str]:
    """Return the command lines in code blocks, and those in code spans that are more than a name."""
    blocks = re.findall(r"^ *```[a-z]*\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    lines = [line.strip().removeprefix("$ ") for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    prose = re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE)
    lines += [span for span in re.findall(r"`([^`\n]+)`", prose) if len(span.split()) > 2]
    return [line for line in lines if line.startswith("ppo-robot ") and not re.search(r"[<{\[|]|COMMAND", line)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_line_in_the_documents_is_one_that_works(page: Path) -> None:
    for line in shown(page.read_text(encoding="utf-8")):
        check(line)


def test_what_counts_as_shown() -> None:
    text = "`ppo-robot train` and `ppo-robot inspect B --json F`\n```\n$ ppo-robot demo  # now\nls\n```\n"
    assert shown(text) == ["ppo-robot demo  # now", "ppo-robot inspect B --json F"]
    with pytest.raises(pytest.fail.Exception):
        check("ppo-robot train reach --sed 1")


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_help_ends_with_an_example_that_works(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = cli.load(name)
    assert main([name, "--help"]) == 0
    out = capsys.readouterr().out
    assert out.endswith(f"example:\n  {command.EXAMPLE}\n")
    assert command.EXAMPLE.startswith(f"ppo-robot {name}")
    assert cli.COMMANDS[name] == command.HELP
    check(command.EXAMPLE)


Evaluate = Callable[..., tuple[int, dict]]


@pytest.fixture
def evaluate(straight, tmp_path: Path) -> Evaluate:
    def go(*options: str) -> tuple[int, dict]:
        path = tmp_path / "out.json"
        bundle = str(straight.directory / "bundle")
        words = ("--episodes", "3", "--workers", "1", "--json", str(path))
        code = main(["evaluate", bundle, *words, *options])
        return code, json.loads(path.read_text())

    return go


def test_evaluate_writes_the_figures_that_it_is_asked_for(evaluate: Evaluate, capsys) -> None:
    code, figures = evaluate("--seed", "4")
    assert code == 0
    wanted = ("success_rate", "success_ci95", "settle_time_s", "action_rate", "bundle_id")
    assert figures.keys() >= set(wanted)
    assert figures["final_error_m"].keys() == {"mean", "p95", "max"}
    assert 0.0 < figures["final_error_m"]["mean"] <= figures["final_error_m"]["max"] < 2.0
    low, high = figures["success_ci95"]
    assert 0.0 <= low <= figures["success_rate"] <= high <= 1.0
    asked = ("episodes", "seed", "plant", "action")
    assert [figures[name] for name in asked] == [3, 4, "pybullet", "deterministic"]
    out, err = capsys.readouterr()
    assert "success rate" in out and "episodes         3, seed 4" in out and err == ""


def test_evaluate_stochastic_is_another_figure_and_the_same_again(evaluate: Evaluate) -> None:
    plain, drawn, again = evaluate()[1], evaluate("--action", "stochastic")[1], evaluate("--action", "stochastic")[1]
    assert drawn == again
    assert drawn["action"] == "stochastic"
    assert drawn["action_rate"] > plain["action_rate"]


def test_evaluate_tells_a_policy_that_is_not_good_enough_by_its_exit_code(evaluate: Evaluate) -> None:
    code, figures = evaluate("--minimum-success-rate", "1.0")
    assert code == 1 and figures["success_rate"] < 1.0
    assert evaluate("--minimum-success-rate", "0.0")[0] == 0


def test_evaluate_towards_one_goal(evaluate: Evaluate) -> None:
    code, figures = evaluate("--goal", "0.45", "-0.1", "0.4")
    assert code == 0 and figures != evaluate()[1]


def test_bench_rollout_writes_speeds_and_ratios_and_leaves_no_process(
    tmp_path, tiny_arguments, children_of, capsys
) -> None:
    path, before = tmp_path / "out.json", children_of(os.getpid())
    words = ("--rounds", "1", "--seconds", "0.2", "--json", str(path))
    assert main(["bench", "rollout", *words, *tiny_arguments]) == 0
    figures = json.loads(path.read_text())
    raw, rollout, train = (figures[f"{name}_steps_per_s"] for name in ("raw", "rollout", "train"))
    assert min(raw, rollout, train) > 0.0
    assert figures["rollout_over_raw"] == pytest.approx(rollout / raw)
    assert figures["train_over_raw"] == pytest.approx(train / raw)
    assert (figures["num_envs"], figures["processes"], len(figures["rounds"])) == (6, 2, 1)
    assert figures["provenance"]["libraries"]["pybullet"]
    out, err = capsys.readouterr()
    assert [line.split()[0] for line in out.splitlines()] == [
        *("raw_steps_per_s", "rollout_steps_per_s", "train_steps_per_s", "rollout_over_raw", "train_over_raw")
    ]
    assert err == ""
    assert children_of(os.getpid()) == before


def test_bench_rollout_puts_a_price_on_randomization(tmp_path, tiny_arguments, capsys) -> None:
    path = tmp_path / "out.json"
    words = ("bench", "rollout", "--rounds", "1", "--seconds", "0.2", "--json", str(path), *tiny_arguments)
    assert main([*words, "--randomization", "on"]) == 0
    figures = json.loads(path.read_text())
    randomized, nominal = (figures[f"{name}_steps_per_cpu_s"] for name in ("randomized", "nominal"))
    assert figures["task"] == "reach_randomized"
    assert figures["randomized_over_nominal"] == pytest.approx(randomized / nominal)
    assert main([*words, "--randomization", "off"]) == 0
    assert "randomized_over_nominal" not in json.loads(path.read_text())
    nothing = ("--task", "reach_randomized", "--set", "task.simulation.randomization={}")
    assert main([*words, "--randomization", "on", *nothing]) == 2
    assert "--randomization on: task reach_randomized has no simulation.randomization" in capsys.readouterr().err


def test_bench_says_so_when_a_bare_loop_dies_and_ends_the_others(tiny, monkeypatch, children_of) -> None:
    from ppo_robot.errors import RunFailedError
    from ppo_robot.training import bench_rollout as bench

    before = children_of(os.getpid())
    plain, calls = bench.plain, []

    def spoil_the_first(value: object) -> object:
        calls.append(value)
        return {} if len(calls) <= 2 else plain(value)  # its robot and its task

    monkeypatch.setattr(bench, "plain", spoil_the_first)
    with pytest.raises(RunFailedError, match="bare loop .* died with exit code"):
        bench.bench_rollout(tiny, 1, 0.1)
    assert children_of(os.getpid()) == before
