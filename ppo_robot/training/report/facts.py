"""What a run directory holds, read leniently: whatever is missing or torn is named, and the rest is shown."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import yaml

from ppo_robot.errors import BundleError, PpoRobotError
from ppo_robot.policy.bundle import Bundle, load_bundle
from ppo_robot.spec.experiment import CONFIG_FILE, Experiment, load_experiment, restore_experiment
from ppo_robot.spec.strict import plain
from ppo_robot.training.evaluation import Evaluation
from ppo_robot.training.finish import EPISODES_FILE
from ppo_robot.training.run import BUNDLE, PROVENANCE_FILE, RESULT_FILE
from ppo_robot.training.sinks import METRICS_FILE, Record, read_records


@dataclass(frozen=True)
class RunFacts:
    """Everything that a report draws on.

    Attributes:
        directory: the run.
        experiment: what it is.
        config: config.yaml, as text.
        records: metrics.jsonl, oldest first.
        provenance: provenance.json, empty where missing.
        result: result.json, empty where missing.
        evaluation: the episodes that judged the bundle.
        bundle: the policy.
        missing: sentences for a person, one for each piece that is not there.
    """

    directory: Path
    experiment: Experiment
    config: str
    records: list[Record]
    provenance: dict[str, Any]
    result: dict[str, Any]
    evaluation: Evaluation | None
    bundle: Bundle | None
    missing: list[str] = field(default_factory=list)

    @property
    def summary(self) -> dict[str, Any] | None:
        """Figures of the newest evaluation: of the bundle, or else of the last one during training."""
        if self.evaluation is not None:
            return self.evaluation.summary()
        return self.last_evaluation

    @property
    def last_evaluation(self) -> dict[str, Any] | None:
        """The last evaluation during training."""
        found = [record["evaluation"] for record in self.records if record.get("evaluation")]
        return found[-1] if found else None


def read_run(directory: Path) -> RunFacts:
    """Read a run directory.

    Raises:
        SpecError: if it is none, or its configuration is damaged.
    """
    experiment = restore_experiment(directory)
    missing: list[str] = []
    records = [record for record in read_records(directory / METRICS_FILE) if _is_iteration(record)]
    if not records:
        missing.append(f"No learning curves: {METRICS_FILE} is missing or empty; no iteration has ended yet.")
    elif records[-1]["steps"] < experiment.training.total_steps and not (directory / RESULT_FILE).is_file():
        missing.append(
            f"The run stands at {records[-1]['steps']:,} of {experiment.training.total_steps:,} steps: it is still"
            f" training or was interrupted. Continue it with: ppo-robot train --resume {shlex.quote(str(directory))}"
        )
    evaluation = _read_evaluation(directory / EPISODES_FILE)
    if evaluation is None:
        missing.append(f"No error over the workspace: {EPISODES_FILE} is missing; it is written when a training ends.")
    return RunFacts(
        directory=directory,
        experiment=experiment,
        config=(directory / CONFIG_FILE).read_text(encoding="utf-8"),
        records=records,
        provenance=_read_json(directory / PROVENANCE_FILE),
        result=_read_json(directory / RESULT_FILE),
        evaluation=evaluation,
        bundle=_read_bundle(directory / BUNDLE, missing),
        missing=missing,
    )


def reproduction(facts: RunFacts) -> str:
    """Return the command that makes this run again, with what its configuration changed in the files of today."""
    experiment = facts.experiment
    parts = ["ppo-robot", "train", experiment.task.name]
    parts += ["--robot", experiment.robot.name, "--seed", str(experiment.seed)]
    for override in overrides(experiment):
        parts += ["--set", override]
    return shlex.join(parts)


def overrides(experiment: Experiment) -> list[str]:
    """Return `key.path=value` for each value of task and training that differs from the files in `config/`."""
    try:
        today = load_experiment(experiment.task.name, experiment.robot.name, "default", experiment.seed)
    except PpoRobotError:  # a task or robot of the user's own, which is not in config/
        return []
    found: list[str] = []
    for room in ("task", "training"):
        _differences(plain(getattr(today, room)), plain(getattr(experiment, room)), room, found)
    return found


def _differences(old: Any, new: Any, path: str, found: list[str]) -> None:
    if isinstance(old, dict) and isinstance(new, dict) and old.keys() == new.keys():
        for key in new:
            _differences(old[key], new[key], f"{path}.{key}", found)
    elif old != new:
        text = yaml.safe_dump(new, default_flow_style=True, width=10_000).removesuffix("\n...\n").strip()
        found.append(f"{path}={text}")


def _is_iteration(record: Any) -> bool:
    return isinstance(record, dict) and isinstance(record.get("steps"), int)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _read_evaluation(path: Path) -> Evaluation | None:
    try:
        with np.load(path, allow_pickle=False) as data:
            evaluation = Evaluation(tuple(str(name) for name in data["names"]), data["episodes"])
    except (OSError, ValueError, KeyError, BadZipFile):
        return None
    wanted = {"final_error", "success", "settle_time", "goal_x", "goal_y", "goal_z"}
    return evaluation if len(evaluation.episodes) and wanted <= set(evaluation.names) else None


def _read_bundle(path: Path, missing: list[str]) -> Bundle | None:
    if not path.is_dir():
        command = shlex.join(["ppo-robot", "export", str(path.parent)])
        missing.append(f"No episodes to show: the run has no bundle yet. Write one with: {command}")
        return None
    try:
        return load_bundle(path)
    except BundleError as error:
        missing.append(f"No episodes to show: the bundle was refused. {error}")
        return None
