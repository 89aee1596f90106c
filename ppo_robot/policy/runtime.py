"""Runs a policy's ONNX graph: onnxruntime on one thread, no torch; for one robot a small network in numpy."""

from __future__ import annotations

import contextlib
import math
from typing import NamedTuple

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from ppo_robot.errors import BundleError, RunFailedError
from ppo_robot.policy.small_network import small_network

Array32 = NDArray[np.float32]

INPUT = "observation"
OUTPUTS = ("action_mean", "action_log_std", "action_scaled")
NORMALISED = "observation_normalised"

_HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)


class Action(NamedTuple):
    """What the policy chose for B robots.

    Attributes:
        action: (B, A) float32; not yet clipped to [-1, 1], which is the action path's part.
        log_probability: (B,) float32, nats, the density of `action` under the policy.
    """

    action: Array32
    log_probability: Array32


class PolicyRuntime:
    """A policy ready to run: raw observations in, mean and log-std of the action out.

    Not for use by two threads at once: a single observation goes through buffers that are bound to the session.
    """

    def __init__(self, model: bytes) -> None:
        """Load the serialised ONNX graph.

        Raises:
            BundleError: if onnxruntime cannot run it, or its inputs and outputs are not those of a policy.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors have no common base but Exception
            reason = " ".join(str(error).split())[:200]
            raise BundleError(f"policy.onnx: onnxruntime cannot run it ({reason})") from None
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        _check_names(inputs, (INPUT,), "input")
        _check_names(outputs, (*OUTPUTS, NORMALISED), "output")
        self.observation_size = _width([*inputs, outputs[-1]], "observation")
        self.action_size = _width(outputs[:-1], "output")
        self._single_input = np.zeros((1, self.observation_size), dtype=np.float32)
        self._small = small_network(model, (OUTPUTS[0], OUTPUTS[1], NORMALISED))
        if self._small is None:
            self._bind_single()

    def infer(self, observation: Array32) -> tuple[Array32, Array32]:
        """Return mean and log-std (B, A), float32, of the action for observations (B, O) float32.

        Raises:
            ValueError: if the observation has another shape or type.
            RunFailedError: if an input or output is not finite; it names the components.
        """
        if len(observation) == 1:
            self.take(observation)
            return self.answer()
        self._check(observation)
        mean, log_std = self._session.run(OUTPUTS[:2], {INPUT: observation})
        return _checked(mean, log_std)

    def take(self, observation: Array32) -> None:
        """Check a single observation (1, O) float32 and lay it before the network, for `answer`.

        Raises:
            ValueError, RunFailedError: as `infer`.
        """
        self._check(observation)
        self._single_input[:] = observation

    def answer(self) -> tuple[Array32, Array32]:
        """Return mean and log-std (1, A), float32, of the action for the observation that was taken.

        Raises:
            RunFailedError: if they are not finite.
        """
        small = self._small
        if small is not None:
            mean = small.run(self._single_input[0])[None].copy()
            if math.isfinite(np.add.reduce(mean, axis=None)):
                return mean, small.log_std
            return _checked(mean, small.log_std)
        self._session.run_with_iobinding(self._binding)
        answer = self._single_answer.copy()
        mean, log_std = answer[:1], answer[1:]
        if math.isfinite(np.add.reduce(answer, axis=None)):  # both at once, for the tick's sake
            return mean, log_std
        return _checked(mean, log_std)

    def rehearse(self) -> None:
        """Run the last single observation again, for nothing but to have all of `infer` in the processor's caches.

        After 20 ms of sleep they are cold, and a run takes ten times as long as the next one.
        """
        with contextlib.suppress(RunFailedError):  # who asks for an answer is told
            self.infer(self._single_input.copy())

    def act(self, observation: Array32, generator: np.random.Generator | None = None) -> Action:
        """Return the mean action for observations (B, O), or with a generator one drawn from the policy.

        Raises:
            ValueError, RunFailedError: as `infer`.
        """
        mean, log_std = self.infer(observation)
        if generator is None:
            noise, action = np.zeros_like(mean), mean
        else:
            noise = generator.standard_normal(mean.shape, dtype=np.float32)
            action = (mean + np.exp(log_std) * noise).astype(np.float32)
        # log N(action; mean, std) with action = mean + std * noise (Bishop 2006, equation 2.43, diagonal covariance)
        log_probability = -0.5 * np.square(noise).sum(axis=1) - (log_std + np.float32(_HALF_LOG_TWO_PI)).sum(axis=1)
        return Action(action, log_probability)

    def scaled(self, observation: Array32) -> Array32:
        """Return the mean action clipped and in SI units (B, A), before filter and limits, for observations (B, O)."""
        scaled: Array32 = self._session.run([OUTPUTS[2]], {INPUT: observation})[0]
        return scaled

    def normalised(self, observation: Array32) -> Array32:
        """Return what the network itself gets to see of observations (B, O): normalised and clipped, (B, O)."""
        normalised: Array32 = self._session.run([NORMALISED], {INPUT: observation})[0]
        return normalised

    @property
    def seen(self) -> Array32:
        """What the network itself got to see of the last single observation, (1, O); the next one overwrites it."""
        return self._single_seen if self._small is None else self._small.seen[None]

    def _check(self, observation: Array32) -> None:
        if observation.dtype != np.float32 or observation.shape[1:] != (self.observation_size,):
            raise ValueError(
                f"observation: given {observation.dtype} {observation.shape};"
                f" expected float32 (batch, {self.observation_size})"
            )
        _require_finite(observation, "observation")

    def _bind_single(self) -> None:
        """Bind buffers for one observation: it spares the allocations and checks of `run`, a third of its time."""
        cpu = ("cpu", 0)
        self._single_answer = np.zeros((2, self.action_size), dtype=np.float32)  # mean and log-std
        self._single_seen = np.zeros((1, self.observation_size), dtype=np.float32)
        self._binding = self._session.io_binding()
        buffer = self._single_input
        self._binding.bind_input(INPUT, *cpu, np.float32, buffer.shape, buffer.ctypes.data)
        mean, log_std = self._single_answer[:1], self._single_answer[1:]
        outputs = {OUTPUTS[0]: mean, OUTPUTS[1]: log_std, NORMALISED: self._single_seen}
        for name, buffer in outputs.items():
            self._binding.bind_output(name, *cpu, np.float32, buffer.shape, buffer.ctypes.data)


def _checked(mean: Array32, log_std: Array32) -> tuple[Array32, Array32]:
    _require_finite(mean, "action mean")
    _require_finite(log_std, "action log-std")
    return mean, log_std


def _require_finite(values: Array32, what: str) -> None:
    # A sum is finite only if every summand is, and one call costs a third of isfinite and all: a tick makes three.
    if not math.isfinite(np.add.reduce(values, axis=None)) and not np.isfinite(values).all():
        columns = np.flatnonzero(~np.isfinite(values).all(axis=0)).tolist()
        raise RunFailedError(f"{what}: components {columns} are not finite; the policy cannot be trusted with that")


def _check_names(nodes: list[onnxruntime.NodeArg], names: tuple[str, ...], kind: str) -> None:
    found = tuple(node.name for node in nodes)
    if found != names:
        raise BundleError(f"policy.onnx: {kind}s are {', '.join(found)}; expected {', '.join(names)}")


def _width(nodes: list[onnxruntime.NodeArg], kind: str) -> int:
    """Return the common second dimension of inputs or outputs, all float32 (batch, n)."""
    widths = set()
    for node in nodes:
        if node.type != "tensor(float)" or len(node.shape) != 2 or not isinstance(node.shape[1], int):
            raise BundleError(f"policy.onnx: {kind} {node.name} is {node.type} {node.shape}; expected float (batch, n)")
        widths.add(node.shape[1])
    if len(widths) != 1:
        raise BundleError(f"policy.onnx: {kind}s differ in width: {sorted(widths)}")
    return int(widths.pop())
