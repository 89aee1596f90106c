"""golden.npz: recorded states, and what the policy made of them; a bundle that answers otherwise is refused."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import fields

import numpy as np
from numpy.typing import NDArray

from ppo_robot.errors import BundleError
from ppo_robot.policy.flight_path import AnyPath, make_path
from ppo_robot.policy.golden_states import make_states
from ppo_robot.policy.manifest import GOLDEN
from ppo_robot.spec.kinds import AnyRobot, AnyTask
from ppo_robot.state import RobotState

Array = NDArray[np.float64]
Infer = Callable[[NDArray[np.float32]], tuple[NDArray[np.float32], NDArray[np.float32]]]
"""Observations (B, O) to the action's mean and log-std, (B, A) each."""

TICKS, SEQUENCES, PROBES = 32, 4, 128
MINIMUM_STATES = 64
SINGLE_ROWS = 8
"""Rows that are replayed one by one too, as the robot will ask."""

TOLERANCES = {"observation": 1e-6, "action_mean": 1e-5, "action_log_std": 1e-6, "output": 1e-9}
"""|found - expected| <= tolerance * max(1, |expected|); a bundle may ask for less, never for more.

`output` is what the policy tells its robot: `joint_target`, or the `command` of a floating one."""

_STATE = tuple(field.name for field in fields(RobotState))


def record(robot: AnyRobot, task: AnyTask, infer: Infer, probe: NDArray[np.float32], seed: int = 0) -> bytes:
    """Return golden.npz for a policy.

    S sequences of T ticks cover history and filter: half of them follow their targets as a robot would, half jump
    anywhere inside the limits; half of them apply the mean action, half one that strays beyond [-1, 1].

    Args:
        robot: whose states.
        task: whose observation and action.
        infer: the policy that is the reference.
        probe: (P, O) observations far from the states, so that every input of the network counts.
        seed: of the states; the same seed gives the same bytes.
    """
    rng = np.random.default_rng(seed)
    path = make_path(robot, task, SEQUENCES)
    states = make_states(path, task)
    state = states.first(rng)
    path.reset(state)
    rows = np.arange(SEQUENCES)
    strays = (rows >= SEQUENCES // 2)[:, None]
    recorded: dict[str, list[NDArray[np.generic]]] = {}
    for tick in range(TICKS):
        if tick % (TICKS // 2) == 0:
            goal = states.goals(rows, rng)
        observation = path.observe(state, goal)
        mean, log_std = infer(observation)
        applied = (mean + strays * rng.uniform(-1.5, 1.5, mean.shape)).astype(np.float32)
        target = path.apply(applied)
        entry = {f"state_{name}": getattr(state, name) for name in _STATE} | {
            "goal_position": goal,
            "observation": observation,
            "action_mean": mean,
            "action_log_std": log_std,
            "applied_action": applied,
            path.output: target,
        }
        for name, value in entry.items():
            recorded.setdefault(name, []).append(value.copy())
        state = states.following(state, target, rng)
    arrays: dict[str, NDArray[np.generic]] = {name: np.stack(values) for name, values in recorded.items()}
    arrays["probe_observation"] = probe
    arrays["probe_action_mean"], arrays["probe_action_log_std"] = infer(probe)
    for name, tolerance in _tolerances(path).items():
        arrays[f"tolerance_{name}"] = np.float64(tolerance)  # type: ignore[assignment]
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def replay(data: bytes, robot: AnyRobot, task: AnyTask, infer: Infer) -> dict[str, float]:
    """Replay golden.npz and return the largest deviation of each quantity, as a share of its tolerance.

    Each step starts from what was recorded, so that a deviation shows where it arises: in the observer, the network or
    the action path.

    Raises:
        BundleError: if the file is malformed, or a quantity deviates by more than its tolerance.
    """
    arrays = _read(data)
    path = make_path(robot, task)
    _check_shapes(arrays, path)
    path = make_path(robot, task, arrays["goal_position"].shape[1])
    observation, target = [], []
    for tick, goal in enumerate(arrays["goal_position"]):
        state = RobotState(*(arrays[f"state_{name}"][tick].copy() for name in _STATE))
        if tick == 0:
            path.reset(state)
        observation.append(path.observe(state, goal))
        target.append(path.apply(arrays["applied_action"][tick]))
    # The targets first: they are part of what is observed.
    worst = {path.output: _compare(np.stack(target), arrays[path.output], arrays, path.output, path.output_names)}
    sizes = path.observer.sizes(path.example())
    labels = [term for term, size in sizes.items() for _ in range(size)]
    worst["observation"] = _compare(np.stack(observation), arrays["observation"], arrays, "observation", labels)
    rows = arrays["observation"].reshape(-1, arrays["observation"].shape[-1]).astype(np.float32)
    for prefix, inputs in (("", rows), ("probe_", arrays["probe_observation"].astype(np.float32))):
        for some in (slice(None), *(slice(row, row + 1) for row in range(min(SINGLE_ROWS, len(inputs))))):
            for name, values in zip(("action_mean", "action_log_std"), _run(infer, inputs[some]), strict=True):
                expected = arrays[prefix + name].reshape(-1, values.shape[-1])[some]
                share = _compare(values, expected, arrays, name)
                worst[name] = max(worst.get(name, 0.0), share)
    return worst


def _run(infer: Infer, observation: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    try:
        return infer(observation)
    except Exception as error:  # onnxruntime's errors have no common base but Exception
        reason = " ".join(str(error).split())[:200]
        raise BundleError(f"{GOLDEN}: the policy fails on the recorded observations ({reason})") from None


def _tolerances(path: AnyPath) -> dict[str, float]:
    return {path.output if name == "output" else name: tolerance for name, tolerance in TOLERANCES.items()}


def _compare(
    found: NDArray[np.floating],
    expected: NDArray[np.generic],
    arrays: dict[str, NDArray[np.generic]],
    name: str,
    labels: Sequence[str] | None = None,
) -> float:
    """Return the largest deviation as a share of the tolerance.

    Raises:
        BundleError: if the shapes differ or the share is above 1.
    """
    if found.shape != expected.shape:
        raise BundleError(f"{GOLDEN}: {name} has shape {expected.shape}; this bundle gives {found.shape}")
    tolerance = float(arrays[f"tolerance_{name}"])  # type: ignore[arg-type]
    reference = expected.astype(np.float64)
    share = np.abs(found - reference) / (tolerance * np.maximum(1.0, np.abs(reference)))
    worst = float(share.max())
    if not worst <= 1.0:  # NaN counts as wrong
        place = np.unravel_index(int(np.argmax(np.nan_to_num(share, nan=np.inf))), share.shape)
        label = f" '{labels[int(place[-1])]}'" if labels else f" component {int(place[-1])}"
        raise BundleError(
            f"{GOLDEN}: {name}{label} is {float(found[place]):.9g}; recorded was {float(reference[place]):.9g}"
            f" (tolerance {tolerance:g}): this bundle does not act as it was trained to"
        )
    return worst


def _read(data: bytes) -> dict[str, NDArray[np.generic]]:
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, OSError, EOFError, KeyError, NotImplementedError, zipfile.BadZipFile) as error:
        raise BundleError(f"{GOLDEN}: cannot be read ({' '.join(str(error).split())})") from None


def _check_shapes(arrays: dict[str, NDArray[np.generic]], path: AnyPath) -> None:
    """Refuse a file that would prove nothing: an array missing or empty, too few states, a tolerance too wide."""
    sequences = ("goal_position", "observation", "action_mean", "action_log_std", "applied_action", path.output)
    probes = ("probe_observation", "probe_action_mean", "probe_action_log_std")
    wanted = (*(f"state_{name}" for name in _STATE), *sequences, *probes)
    for name in (*wanted, *(f"tolerance_{name}" for name in _tolerances(path))):
        if name not in arrays:
            raise BundleError(f"{GOLDEN}: array '{name}' is missing")
        if arrays[name].dtype.kind != "f" or not np.isfinite(arrays[name]).all():  # type: ignore[call-overload]
            raise BundleError(f"{GOLDEN}: array '{name}' holds something else than finite numbers")
    ticks, batch = arrays["goal_position"].shape[:2] if arrays["goal_position"].ndim == 3 else (0, 0)
    if ticks * batch < MINIMUM_STATES:
        raise BundleError(f"{GOLDEN}: holds {ticks * batch} states; expected at least {MINIMUM_STATES}")
    zeros = RobotState.zeros(batch, path.example().state.joint_position.shape[1])
    shapes = {f"state_{name}": getattr(zeros, name).shape for name in _STATE}
    shapes |= {name: (batch, *arrays[name].shape[2:]) for name in sequences}
    shapes |= {"goal_position": (batch, path.goal_size), "applied_action": (batch, len(path.output_names))}
    for name, shape in shapes.items():
        if arrays[name].shape != (ticks, *shape):
            raise BundleError(f"{GOLDEN}: array '{name}' has shape {arrays[name].shape}; expected {(ticks, *shape)}")
    if not all(len(arrays[name]) == len(arrays["probe_observation"]) >= MINIMUM_STATES for name in probes):
        raise BundleError(f"{GOLDEN}: expected at least {MINIMUM_STATES} probes in each of {', '.join(probes)}")
    for name, limit in _tolerances(path).items():
        if not 0.0 < float(arrays[f"tolerance_{name}"]) <= limit:  # type: ignore[arg-type]
            raise BundleError(f"{GOLDEN}: tolerance_{name} is {arrays[f'tolerance_{name}']}; expected at most {limit}")
