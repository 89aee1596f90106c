"""Turns a trained actor into a bundle; the only module of this room that knows torch and onnx."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

from ppo_robot.errors import BundleError, RunFailedError
from ppo_robot.files import json_bytes
from ppo_robot.policy import golden
from ppo_robot.policy.bundle import load_bundle
from ppo_robot.policy.card import model_card
from ppo_robot.policy.contract import describe, envelope_bytes
from ppo_robot.policy.gates import check_evaluation
from ppo_robot.policy.manifest import (
    CARD,
    DESCRIPTION,
    ENVELOPE,
    EVALUATION,
    GOLDEN,
    MANIFEST,
    POLICY,
    SIGNATURE,
    SPEC,
    STATISTICS,
    TRAIN,
    make_manifest,
    read_manifest,
)
from ppo_robot.policy.runtime import INPUT, NORMALISED, OUTPUTS, PolicyRuntime
from ppo_robot.policy.statistics import Statistics, statistics_tree
from ppo_robot.spec.experiment import Experiment
from ppo_robot.spec.strict import plain
from ppo_robot.spec.training import NetworkSpec

# The format of mid 2022 (ONNX 1.12): tried with onnxruntime 1.15, older than ROS 2 Jazzy; nothing here needs more.
OPSET, IR_VERSION = 17, 8

PARITY_OBSERVATIONS = 10_000
PARITY_TOLERANCE = 1e-5
"""Of the largest component of an action."""
PARITY_FLOOR = 1e-3
"""An action smaller than this share of the action's range is measured by this instead."""

_ACTIVATIONS: dict[type[torch.nn.Module], str] = {
    torch.nn.Tanh: "Tanh",
    torch.nn.ELU: "Elu",
    torch.nn.ReLU: "Relu",
}


class Normaliser(Protocol):
    """What is read of the observation normaliser."""

    mean: Tensor

    @property
    def standard_deviation(self) -> Tensor:
        """The divisor, (O,)."""

    @property
    def is_identity(self) -> bool:
        """Whether it passes everything unchanged, without clipping."""


class ActorCritic(Protocol):
    """What is read of `ppo_robot.ppo.actor_critic.ActorCritic`, which this room may not import."""

    observation_size: int
    action_size: int
    network: NetworkSpec
    actor: torch.nn.Sequential

    @property
    def observation_normaliser(self) -> Normaliser:
        """The normaliser in front of the actor."""

    def policy(self, observation: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (B, A) and log-std (A,) for observations (B, O)."""

    def bounded_log_std(self) -> Tensor:
        """Log-std (A,) inside its bounds."""


def export_bundle(
    destination: Path | str,
    actor_critic: ActorCritic,
    experiment: Experiment,
    provenance: Mapping[str, Any],
    evaluation: Mapping[str, Any] | None,
    command: str,
    parent: str | None = None,
    statistics: Statistics | None = None,
) -> str:
    """Write a policy bundle and return its id; the same arguments give the same id.

    Nothing is written unless torch and ONNX agree; an older bundle at `destination` is replaced as a whole.

    Args:
        destination: a directory that does not exist, is empty, or holds a bundle and nothing else.
        actor_critic: the trained policy.
        experiment: its robot, task and training.
        provenance: git commit, library versions, seeds, steps, CPU seconds: goes to train.json beside the config.
        evaluation: goes to eval.json; its `gates` are as `policy.gates` makes them. None: not evaluated.
        command: what made the policy, for the model card.
        parent: id of the bundle that this one was trained from.
        statistics: goes to statistics.json: what the policy saw and did while it was evaluated. None: not evaluated.

    Raises:
        BundleError: if the destination is something else than a bundle, or a part is malformed.
        RunFailedError: if torch and ONNX disagree.
        SpecError: if the network does not fit the task or the robot.
    """
    target = Path(os.path.realpath(destination))
    check_destination(target)
    files = bundle_files(actor_critic, experiment, provenance, evaluation, command, statistics)
    manifest = make_manifest(files, datetime.now(timezone.utc).isoformat(timespec="seconds"), parent)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir()
        for name, data in {**files, MANIFEST: json_bytes(manifest)}.items():
            _write(temporary / name, data)
        load_bundle(temporary, experiment.robot, experiment.task.control_period)
        _put_in_place(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return str(manifest["id"])


def bundle_files(
    actor_critic: ActorCritic,
    experiment: Experiment,
    provenance: Mapping[str, Any],
    evaluation: Mapping[str, Any] | None,
    command: str,
    statistics: Statistics | None = None,
) -> dict[str, bytes]:
    """Return the files of a bundle, all but its manifest, after torch and ONNX were found to agree."""
    robot, task = experiment.robot, experiment.task
    contract = describe(robot, task)
    sizes = (contract["observation_size"], contract["action"]["size"])
    if sizes != (actor_critic.observation_size, actor_critic.action_size):
        raise BundleError(
            f"the network maps {actor_critic.observation_size} observations to {actor_critic.action_size} actions;"
            f" task {task.name} on {robot.name} has {sizes[0]} and {sizes[1]}"
        )
    judged = check_evaluation({"gates": []} if evaluation is None else evaluation, "evaluation")
    graph = make_graph(actor_critic, contract["action"])
    runtime = PolicyRuntime(graph)
    check_parity(actor_critic, runtime)
    probe = spread_observations(actor_critic, golden.PROBES, seed=1)
    recorded = golden.record(robot, task, lambda observation: _torch_infer(actor_critic, observation), probe)
    golden.replay(recorded, robot, task, runtime.infer)
    config = plain(experiment)
    for key in ("description", "urdf_directory"):  # the one lies beside it, the other is about this machine
        config["robot"].pop(key)
    train = {**provenance, "command": command, "config": config}
    return {
        POLICY: graph,
        SPEC: json_bytes(contract),
        GOLDEN: recorded,
        TRAIN: json_bytes(train),
        EVALUATION: json_bytes(judged),
        STATISTICS: json_bytes(statistics_tree(statistics)),
        ENVELOPE: envelope_bytes(robot, task),
        CARD: model_card(robot, task, contract, provenance, judged, command).encode(),
        DESCRIPTION: robot.description.encode(),
    }


def make_graph(actor_critic: ActorCritic, action: Mapping[str, Any]) -> bytes:
    """Return the serialised ONNX graph: raw observation in; `OUTPUTS` and what the normaliser makes of it out."""
    graph = _Graph()
    graph.last = INPUT
    constants = normaliser_constants(actor_critic.observation_normaliser)
    if constants is not None:
        mean, std = constants
        clip = np.float32(actor_critic.network.observation_clip)
        graph.add("Sub", mean)
        graph.add("Div", std)
        graph.add("Clip", -clip, clip, output=NORMALISED)
    else:
        graph.add("Identity", output=NORMALISED)
    layers = list(actor_critic.actor)
    for index, layer in enumerate(layers):
        name = OUTPUTS[0] if index == len(layers) - 1 else None
        if isinstance(layer, torch.nn.Linear):
            graph.add("Gemm", _array(layer.weight), _array(layer.bias), output=name, transB=1)
        else:
            graph.add(_ACTIVATIONS[type(layer)], output=name)
    one = np.float32(1.0)
    graph.add("Clip", -one, one)
    graph.add("Mul", np.array(action["scale"], dtype=np.float32))
    graph.add("Add", np.array(action["offset"], dtype=np.float32), output=OUTPUTS[2])
    graph.expand(_array(actor_critic.bounded_log_std()), OUTPUTS[1])
    sizes = (actor_critic.action_size,) * len(OUTPUTS) + (actor_critic.observation_size,)
    inputs = [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["batch", actor_critic.observation_size])]
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", size])
        for name, size in zip((*OUTPUTS, NORMALISED), sizes, strict=True)
    ]
    model = helper.make_model(
        helper.make_graph(graph.nodes, "policy", inputs, outputs, graph.constants),
        producer_name="ppo_robot",
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def normaliser_constants(normaliser: Normaliser) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """Return mean and divisor (O,) in the precision that training normalises with, or None for the identity."""
    if normaliser.is_identity:
        return None
    return _array(normaliser.mean.float()), _array(normaliser.standard_deviation.float())


def check_parity(actor_critic: ActorCritic, runtime: PolicyRuntime) -> float:
    """Compare torch and ONNX on random observations; return the largest deviation, relative to the action's size.

    Raises:
        RunFailedError: if it is above the tolerance.
    """
    observation = spread_observations(actor_critic, PARITY_OBSERVATIONS, seed=0)
    worst = 0.0
    expected, found = _torch_infer(actor_critic, observation), runtime.infer(observation)
    for name, reference, other in zip(OUTPUTS, expected, found, strict=False):
        if not np.isfinite(reference).all():
            raise RunFailedError(f"{name}: the trained network gives numbers that are not finite; nothing was written")
        size = np.maximum(np.abs(reference).max(axis=1, keepdims=True), PARITY_FLOOR)
        worst = max(worst, float((np.abs(other - reference) / size).max()))
        if not worst <= PARITY_TOLERANCE:
            raise RunFailedError(
                f"{name}: torch and ONNX differ by {worst:.2g} of the action on {len(observation)} random observations;"
                f" allowed is {PARITY_TOLERANCE:g}; nothing was written"
            )
    return worst


def spread_observations(actor_critic: ActorCritic, count: int, seed: int) -> NDArray[np.float32]:
    """Draw observations (count, O): half as in training, half far out, beyond what the normaliser clips."""
    rng = np.random.default_rng(seed)
    normaliser = actor_critic.observation_normaliser
    shape = (count, actor_critic.observation_size)
    far = 1.5 * actor_critic.network.observation_clip
    is_near = (np.arange(count) % 2 == 0)[:, None]
    normalised = np.where(is_near, rng.normal(size=shape), rng.uniform(-far, far, shape))
    if not normaliser.is_identity:
        normalised = normaliser.mean.numpy() + normaliser.standard_deviation.numpy() * normalised
    return normalised.astype(np.float32)


def check_destination(target: Path) -> None:
    """Refuse to replace anything but a bundle.

    Raises:
        BundleError: if something lies there that is neither an empty directory nor a bundle and nothing else.
    """
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    try:
        listed = {*read_manifest(target)["files"], MANIFEST, SIGNATURE}
    except BundleError:
        raise BundleError(f"{target}: exists and is not a policy bundle; nothing was overwritten") from None
    for path in sorted(target.iterdir()):
        if path.name not in listed:
            raise BundleError(f"{target}: holds {path.name}, which is no part of a bundle; nothing was overwritten")


class _Graph:
    """A chain of ONNX nodes that grows at its end."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.last = ""

    def add(self, kind: str, *constants: Any, output: str | None = None, **attributes: Any) -> None:
        """Append a node that takes the last output and these constants."""
        inputs = [self.last, *(self.constant(value) for value in constants)]
        self.last = output or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [self.last], **attributes))

    def constant(self, value: Any) -> str:
        """Store a constant and return its name."""
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def expand(self, row: NDArray[np.float32], output: str) -> None:
        """Repeat a row (A,) for each observation of the batch."""
        columns = self.constant(np.array([len(row)], dtype=np.int64))
        self.nodes.append(helper.make_node("Shape", [INPUT], ["batch_size"], start=0, end=1))
        self.nodes.append(helper.make_node("Concat", ["batch_size", columns], ["action_shape"], axis=0))
        self.nodes.append(helper.make_node("Expand", [self.constant(row), "action_shape"], [output]))


def _torch_infer(
    actor_critic: ActorCritic, observation: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    with torch.inference_mode():
        mean, log_std = actor_critic.policy(torch.from_numpy(observation))
        return mean.numpy().copy(), log_std.expand_as(mean).numpy().copy()


def _array(tensor: Tensor) -> NDArray[np.float32]:
    return tensor.detach().numpy().copy()


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _put_in_place(new: Path, target: Path) -> None:
    """Rename the finished bundle to its place; an older one is moved aside first and comes back if that fails."""
    old = target.with_name(f".{target.name}.{os.getpid()}.old")
    had_one = target.exists()
    if had_one:
        target.rename(old)
    try:
        new.rename(target)
    except BaseException:
        if had_one:
            old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)
