"""What `ppo-robot doctor` makes of what it sees: one row each, with what to do. Knows no ROS."""

from __future__ import annotations

import importlib.metadata
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from ppo_robot.errors import SpecError
from ppo_robot.policy.bundle import Bundle
from ppo_robot.spec.deployment import DeploymentSpec
from ppo_robot.spec.robot import hash_description

if TYPE_CHECKING:
    from ppo_robot.nodes.probe import Probe

DISTRIBUTIONS = ("humble", "iron", "jazzy", "kilted", "lyrical", "rolling")
LARGEST_DOMAIN = 232
START = "ppo-robot up deploy plant:=sim starts a simulated one"


@dataclass(frozen=True)
class Row:
    """One thing that was looked at; `advice` says what to do where it is not as it should be."""

    name: str
    verdict: Literal["ok", "warn", "fail"]
    found: str
    advice: str = ""


def environment_rows(environment: Mapping[str, str] = os.environ) -> list[Row]:
    """Return the rows that need no ROS: Python, distribution, domain and discovery range."""
    return [_python(), _distribution(environment), _domain(environment), _discovery(environment)]


def graph_rows(probe: Probe, deployment: DeploymentSpec, bundle: Bundle | None) -> list[Row]:
    """Return the rows about the ROS graph."""
    rows = [Row("middleware", "ok", probe.rmw), _publishers(probe, deployment)]
    if probe.publishers:
        rows += [_rate(probe, deployment, bundle), _joints(probe, bundle)]
    return [*rows, _description(probe, bundle), _controller(probe, deployment), _policy(probe)]


def _python() -> Row:
    version = ".".join(map(str, sys.version_info[:3]))
    return Row("python", "ok", f"{version} at {sys.executable}")


def _distribution(environment: Mapping[str, str]) -> Row:
    given = environment.get("ROS_DISTRO", "")
    if given in DISTRIBUTIONS:
        return Row("distribution", "ok", given)
    if given:
        return Row("distribution", "warn", given, f"this package is made for {', '.join(DISTRIBUTIONS)}")
    for name in DISTRIBUTIONS:
        try:
            version = importlib.metadata.version(f"ros-{name}-rclpy")
        except importlib.metadata.PackageNotFoundError:
            continue
        return Row("distribution", "ok", f"{name}, rclpy {version} from PyPI")
    return Row("distribution", "warn", "none is sourced", "source /opt/ros/<distribution>/setup.bash in this shell")


def _domain(environment: Mapping[str, str]) -> Row:
    given = environment.get("ROS_DOMAIN_ID", "")
    if not given:
        return Row("domain", "ok", "0 (ROS_DOMAIN_ID is not set)")
    if not given.isdigit() or int(given) > LARGEST_DOMAIN:
        return Row("domain", "fail", f"ROS_DOMAIN_ID={given}", f"export ROS_DOMAIN_ID=0 to {LARGEST_DOMAIN}")
    if int(given) > 101:
        return Row("domain", "warn", given, "above 101 its ports collide with those that Linux hands out; use 0 to 101")
    return Row("domain", "ok", given)


def _discovery(environment: Mapping[str, str]) -> Row:
    given = environment.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "")
    allowed = ("SUBNET", "LOCALHOST", "OFF", "SYSTEM_DEFAULT")
    if environment.get("ROS_LOCALHOST_ONLY", "0") == "1":
        advice = "nodes on other machines stay unseen; unset ROS_LOCALHOST_ONLY, and set ROS_AUTOMATIC_DISCOVERY_RANGE"
        return Row("discovery", "warn", "ROS_LOCALHOST_ONLY=1", advice)
    if given == "LOCALHOST":
        return Row("discovery", "ok", "LOCALHOST: nodes on other machines stay unseen")
    if given == "OFF":
        return Row("discovery", "fail", "OFF: no node is found", "export ROS_AUTOMATIC_DISCOVERY_RANGE=SUBNET")
    if given and given not in allowed:
        return Row("discovery", "fail", given, f"export ROS_AUTOMATIC_DISCOVERY_RANGE to one of {', '.join(allowed)}")
    return Row("discovery", "ok", given or "SUBNET (ROS_AUTOMATIC_DISCOVERY_RANGE is not set)")


def _publishers(probe: Probe, deployment: DeploymentSpec) -> Row:
    topic = deployment.joint_state_topic
    if probe.publishers == 0:
        advice = f"start joint_state_broadcaster in this ROS_DOMAIN_ID; {START}"
        return Row("joint states", "fail", f"nobody publishes {topic}", advice)
    if probe.publishers > 1:
        found = f"{probe.publishers} publishers of {topic}"
        return Row("joint states", "fail", found, f"end all but one (ros2 topic info -v {topic} names them)")
    return Row("joint states", "ok", f"one publisher of {topic}")


def _rate(probe: Probe, deployment: DeploymentSpec, bundle: Bundle | None) -> Row:
    if len(probe.arrivals) < 3:
        found = f"{len(probe.arrivals)} messages came"
        return Row("state rate", "fail", found, "the publisher is silent, or the network loses its messages")
    periods = np.diff(probe.arrivals)
    period = float(periods.mean())
    jitter = float(np.quantile(np.abs(periods - np.median(periods)), 0.99))
    longest, age = float(periods.max()), float(np.median(probe.ages))
    found = f"{1.0 / period:.1f} Hz, jitter p99 {1000.0 * jitter:.1f} ms, longest gap {1000.0 * longest:.1f} ms"
    policy = deployment.policy
    if age > policy.state_timeout or age < -policy.future_tolerance:
        found += f", stamps are {age:.3f} s old on arrival"
        return Row("state rate", "fail", found, "synchronise the machines' clocks (chrony), or the policy refuses")
    if longest > policy.state_timeout:
        advice = f"gaps above {1000.0 * policy.state_timeout:g} ms stop the policy; look at load and network"
        return Row("state rate", "warn", found, advice)
    if bundle is not None and period > 1.1 * bundle.task.control_period:
        advice = f"the policy runs at {1.0 / bundle.task.control_period:g} Hz; raise the broadcaster's rate to that"
        return Row("state rate", "warn", found, advice)
    return Row("state rate", "ok", found)


def _joints(probe: Probe, bundle: Bundle | None) -> Row:
    names = probe.joint_names
    if not names:
        return Row("joints", "fail", "no joint state came", "see the rows above")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        return Row("joints", "fail", f"named twice: {', '.join(twice)}", "mend the publisher; the policy refuses these")
    if bundle is None:
        return Row("joints", "ok", f"{len(names)}: {', '.join(names)} (give --bundle to compare)")
    missing = [name for name in bundle.robot.joint_names if name not in names]
    extra = [name for name in names if name not in bundle.robot.joint_names]
    if missing:
        found = f"missing: {', '.join(missing)}" + (f"; extra: {', '.join(extra)}" if extra else "")
        return Row("joints", "fail", found, f"the bundle is for {bundle.robot.name}; is this that robot?")
    found = f"all {len(bundle.robot.joint_names)} of the bundle"
    return Row("joints", "ok", found + (f"; extra and ignored: {', '.join(extra)}" if extra else ""))


def _description(probe: Probe, bundle: Bundle | None) -> Row:
    name = "description"
    if probe.description is None:
        advice = "start robot_state_publisher, so that the policy can check that this is its robot"
        return Row(name, "warn", "/robot_description is not published", advice)
    try:
        found = hash_description(probe.description)
    except SpecError as error:
        return Row(name, "fail", str(error), "mend what is given to robot_state_publisher")
    if bundle is None:
        return Row(name, "ok", f"{found[:12]} (give --bundle to compare)")
    if found != bundle.robot.description_hash:
        shown = f"{found[:12]}, the bundle's is {bundle.robot.description_hash[:12]}"
        return Row(name, "fail", shown, "train a bundle with this URDF, or publish the one that it was trained with")
    return Row(name, "ok", f"{found[:12]}, the bundle's")


def _controller(probe: Probe, deployment: DeploymentSpec) -> Row:
    topic = deployment.controller.topic
    listeners = probe.listeners.get(topic)
    if listeners:
        return Row("controller", "ok", f"{topic}: {', '.join(listeners)}")
    others = ", ".join(sorted(probe.listeners))
    found = f"nobody listens on {topic}" + (f"; somebody does on {others}" if others else "")
    advice = f"activate {deployment.controller.name}; {START}"
    if others:
        advice = "give the --config that names the controller"
    return Row("controller", "fail", found, advice)


def _policy(probe: Probe) -> Row:
    state = probe.policy_state
    if state is None:
        advice = "start it: ros2 launch ppo_robot deploy.launch.py, or ppo-robot up deploy"
        return Row("policy node", "warn", "does not run", advice)
    if state == "active":
        return Row("policy node", "ok", state)
    advice = "its log says why: a refused bundle, a missing joint state; ros2 lifecycle set /policy activate"
    return Row("policy node", "warn", state, advice)
