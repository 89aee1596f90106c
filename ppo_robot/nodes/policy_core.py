"""The policy node without ROS: bundle, input, goal, one tick. Everything that can go wrong is a counted reason."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ppo_robot.errors import BadInputError, PpoRobotError
from ppo_robot.joint_input import JointInput, JointMessage, JointReading, Refusal
from ppo_robot.mdp.goals import check_goal
from ppo_robot.policy.bundle import Bundle
from ppo_robot.policy.draw import ActionDraw
from ppo_robot.spec.deployment import PolicyNodeSpec

Array = NDArray[np.float64]


class PolicyAction(NamedTuple):
    """What one tick gave: targets, and all that is needed to follow or replay it.

    A named tuple, because to make a frozen dataclass of that many fields takes longer than many a step of a tick.
    Moments are in s on the machine's monotonic clock, whatever clock the timeouts are on.

    Attributes:
        sequence: counts the ticks that acted, from 1.
        begun: whether history and targets began anew in this tick.
        reading: the state that it was computed from.
        goal_position: (3,) m in the base frame.
        joint_target: (J,) in the order of `joint_names`, rad.
        observation: (O,) float32.
        normalised_observation: (O,) float32, the same as the network got to see it.
        mean: (A,) float32.
        std: (A,) float32, after the cap; zero where the action is deterministic.
        action: (A,) float32, as drawn.
        log_probability: nats.
        tick_began: s, start of the tick.
        observed: s, when the observation was built and found finite.
        inference_began: s, when the network was started.
        inference_ended: s, when the network had answered and the action was drawn.
        acted: s, when the targets were ready.
    """

    sequence: int
    begun: bool
    reading: JointReading
    goal_position: Array
    joint_target: Array
    observation: NDArray[np.float32]
    normalised_observation: NDArray[np.float32]
    mean: NDArray[np.float32]
    std: NDArray[np.float32]
    action: NDArray[np.float32]
    log_probability: float
    tick_began: float
    observed: float
    inference_began: float
    inference_ended: float
    acted: float


class PolicyCore:
    """A bundle at the controls of one robot.

    `set_goal` is called from the executor's thread, `accept` and `tick` from the control loop's.
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

    def accept(self, message: JointMessage, ros_now: float, now: float) -> Refusal | None:
        """Take a joint state message that came at `ros_now` on the ROS clock, `now` on that of timeouts, s.

        Return why it was refused, or None.
        """
        return self.input.accept(message, ros_now, now)

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

    def tick(self, began: float | None = None) -> PolicyAction | None:
        """Run one control period; None, with a counted reason, where there is no fresh state or no goal.

        After a gap the targets begin anew at the measured pose: the robot may have been moved meanwhile. `began` is the
        monotonic time, s, if the tick began before, with fetching the state.
        """
        tick_began = time.monotonic() if began is None else began
        now = self.now()
        goal, reading = self._goal, self.input.reading(now)
        if reading is None or goal is None:
            self.counters["state_stale" if reading is None else "no_goal"] += 1
            self._begun = False
            return None
        path, runtime, state, begun = self.runner.path, self.bundle.runtime, reading.state(now), not self._begun
        if begun:
            self.runner.reset(state)
            self._begun = True
        try:
            observation = path.observe(state, goal[None])
            runtime.take(observation)
            observed = inference_began = time.monotonic()
            mean, log_std = runtime.answer()
            std = self._draw.std(log_std)
            action, log_probability = self._draw.choose(mean, std)
            inference_ended = time.monotonic()
            target = path.apply(action)
        except (PpoRobotError, ValueError):
            self.counters["not_finite"] += 1
            self._begun = False
            return None
        self._sequence += 1
        self.counters["acted"] += 1
        return PolicyAction(
            sequence=self._sequence,
            begun=begun,
            reading=reading,
            goal_position=goal,
            joint_target=target[0],
            observation=observation[0],
            normalised_observation=runtime.seen[0].copy(),
            mean=mean[0],
            std=std[0],
            action=action[0],
            log_probability=log_probability,
            tick_began=tick_began,
            observed=observed,
            inference_began=inference_began,
            inference_ended=inference_ended,
            acted=time.monotonic(),
        )
