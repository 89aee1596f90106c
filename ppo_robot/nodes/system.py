"""The one list of processes, parameters and remappings, which `launch/*.launch.py` and `ppo-robot up` both start."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from ppo_robot.errors import BadInputError
from ppo_robot.nodes.process import Argument, ProcessSpec, Remappings, ros_arguments
from ppo_robot.paths import share_directory
from ppo_robot.spec.deployment import DeploymentSpec, load_deployment
from ppo_robot.spec.strict import nearest

# fmt: off
__all__ = [
    "ARGUMENTS", "Argument", "ProcessSpec", "parse_goal", "parse_waypoints", "resolve", "ros_arguments", "system",
]
# fmt: on

BUNDLE = Argument("bundle", "config/policies/reach", "directory of the policy bundle", in_share=True)
CONFIG = Argument("config", "sim", "topics, controller and timing: a file of config/deploy, or the path of a YAML file")
SEED = Argument("seed", "0", "of every random draw")
REAL_TIME = Argument(
    "real_time",
    "true",
    "false: simulated time on /clock, as fast as the nodes answer, so that no figure depends on the machine's load",
    ("true", "false"),
)
TELEMETRY = Argument(
    "telemetry",
    "true",
    "start the node that joins, judges and shows what the others measure (docs/telemetry.md)",
    ("true", "false"),
)
OUT = Argument("out", "", "directory that is to hold the recording; empty: a new one under recordings/")
STATE_RATE = Argument("state_rate", "", "Hz of the simulated robot's /joint_states; empty: as the config says")

ARGUMENTS: Mapping[str, tuple[Argument, ...]] = {
    "train": (
        Argument("task", "reach", "a task of config/tasks, or the path of a YAML file"),
        Argument("robot", "arm6", "a robot of config/robots, or the path of a YAML file"),
        SEED,
        Argument("out", "", "run directory; empty: a new one under runs/"),
    ),
    "sim": (
        BUNDLE,
        CONFIG,
        Argument("plant", "pybullet", "which engine simulates the robot", ("pybullet", "mujoco")),
        REAL_TIME,
        STATE_RATE,
        SEED,
    ),
    "deploy": (
        BUNDLE,
        CONFIG,
        Argument(
            "plant",
            "hardware",
            "sim (PyBullet) or mujoco: start a simulated robot; running: a sim_robot runs already; hardware: the robot"
            " itself, which stays disarmed until safety/arm is called",
            ("hardware", "sim", "mujoco", "running"),
        ),
        Argument(
            "action",
            "",
            "the policy's mean, or a draw from it; empty: as the config says",
            ("", "deterministic", "stochastic"),
        ),
        Argument("goal", "", "fixed goal 'x y z' in m in the base frame; empty: wait for goal_pose"),
        TELEMETRY,
        Argument("record", "false", "record all of it (docs/recording.md)", ("true", "false")),
        OUT,
        REAL_TIME,
        STATE_RATE,
        SEED,
    ),
    "fly": (
        Argument("bundle", "config/policies/drone_waypoint", "directory of a policy bundle that flies", in_share=True),
        Argument(
            "plant",
            "hardware",
            "sim (PyBullet) or mujoco: start a simulated robot; hardware: the robot itself",
            ("hardware", "sim", "mujoco"),
        ),
        Argument("waypoints", "", "x y z of each, one after the other, m, world frame; empty: wait for a message"),
        Argument("odometry", "/odom", "topic of the robot's nav_msgs/Odometry"),
        Argument("imu", "/imu/data", "topic of its sensor_msgs/Imu"),
        Argument("command", "flight/command", "topic of what its flight controller is told"),
        SEED,
    ),
    "record": (
        Argument("bundle", "", "directory of the policy bundle that is to be described; empty: the policy node's"),
        CONFIG,
        OUT,
        Argument(
            "mode",
            "",
            "continuous, or on_event: only around a stop of the robot; empty: as the config says",
            ("", "continuous", "on_event"),
        ),
        Argument("topics", "", "to be recorded, too: '/name' or '/name:package/msg/Type', with blanks between them"),
    ),
}
"""What each system can be given."""


def system(name: str, given: Mapping[str, str]) -> list[ProcessSpec]:
    """Return the processes of a system, in the order in which they start.

    Raises:
        BadInputError: if the system or an argument is unknown, or a value is not allowed.
    """
    if name not in ARGUMENTS:
        raise BadInputError(f"unknown system '{name}'{nearest(name, ARGUMENTS)}")
    make: dict[str, Callable[[dict[str, str]], list[ProcessSpec]]] = {
        "train": _train,
        "sim": _sim,
        "deploy": _deploy,
        "fly": _fly,
        "record": _record,
    }
    return make[name](resolve(name, given))


def resolve(name: str, given: Mapping[str, str]) -> dict[str, str]:
    """Return the value of every argument of a system.

    Raises:
        BadInputError: if an argument is unknown or its value not among the choices.
    """
    arguments = {argument.name: argument for argument in ARGUMENTS[name]}
    for key in given:
        if key not in arguments:
            raise BadInputError(f"{name}: unknown argument '{key}:='{nearest(key, arguments)}")
    values = {}
    for argument in arguments.values():
        value = given.get(argument.name, argument.default)
        if argument.choices and value not in argument.choices:
            shown = ", ".join(choice or "''" for choice in argument.choices)
            hint = nearest(value, argument.choices) if value else ""
            hint = hint if "did you mean" in hint else ""
            raise BadInputError(f"{name}: {argument.name}:={value}: expected one of {shown}{hint}")
        if argument.in_share and argument.name not in given:
            value = str(share_directory() / value)
        values[argument.name] = value
    return values


def _train(values: dict[str, str]) -> list[ProcessSpec]:
    _number("train", values, "seed", int)
    arguments = [values["task"], "--robot", values["robot"], "--seed", values["seed"]]
    arguments += ["--out", values["out"]] if values["out"] else []
    return [ProcessSpec("train", "ppo_robot.cli", "train", arguments=tuple(arguments))]


def _sim(values: dict[str, str]) -> list[ProcessSpec]:
    deployment = load_deployment(values["config"])
    return [_sim_robot("sim", values, deployment, values["plant"])]


def _deploy(values: dict[str, str]) -> list[ProcessSpec]:
    plant = values["plant"]
    deployment = load_deployment(values["config"])
    if plant == "hardware" and not deployment.hardware:
        raise BadInputError(
            f"deploy: plant:=hardware with config:={values['config']}, which is for the simulated robot; give"
            " plant:=sim, or the config:= of the robot's own controller (see config/deploy/forward_position.yaml)"
        )
    seed = _number("deploy", values, "seed", int)
    policy: dict[str, Any] = {"bundle": values["bundle"], "autostart": True}
    policy |= dataclasses.asdict(deployment.policy) | {"seed": seed}
    if values["action"]:
        policy["action"] = values["action"]
    if values["goal"]:
        policy["goal"] = parse_goal(values["goal"])
    safety: dict[str, Any] = {"bundle": values["bundle"], "deployment": values["config"]}
    telemetry = dict(safety)
    safety["arm"] = plant != "hardware"
    if values["real_time"] == "false":
        policy["use_sim_time"] = safety["use_sim_time"] = telemetry["use_sim_time"] = True
    states = _remappings({"/joint_states": deployment.joint_state_topic})
    goals = _remappings({"goal_pose": deployment.goal_topic})
    processes = [
        ProcessSpec("policy", "ppo_robot.nodes.policy", "policy_node", policy, states + goals),
        ProcessSpec("safety", "ppo_robot.nodes.safety", "safety_node", safety, states),
    ]
    if plant in ("sim", "mujoco"):
        engine = "mujoco" if plant == "mujoco" else "pybullet"
        processes.insert(0, _sim_robot("deploy", values, deployment, engine))
    if values["telemetry"] == "true":  # the robot does not need it
        processes.append(
            ProcessSpec("telemetry", "ppo_robot.nodes.telemetry", "telemetry_node", telemetry, required=False)
        )
    if values["record"] == "true":  # first, so that it hears the first word of all others
        processes.insert(0, _recorder(values, required=False))
    elif values["out"]:
        raise BadInputError(f"deploy: out:={values['out']}: where nothing is recorded; give record:=true, too")
    return processes


def _fly(values: dict[str, str]) -> list[ProcessSpec]:
    seed, plant = _number("fly", values, "seed", int), values["plant"]
    flight: dict[str, Any] = {"bundle": values["bundle"], "autostart": True, "seed": seed}
    if values["waypoints"]:
        flight["waypoints"] = parse_waypoints(values["waypoints"])
    own = {"/odom": values["odometry"], "/imu/data": values["imu"], "flight/command": values["command"]}
    topics = _remappings(own)
    processes = [ProcessSpec("flight", "ppo_robot.nodes.flight", "flight_node", flight, topics)]
    if plant != "hardware":
        engine = "mujoco" if plant == "mujoco" else "pybullet"
        simulated = {"bundle": values["bundle"], "plant": engine, "seed": seed}
        processes.insert(
            0, ProcessSpec("sim_flight", "ppo_robot.nodes.sim_flight", "sim_flight_node", simulated, topics)
        )
    return processes


def _record(values: dict[str, str]) -> list[ProcessSpec]:
    load_deployment(values["config"])
    return [_recorder(values, required=True)]


def _recorder(values: dict[str, str], required: bool) -> ProcessSpec:
    """Return the recorder; what is not given is as the deployment says."""
    parameters: dict[str, Any] = {"deployment": values["config"], "bundle": values["bundle"], "out": values["out"]}
    if values.get("mode"):
        parameters["mode"] = values["mode"]
    if values.get("topics"):
        parameters["topics"] = values["topics"].split()
    return ProcessSpec("recorder", "ppo_robot.nodes.recorder", "recorder_node", parameters, required=required)


def _sim_robot(name: str, values: dict[str, str], deployment: DeploymentSpec, plant: str) -> ProcessSpec:
    """Return the simulated robot, with the controller that the deployment talks to."""
    controller = deployment.controller
    parameters = {
        "bundle": values["bundle"],
        "plant": plant,
        "real_time": values["real_time"] == "true",
        "state_rate": deployment.sim_robot.state_rate,
        "seed": _number(name, values, "seed", int),
        "controller_name": controller.name,
        "controller_type": controller.type,
        "controller_interface": controller.interface,
    }
    if values["real_time"] == "false":  # then the safety node answers each state with a setpoint
        parameters["state_rate"] = deployment.safety.rate
    if values["state_rate"]:
        parameters["state_rate"] = _number(name, values, "state_rate", float)
    if controller.joints:  # ROS knows no empty list
        parameters["controller_joints"] = list(controller.joints)
    states = _remappings({"/joint_states": deployment.joint_state_topic})
    return ProcessSpec("sim_robot", "ppo_robot.nodes.sim_robot", "sim_robot_node", parameters, states)


def parse_goal(text: str) -> list[float]:
    """Return x, y, z in m from 'x y z' or 'x,y,z', with or without brackets.

    Raises:
        BadInputError: if it is not three numbers.
    """
    try:
        goal = [float(word) for word in text.strip("[] ").replace(",", " ").split()]
    except ValueError:
        goal = []
    if len(goal) != 3:
        raise BadInputError(f"goal:={text}: expected three numbers x y z in m, for example goal:='0.4 0.1 0.4'")
    return goal


def parse_waypoints(text: str) -> list[float]:
    """Return x, y, z in m of each waypoint, one after the other.

    Raises:
        BadInputError: if it is not three numbers for each.
    """
    words = text.replace(",", " ").replace("[", " ").replace("]", " ").split()
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        numbers = []
    if not numbers or len(numbers) % 3:
        raise BadInputError(
            f"waypoints:={text}: expected x y z in m of each, for example waypoints:='0 0 1  1 0 1.5'"
        )
    return numbers


def _remappings(topics: Mapping[str, str]) -> Remappings:
    return tuple((source, target) for source, target in topics.items() if source != target)


def _number(name: str, values: Mapping[str, str], key: str, kind: type[int] | type[float]) -> Any:
    text = values[key]
    try:
        number = kind(text)
    except ValueError:
        number = kind(-1)
    if number < 0 or number != number or number in (float("inf"),):
        what = "a whole number" if kind is int else "a number"
        raise BadInputError(f"{name}: {key}:={text}: expected {what} of at least 0")
    return number
