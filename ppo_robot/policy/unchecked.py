"""A bundle that was changed, loaded all the same: to find out what the change does. Never for a robot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ppo_robot.errors import BundleError
from ppo_robot.policy.bundle import Bundle, load_bundle
from ppo_robot.policy.contract import rebuild
from ppo_robot.policy.manifest import (
    DESCRIPTION,
    EVALUATION,
    MANIFEST,
    POLICY,
    SPEC,
    STATISTICS,
    TRAIN,
    parse_json,
    read_manifest,
)
from ppo_robot.policy.runtime import PolicyRuntime
from ppo_robot.policy.statistics import read_statistics


def load_unchecked(path: Path | str) -> Bundle:
    """Load a bundle; one that `load_bundle` would refuse is taken for what its files say, and `notes` says why.

    Not checked then: the hashes and the id of the manifest, the golden vectors, that the URDF is the one of training,
    that what is resolved in spec.json and envelope.yaml follows from robot and task, and the graph's own scaling. What
    still must hold: the graph runs, robot and task can be built, and the observation has the size that the graph takes.

    Raises:
        BundleError: if not even that holds.
    """
    try:
        return load_bundle(path)
    except BundleError as error:
        return _load(Path(path), f"not checked, for it would be refused: {error}")


def _load(directory: Path, note: str) -> Bundle:
    manifest = _optional(lambda: read_manifest(directory))
    try:
        contract = parse_json(_read(directory, SPEC), SPEC)
        robot, task, recomputed = rebuild(contract, _read(directory, DESCRIPTION).decode("utf-8", "replace"))
        runtime = PolicyRuntime(_read(directory, POLICY))
    except BundleError as error:
        raise BundleError(f"{directory}: {error}") from None
    sizes = (runtime.observation_size, runtime.action_size)
    expected = (recomputed["observation_size"], recomputed["action"]["size"])
    if sizes != expected:
        raise BundleError(f"{directory}: {POLICY} has observations and actions of {sizes}; {SPEC} gives {expected}")
    return Bundle(
        path=directory,
        id=str(manifest.get("id", "")),
        manifest=manifest,
        any_robot=robot,
        any_task=task,
        runtime=runtime,
        contract=recomputed,
        train=_optional(lambda: parse_json(_read(directory, TRAIN), TRAIN)),
        evaluation=_optional(lambda: parse_json(_read(directory, EVALUATION), EVALUATION)),
        statistics=_statistics(directory, recomputed),
        envelope={},
        signed=False,
        golden_deviation={},
        notes=(note,),
    )


def _statistics(directory: Path, contract: dict[str, Any]) -> Any:
    try:
        return read_statistics(parse_json(_read(directory, STATISTICS), STATISTICS), contract)
    except BundleError:
        return None


def _optional(read: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what is read, or nothing where it is missing or damaged: no replay needs it."""
    try:
        return read()
    except BundleError:
        return {}


def _read(directory: Path, name: str) -> bytes:
    try:
        return (directory / name).read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise BundleError(f"{name}: {reason}; give the directory of a policy bundle (with {MANIFEST})") from None
