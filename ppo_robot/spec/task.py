"""What a task is: periods, simulated hardware, and the named terms of its Markov decision process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ppo_robot.spec.curriculum import CurriculumSpec
from ppo_robot.spec.randomization import ARM_PARAMETERS, RandomizationSpec, check_randomization
from ppo_robot.spec.robot import find_config
from ppo_robot.spec.strict import build, nearest, read_yaml, setting


@dataclass(frozen=True)
class TermSpec:
    """A function of `ppo_robot.mdp` by name, with its parameters; `term` defaults to the entry's own key."""

    term: str = ""
    params: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class ObservationTermSpec(TermSpec):
    """An observation term: clip((value - offset) * scale), stacked over the last `history` ticks, newest last."""

    scale: float = 1.0
    offset: float = 0.0
    clip: float | None = setting(None, above=0.0)
    history: int = setting(1, low=1, high=100)
    maximum_age: float | None = setting(None, above=0.0, doc="s; older measurements must not be acted upon")


@dataclass(frozen=True)
class RewardTermSpec(TermSpec):
    """A reward term; its weighted value is a rate, multiplied by the control period."""

    weight: float = 1.0


@dataclass(frozen=True)
class ActionSpec:
    """How the policy's output in [-1, 1] becomes joint targets.

    `scale` is a share of each joint's velocity limit for increments, and of half its range for absolute positions.
    """

    type: Literal["joint_position_increment", "joint_position"] = "joint_position_increment"
    scale: float = setting(0.9, above=0.0, high=1.0)
    filter_time_constant: float = setting(0.0, low=0.0, high=1.0, doc="s; first-order low-pass of the action; 0: none")
    acceleration_share: float | None = setting(
        None, above=0.0, high=1.0, doc="of each joint's acceleration limit, to which increments keep; null: not at all"
    )
    jerk_share: float = setting(1.0, above=0.0, high=1.0, doc="of each joint's jerk limit, with acceleration_share")
    joint_margin: float = setting(0.02, low=0.0, doc="rad kept from each position limit")


@dataclass(frozen=True)
class ActuatorSpec:
    """A position servo: dead time, rate limit, first-order lag, and a stiff inner loop within the effort limit."""

    delay: float = setting(0.0, low=0.0, high=0.5, doc="s")
    lag: float = setting(0.0, low=0.0, high=1.0, doc="s, time constant")
    rate_limit: float = setting(1.0, above=0.0, doc="share of the joint's velocity limit")
    position_gain: float = setting(0.3, above=0.0, high=1.0, doc="PyBullet's dimensionless servo gain")
    velocity_gain: float = setting(1.0, above=0.0, high=1.0)


@dataclass(frozen=True)
class SensorSpec:
    """One measured channel, in the channel's own unit."""

    noise: float = setting(0.0, low=0.0, doc="standard deviation of white noise")
    quantisation: float = setting(0.0, low=0.0, doc="step of the encoder")


@dataclass(frozen=True)
class SensorsSpec:
    """What the robot reports of its joints."""

    joint_position: SensorSpec = field(default_factory=SensorSpec)
    joint_velocity: SensorSpec = field(default_factory=SensorSpec)
    delay: float = setting(0.0, low=0.0, high=0.5, doc="s from the joint to the policy, at least")
    delay_spread: float = setting(
        0.0, low=0.0, high=0.5, doc="s; each episode adds a delay drawn uniformly up to this"
    )


@dataclass(frozen=True)
class SimulationSpec:
    """The simulated robot.

    `command` says what lies between the policy's targets and the servo. hold: nothing, each target is sent at once and
    held. spline: the curve through them that the safety envelope follows. envelope: the envelope itself, which takes
    as long as all the rest.
    """

    physics_period: float = setting(0.005, low=1e-4, high=0.05)
    gravity: float = setting(9.81, low=0.0)
    self_collision: bool = True
    command: Literal["hold", "spline", "envelope"] = "hold"
    actuator: ActuatorSpec = field(default_factory=ActuatorSpec)
    sensors: SensorsSpec = field(default_factory=SensorsSpec)
    randomization: dict[str, RandomizationSpec] = setting({}, doc="what is drawn anew, by name")

    def __post_init__(self) -> None:
        check_randomization(self.randomization, ARM_PARAMETERS)


@dataclass(frozen=True)
class StartSpec:
    """Joint positions at the start of an episode: uniform around the default pose, inside the limits."""

    joint_position_range: float = setting(0.5, low=0.0, doc="rad")
    minimum_tool_height: float = setting(0.05, doc="m; lower starts are drawn again")


@dataclass(frozen=True)
class SuccessSpec:
    """Success: the goal error is within `tolerance` for at least the last `hold` seconds of the episode."""

    tolerance: float = setting(0.01, above=0.0, doc="m")
    hold: float = setting(0.5, low=0.0, doc="s")
    bar: float = setting(0.99, above=0.0, high=1.0, doc="success rate that a policy must reach to be shipped")


@dataclass(frozen=True)
class TaskSpec:
    """A task, for any robot that has the joints and frames its terms ask for. Times in s."""

    name: str
    observations: dict[str, ObservationTermSpec]
    rewards: dict[str, RewardTermSpec]
    goal: TermSpec
    control_period: float = setting(0.02, above=0.0, high=1.0)
    episode_length: float = setting(2.0, above=0.0, high=3600.0)
    action: ActionSpec = field(default_factory=ActionSpec)
    terminations: dict[str, TermSpec] = field(default_factory=dict)
    start: StartSpec = field(default_factory=StartSpec)
    success: SuccessSpec = field(default_factory=SuccessSpec)
    simulation: SimulationSpec = field(default_factory=SimulationSpec)
    critic_observations: dict[str, ObservationTermSpec] = setting(
        {}, doc="what the critic sees, of the true state; none: what the policy sees"
    )
    curriculum: CurriculumSpec | None = setting(
        None, doc="how the ranges of randomization grow in training; null: they are whole"
    )

    def __post_init__(self) -> None:
        check_curriculum(self.curriculum, self.simulation.randomization)
        check_periods(self.control_period, self.simulation.physics_period)
        if self.success.hold > self.episode_length:
            raise ValueError(
                f"success.hold: given {self.success.hold}; expected at most episode_length ({self.episode_length})"
            )
        check_terms(self.observations, self.rewards)

    @property
    def substeps(self) -> int:
        """Physics steps in one control period."""
        return round(self.control_period / self.simulation.physics_period)

    @property
    def episode_steps(self) -> int:
        """Control periods in one episode."""
        return max(1, round(self.episode_length / self.control_period))


def check_periods(control_period: float, physics_period: float) -> None:
    """Raise a ValueError unless a control period is a whole number of physics periods, s."""
    ratio = control_period / physics_period
    if round(ratio) < 1 or abs(ratio - round(ratio)) > 1e-6:
        raise ValueError(
            f"simulation.physics_period: given {physics_period}; expected a whole fraction of"
            f" control_period ({control_period})"
        )


def check_terms(observations: Mapping[str, Any], rewards: Mapping[str, Any]) -> None:
    """Raise a ValueError where a task has nothing to see or nothing to gain."""
    if not observations:
        raise ValueError("observations: given none; expected at least one term")
    if not rewards:
        raise ValueError("rewards: given none; expected at least one term")


def check_curriculum(curriculum: CurriculumSpec | None, entries: Mapping[str, RandomizationSpec]) -> None:
    """Raise a ValueError where a curriculum has no ranges to widen, or names an entry that is not there."""
    if curriculum is None:
        return
    if not entries:
        raise ValueError("curriculum: given without simulation.randomization; it needs ranges that it can widen")
    for name in curriculum.deltas:
        if name not in entries:
            raise ValueError(f"curriculum.deltas.{name}: no such entry of randomization{nearest(name, entries)}")


def task_from_mapping(data: Mapping[str, Any], source: str) -> TaskSpec:
    """Build a task from the mapping of its YAML; `source` names the file in errors."""
    return build(TaskSpec, data, source)


def load_task(name_or_path: str) -> TaskSpec:
    """Load a task by the name of a file in `config/tasks`, or by the path of a YAML file."""
    path = find_config("tasks", name_or_path)
    return task_from_mapping(read_yaml(path), str(path))
