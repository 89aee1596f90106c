"""The policy's recorded ticks, run again: observation, network, draw and action path."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppo_robot.errors import BadInputError, RunFailedError
from ppo_robot.policy.bundle import Bundle
from ppo_robot.policy.control_path import ControlPath
from ppo_robot.policy.draw import ActionDraw
from ppo_robot.policy.statistics import action_components, observation_components
from ppo_robot.recording.run_data import Activation
from ppo_robot.replay.difference import Difference, Findings, Gap, differing
from ppo_robot.state import RobotState
from ppo_robot.telemetry.matrix import POLICY_ARRAYS, POLICY_SCALARS

Array = NDArray[np.float64]

OBSERVATION, INFERENCE, SAMPLING, ACTION_PATH = "observation", "inference", "sampling", "action path"
STAGES = (OBSERVATION, INFERENCE, SAMPLING, ACTION_PATH)
"""Of a tick, in their order."""


class PolicyReplay:
    """Runs the ticks of one activation again.

    Each stage starts from what the stage before it recorded, so that a difference shows where it arises and does not
    go on into all that follows; where no stage differs, the whole run is the same, bit for bit. Observation and action
    path have a memory: behind a gap of the recording they cannot be compared until the policy itself begins anew.
    """

    def __init__(self, bundle: Bundle, activation: Activation) -> None:
        """Prepare.

        Raises:
            BadInputError: if the recording's columns are not those of the bundle, or it does not say how was drawn.
        """
        self._bundle = bundle
        self._ticks = activation.ticks
        _check_columns(bundle, activation)
        self._path = ControlPath(bundle.robot, bundle.task)
        self._draw = _draw_of(activation)
        self._names = {
            "observation": observation_components(bundle.contract),
            "joint_target": bundle.robot.joint_names,
            **dict.fromkeys(("mean", "std", "action"), action_components(bundle.contract)),
        }

    def run(self) -> Findings:
        """Replay every tick and return what was found."""
        sequences = self._ticks["sequence"].astype(int).tolist()
        findings = Findings(total=len(sequences))
        before, known = 0, False
        for row, sequence in enumerate(sequences):
            missed = sequence - before - 1
            if missed:
                self._draw.skip(missed, self._bundle.runtime.action_size)
                known = False
                findings.gaps.append(Gap(sequence, float(self._ticks["state_stamp"][row]), missed, 0))
            before = sequence
            if self._ticks["begun"][row]:
                self._path.reset(self._state(row))
                known = True
            elif not known and findings.gaps:
                gap = findings.gaps[-1]
                findings.gaps[-1] = Gap(gap.number, gap.time, gap.missed, gap.uncompared + 1)
            findings.add(self._tick(row, known))
        return findings

    def _tick(self, row: int, known: bool) -> list[Difference]:
        """Replay one tick; without a `known` memory of the path only what needs none."""
        found: list[Difference] = []
        observation = self._ticks["observation"][row].astype(np.float32)
        if known:
            goal = self._ticks["goal_position"][row][None]
            seen = self._path.observe(self._state(row), goal)[0]
            found += self._compare(row, OBSERVATION, "observation", seen)
        try:
            mean, log_std = self._bundle.runtime.infer(observation[None])
            found += self._compare(row, INFERENCE, "mean", mean[0])
            found += self._compare(row, INFERENCE, "std", self._draw.std(log_std)[0])
        except RunFailedError as error:
            found.append(self._difference(row, INFERENCE, str(error), "finite", "not finite"))
        recorded_mean, recorded_std = (self._ticks[name][row].astype(np.float32)[None] for name in ("mean", "std"))
        action, log_probability = self._draw.choose(recorded_mean, recorded_std)
        found += self._compare(row, SAMPLING, "action", action[0])
        expected = float(self._ticks["log_probability"][row])
        if log_probability != expected:
            found.append(self._difference(row, SAMPLING, "log_probability", expected, log_probability))
        if known:
            found += self._targets(row)
        return found

    def _targets(self, row: int) -> list[Difference]:
        try:
            target = self._path.apply(self._ticks["action"][row].astype(np.float32)[None])[0]
        except ValueError as error:  # no policy publishes such an action: the recording is damaged
            return [self._difference(row, ACTION_PATH, str(error), "not finite", "refused")]
        return self._compare(row, ACTION_PATH, "joint_target", target)

    def _compare(self, row: int, stage: str, column: str, replayed: NDArray[Any]) -> list[Difference]:
        recorded = self._ticks[column][row].astype(replayed.dtype)
        names = self._names[column]
        label = "" if column == OBSERVATION else f"{column}/"
        return [
            self._difference(row, stage, label + names[place], float(recorded[place]), float(replayed[place]))
            for place in differing(recorded, replayed).tolist()
        ]

    def _difference(
        self, row: int, stage: str, term: str, recorded: float | str, replayed: float | str
    ) -> Difference:
        number, time = int(self._ticks["sequence"][row]), float(self._ticks["state_stamp"][row])
        return Difference(number, time, stage, term, recorded, replayed)

    def _state(self, row: int) -> RobotState:
        ticks = self._ticks
        position, velocity, effort = (ticks[f"joint_{name}"][row] for name in ("position", "velocity", "effort"))
        age = float(ticks["tick_began"][row] - ticks["state_received"][row])
        return RobotState.of_joints(position, velocity, effort, float(ticks["state_stamp"][row]), age)


def _draw_of(activation: Activation) -> ActionDraw:
    info = activation.info
    action, seed, maximum = info.get("action"), info.get("seed"), info.get("maximum_std")
    if not info and not activation.ticks["std"].any():
        action, seed = "deterministic", 0  # a draw has a std
    if action not in ("deterministic", "stochastic") or not isinstance(seed, int):
        raise BadInputError(
            "policy/info: neither action mode nor seed of these ticks was recorded, and they are drawn; expected the"
            " topic policy/info in the recording"
        )
    return ActionDraw(action, seed, None if maximum is None else float(maximum))


def _check_columns(bundle: Bundle, activation: Activation) -> None:
    """Refuse ticks that this bundle cannot have made."""
    ticks = activation.ticks
    missing = [name for name in (*POLICY_SCALARS, *POLICY_ARRAYS) if name not in ticks]
    if missing:
        raise BadInputError(f"policy/telemetry: no {', '.join(missing)}; expected the columns of this version")
    joints, actions = len(bundle.robot.joints), bundle.runtime.action_size
    expected = dict.fromkeys(("joint_position", "joint_velocity", "joint_effort", "joint_target"), joints)
    expected |= dict.fromkeys(("mean", "std", "action"), actions)
    expected |= {"goal_position": 3, "observation": bundle.runtime.observation_size}
    for name, width in expected.items():
        if ticks[name].shape[1] != width:
            raise BadInputError(
                f"policy/telemetry: {name} has {ticks[name].shape[1]} components; the bundle {bundle.path} has {width}:"
                " it is another policy's; give the one that was recorded: --bundle DIR"
            )
