"""What a deployment is: topics, controller, timing and goals of a policy on a robot that speaks ros2_control."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ppo_robot.spec.recording import RecordingSpec
from ppo_robot.spec.robot import find_config
from ppo_robot.spec.safety import SafetySpec
from ppo_robot.spec.strict import build, read_yaml, setting
from ppo_robot.spec.telemetry import TelemetrySpec


@dataclass(frozen=True)
class JointGains:
    """Gains that turn a joint's position error into a velocity or an effort."""

    proportional: float = setting(0.0, low=0.0, doc="1/s (velocity interface) or N.m/rad (effort interface)")
    derivative: float = setting(0.0, low=0.0, doc="N.m.s/rad, effort interface only")


@dataclass(frozen=True)
class ControllerSpec:
    """The ros2_control controller that takes the setpoints.

    `joints` is the order in the controller's own configuration: a forward_command_controller knows no names. Left out,
    it is the order of the bundle's joints, which only a simulated robot is sure to have.
    """

    name: str
    type: Literal["forward_command_controller", "joint_trajectory_controller"] = "forward_command_controller"
    interface: Literal["position", "velocity", "effort"] = "position"
    joints: tuple[str, ...] = ()
    gains: dict[str, JointGains] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.name or "/" in self.name:
            raise ValueError(f"name: given {self.name!r}; expected the controller's name without slashes")
        if len(set(self.joints)) != len(self.joints):
            raise ValueError(f"joints: given {list(self.joints)}; a joint is named twice")
        closes_itself = self.type == "joint_trajectory_controller" or self.interface == "position"
        if self.gains and closes_itself:
            raise ValueError(
                "gains: the loop is closed by the controller; expected gains only with forward_command_controller and"
                " interface velocity or effort"
            )
        if any(gains.derivative for gains in self.gains.values()) and self.interface == "velocity":
            raise ValueError("gains: derivative has no meaning with interface velocity; leave it out")

    @property
    def topic(self) -> str:
        """The controller's command topic, absolute."""
        ending = "commands" if self.type == "forward_command_controller" else "joint_trajectory"
        return f"/{self.name}/{ending}"


@dataclass(frozen=True)
class PolicyNodeSpec:
    """How the policy node runs; each is a ROS parameter of it, too."""

    action: Literal["deterministic", "stochastic"] = "deterministic"
    seed: int = setting(0, low=0)
    maximum_std: float = setting(0.1, above=0.0, high=10.0, doc="cap of the std of stochastic actions on hardware")
    state_timeout: float = setting(0.1, above=0.0, high=10.0, doc="s; an older state is not acted upon")
    future_tolerance: float = setting(0.05, low=0.0, high=10.0, doc="s; a stamp further ahead is refused")
    activation_timeout: float = setting(2.0, above=0.0, high=60.0, doc="s to wait for a fresh state")


@dataclass(frozen=True)
class SimRobotSpec:
    """The simulated robot that stands in for robot and ros2_control."""

    plant: Literal["pybullet", "mujoco"] = "pybullet"
    state_rate: float = setting(100.0, above=0.0, high=1000.0, doc="Hz, of /joint_states")
    seed: int = setting(0, low=0)


@dataclass(frozen=True)
class DeploymentSpec:
    """One deployment; bundle and robot are given when it is started."""

    controller: ControllerSpec
    hardware: bool = True
    joint_state_topic: str = "/joint_states"
    goal_topic: str = "goal_pose"
    safety: SafetySpec = field(default_factory=SafetySpec)
    policy: PolicyNodeSpec = field(default_factory=PolicyNodeSpec)
    sim_robot: SimRobotSpec = field(default_factory=SimRobotSpec)
    recording: RecordingSpec = field(default_factory=RecordingSpec)
    telemetry: TelemetrySpec = field(default_factory=TelemetrySpec)

    def __post_init__(self) -> None:
        controller = self.controller
        if self.hardware and controller.type == "forward_command_controller" and not controller.joints:
            raise ValueError(
                "controller.joints: missing; expected the joints in the order of the controller's own configuration,"
                " because a forward_command_controller takes numbers without names"
            )


def load_deployment(name_or_path: str) -> DeploymentSpec:
    """Load a deployment by the name of a file in `config/deploy`, or by the path of a YAML file."""
    path = find_config("deploy", name_or_path)
    return build(DeploymentSpec, read_yaml(path), str(path))
