"""Reads what a report needs out of a bag."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppo_robot.errors import BadInputError
from ppo_robot.paths import share_directory
from ppo_robot.policy.bundle import Bundle, load_bundle
from ppo_robot.recording.reader import BagReader
from ppo_robot.report.recorded import Recorded, Said, Topic
from ppo_robot.safety.limits import SafetyLimits, make_limits
from ppo_robot.spec.safety import SafetySpec
from ppo_robot.spec.strict import build
from ppo_robot.telemetry.matrix import decode

Array = NDArray[np.float64]

POLICY, SAFETY, ACTION, INFO, LOG = "policy/telemetry", "safety/telemetry", "policy/action", "policy/info", "rosout"
RUN_FILE = "run.json"

_WARNING, _ERROR = 30, 40
"""Levels of rcl_interfaces/msg/Log."""


@dataclass
class _Gathered:
    """What was found on the way through a bag."""

    tables: dict[str, list[dict[str, Array]]] = field(default_factory=lambda: {POLICY: [], SAFETY: []})
    info: dict[str, Any] = field(default_factory=dict)
    joint_names: tuple[str, ...] = ()
    said: list[tuple[int, int, str, str]] = field(default_factory=list)
    misshapen: int = 0


def is_topic(topic: str, name: str) -> bool:
    """Return whether a topic has this name, in whatever name space."""
    return f"/{topic}".endswith(f"/{name}")


def read_bag(reader: BagReader, bundle: Path | None = None) -> Recorded:
    """Return what a bag holds.

    Args:
        reader: of the bag.
        bundle: the policy's; by default the one that the recording names, where it is still there.

    Raises:
        BadInputError: if the bag is torn, holds neither kind of telemetry, or `bundle` is another policy's.
    """
    gathered = _walk(reader)
    run = _run(reader)
    policy, safety = (_joined(gathered, name) for name in (POLICY, SAFETY))
    if not policy and not safety:
        raise BadInputError(
            f"{reader.directory}: holds neither {POLICY} nor {SAFETY}; record a robot that runs this package's nodes"
        )
    found, missing = _bundle(bundle, gathered.info, run)
    names = found.robot.joint_names if found is not None else gathered.joint_names
    joints = (policy["joint_target"] if policy else safety["position"]).shape[1]
    if len(names) != joints:
        if found is not None:
            raise BadInputError(f"{reader.directory}: has {joints} joints; the bundle {found.path} has {len(names)}")
        names = tuple(f"joint {place}" for place in range(joints))
    if gathered.misshapen:
        missing.append(f"{gathered.misshapen} messages of telemetry, of another layout than the first, are left out.")
    return Recorded(
        name=reader.directory.resolve().name,
        joint_names=names,
        policy=policy,
        safety=safety,
        bundle=found,
        limits=_limits(found, run, missing),
        info=gathered.info,
        run={key: value for key, value in run.items() if isinstance(value, str | int | float)},
        topics=tuple(Topic(topic.name, topic.type, topic.count) for _, topic in sorted(reader.topics.items())),
        said=_said(gathered, policy, safety),
        missing=tuple(missing),
        lost=_lost(reader.custom),
    )


def _walk(reader: BagReader) -> _Gathered:
    gathered = _Gathered()
    wanted = [topic for topic in reader.topics if any(is_topic(topic, n) for n in (POLICY, SAFETY, INFO, LOG, ACTION))]
    for raw in reader.messages(wanted):
        if is_topic(raw.topic, ACTION):
            if not gathered.joint_names:
                gathered.joint_names = tuple(reader.decode(raw).joint_names)
            continue
        message = reader.decode(raw)
        if is_topic(raw.topic, LOG):
            if message.level >= _WARNING:
                gathered.said.append((raw.log_time, message.level, message.name, message.msg))
        elif is_topic(raw.topic, INFO):
            gathered.info = _json_mapping(message.data, f"{reader.directory}: {raw.topic}")
        else:
            dimensions = message.layout.dim
            try:
                table = decode([d.label for d in dimensions], [d.size for d in dimensions], message.data)
            except ValueError as error:
                raise BadInputError(f"{reader.directory}: {raw.topic}: {error}") from None
            gathered.tables[POLICY if is_topic(raw.topic, POLICY) else SAFETY].append(table)
    return gathered


def _joined(gathered: _Gathered, name: str) -> dict[str, Array]:
    """Return the messages of one topic as one table."""
    tables = gathered.tables[name]
    if not tables:
        return {}
    shape = {column: values.shape[1:] for column, values in tables[0].items()}
    fitting = [one for one in tables if {column: values.shape[1:] for column, values in one.items()} == shape]
    gathered.misshapen += len(tables) - len(fitting)
    return {column: np.concatenate([one[column] for one in fitting]) for column in shape}


def _bundle(given: Path | None, info: Mapping[str, Any], run: Mapping[str, Any]) -> tuple[Bundle | None, list[str]]:
    """Return the policy that was recorded, and what a reader must know about it."""
    wanted = info.get("bundle_id")
    if given is not None:
        bundle = load_bundle(given)
        if wanted is not None and bundle.id != wanted:
            return bundle, [f"The bundle {given} is {bundle.id[:12]}; recorded was {str(wanted)[:12]}."]
        return bundle, []
    told = run.get("bundle")
    path = told.get("path") if isinstance(told, Mapping) else told or run.get("bundle_path")
    shipped = (share_directory() / "config" / "policies").glob("*/manifest.json")
    for place in [*([Path(str(path))] if path else []), *(manifest.parent for manifest in shipped)]:
        try:
            bundle = load_bundle(place)
        except BadInputError:
            continue
        if wanted is None or bundle.id == wanted:
            return bundle, []
    return None, []


def _limits(bundle: Bundle | None, run: Mapping[str, Any], missing: list[str]) -> SafetyLimits | None:
    """Return the limits of the recorded deployment, or else the bundle's own."""
    if bundle is None:
        return None
    deployment = run.get("deployment")
    safety = deployment.get("safety") if isinstance(deployment, Mapping) else None
    if safety is None:
        missing.append("The deployment was not recorded: limits are the bundle's, and the robot's may be tighter.")
    return make_limits(bundle.robot, build(SafetySpec, dict(safety or {}), RUN_FILE, "deployment.safety"))


def _run(reader: BagReader) -> dict[str, Any]:
    text = reader.attachments().get(RUN_FILE)
    return _json_mapping(text, f"{reader.directory}: {RUN_FILE}") if text is not None else {}


def _json_mapping(text: str | bytes, source: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise BadInputError(f"{source}: not JSON ({error})") from None
    if not isinstance(found, dict):
        raise BadInputError(f"{source}: given {type(found).__name__}; expected a mapping")
    return found


def _said(gathered: _Gathered, policy: Mapping[str, Array], safety: Mapping[str, Array]) -> tuple[Said, ...]:
    """Return warnings and errors at their moment of receipt, moved onto the monotonic axis."""
    if policy:
        offset = float(np.median(policy["state_ros"] - policy["state_received"]))
    else:
        offset = float(np.median(safety["ros_now"] - safety["now"]))
    return tuple(
        Said(time * 1e-9 - offset, 2 if level >= _ERROR else 1, name, text)
        for time, level, name, text in gathered.said
    )


def _lost(custom: Mapping[str, str]) -> int:
    """Return how many messages the recorder says that it lost."""
    counts = [value for key, value in custom.items() if "drop" in key or "lost" in key]
    return sum(int(value) for value in counts if value.isdigit())
