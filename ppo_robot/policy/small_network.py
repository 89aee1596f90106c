"""A small policy network in numpy, for one observation at a time.

After 20 ms of sleep a processor's caches are cold, and most of what onnxruntime then takes for three products of 64
numbers is its own way there: 100 us at the 99th percentile, and this 50.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ppo_robot.policy.onnx_file import Node, read_graph

Array32 = NDArray[np.float32]

LARGEST_LAYER = 9216
"""Weights: below that OpenBLAS multiplies in one thread (its interface/gemv.c); threads that wake up take longer, and
the sum would depend on their number."""

NORMALISER = ("Sub", "Div", "Clip")
TAIL = ("Clip", "Mul", "Add", "Shape", "Concat", "Expand")


def _tanh(values: Array32, spare: Array32) -> None:
    np.tanh(values, out=values)


def _relu(values: Array32, spare: Array32) -> None:
    np.maximum(values, 0.0, out=values)


def _elu(values: Array32, spare: Array32) -> None:
    np.minimum(values, 0.0, out=spare)
    np.expm1(spare, out=spare)
    np.maximum(values, 0.0, out=values)
    np.add(values, spare, out=values)


ACTIVATIONS: dict[str, Callable[[Array32, Array32], None]] = {"Tanh": _tanh, "Relu": _relu, "Elu": _elu}


class Layer(NamedTuple):
    """weight (n, m), bias (n,), the activation or None, and room for two results (n,)."""

    weight: Array32
    bias: Array32
    activation: Callable[[Array32, Array32], None] | None
    values: Array32
    spare: Array32


class SmallNetwork:
    """The network of a policy graph as `policy.export` makes it; not for use by two threads at once.

    Attributes:
        seen: (O,) float32, what the layers got to see of the last observation; the next one overwrites it.
        log_std: (1, A) float32, of every action.
    """

    def __init__(
        self, normaliser: tuple[Array32, Array32, Array32, Array32] | None, layers: list[Layer], log_std: Array32
    ) -> None:
        """Take mean, divisor, lowest and highest (O,) of the normaliser, or None; the layers; log-std (A,)."""
        self._normaliser = normaliser
        self._layers = layers
        self.seen = np.zeros(layers[0].weight.shape[1], dtype=np.float32)
        self.log_std = log_std[None].copy()
        self.log_std.flags.writeable = False

    def run(self, observation: Array32) -> Array32:
        """Return the action's mean (A,) for an observation (O,), all float32; the next run overwrites it."""
        seen = self.seen
        if self._normaliser is None:
            seen[:] = observation
        else:
            mean, divisor, lowest, highest = self._normaliser
            np.subtract(observation, mean, out=seen)
            np.divide(seen, divisor, out=seen)
            np.minimum(seen, highest, out=seen)
            np.maximum(seen, lowest, out=seen)
        values = seen
        for weight, bias, activation, into, spare in self._layers:
            np.dot(weight, values, out=into)
            np.add(into, bias, out=into)
            if activation is not None:
                activation(into, spare)
            values = into
        return values


def small_network(model: bytes, names: tuple[str, str, str]) -> SmallNetwork | None:
    """Return the network of an ONNX model, or None where it is another kind of graph, or a large one.

    `names` are those of the mean, the log-std and the normalised observation in the graph.
    """
    try:
        nodes, constants = read_graph(model)
        return _build(nodes, constants, names)
    except (ValueError, KeyError, IndexError):  # not made by `policy.export`
        return None


def _build(nodes: list[Node], constants: dict[str, Array32], names: tuple[str, str, str]) -> SmallNetwork | None:
    operators = tuple(node.operator for node in nodes)
    head = len(NORMALISER) if operators[: len(NORMALISER)] == NORMALISER else 1
    tail = len(nodes) - len(TAIL)
    if operators[tail:] != TAIL or (head == 1 and operators[0] != "Identity"):
        return None
    chain = nodes[:tail]
    linked = all(node.inputs[0] == before.outputs[0] for before, node in zip(chain, chain[1:], strict=False))
    if not linked or (chain[-1].outputs[0], nodes[-1].outputs[0], chain[head - 1].outputs[0]) != names:
        return None
    layers = _layers(chain[head:], constants)
    log_std = constants[nodes[-1].inputs[0]]
    large = layers is None or any(layer.weight.size > LARGEST_LAYER for layer in layers)
    if layers is None or large or not np.isfinite(log_std).all():
        return None
    return SmallNetwork(_normaliser(chain[:head], constants), layers, log_std)


def _normaliser(nodes: list[Node], constants: dict[str, Array32]) -> tuple[Array32, Array32, Array32, Array32] | None:
    if len(nodes) == 1:
        return None
    subtract, divide, clip = nodes
    mean = constants[subtract.inputs[1]]
    lowest, highest = (np.full_like(mean, constants[name]) for name in clip.inputs[1:])
    return mean, constants[divide.inputs[1]], lowest, highest


def _layers(nodes: list[Node], constants: dict[str, Array32]) -> list[Layer] | None:
    layers: list[Layer] = []
    for node in nodes:
        if node.operator == "Gemm" and node.attributes == {"transB": 1}:
            weight, bias = (constants[name] for name in node.inputs[1:])
            values = np.zeros_like(bias)
            layers.append(Layer(weight, bias, None, values, np.zeros_like(bias)))
        elif node.operator in ACTIVATIONS and not node.attributes and layers and layers[-1].activation is None:
            layers[-1] = layers[-1]._replace(activation=ACTIVATIONS[node.operator])
        else:
            return None
    return layers or None
