"""Reads what a report needs out of a bag."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppo_robot.errors import BadInputError
from ppo_robot.paths import share_directory
from ppo_robot.policy.bundle import Bundle, load_bundle
from ppo_robot.recording.reader import BagReader
from ppo_robot.recording.run_data import POLICY, RUN_FILE, SAFETY, RunData, joined, read_run
from ppo_robot.report.recorded import Recorded, Said, Topic
from ppo_robot.safety.limits import SafetyLimits, make_limits
from ppo_robot.spec.safety import SafetySpec
from ppo_robot.spec.strict import build

Array = NDArray[np.float64]

_LOG = "rosout"
_WARNING, _ERROR = 30, 40
"""Levels of rcl_interfaces/msg/Log."""


def is_topic(topic: str, name: str) -> bool:
    """Return whether a topic has this name, in whatever name space."""
    return f"/{topic}".endswith(f"/{name}")


def read_bag(reader: BagReader, bundle: Path | None = None) -> Recorded:
    """Return what a bag holds.

    Args:
        reader: of the bag.
        bundle: the policy's; by default the one that the recording names, where it is still there.

    Raises:
        BadInputError: if the bag is torn, holds neither kind of telemetry, or `bundle` is another robot's.
    """
    run = read_run(reader)
    source = str(reader.directory)
    policy, safety = joined([one.ticks for one in run.activations], f"{source}: {POLICY}"), run.safety
    if not len(policy.get("sequence", ())) and not len(safety.get("kind", ())):
        raise BadInputError(
            f"{source}: holds neither {POLICY} nor {SAFETY}; record a robot that runs this package's nodes"
        )
    info = run.activations[-1].info if run.activations else {}
    found, missing = _bundle(bundle, info, run.run)
    joints = (policy["joint_target"] if policy else safety["position"]).shape[1]
    names = found.robot.joint_names if found is not None else _names(run.run)
    if len(names) != joints:
        if found is not None:
            raise BadInputError(f"{source}: has {joints} joints; the bundle {found.path} has {len(names)}")
        names = tuple(f"joint {place}" for place in range(joints))
    return Recorded(
        name=reader.directory.resolve().name,
        joint_names=names,
        policy=policy,
        safety=safety,
        bundle=found,
        limits=_limits(found, run.run, missing),
        info=info,
        run=run.run,
        topics=tuple(Topic(topic.name, topic.type, topic.count) for _, topic in sorted(reader.topics.items())),
        said=_said(reader, run, _offset(policy, safety)),
        missing=tuple(missing),
        lost=_lost(reader.custom),
    )


def _bundle(given: Path | None, info: Mapping[str, Any], run: Mapping[str, Any]) -> tuple[Bundle | None, list[str]]:
    """Return the policy that was recorded, and what a reader must know about it."""
    told = run.get("bundle")
    told = told if isinstance(told, Mapping) else {}
    wanted = info.get("bundle_id") or told.get("id")
    if given is not None:
        bundle = load_bundle(given)
        if wanted is not None and bundle.id != wanted:
            return bundle, [f"The bundle {given} is {bundle.id[:12]}; recorded was {str(wanted)[:12]}."]
        return bundle, []
    shipped = (share_directory() / "config" / "policies").glob("*/manifest.json")
    places = [Path(str(told["path"]))] if told.get("path") else []
    for place in [*places, *(manifest.parent for manifest in shipped)]:
        try:
            bundle = load_bundle(place)
        except BadInputError:
            continue
        if wanted is not None and bundle.id == wanted:
            return bundle, []
    return None, []


def _names(run: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the joints of the bundle as run.json tells them, or none."""
    try:
        return tuple(str(name) for name in run["bundle"]["spec"]["robot"]["joints"])
    except (KeyError, TypeError):
        return ()


def _limits(bundle: Bundle | None, run: Mapping[str, Any], missing: list[str]) -> SafetyLimits | None:
    """Return the limits of the recorded deployment, or else the bundle's own."""
    if bundle is None:
        return None
    deployment = run.get("deployment")
    safety = deployment.get("safety") if isinstance(deployment, Mapping) else None
    if safety is None:
        missing.append("The deployment was not recorded: limits are the bundle's, and the robot's may be tighter.")
    return make_limits(bundle.robot, build(SafetySpec, dict(safety or {}), RUN_FILE, "deployment.safety"))


def _offset(policy: Mapping[str, Array], safety: Mapping[str, Array]) -> float:
    """Return how far the clock of the stamps is ahead of the monotonic one, s."""
    if policy:
        return float(np.median(policy["state_ros"] - policy["state_received"]))
    return float(np.median(safety["ros_now"] - safety["now"]))


def _said(reader: BagReader, run: RunData, offset: float) -> tuple[Said, ...]:
    """Return warnings and errors at their moment of receipt, moved onto the monotonic axis.

    The log has the details of each stop; where it was not recorded, `safety/events` has them.
    """
    found = []
    for raw in reader.messages([topic for topic in reader.topics if is_topic(topic, _LOG)]):
        message = reader.decode(raw)
        if message.level >= _WARNING:
            level = 2 if message.level >= _ERROR else 1
            found.append(Said(raw.log_time * 1e-9 - offset, level, message.name, message.msg))
    texts = [said.text for said in found]
    for event in run.events:
        detail = event.values.get("detail")
        if detail and not any(detail in text for text in texts):
            found.append(Said(event.time - offset, 2, f"safety, {event.state}", detail))
    return tuple(found)


def _lost(custom: Mapping[str, str]) -> int:
    """Return how many messages the recorder says that it lost."""
    counts = [custom.get(key, "0") for key in ("dropped", "lost")]
    return sum(int(value) for value in counts if value.isdigit())
