"""What a recording says about itself: bundle, deployment, parameters of the nodes, versions, clocks (`run.json`)."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import time
from collections.abc import Callable
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

from rcl_interfaces.srv import GetParameters, ListParameters
from rclpy.client import Client
from rclpy.node import Node
from rclpy.parameter import parameter_value_to_python
from rclpy.task import Future
from rclpy.utilities import get_rmw_implementation_identifier

import ppo_robot
from ppo_robot.checkout import git_state
from ppo_robot.errors import BadInputError
from ppo_robot.files import json_bytes
from ppo_robot.policy.manifest import DESCRIPTION, SPEC, STATISTICS, parse_json, read_manifest
from ppo_robot.recording.session import Attachment
from ppo_robot.spec.deployment import DeploymentSpec
from ppo_robot.spec.recording import RecordingSpec
from ppo_robot.spec.strict import plain

RUN_FILE = "run.json"
NODES = ("policy", "safety", "sim_robot", "telemetry")
"""Nodes whose parameters are kept."""

LIBRARIES = ("numpy", "onnxruntime", "pin", "ruckig", "mcap", "rosbags", "zstandard")
ASK_PERIOD = 1.0
"""s after which a node that has not answered is asked again: DDS drops answers to a client not yet discovered."""


def read_bundle(path: str) -> tuple[dict[str, Any], list[Attachment]]:
    """Return what `run.json` says of a bundle, and its URDF; nothing is loaded and no hash is checked here.

    Raises:
        BundleError: if there is no bundle.
        BadInputError: if a file of it cannot be read.
    """
    directory = Path(path)
    manifest = read_manifest(directory)
    facts: dict[str, Any] = {"path": str(directory.resolve()), "id": manifest["id"], "manifest": manifest}
    try:
        for key, name in (("spec", SPEC), ("statistics", STATISTICS)):
            file = directory / name
            facts[key] = parse_json(file.read_bytes(), str(file)) if file.is_file() else None
        urdf = (directory / DESCRIPTION).read_bytes()
    except OSError as error:
        raise BadInputError(f"{directory}: cannot be read ({error.strerror}); is it a whole bundle?") from None
    return facts, [Attachment(DESCRIPTION, "application/xml", urdf)]


def versions() -> dict[str, Any]:
    """Return the versions of what runs here."""
    found: dict[str, str | None] = {}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return {
        "ppo_robot": ppo_robot.__version__,
        "python": platform.python_version(),
        "ros_distribution": os.environ.get("ROS_DISTRO"),
        "rmw": get_rmw_implementation_identifier(),
        "libraries": found,
        "machine": {"system": platform.system(), "architecture": platform.machine(), "cores": os.cpu_count()},
    }


class Facts:
    """Gathers `run.json`, which grows as the nodes answer.

    Attributes:
        bundle_id: content hash of the bundle, empty without one.
    """

    def __init__(self, node: Node, bundle: str, deployment: DeploymentSpec, spec: RecordingSpec, config: str) -> None:
        """Gather what is known at once.

        Raises:
            BadInputError: if the bundle cannot be read.
        """
        self.bundle_id = ""
        self._fixed: list[Attachment] = []
        commit, dirty = git_state()
        monotonic, system, ros = time.monotonic(), time.time(), node.get_clock().now().nanoseconds * 1e-9
        self._facts: dict[str, Any] = {
            "started": datetime.fromtimestamp(system, timezone.utc).isoformat(timespec="milliseconds"),
            "started_ns": round(system * 1e9),
            "host": {"ros_minus_monotonic": ros - monotonic, "system_minus_monotonic": system - monotonic},
            "git": {"commit": commit, "dirty": dirty},
            "versions": versions(),
            "bundle": None,
            "deployment_name": config,
            "deployment": plain(deployment),
            "recording": plain(spec),
            "parameters": {},
        }
        if bundle:
            self._describe(*read_bundle(bundle))

    def learn(self, node: str, parameters: dict[str, Any]) -> None:
        """Take a node's parameters; those of the policy name the bundle, where none was given."""
        self._facts["parameters"] = self._facts["parameters"] | {node: parameters}
        bundle = str(parameters.get("bundle") or "") if node == "policy" else ""
        if bundle and not self.bundle_id:
            with contextlib.suppress(BadInputError):  # it may lie on another machine
                self._describe(*read_bundle(bundle))

    def _describe(self, found: dict[str, Any], files: list[Attachment]) -> None:
        self._facts["bundle"], self._fixed, self.bundle_id = found, files, str(found["id"])

    def attachments(self) -> list[Attachment]:
        """Return `run.json` as it is now, and the bundle's URDF."""
        return [Attachment(RUN_FILE, "application/json", json_bytes(dict(self._facts)), beside=True), *self._fixed]


class ParameterReader:
    """Asks nodes for all their parameters, once each, as soon as they are there."""

    def __init__(self, node: Node, names: tuple[str, ...], learn: Callable[[str, dict[str, Any]], None]) -> None:
        """Prepare; `ask` is to be called again and again. `learn` gets a node's name and parameters."""
        self._node = node
        self._learn = learn
        self._asked = dict.fromkeys(names, 0.0)
        self._lists = {name: node.create_client(ListParameters, f"{name}/list_parameters") for name in names}
        self._gets = {name: node.create_client(GetParameters, f"{name}/get_parameters") for name in names}

    def ask(self) -> None:
        """Ask whoever has not answered yet."""
        now = time.monotonic()
        for name, asked in list(self._asked.items()):
            ready = self._lists[name].service_is_ready() and self._gets[name].service_is_ready()
            if ready and now - asked >= ASK_PERIOD:
                self._asked[name] = now
                self._call(self._lists[name], ListParameters.Request(), partial(self._get, name))

    def _get(self, name: str, answer: ListParameters.Response) -> None:
        names = list(answer.result.names)
        request = GetParameters.Request(names=names)

        def done(values: GetParameters.Response) -> None:
            if self._asked.pop(name, None) is not None and len(values.values) == len(names):
                found = (_plain(parameter_value_to_python(value)) for value in values.values)
                self._learn(name, dict(zip(names, found, strict=True)))

        self._call(self._gets[name], request, done)

    def _call(self, client: Client, request: Any, done: Callable[[Any], None]) -> None:
        def finished(future: Future) -> None:
            answer = future.result()
            if answer is not None:
                done(answer)

        client.call_async(request).add_done_callback(finished)


def _plain(value: Any) -> Any:
    """Return a parameter's value as JSON holds it."""
    if isinstance(value, (str, int, float, bool)) or value is None:
        return value if value == value and value not in (float("inf"), float("-inf")) else str(value)
    return [_plain(item.decode("latin-1") if isinstance(item, bytes) else item) for item in value]
