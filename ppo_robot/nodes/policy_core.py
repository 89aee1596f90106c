"""The policy node without ROS: bundle, input, goal, one tick. Everything that can go wrong is a counted reason."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ppo_robot.errors import BadInputError, PpoRobotError
from ppo_robot.joint_input import JointInput, JointMessage, Refusal
from ppo_robot.mdp.goals import check_goal
from ppo_robot.policy.bundle import Bundle
from ppo_robot.policy.draw import ActionDraw
from ppo_robot.spec.deployment import PolicyNodeSpec

Array = NDArray[np.float64]


@dataclass(frozen=True)
class PolicyAction:
    """What one tick gave: targets, and all that is needed to follow or replay it.

    Attributes:
        sequence: counts the ticks that acted, from 1.
        joint_target: (J,) in the order of `joint_names`, rad.
        state_stamp: s, the stamp of the state that it was computed from.
        observation: (O,) float32.
        mean: (A,) float32.
        std: (A,) float32, after the cap; zero where the action is deterministic.
        action: (A,) float32, as drawn.
        log_probability: nats.
        state_age: s, from receipt of the state to the start of the tick.
        inference_seconds: s, of the network alone.
        tick_seconds: s, from the start of the tick to the targets.
    """

    sequence: int
    joint_target: Array
    state_stamp: float
    observation: NDArray[np.float32]
    mean: NDArray[np.float32]
    std: NDArray[np.float32]
    action: NDArray[np.float32]
    log_probability: float
    state_age: float
    inference_seconds: float
    tick_seconds: float


class PolicyCore:
    """A bundle at the controls of one robot.

    `accept` and `set_goal` are called from the executor's thread, `tick` from the control loop's.
    """

    def __init__(self, bundle: Bundle, spec: PolicyNodeSpec, now: Callable[[], float] = time.monotonic) -> None:
        """Prepare; the robot is not acted upon before `activate`. `now` is the clock of timeouts, s."""
        self.bundle = bundle
        self.spec = spec
        self.now = now
        self.runner = bundle.runner(1)
        self.counters: Counter[str] = Counter()
        self.input = JointInput(bundle.robot.joint_names, spec.state_timeout, spec.future_tolerance)
        self._goal: Array | None = None
        self._draw = ActionDraw(spec.action, spec.seed, spec.maximum_std)
        self._sequence = 0
        self._begun = False

    @property
    def joint_names(self) -> tuple[str, ...]:
        """The order of every joint target."""
        return self.bundle.robot.joint_names

    @property
    def goal(self) -> Array | None:
        """The goal (3,) m in the base frame, or None before the first."""
        return self._goal

    def accept(self, message: JointMessage, ros_now: float) -> Refusal | None:
        """Take a joint state message; return why it was refused, or None."""
        return self.input.accept(message, ros_now, self.now())

    def set_goal(self, position: Array) -> None:
        """Send the tool to (3,) m in the base frame, from the next tick on.

        Raises:
            BadInputError: if it lies outside the workspace; the goal before stays.
        """
        check_goal(position, self.bundle.robot.workspace)
        self._goal = position.copy()

    def activate(self, seed: int) -> None:
        """Begin: random stream from `seed`, history and targets from the next state.

        Raises:
            BadInputError: if there is no fresh state.
        """
        if self.input.state(self.now()) is None:
            raise BadInputError(f"no joint state younger than {self.spec.state_timeout} s: is the robot publishing?")
        self._draw = ActionDraw(self.spec.action, seed, self.spec.maximum_std)
        self._begun = False
        self._sequence = 0

    def deactivate(self) -> None:
        """Forget the goal, so that a later activation does not start towards an old one."""
        self._goal = None

    def tick(self) -> PolicyAction | None:
        """Run one control period; None, with a counted reason, where there is no fresh state or no goal.

        After a gap the targets begin anew at the measured pose: the robot may have been moved meanwhile.
        """
        began = time.perf_counter()
        goal, state = self._goal, self.input.state(self.now())
        if state is None or goal is None:
            self.counters["state_stale" if state is None else "no_goal"] += 1
            self._begun = False
            return None
        path = self.runner.path
        if not self._begun:
            self.runner.reset(state)
            self._begun = True
        try:
            observation = path.observe(state, goal[None])
            inference_began = time.perf_counter()
            mean, log_std = self.bundle.runtime.infer(observation)
            std = self._draw.std(log_std)
            action, log_probability = self._draw.choose(mean, std)
            inference_ended = time.perf_counter()
            target = path.apply(action)
        except (PpoRobotError, ValueError):
            self.counters["not_finite"] += 1
            self._begun = False
            return None
        self._sequence += 1
        self.counters["acted"] += 1
        return PolicyAction(
            sequence=self._sequence,
            joint_target=target[0],
            state_stamp=float(state.stamp[0]),
            observation=observation[0],
            mean=mean[0],
            std=std[0],
            action=action[0],
            log_probability=log_probability,
            state_age=float(state.age[0]),
            inference_seconds=inference_ended - inference_began,
            tick_seconds=time.perf_counter() - began,
        )
