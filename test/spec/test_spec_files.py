"""Tests for the task, training and experiment files: their own checks, overrides, and saving at full precision."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppo_robot.errors import SpecError
from ppo_robot.kinematics import RobotModel
from ppo_robot.spec.experiment import (
    CONFIG_FILE,
    DESCRIPTION_FILE,
    apply_override,
    load_experiment,
    restore_experiment,
    save_experiment,
)
from ppo_robot.spec.strict import build, parse_yaml, plain
from ppo_robot.spec.task import (
    ActionSpec,
    ActuatorSpec,
    ObservationTermSpec,
    RewardTermSpec,
    SensorSpec,
    SensorsSpec,
    SimulationSpec,
    StartSpec,
    TaskSpec,
    TermSpec,
    load_task,
)
from ppo_robot.spec.training import PpoSpec, TrainingSpec

EXPERIMENT = load_experiment("reach", "arm6", "default", seed=3)


def numbers(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_subnormal=False)


NAMES = st.text(min_size=1, max_size=8)
PARAMETERS = st.dictionaries(NAMES, numbers(-1e300, 1e300), max_size=2)
TASKS = st.builds(
    TaskSpec,
    name=NAMES,
    observations=st.dictionaries(
        NAMES,
        st.builds(
            ObservationTermSpec,
            term=NAMES,
            params=PARAMETERS,
            scale=numbers(-1e9, 1e9),
            clip=st.none() | numbers(1e-9, 1e9),
            history=st.integers(1, 100),
        ),
        min_size=1,
        max_size=2,
    ),
    rewards=st.dictionaries(
        NAMES, st.builds(RewardTermSpec, NAMES, PARAMETERS, numbers(-1e9, 1e9)), min_size=1, max_size=2
    ),
    goal=st.builds(TermSpec, NAMES, PARAMETERS),
    action=st.builds(
        ActionSpec, st.sampled_from(["joint_position_increment", "joint_position"]), numbers(1e-6, 1.0), numbers(0, 1)
    ),
    start=st.builds(StartSpec, numbers(0, 3), numbers(-1, 1)),
    simulation=st.builds(
        SimulationSpec,
        physics_period=st.sampled_from([0.02, 0.01, 0.005, 0.02 / 3]),
        self_collision=st.booleans(),
        actuator=st.builds(ActuatorSpec, numbers(0, 0.5), numbers(0, 1), numbers(1e-3, 2)),
        sensors=st.builds(SensorsSpec, st.builds(SensorSpec, numbers(0, 1), numbers(0, 1)), delay=numbers(0, 0.5)),
    ),
)
TRAININGS = st.builds(
    TrainingSpec,
    total_steps=st.integers(1, 10**15),
    ppo=st.builds(
        PpoSpec,
        learning_rate=numbers(1e-5, 1e-2),
        gamma=numbers(0, 1),
        clip_range=numbers(1e-6, 0.999),
        stop_kl=st.none() | numbers(1e-9, 10),
        normalise_return=st.booleans(),
    ),
)


@given(task=TASKS, training=TRAININGS)
@settings(max_examples=60)
def test_what_is_built_is_built_again_from_its_plain_form(task: TaskSpec, training: TrainingSpec) -> None:
    assert build(TaskSpec, plain(task), "x") == task
    assert build(TrainingSpec, plain(training), "x") == training


@given(task=TASKS, training=TRAININGS, seed=st.integers(0, 2**63))
@settings(max_examples=25)
def test_a_saved_experiment_is_restored_equal(
    tmp_path_factory: pytest.TempPathFactory, task: TaskSpec, training: TrainingSpec, seed: int
) -> None:
    directory = tmp_path_factory.mktemp("run")
    experiment = dataclasses.replace(EXPERIMENT, task=task, training=training, seed=seed)
    save_experiment(experiment, directory)
    restored = restore_experiment(directory)
    assert restored == experiment
    assert plain(restored) == plain(experiment)  # the folder of the meshes too, which equality leaves out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"observations": {}}, "observations: given none; expected at least one term"),
        ({"rewards": {}}, "rewards: given none; expected at least one term"),
        ({"control_period": 0.021}, "physics_period: given 0.005; expected a whole fraction of control_period (0.021)"),
        ({"control_period": 0.001}, "physics_period: given 0.005; expected a whole fraction"),
        ({"simulation": {"physics_period": 1e-300}}, "simulation.physics_period: given 1e-300; expected a value >="),
        ({"episode_length": 0.4}, "success.hold: given 0.5; expected at most episode_length (0.4)"),
        ({"episode_length": 1e300}, "episode_length: given 1e+300; expected a value > 0 and <= 3600"),
        ({"goal": {"params": {"x": "y"}}}, "goal.params.x: given 'y' (text); expected a number"),
    ],
)
def test_a_task_that_cannot_run_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        build(TaskSpec, {**plain(EXPERIMENT.task), **change}, "task.yaml")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_envs": 1}, "num_workers: given 2; expected at most num_envs (1)"),
        ({"rollout_steps": 1, "num_envs": 4}, "ppo.minibatch_size: given 1024; expected at most num_envs * rollout"),
        ({"network": {"hidden_sizes": []}}, "network: hidden_sizes: given an empty list"),
        ({"network": {"initial_std": 3.0}}, "initial_std: given 3.0; expected minimum_std <= initial_std <= maximum"),
        ({"ppo": {"learning_rate": 0.1}}, "learning_rate: given 0.1; expected between minimum_learning_rate and"),
        ({"ppo": {"clip_range": 1.0}}, "ppo.clip_range: given 1.0; expected a value > 0 and < 1"),
        ({"total_steps": 0}, "total_steps: given 0; expected a value >= 1"),
    ],
)
def test_a_training_that_cannot_run_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        build(TrainingSpec, change, "training.yaml")
    assert message in str(caught.value)


def test_steps_of_an_episode_and_of_a_control_period() -> None:
    task = load_task("reach")
    assert (task.substeps, task.episode_steps) == (4, 100)
    short = dataclasses.replace(task, episode_length=0.001, success=dataclasses.replace(task.success, hold=0.0))
    assert short.episode_steps == 1


def test_overrides_reach_every_room() -> None:
    experiment = load_experiment(
        "reach",
        "arm6",
        "default",
        overrides=[
            "training.ppo.epochs=3",
            " training.ppo.learning_rate = 2e-4",
            "training.network.hidden_sizes=[8, 4]",
            "task.success.tolerance=0.02",
            "task.observations.joint_position.history=3",
            "task.rewards={tool_distance: {weight: -1}}",
            "robot.joints.elbow_joint.velocity_limit=1.5",
        ],
    )
    assert experiment.training.ppo.epochs == 3
    assert experiment.training.ppo.learning_rate == 2e-4
    assert experiment.training.network.hidden_sizes == (8, 4)
    assert experiment.task.success.tolerance == 0.02
    assert experiment.task.success.hold == 0.5
    assert experiment.task.observations["joint_position"].history == 3
    assert list(experiment.task.rewards) == ["tool_distance"]
    assert RobotModel(experiment.robot).velocity_limit[2] == 1.5


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.ppo.epochs", "expected key.path=value"),
        ("training=3", "expected key.path=value"),
        ("training..epochs=3", "expected key.path=value"),
        ("", "expected key.path=value"),
        ("trainign.ppo.epochs=3", "unknown room 'trainign'; expected one of robot, task, training; did you mean 'trai"),
        ("training.ppo.epohs=3", "ppo.epohs: unknown key; did you mean 'epochs'?"),
        ("training.total_steps.x=3", "'training.total_steps' has no keys of its own"),
        ("robot.workspace.radius.0=3", "'robot.workspace.radius' has no keys of its own"),
        ("task.goal={term: a, term: b}", "the value is not valid YAML"),
        ("task.name=2020-99-99", "the value is not valid YAML"),
        ("task.success.tolerance=[", "the value is not valid YAML"),
        ("task.success.tolerance=-1", "success.tolerance: given -1.0; expected a value > 0"),
        ("task.success.tolerance=", "success.tolerance: given None (nothing); expected a number"),
        ("task.success.tolerance=.nan", "expected a finite number"),
    ],
)
def test_a_wrong_override_is_one_line(override: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        load_experiment("reach", "arm6", "default", overrides=[override])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_override_does_not_touch_what_stands_beside_it() -> None:
    data: dict[str, dict[str, Any]] = {"task": {"a": {"b": 1, "c": 2}}, "robot": {}, "training": {"ppo": None}}
    apply_override(data, "task.a.b=[1, {x: 2}]")
    apply_override(data, "training.ppo.epochs=4")
    assert data == {"task": {"a": {"b": [1, {"x": 2}], "c": 2}}, "robot": {}, "training": {"ppo": {"epochs": 4}}}


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        ("task", ("raech", "arm6", "default"), "tasks: no 'raech' in config/tasks; did you mean 'reach'?"),
        ("robot", ("reach", "arm5", "default"), "robots: no 'arm5' in config/robots; did you mean 'arm6'?"),
        ("training", ("reach", "arm6", "fast.yaml"), "fast.yaml: no such file"),
    ],
)
def test_an_unknown_name_is_refused(kind: str, arguments: tuple[str, str, str], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        load_experiment(*arguments)
    assert message in str(caught.value), kind


def test_a_directory_that_is_no_run_names_its_neighbours(tmp_path: Path) -> None:
    run = tmp_path / "reach-1"
    run.mkdir()
    save_experiment(EXPERIMENT, run)
    with pytest.raises(SpecError, match=r"reach-2: not a run directory \(no config\.yaml\); did you mean 'reach-1'"):
        restore_experiment(tmp_path / "reach-2")


def test_a_damaged_run_is_refused(tmp_path: Path) -> None:
    save_experiment(EXPERIMENT, tmp_path)
    good = (tmp_path / CONFIG_FILE).read_text()
    for text, message in (
        (good.replace("seed: 3", "seed: -3"), "seed: given -3; expected a value >= 0"),
        (good.replace("\nseed: 3", ""), "seed: missing"),
        ("robot: 3\n", "robot: expected a mapping"),
        (good[: len(good) // 2] + "\n  - ]", "not valid YAML"),
    ):
        (tmp_path / CONFIG_FILE).write_text(text)
        with pytest.raises(SpecError, match=message.replace("(", r"\(")):
            restore_experiment(tmp_path)
    (tmp_path / CONFIG_FILE).write_text(good)
    (tmp_path / DESCRIPTION_FILE).write_bytes(b"\xff\xfe")
    with pytest.raises(SpecError, match=r"robot\.urdf is damaged"):
        restore_experiment(tmp_path)
    (tmp_path / DESCRIPTION_FILE).unlink()
    with pytest.raises(SpecError, match=r"robot\.urdf is missing"):
        restore_experiment(tmp_path)


def test_numbers_keep_every_bit_on_their_way_through_yaml(tmp_path: Path) -> None:
    values = [0.1 + 0.2, 1e-5, 5e-324, 1.7976931348623157e308, 1 / 3, 1e16, 123456789.123456789]
    term = ObservationTermSpec(params={f"p{index}": value for index, value in enumerate(values)})
    task = dataclasses.replace(EXPERIMENT.task, observations={"x": term})
    save_experiment(dataclasses.replace(EXPERIMENT, task=task), tmp_path)
    assert list(restore_experiment(tmp_path).task.observations["x"].params.values()) == values
    assert parse_yaml("1.5") == 1.5
