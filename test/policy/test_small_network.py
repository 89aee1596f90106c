"""Tests for ppo_robot.policy.small_network and onnx_file: the same network as onnxruntime's, or none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from ppo_robot.policy.export import make_graph
from ppo_robot.policy.onnx_file import read_graph
from ppo_robot.policy.runtime import INPUT, NORMALISED, OUTPUTS, PolicyRuntime
from ppo_robot.policy.small_network import SmallNetwork, small_network
from ppo_robot.ppo.actor_critic import ActorCritic
from ppo_robot.spec.training import NetworkSpec

NAMES = (OUTPUTS[0], OUTPUTS[1], NORMALISED)
ACTION = {"scale": [0.5, 0.25], "offset": [0.0, 1.0]}
SIZE = 5


def graph(network: NetworkSpec | None = None, normalised: bool = True) -> bytes:
    generator = torch.Generator().manual_seed(3)
    network = network or NetworkSpec(hidden_sizes=(7, 6), last_layer_gain=1.0)
    actor = ActorCritic(SIZE, SIZE, 2, network, generator)
    if normalised:
        actor.observation_normaliser.update(3.0 + 2.0 * torch.randn(200, SIZE, generator=generator))
    return make_graph(actor, ACTION)


def changed(change: Callable[[onnx.ModelProto], None]) -> bytes:
    model = onnx.load_from_string(graph())
    change(model)
    return bytes(model.SerializeToString())


def observations(count: int = 500) -> np.ndarray:
    return np.random.default_rng(0).normal(3.0, 20.0, size=(count, SIZE)).astype(np.float32)


@pytest.mark.parametrize("normalised", [True, False])
@pytest.mark.parametrize("activation", ["tanh", "elu", "relu"])
@pytest.mark.parametrize("hidden_sizes", [(7,), (16, 8, 4)])
def test_it_answers_as_onnxruntime_does(normalised: bool, activation: str, hidden_sizes: tuple[int, ...]) -> None:
    network = NetworkSpec(hidden_sizes=hidden_sizes, activation=activation, last_layer_gain=1.0)
    model = graph(network, normalised)
    small, runtime, rows = small_network(model, NAMES), PolicyRuntime(model), observations()
    assert small is not None
    mean, log_std = runtime.infer(rows)
    found = np.stack([small.run(row).copy() for row in rows])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, mean, rtol=2e-6, atol=2e-6 * np.abs(mean).max())
    assert np.array_equal(small.log_std, log_std[:1])
    seen = [(small.run(row), small.seen.copy())[1] for row in rows]
    assert np.array_equal(np.stack(seen), runtime.normalised(rows))
    assert not normalised or (np.abs(seen) == 10.0).any()  # so that the clip is covered


def test_a_layer_by_hand() -> None:
    """mean = max(0, x W^T + b): one unit that is on, one that is off."""
    layer = [np.array([[1.0, 2.0], [-1.0, 0.5]], np.float32), np.array([0.25, -1.0], np.float32)]
    nodes = [
        helper.make_node("Identity", [INPUT], [NORMALISED]),
        helper.make_node("Gemm", [NORMALISED, "w", "b"], ["h"], transB=1),
        helper.make_node("Relu", ["h"], [OUTPUTS[0]]),
        *(helper.make_node(name, ["x"], ["y"]) for name in ("Clip", "Mul", "Add", "Shape", "Concat")),
        helper.make_node("Expand", ["s", "shape"], [OUTPUTS[1]]),
    ]
    constants = dict(zip(("w", "b", "s"), (*layer, np.array([-1.0, 0.5], np.float32)), strict=True))
    tensors = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    small = small_network(helper.make_model(helper.make_graph(nodes, "g", [], [], tensors)).SerializeToString(), NAMES)
    assert isinstance(small, SmallNetwork)
    assert small.run(np.array([3.0, -1.0], np.float32)).tolist() == [1.25, 0.0]
    assert small.log_std.tolist() == [[-1.0, 0.5]]


def other_scale(model: onnx.ModelProto) -> None:
    gemm = next(node for node in model.graph.node if node.op_type == "Gemm")
    gemm.attribute.append(helper.make_attribute("alpha", 2.0))


def other_operator(model: onnx.ModelProto) -> None:
    next(node for node in model.graph.node if node.op_type == "Tanh").op_type = "Sigmoid"


def other_way(model: onnx.ModelProto) -> None:
    first, second = [node for node in model.graph.node if node.op_type == "Gemm"][:2]
    second.input[0] = first.input[0]


def other_precision(model: onnx.ModelProto) -> None:
    weight = next(one for one in model.graph.initializer if len(one.dims) == 2)
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight).astype(np.float64), weight.name))


def other_name(model: onnx.ModelProto) -> None:
    next(node for node in model.graph.node if OUTPUTS[0] in node.output).output[0] = "mean"


def no_number(model: onnx.ModelProto) -> None:
    expand = next(node for node in model.graph.node if node.op_type == "Expand")
    constant = next(one for one in model.graph.initializer if one.name == expand.input[0])
    constant.CopyFrom(numpy_helper.from_array(np.full(2, np.nan, np.float32), constant.name))


@pytest.mark.parametrize(
    "change",
    [other_scale, other_operator, other_way, other_precision, other_name, no_number],
    ids=lambda one: one.__name__,
)
def test_another_graph_is_left_to_onnxruntime(change: Callable[[onnx.ModelProto], None]) -> None:
    assert small_network(changed(lambda model: None), NAMES) is not None
    assert small_network(changed(change), NAMES) is None


def test_a_large_network_is_left_to_onnxruntime_and_answers() -> None:
    model = graph(NetworkSpec(hidden_sizes=(100, 100), last_layer_gain=1.0))
    assert small_network(model, NAMES) is None
    runtime, rows = PolicyRuntime(model), observations(20)
    mean, log_std = runtime.infer(rows)
    for row in range(20):
        one_mean, one_log_std = runtime.infer(rows[row : row + 1])
        np.testing.assert_allclose(one_mean[0], mean[row], rtol=1e-5, atol=1e-5)
        assert np.array_equal(one_log_std[0], log_std[row])
        assert np.array_equal(runtime.seen, runtime.normalised(rows[row : row + 1]))


def test_a_torn_file_is_no_network() -> None:
    model = graph()
    whole = len(model) - 32  # behind the graph comes the version of its operators
    assert all(small_network(model[:length], NAMES) is None for length in range(whole))


def test_the_graph_is_read_as_the_package_onnx_reads_it() -> None:
    model = onnx.load_from_string(graph())
    nodes, constants = read_graph(model.SerializeToString())
    assert [(node.operator, node.inputs, node.outputs) for node in nodes] == [
        (node.op_type, tuple(node.input), tuple(node.output)) for node in model.graph.node
    ]
    floats = [one for one in model.graph.initializer if one.data_type == TensorProto.FLOAT]
    assert set(constants) == {one.name for one in floats}
    for one in floats:
        assert np.array_equal(constants[one.name], numpy_helper.to_array(one))


def test_the_shipped_policies_are_small() -> None:
    policies = Path(__file__).resolve().parents[2] / "config" / "policies"
    for name in ("reach", "drone_waypoint"):
        assert small_network((policies / name / "policy.onnx").read_bytes(), NAMES) is not None
