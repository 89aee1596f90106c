"""Bad input is one line that names it, exit code 2, and a disk on which nothing has changed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ppo_robot.cli.main import main
from ppo_robot.paths import share_directory


@pytest.fixture
def place(tmp_path: Path, straight, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand in that holds a finished run `run`, the robot file `robot.yaml` and a file `file`."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(straight.directory, tmp_path / "run")
    robot = yaml.safe_load((share_directory() / "config" / "robots" / "arm6.yaml").read_text())
    robot["urdf"] = str(share_directory() / "urdf" / "arm6.urdf")
    (tmp_path / "robot.yaml").write_text(yaml.safe_dump(robot, sort_keys=False))
    (tmp_path / "file").write_text("mine\n")
    return tmp_path


Refuse = Callable[..., str]


@pytest.fixture
def refuse(
    place: Path, tree_hash, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, children_of
) -> Refuse:
    """Run a command line that must be refused; return the one line that it said."""

    def check(*arguments: str) -> str:
        before, processes = tree_hash(place), children_of(os.getpid())
        code = main(arguments)
        out, err = capfd.readouterr()
        assert code == 2, (code, out, err)
        assert err.count("\n") == 1 and err.startswith("ppo-robot"), err
        assert "Traceback" not in err and "Traceback" not in out
        assert not caplog.records
        assert tree_hash(place) == before, "something on disk has changed"
        assert children_of(os.getpid()) == processes
        return err

    return check


TRAIN = ("train", "reach", "--out", "new")


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        # unknown keys, with the nearest
        ("training.ppo.epoch=4", ("default.yaml", "ppo.epoch: unknown key", "did you mean 'epochs'?")),
        ("training.pop.epochs=4", ("default.yaml", "pop: unknown key", "'ppo'")),
        ("task.succes.tolerance=1", ("reach.yaml", "succes: unknown key", "'success'")),
        ("robot.tool_fram=hand", ("arm6.yaml", "tool_fram: unknown key", "'tool_frame'")),
        ("trainign.ppo.epochs=4", ("unknown room 'trainign'", "did you mean 'training.ppo.epochs'?")),
        ("task.rewards.tool_distence.weight=1", ("rewards.tool_distence", "did you mean 'tool_distance'?")),
        ("task.observations.joint_positoin.scale=1", ("observations.joint_positoin", "did you mean 'joint_position'?")),
        ("task.terminations.falling={}", ("terminations.falling", "no termination term 'falling'")),
        ("task.goal.term=nowhere", ("no goal term 'nowhere'",)),
        ("task.rewards.tool_near.params.sdt=1", ("rewards.tool_near.params.sdt", "did you mean 'std'?")),
        # wrong types
        ("training.total_steps=many", ("total_steps: given 'many' (text)", "expected an integer")),
        ("training.num_envs=2.5", ("num_envs: given 2.5", "expected an integer")),
        ("training.ppo.normalise_advantage=3", ("normalise_advantage: given 3", "true or false")),
        ("training.network.hidden_sizes=64", ("network.hidden_sizes: given 64", "expected a list")),
        ("training.network.activation=tan", ("activation: given 'tan'", "tanh, elu, relu")),
        ("training.ppo=4", ("ppo: given 4", "expected a mapping")),
        ("training.ppo=", ("ppo: given None", "expected a mapping")),
        # out of range
        ("training.ppo.clip_range=1.5", ("ppo.clip_range: given 1.5", "> 0 and < 1")),
        ("training.num_envs=0", ("num_envs: given 0", ">= 1")),
        ("training.ppo.learning_rate=.nan", ("learning_rate: given nan", "finite")),
        ("training.num_workers=200", ("num_workers: given 200", "at most num_envs (128)")),
        ("training.ppo.minibatch_size=1e9", ("minibatch_size: given 1000000000", "at most")),
        ("task.success.hold=3", ("success.hold: given 3.0", "at most episode_length (2.0)")),
        ("task.simulation.physics_period=0.003", ("simulation.physics_period: given 0.003", "whole fraction")),
        # malformed
        ("training.ppo.epochs", ("--set training.ppo.epochs", "expected key.path=value")),
        ("training=4", ("--set training=4", "expected key.path=value")),
        ("training..epochs=4", ("expected key.path=value",)),
        ("training.ppo.epochs.deep=4", ("'training.ppo.epochs' has no keys of its own",)),
        ("training.ppo.epochs=[", ("not valid YAML",)),
        ("training.ppo.epochs={[1]: 2}", ("not valid YAML",)),
        ("training.ppo.epochs=2024-13-99", ("not valid YAML",)),
    ],
)
def test_settings(refuse: Refuse, setting: str, expected: tuple[str, ...]) -> None:
    line = refuse(*TRAIN, "--set", setting)
    assert all(part in line for part in expected), line


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("train",), "task: missing"),
        (("train", "raech", "--out", "new"), "'reach'"),
        (("train", "nowhere/task.yaml", "--out", "new"), "nowhere/task.yaml"),
        (("train", "./file", "--out", "new"), "file: given text; expected a mapping"),
        ((*TRAIN, "--robot", "amr6"), "'arm6'"),
        ((*TRAIN, "--robot", "nowhere.yaml"), "nowhere.yaml: no such file"),
        ((*TRAIN, "--training", "defualt"), "'default'"),
        ((*TRAIN, "--seed", "-1"), "--seed: given -1; expected 0 to 4294967295"),
        ((*TRAIN, "--seed", "4294967296"), "--seed: given 4294967296"),
        ((*TRAIN, "--seed", "one"), "invalid int value: 'one'"),
        ((*TRAIN, "--episodes", "0"), "--episodes: given 0; expected at least 1"),
        ((*TRAIN, "--sed", "1"), "did you mean '--seed'?"),
        ((*TRAIN, "spare"), "unknown argument 'spare'"),
        ((*TRAIN, "--json", "nowhere/out.json"), "no such directory nowhere"),
        ((*TRAIN, "--json", "run"), "--json run: is a directory"),
        (("train", "reach", "--out", "run"), "exists and is not empty; give a new directory or continue it with"),
        (("train", "reach", "--out", "file"), "--out file: exists and is not empty"),
        (("train", "reach", "--out", "file/new"), "--out file/new: cannot be written (Not a directory)"),
        (("train", "--resume", "run", "--seed", "1", "--set", "training.ppo.epochs=1"), "leave out seed, --set"),
        (("train", "reach", "--resume", "run"), "leave out task"),
        (("train", "--resume", "rum"), "rum: not a run directory (no config.yaml); did you mean 'run'?"),
        (("train", "--resume", "run/bundle"), "run/bundle: not a run directory"),
        (("train", "--resume", "file"), "file: not a run directory"),
        (("evaluate", "nowhere"), "nowhere: no such directory"),
        (("evaluate", "file"), "file: not a directory"),
        (("evaluate", "run"), "run: not a policy bundle"),
        (("evaluate", "run/bundle", "--episodes", "0"), "--episodes: given 0; expected at least 1"),
        (("evaluate", "run/bundle", "--workers", "0"), "--workers: given 0; expected at least 1"),
        (("evaluate", "run/bundle", "--seed", "-3"), "--seed: given -3"),
        (("evaluate", "run/bundle", "--minimum-success-rate", "99"), "given 99.0; expected 0 to 1"),
        (("evaluate", "run/bundle", "--minimum-success-rate", "nan"), "given nan; expected 0 to 1"),
        (("evaluate", "run/bundle", "--action", "random"), "invalid choice: 'random'"),
        (("evaluate", "run/bundle", "--plant", "gazebo"), "invalid choice: 'gazebo'"),
        (("evaluate", "run/bundle", "--json", "file/out.json"), "no such directory file"),
        (("evaluate", "run/bundle", "--goal", "1", "2"), "expected 3 arguments"),
        (
            ("evaluate", "run/bundle", "--episodes", "2", "--workers", "1", "--goal", "0.1", "0", "0.3"),
            "goal [0.1, 0, 0.3] m: outside the workspace; expected 0.35 to 0.7 m from",
        ),
        (
            ("evaluate", "run/bundle", "--episodes", "2", "--workers", "1", "--goal", "nan", "0", "0.3"),
            "goal [nan, 0, 0.3] m: outside the workspace",
        ),
        (("sensitivity", "nowhere"), "nowhere: no such directory"),
        (("sensitivity", "run/bundle", "--episodes", "0"), "--episodes: given 0; expected at least 1"),
        (("sensitivity", "run/bundle", "--ranges", "reach"), "--ranges reach: has no simulation.randomization"),
        (("sensitivity", "run/bundle", "--only", "gravty"), "'gravty'; did you mean 'gravity'?"),
        (("sensitivity", "run/bundle", "--out", "file"), "--out file: cannot be written"),
        (("transfer", "raech"), "no 'raech' in config/transfer; did you mean 'reach'?"),
        (("transfer", "reach", "--seeds", "0"), "--seeds: given 0; expected at least 1"),
        (("transfer", "reach", "--rows", "wide,adrr"), "no row 'adrr'; did you mean 'adr'?"),
        (("transfer", "reach", "--docs", "file"), "--docs file: cannot be written"),
        (("transfer", "robot.yaml"), "robot.yaml: urdf: unknown key"),
        (("inspect", "nowhere"), "nowhere: no such directory"),
        (("inspect", "run/bundle", "--robot", "amr6"), "'arm6'"),
        (("inspect", "run/bundle", "--robot", "kuka_iiwa"), "policy"),
        (("inspect", "run/bundle", "--json", "nowhere/out.json"), "no such directory nowhere"),
        (("export", "nowhere"), "nowhere: not a run directory"),
        (("export", "run", "--out", "file"), "file: exists and is not a policy bundle; nothing was overwritten"),
        (("export", "run", "--out", "run"), "run: exists and is not a policy bundle; nothing was overwritten"),
        (("export", "run", "--out", "file/new"), "file/new: cannot be written"),
        (("export", "run", "--out", "new", "--evaluation", "nowhere.json"), "nowhere.json: cannot be read"),
        (("export", "run", "--out", "new", "--evaluation", "file"), "file: not valid JSON"),
        (("bench", "rolout"), "invalid choice: 'rolout'"),
        (("bench", "rollout", "--rounds", "0"), "--rounds 0"),
        (("bench", "rollout", "--seconds", "nan"), "--seconds nan"),
        (("bench", "rollout", "--set", "training.num_envs=0"), "num_envs: given 0"),
        (("bench", "latency", "--rates", "0"), "--rates 0"),
        (("bench", "latency", "--rates", "50", "201"), "--rates 50 201"),
        (("bench", "latency", "--delay", "nan"), "--delay nan"),
        (("bench", "latency", "--delay", "0.2"), "expected 1 to 200 Hz and 0 to 0.09 s"),
        (("bench", "latency", "--seconds", "601"), "expected 1 to 600 with latency"),
        (("bench", "rollout", "--json", "nowhere/out.json"), "no such directory nowhere"),
        (("demo", "--seed", "-1"), "--seed: given -1"),
        (("demo", "--out", "file"), "--out file: exists and is not empty"),
        (("report", "nowhere"), "nowhere: not a run directory"),
        (("trian", "reach"), "did you mean 'train'?"),
        (("--frobnicate",), "--frobnicate"),
    ],
)
def test_arguments(refuse: Refuse, arguments: tuple[str, ...], expected: str) -> None:
    line = refuse(*arguments)
    assert expected in line, line


def edit_yaml(path: Path, edit: Callable[[Any], Any]) -> None:
    data = yaml.safe_load(path.read_text())
    edit(data)
    path.write_text(yaml.safe_dump(data, sort_keys=False))


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (lambda robot: robot["joints"].update(elbow=robot["joints"].pop("elbow_joint")), "'elbow_joint'"),
        (lambda robot: robot["joints"].update(payload_joint=robot["joints"].pop("elbow_joint")), "payload_joint"),
        (lambda robot: robot.update(tool_frame="tool"), "did you mean 'tool_frame'?"),
        (lambda robot: robot.update(urdf="nowhere.urdf"), "nowhere.urdf"),
        (lambda robot: robot["joints"]["elbow_joint"].update(default_position=9.0), "elbow_joint"),
        (lambda robot: robot["workspace"].update(radius=[0.7, 0.3]), "lower bound first"),
        (lambda robot: robot["self_collision_pairs"].append(["base_link", "forearm"]), "'forearm_link'"),
    ],
)
def test_robot_files(place: Path, refuse: Refuse, edit: Callable[[Any], Any], expected: str) -> None:
    edit_yaml(place / "robot.yaml", edit)
    line = refuse(*TRAIN, "--robot", "robot.yaml")
    assert "robot.yaml" in line and expected in line, line


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"name: [", "not valid YAML"),
        (b"\xff\xfe", "cannot be read"),
        (b"- 1\n", "expected a mapping"),
        (b"", "expected a mapping"),
        (b"total_steps: 5\ntotal_steps: 6\n", "given twice"),
        (b"!!python/object/apply:os.system [touch new]\n", "not valid YAML"),
    ],
)
def test_files_that_are_no_training(place: Path, refuse: Refuse, content: bytes, expected: str) -> None:
    (place / "mine.yaml").write_bytes(content)
    line = refuse(*TRAIN, "--training", "mine.yaml")
    assert "mine.yaml" in line and expected in line, line


def test_a_valid_robot_file_is_no_bad_input(place: Path) -> None:
    """Else the table above would show nothing."""
    from ppo_robot.spec.robot import load_robot

    assert load_robot("robot.yaml").name == "arm6"


def tear(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def test_torn_checkpoints(place: Path, refuse: Refuse) -> None:
    for path in (place / "run" / "checkpoints").glob("*.safetensors"):
        tear(path)
    line = refuse("train", "--resume", "run")
    assert "no intact checkpoint is left" in line and line.count("torn") == 3
    assert "best" in refuse("export", "run", "--out", "new")


def test_no_checkpoint(place: Path, refuse: Refuse) -> None:
    shutil.rmtree(place / "run" / "checkpoints")
    assert "run/checkpoints: holds no checkpoint" in refuse("train", "--resume", "run")


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda run: (run / "robot.urdf").unlink(), "robot.urdf is missing"),
        (lambda run: (run / "robot.urdf").write_bytes(b"\xff\xfe"), "robot.urdf"),
        (lambda run: (run / "config.yaml").write_text("robot: 1\n"), "config.yaml"),
        (lambda run: tear(run / "config.yaml") or (run / "config.yaml").open("a").write("{"), "config.yaml"),
        (lambda run: edit_yaml(run / "config.yaml", lambda config: config.pop("seed")), "seed: missing"),
        (lambda run: edit_yaml(run / "config.yaml", lambda c: c["training"].update(nmu_envs=1)), "'num_envs'"),
    ],
)
def test_damaged_run_directories(place: Path, refuse: Refuse, damage: Callable[[Path], Any], expected: str) -> None:
    damage(place / "run")
    for arguments in (("train", "--resume", "run"), ("export", "run", "--out", "new")):
        line = refuse(*arguments)
        assert expected in line, line


@pytest.mark.parametrize("content", ["", "null", "[1]"])
def test_a_run_of_unknown_origin_is_not_exported(place: Path, refuse: Refuse, content: str) -> None:
    (place / "run" / "provenance.json").write_text(content)
    assert "provenance.json is missing or torn" in refuse("export", "run", "--out", "new")


def test_a_run_that_cannot_be_written_is_not_resumed(place: Path, refuse: Refuse) -> None:
    (place / "run" / ".lock").unlink()
    (place / "run" / ".lock").mkdir()
    assert "run: cannot be written (Is a directory)" in refuse("train", "--resume", "run")


def edit_json(path: Path, **entries: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda bundle: tear(bundle / "policy.onnx"), "policy.onnx"),
        (lambda bundle: (bundle / "golden.npz").unlink(), "golden.npz is missing"),
        (lambda bundle: edit_json(bundle / "manifest.json", schema_version=9), "schema_version 9 is newer"),
        (lambda bundle: edit_json(bundle / "spec.json", control_period=0.01), "spec.json"),
        (lambda bundle: (bundle / "added.txt").write_text("x"), "added.txt"),
    ],
)
def test_mutated_bundles(place: Path, refuse: Refuse, damage: Callable[[Path], Any], expected: str) -> None:
    damage(place / "run" / "bundle")
    for command in ("evaluate", "inspect"):
        line = refuse(command, "run/bundle")
        assert expected in line, line
