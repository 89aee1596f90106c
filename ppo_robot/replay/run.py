"""A whole recording, replayed: which bundle, which limits, each activation of the policy, and the envelope."""

from __future__ import annotations

import dataclasses
import importlib.metadata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ppo_robot.checkout import git_state
from ppo_robot.errors import BadInputError
from ppo_robot.paths import share_directory
from ppo_robot.policy.bundle import Bundle, load_bundle
from ppo_robot.policy.manifest import MANIFEST, read_manifest
from ppo_robot.policy.unchecked import load_unchecked
from ppo_robot.recording.reader import BagReader
from ppo_robot.recording.run_data import POLICY, RUN_FILE, SAFETY, Activation, RunData, joined, read_run
from ppo_robot.replay.difference import Findings
from ppo_robot.replay.policy import PolicyReplay
from ppo_robot.replay.safety import Observations, SafetyReplay
from ppo_robot.safety.assembly import assemble_envelope
from ppo_robot.safety.envelope import Envelope
from ppo_robot.spec.safety import SafetySpec
from ppo_robot.spec.strict import build

_LIBRARIES = ("numpy", "onnxruntime", "pin", "ruckig")
"""On whose versions the last bits depend."""


@dataclass(frozen=True)
class Replayed:
    """What a replay found.

    Attributes:
        data: the recording.
        bundle: that was replayed.
        policy: findings of each activation that is this bundle's, in order.
        safety: of the envelope, or None where none was recorded.
        notes: what a person must know.
    """

    data: RunData
    bundle: Bundle
    policy: tuple[Findings, ...]
    safety: Findings | None
    notes: tuple[str, ...]

    @property
    def differing(self) -> int:
        """Ticks and cycles that differ."""
        parts = [*self.policy, *([self.safety] if self.safety is not None else [])]
        return sum(findings.differing for findings in parts)

    def tree(self) -> dict[str, Any]:
        """Return the findings as plain values."""
        return {
            "recording": self.data.name,
            "bundle": str(self.bundle.path),
            "bundle_id": self.bundle.id,
            "policy": [findings.tree() for findings in self.policy],
            "safety": None if self.safety is None else self.safety.tree(),
            "notes": list(self.notes),
        }


def replay(path: Path, bundle: Path | None = None) -> Replayed:
    """Replay a recording through its bundle, or through the one given, and through the recorded envelope's like.

    Args:
        path: of the recording.
        bundle: a policy bundle, intact or changed; by default the recorded one, where it still is.

    Raises:
        BadInputError: if there is no such recording, it holds no telemetry of policy or envelope, its bundle is not
            found or no longer the same, or the one given cannot have made these ticks.
    """
    data = read_run(BagReader(path))
    if not data.activations and not data.safety:
        expected = "expected a robot that ran this package's nodes, or evaluate --record"
        raise BadInputError(f"{path}: holds neither {POLICY} nor {SAFETY}; {expected}")
    ids = _bundle_ids(data)
    used = load_unchecked(bundle) if bundle is not None else _recorded_bundle(data, ids)
    _check_joints(data, used)
    notes, chosen = list(used.notes), []
    for place, activation in enumerate(data.activations, 1):
        made_by = activation.info.get("bundle_id", used.id)
        if made_by == used.id or bundle is not None:
            chosen.append(activation)
        else:
            notes.append(f"activation {place} is of another bundle ({str(made_by)[:12]}) and is not replayed")
    strange = sorted(ids - {used.id})
    if bundle is not None and strange:
        name = used.id[:12] or "one without an id"
        notes.append(f"the recording was made by bundle {strange[0][:12]}; this is {name}")
    notes += _other_versions(data)
    policy = tuple(_replay_policy(used, activation) for activation in chosen)
    safety = None
    if data.safety:
        seen = _observations(chosen) if used.statistics is not None else None
        safety = SafetyReplay(_envelope_maker(data, used, notes), dict(data.safety), seen).run()
    found = Replayed(data, used, policy, safety, tuple(notes))
    return dataclasses.replace(found, notes=(*notes, *_other_code(data))) if found.differing else found


def _replay_policy(bundle: Bundle, activation: Activation) -> Findings:
    return PolicyReplay(bundle, activation).run()


def _other_versions(data: RunData) -> list[str]:
    """Return in one note which libraries that decide about the last bits were recorded in another version."""
    told = data.run.get("versions")
    libraries = told.get("libraries") if isinstance(told, Mapping) else None
    others = []
    for name in _LIBRARIES if isinstance(libraries, Mapping) else ():
        try:
            here = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:  # installed otherwise than by pip, as rosdep does
            continue
        if libraries is not None and libraries.get(name) not in (None, here):
            others.append(f"{name} {libraries[name]} (here {here})")
    return [f"recorded with {', '.join(others)}: last bits may differ for that alone"] if others else []


def _other_code(data: RunData) -> list[str]:
    """Return in one note that the recording was made by other code than this, where a checkout can tell."""
    git = data.run.get("git")
    if not isinstance(git, Mapping) or not git.get("commit"):
        return []
    commit, dirty = git_state()
    if git["commit"] == commit and not git.get("dirty") and not dirty:
        return []
    recorded, here = _commit(str(git["commit"]), git.get("dirty")), _commit(commit, dirty)
    return [f"recorded by {recorded}, replayed by {here}: the difference may be one of the code"]


def _commit(commit: str | None, dirty: Any) -> str:
    return "an installed package" if commit is None else f"commit {commit[:12]}{' with changes' if dirty else ''}"


def _bundle_ids(data: RunData) -> set[str]:
    """Return the ids of the bundles that the recording names."""
    ids = {str(one.info["bundle_id"]) for one in data.activations if "bundle_id" in one.info}
    told = data.run.get("bundle")
    if not ids and isinstance(told, Mapping) and "id" in told:
        ids = {str(told["id"])}
    return ids


def _recorded_bundle(data: RunData, ids: set[str]) -> Bundle:
    """Return the bundle that was recorded: from where it was, or from those that are shipped.

    Raises:
        BadInputError: if it is not there any more, or is another one now.
    """
    told = data.run.get("bundle")
    told_path = told.get("path") if isinstance(told, Mapping) else None
    wanted = ", ".join(sorted(one[:12] for one in ids)) or "without an id"
    advice = "give the one that was recorded, or a changed one to see what the change does: --bundle DIR"
    if told_path is not None and Path(str(told_path)).is_dir():
        found = load_bundle(str(told_path))
        if not ids or found.id in ids:
            return found
        raise BadInputError(f"{data.name}: was made by bundle {wanted}; {told_path} is {found.id[:12]} now; {advice}")
    for manifest in sorted((share_directory() / "config" / "policies").glob(f"*/{MANIFEST}")):
        if read_manifest(manifest.parent)["id"] in ids:
            return load_bundle(manifest.parent)
    place = f"not at {told_path} any more" if told_path else "at a place that was not recorded"
    raise BadInputError(f"{data.name}: its bundle {wanted} is {place}; {advice}")


def _check_joints(data: RunData, bundle: Bundle) -> None:
    """Refuse a bundle with other joints than the recorded one's, where those are known."""
    told = data.run.get("bundle")
    spec = told.get("spec") if isinstance(told, Mapping) else None
    action = spec.get("action") if isinstance(spec, Mapping) else None
    recorded = tuple(action.get("joint_names", ())) if isinstance(action, Mapping) else ()
    if recorded and recorded != bundle.robot.joint_names:
        raise BadInputError(
            f"{data.name}: its joints are {', '.join(recorded)}; the bundle {bundle.path} has"
            f" {', '.join(bundle.robot.joint_names)}: it is another robot's; give the one that was recorded"
        )


def _envelope_maker(data: RunData, bundle: Bundle, notes: list[str]) -> Callable[[], Envelope]:
    deployment = data.run.get("deployment")
    recorded = deployment.get("safety") if isinstance(deployment, Mapping) else None
    if not isinstance(recorded, Mapping):
        notes.append("the deployment was not recorded; the envelope's settings are the defaults")
    spec = build(SafetySpec, dict(recorded or {}), RUN_FILE, "deployment.safety")
    observed = bundle.statistics.observation if bundle.statistics is not None else None

    def make() -> Envelope:
        return assemble_envelope(bundle.robot, spec, bundle.task.control_period, observed)

    return make


def _observations(activations: Sequence[Activation]) -> Observations | None:
    if not activations:
        return None
    return Observations(joined([activation.ticks for activation in activations], POLICY))
