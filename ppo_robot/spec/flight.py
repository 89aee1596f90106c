"""What a flight task is: a task for a floating robot, which flies through waypoints."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ppo_robot.spec.curriculum import CurriculumSpec
from ppo_robot.spec.randomization import FLIGHT_PARAMETERS, RandomizationSpec, check_randomization
from ppo_robot.spec.strict import setting
from ppo_robot.spec.task import (
    ObservationTermSpec,
    RewardTermSpec,
    SensorSpec,
    TermSpec,
    check_curriculum,
    check_periods,
    check_terms,
)

Vector = tuple[float, float, float]


@dataclass(frozen=True)
class FlightActionSpec:
    """How the policy's output in [-1, 1] becomes a collective thrust and body rates; an output of zero is to hover."""

    type: Literal["thrust_and_body_rates"] = "thrust_and_body_rates"
    thrust_scale: float = setting(0.9, above=0.0, below=1.0, doc="share of the weight that an output adds or takes")
    rate_scale: float = setting(1.0, above=0.0, high=1.0, doc="share of the robot's rate limits")
    filter_time_constant: float = setting(0.0, low=0.0, high=1.0, doc="s; first-order low-pass of the action; 0: none")


@dataclass(frozen=True)
class FlightStartSpec:
    """Where an episode starts: anywhere in the cage, near to hovering; each uniform up to its bound, yaw anywhere."""

    margin: float = setting(0.4, low=0.0, doc="m from the cage's walls")
    tilt: float = setting(0.2, low=0.0, high=1.5, doc="rad, roll and pitch")
    speed: float = setting(0.5, low=0.0, doc="m/s, each axis")
    body_rate: float = setting(0.5, low=0.0, doc="rad/s, each axis")


@dataclass(frozen=True)
class WaypointSpec:
    """Success: each waypoint in turn was within `tolerance`, and the episode lasted to its end."""

    tolerance: float = setting(0.1, above=0.0, doc="m")
    waypoints: int = setting(3, low=1, high=100)
    bar: float = setting(0.99, above=0.0, high=1.0, doc="success rate that a policy must reach to be shipped")


@dataclass(frozen=True)
class FlightActuatorSpec:
    """What lies between the policy's command and the flight controller."""

    delay: float = setting(0.0, low=0.0, high=0.5, doc="s")


@dataclass(frozen=True)
class FlightSensorsSpec:
    """What odometry and gyroscope report. Position and velocity in the world's frame, the others in the body's."""

    position: SensorSpec = field(default_factory=SensorSpec)
    velocity: SensorSpec = field(default_factory=SensorSpec)
    attitude: SensorSpec = field(default_factory=SensorSpec)
    body_rate: SensorSpec = field(default_factory=SensorSpec)
    delay: float = setting(0.0, low=0.0, high=0.5, doc="s from the robot to the policy, at least")
    delay_spread: float = setting(
        0.0, low=0.0, high=0.5, doc="s; each episode adds a delay drawn uniformly up to this"
    )


@dataclass(frozen=True)
class FlightSimulationSpec:
    """The simulated robot. The loop on body rates runs once in each physics period."""

    physics_period: float = setting(0.005, low=1e-4, high=0.02)
    gravity: float = setting(9.81, above=0.0)
    actuator: FlightActuatorSpec = field(default_factory=FlightActuatorSpec)
    sensors: FlightSensorsSpec = field(default_factory=FlightSensorsSpec)
    randomization: dict[str, RandomizationSpec] = setting({}, doc="what is drawn anew, by name")

    def __post_init__(self) -> None:
        check_randomization(self.randomization, FLIGHT_PARAMETERS)


@dataclass(frozen=True)
class FlightTaskSpec:
    """A task for a floating robot. Times in s."""

    name: str
    observations: dict[str, ObservationTermSpec]
    rewards: dict[str, RewardTermSpec]
    goal: TermSpec
    robot: str = setting(doc="the robot that it is for where none is given, by name")
    kind: Literal["floating"] = "floating"
    control_period: float = setting(0.02, above=0.0, high=1.0)
    episode_length: float = setting(6.0, above=0.0, high=3600.0)
    action: FlightActionSpec = field(default_factory=FlightActionSpec)
    terminations: dict[str, TermSpec] = field(default_factory=dict)
    start: FlightStartSpec = field(default_factory=FlightStartSpec)
    success: WaypointSpec = field(default_factory=WaypointSpec)
    simulation: FlightSimulationSpec = field(default_factory=FlightSimulationSpec)
    critic_observations: dict[str, ObservationTermSpec] = setting(
        {}, doc="what the critic sees, of the true state; none: what the policy sees"
    )
    curriculum: CurriculumSpec | None = setting(
        None, doc="how the ranges of randomization grow in training; null: they are whole"
    )

    def __post_init__(self) -> None:
        check_curriculum(self.curriculum, self.simulation.randomization)
        check_periods(self.control_period, self.simulation.physics_period)
        check_terms(self.observations, self.rewards)

    @property
    def substeps(self) -> int:
        """Physics steps in one control period."""
        return round(self.control_period / self.simulation.physics_period)

    @property
    def episode_steps(self) -> int:
        """Control periods in one episode."""
        return max(1, round(self.episode_length / self.control_period))
