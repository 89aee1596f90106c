"""manifest.json: which files a bundle has, their hashes, and the id that follows from them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ppo_robot.errors import BundleError
from ppo_robot.files import sha256

SCHEMA_VERSION = 2

MANIFEST = "manifest.json"
SIGNATURE = "manifest.sig"
POLICY = "policy.onnx"
SPEC = "spec.json"
GOLDEN = "golden.npz"
TRAIN = "train.json"
EVALUATION = "eval.json"
STATISTICS = "statistics.json"
ENVELOPE = "envelope.yaml"
CARD = "MODEL_CARD.md"
DESCRIPTION = "robot.urdf"

FILES = (POLICY, SPEC, GOLDEN, TRAIN, EVALUATION, STATISTICS, ENVELOPE, CARD, DESCRIPTION)
"""What every bundle holds beside its manifest; nothing else may lie there but the signature."""

_KEYS = {"schema_version": int, "id": str, "created": str, "parent": (str, type(None)), "files": dict}


def content_id(files: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the id of the bundle with these entries {name: {sha256, bytes}}: when it was written does not count."""
    lines = "".join(f"{name} {files[name]['sha256']} {files[name]['bytes']}\n" for name in sorted(files))
    return sha256(lines.encode())


def make_manifest(files: Mapping[str, bytes], created: str, parent: str | None) -> dict[str, Any]:
    """Return the manifest of a bundle with these files; `created` is a UTC time in ISO form."""
    entries = {name: {"sha256": sha256(files[name]), "bytes": len(files[name])} for name in sorted(files)}
    return {
        "schema_version": SCHEMA_VERSION,
        "id": content_id(entries),
        "created": created,
        "parent": parent,
        "files": entries,
    }


def read_manifest(directory: Path) -> dict[str, Any]:
    """Read and check the manifest of a bundle, without looking at the files that it names.

    Raises:
        BundleError: if the directory or the manifest is missing, malformed, or of a newer schema.
    """
    if not directory.is_dir():
        what = "not a directory" if directory.exists() else "no such directory"
        raise BundleError(f"{directory}: {what}; give the directory of a policy bundle")
    path = directory / MANIFEST
    if not path.is_file():
        raise BundleError(f"{directory}: not a policy bundle (no {MANIFEST}); `ppo-robot export RUN` writes one")
    data = parse_json(path.read_bytes(), str(path))
    version = data.get("schema_version")
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise BundleError(
            f"{path}: schema_version {version} is newer than what this ppo_robot reads ({SCHEMA_VERSION});"
            " update ppo_robot"
        )
    for key, kind in _KEYS.items():
        if key not in data:
            raise BundleError(f"{path}: key '{key}' is missing")
        if not isinstance(data[key], kind) or isinstance(data[key], bool):  # type: ignore[arg-type]
            raise BundleError(f"{path}: {key}: given {data[key]!r}, which is of the wrong type")
    if version != SCHEMA_VERSION:
        raise BundleError(f"{path}: schema_version: given {version}; expected {SCHEMA_VERSION}")
    for name, entry in data["files"].items():
        if name not in FILES:
            raise BundleError(f"{path}: files: '{name}' is no part of a bundle; expected {', '.join(FILES)}")
        if not (isinstance(entry, dict) and set(entry) == {"sha256", "bytes"}):
            raise BundleError(f"{path}: files.{name}: expected sha256 and bytes")
    for name in FILES:
        if name not in data["files"]:
            raise BundleError(f"{path}: files: '{name}' is not listed")
    return data


def read_files(directory: Path, manifest: Mapping[str, Any]) -> dict[str, bytes]:
    """Read the files of a bundle and hold them against the manifest; what is used later are these very bytes.

    Raises:
        BundleError: naming the file that is missing, unlisted, of another size or altered, or for a wrong id.
    """
    listed = manifest["files"]
    for name in FILES:
        if not (directory / name).is_file():
            raise BundleError(f"{directory}: {name} is missing; the bundle is incomplete, copy or export it again")
    for path in sorted(directory.iterdir()):
        if path.name not in (*listed, MANIFEST, SIGNATURE):
            raise BundleError(f"{directory}: {path.name} is not listed in {MANIFEST}; remove what was added")
    files = {}
    for name in FILES:
        size = (directory / name).stat().st_size
        if size != listed[name]["bytes"]:
            raise BundleError(
                f"{directory}: {name} has {size} bytes; {MANIFEST} says {listed[name]['bytes']}; it is torn or altered"
            )
        data = (directory / name).read_bytes()
        if sha256(data) != listed[name]["sha256"]:
            raise BundleError(f"{directory}: {name} does not match its hash in {MANIFEST}; it was altered")
        files[name] = data
    expected = content_id(listed)
    if manifest["id"] != expected:
        raise BundleError(
            f"{directory}: {MANIFEST} claims the id {str(manifest['id'])[:12]}; its files give {expected[:12]}"
        )
    return files


def parse_json(data: bytes, source: str) -> dict[str, Any]:
    """Parse a JSON object strictly: no NaN, no key given twice.

    Raises:
        BundleError: naming `source`.
    """
    try:
        value = json.loads(data, parse_constant=_refuse_constant, parse_int=_bounded, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
        raise BundleError(f"{source}: not valid JSON ({error})") from None
    if not isinstance(value, dict):
        raise BundleError(f"{source}: expected a JSON object")
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _bounded(digits: str) -> int:
    if len(digits) > 18:
        raise ValueError(f"the integer {digits[:8]}... is too large")
    return int(digits)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        twice = next(key for key, _ in pairs if sum(other == key for other, _ in pairs) > 1)
        raise ValueError(f"key '{twice}' is given twice")
    return result
