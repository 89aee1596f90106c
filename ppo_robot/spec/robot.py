"""What a robot is: its URDF and what URDF cannot say (order of joints, acceleration, jerk, workspace)."""

from __future__ import annotations

import hashlib
import importlib.util
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ppo_robot.errors import SpecError
from ppo_robot.paths import share_directory
from ppo_robot.spec.strict import build, nearest, plain, read_yaml, setting

PAYLOAD_LINK = "payload_link"
"""By convention the link of its own in a URDF that stands for what the flange carries."""


@dataclass(frozen=True)
class JointSpec:
    """One controlled joint. Positions in rad (m if prismatic), rates per second, effort in N·m (N)."""

    name: str
    position_lower: float
    position_upper: float
    velocity_limit: float = setting(above=0.0)
    effort_limit: float = setting(above=0.0)
    acceleration_limit: float = setting(above=0.0)
    jerk_limit: float = setting(above=0.0)
    default_position: float = 0.0

    def __post_init__(self) -> None:
        if not self.position_lower < self.position_upper:
            raise ValueError(
                f"joint {self.name}: position_lower {self.position_lower} is not below"
                f" position_upper {self.position_upper}"
            )
        if not self.position_lower <= self.default_position <= self.position_upper:
            raise ValueError(
                f"joint {self.name}: default_position {self.default_position} is outside"
                f" [{self.position_lower}, {self.position_upper}]"
            )


@dataclass(frozen=True)
class WorkspaceSpec:
    """Where the tool may be sent: part of a spherical shell, in the base frame (m, rad)."""

    centre: tuple[float, float, float]
    radius: tuple[float, float] = setting(low=0.0)
    azimuth: tuple[float, float] = setting(low=-3.1416, high=3.1416)
    height: tuple[float, float] = setting()

    def __post_init__(self) -> None:
        for name in ("radius", "azimuth", "height"):
            low, high = getattr(self, name)
            if not low < high:
                raise ValueError(f"workspace.{name}: given [{low}, {high}]; expected the lower bound first")


@dataclass(frozen=True)
class RobotSpec:
    """A robot whose every array is in the order of `joints`.

    `description` is the URDF text itself and `urdf` where it was found; `urdf_directory` resolves its meshes and is no
    part of what the robot is.
    """

    name: str
    base_link: str
    tool_frame: str
    joints: tuple[JointSpec, ...]
    workspace: WorkspaceSpec
    description: str
    urdf: str
    control_interface: Literal["position", "velocity", "effort"] = "position"
    locked_joints: dict[str, float] = field(default_factory=dict)
    self_collision_pairs: tuple[tuple[str, str], ...] = ()
    urdf_directory: str | None = field(default=None, compare=False)

    @property
    def joint_names(self) -> tuple[str, ...]:
        """Names of the controlled joints, in the order of every array."""
        return tuple(joint.name for joint in self.joints)

    @property
    def urdf_path(self) -> Path | None:
        """The URDF file, where this robot was loaded from one."""
        return Path(self.urdf_directory) / Path(self.urdf).name if self.urdf_directory else None

    @property
    def payload_link(self) -> str:
        """The link whose mass a payload raises: `payload_link`, or else the one with a mass that carries the tool."""
        root = ElementTree.fromstring(self.description)  # noqa: S314 - a robot's own file, checked when it was loaded
        return _carrier(root, self.tool_frame)

    @property
    def massive_links(self) -> tuple[str, ...]:
        """The links with a mass that move or could, in the URDF's order: all but its root."""
        root = ElementTree.fromstring(self.description)  # noqa: S314 - a robot's own file, checked when it was loaded
        children = {child.get("link") for child in root.findall("joint/child")}
        masses = {str(link.get("name")): link.find("inertial/mass") for link in root.findall("link")}
        return tuple(
            name
            for name, mass in masses.items()
            if name in children and mass is not None and float(mass.get("value", "0")) > 0.0
        )

    @property
    def description_hash(self) -> str:
        """Hash of the URDF as `hash_description` defines it."""
        return hash_description(self.description)


@dataclass(frozen=True)
class _JointFile:
    """A joint as the robot's YAML gives it: limits that URDF has may only be tightened."""

    acceleration_limit: float = setting(above=0.0)
    jerk_limit: float = setting(above=0.0)
    default_position: float = 0.0
    position_lower: float | None = None
    position_upper: float | None = None
    velocity_limit: float | None = setting(None, above=0.0)
    effort_limit: float | None = setting(None, above=0.0)


@dataclass(frozen=True)
class _RobotFile:
    """The robot's YAML, before its URDF is read."""

    name: str
    urdf: str
    base_link: str
    tool_frame: str
    joints: dict[str, _JointFile]
    workspace: WorkspaceSpec
    control_interface: Literal["position", "velocity", "effort"] = "position"
    locked_joints: dict[str, float] = field(default_factory=dict)
    self_collision_pairs: tuple[tuple[str, str], ...] = ()


def hash_description(description: str) -> str:
    """Return the SHA-256 of a URDF in canonical form: comments, blanks and attribute order do not count.

    Raises:
        SpecError: if the text is not XML.
    """
    try:
        canonical = ElementTree.canonicalize(description, strip_text=True)
    except ElementTree.ParseError as error:
        raise SpecError(f"robot description: not valid XML ({error}); give a URDF") from None
    return hashlib.sha256(canonical.encode()).hexdigest()


def robot_from_mapping(data: Mapping[str, Any], source: str) -> RobotSpec:
    """Build a robot from the mapping of its YAML; `source` names the file in errors.

    Raises:
        SpecError: for a wrong key or value, a URDF that is missing, or a joint, link or limit that the URDF lacks.
    """
    given = build(_RobotFile, data, source)
    path = resolve_urdf(given.urdf, source)
    try:
        description = path.read_text(encoding="utf-8")
        root = ElementTree.fromstring(description)  # noqa: S314 - a robot's own file, and expat refuses entity bombs
    except FileNotFoundError:
        raise SpecError(f"{source}: urdf: no such file {path}; give the path of a URDF") from None
    except (OSError, UnicodeDecodeError, ElementTree.ParseError) as error:
        raise SpecError(f"{source}: urdf: {path} cannot be read as a URDF ({error})") from None
    _check_links(given, root, source, path)
    if not given.joints:
        raise SpecError(f"{source}: joints: given none; expected at least one controlled joint")
    urdf_joints = {str(joint.get("name")): joint for joint in root.findall("joint")}
    joints = tuple(
        _join_joint(name, entry, urdf_joints, source, path.name) for name, entry in given.joints.items()
    )
    for name in given.locked_joints:
        if name not in urdf_joints:
            raise SpecError(f"{source}: locked_joints.{name}: no such joint in {path.name}{nearest(name, urdf_joints)}")
        if name in given.joints:
            raise SpecError(f"{source}: locked_joints.{name}: is a controlled joint too; leave it out of one of them")
    values = {
        "name": given.name,
        "base_link": given.base_link,
        "tool_frame": given.tool_frame,
        "joints": [plain(joint) for joint in joints],
        "workspace": plain(given.workspace),
        "description": description,
        "urdf": given.urdf,
        "control_interface": given.control_interface,
        "locked_joints": given.locked_joints,
        "self_collision_pairs": plain(given.self_collision_pairs),
        "urdf_directory": str(path.parent),
    }
    return build(RobotSpec, values, source)


def load_robot(name_or_path: str) -> RobotSpec:
    """Load a robot with joints by the name of a file in `config/robots`, or by the path of a YAML file."""
    path = find_config("robots", name_or_path)
    data = read_yaml(path)
    if data.get("kind") == "floating":
        raise SpecError(f"{path}: kind: a floating robot; this works on robots with joints alone")
    return robot_from_mapping(data, str(path))


def find_config(kind: str, name_or_path: str) -> Path:
    """Return the YAML file meant by a bare name in `config/<kind>` or by a path.

    Raises:
        SpecError: if a bare name is unknown; it lists what there is.
    """
    if name_or_path.endswith((".yaml", ".yml")) or "/" in name_or_path:
        return Path(name_or_path)
    folder = share_directory() / "config" / kind
    path = folder / f"{name_or_path}.yaml"
    if not path.is_file():
        known = [entry.stem for entry in folder.glob("*.yaml")]
        raise SpecError(f"{kind}: no '{name_or_path}' in config/{kind}{nearest(name_or_path, known)}")
    return path


def resolve_urdf(urdf: str, source: str) -> Path:
    """Return the file that `package://ppo_robot/…`, `pybullet_data://…` or a path (relative to `source`) means.

    Raises:
        SpecError: if the scheme is unknown or pybullet_data is not installed.
    """
    scheme, separator, rest = urdf.partition("://")
    if not separator:
        path = Path(urdf)
        return path if path.is_absolute() else Path(source).parent / path
    if scheme == "package":
        package, _, inner = rest.partition("/")
        if package == "ppo_robot":
            return share_directory() / inner
        raise SpecError(f"{source}: urdf: given {urdf!r}; expected package://ppo_robot/…, or the path of a file")
    if scheme == "pybullet_data":
        found = importlib.util.find_spec("pybullet_data")
        if found is None or not found.submodule_search_locations:
            raise SpecError(f"{source}: urdf: {urdf!r} needs PyBullet's data; install ppo_robot[train]")
        return Path(found.submodule_search_locations[0]) / rest
    raise SpecError(f"{source}: urdf: given {urdf!r}; expected package://ppo_robot/…, pybullet_data://… or a path")


def _carrier(root: ElementTree.Element, link: str) -> str:
    """Return `payload_link` where there is one, otherwise the first link with a mass from `link` towards the base."""
    masses = {str(entry.get("name")): entry.find("inertial/mass") for entry in root.findall("link")}
    if PAYLOAD_LINK in masses:
        return PAYLOAD_LINK
    inwards: dict[str, str] = {}
    for joint in root.findall("joint"):
        parent, child = joint.find("parent"), joint.find("child")
        if parent is not None and child is not None:
            inwards[str(child.get("link"))] = str(parent.get("link"))
    while link in inwards:
        mass = masses[link]
        if mass is not None and float(mass.get("value", "0")) > 0.0:
            break
        link = inwards[link]
    return link


def _check_links(given: _RobotFile, root: ElementTree.Element, source: str, path: Path) -> None:
    links = {str(link.get("name")) for link in root.findall("link")}
    wanted = {"base_link": given.base_link, "tool_frame": given.tool_frame}
    for index, pair in enumerate(given.self_collision_pairs):
        wanted |= {f"self_collision_pairs[{index}][{side}]": link for side, link in enumerate(pair)}
        if pair[0] == pair[1]:
            raise SpecError(f"{source}: self_collision_pairs[{index}]: given '{pair[0]}' twice; expected two links")
    for key, link in wanted.items():
        if link not in links:
            raise SpecError(f"{source}: {key}: no link '{link}' in {path.name}{nearest(link, links)}")


def _join_joint(
    name: str, entry: _JointFile, urdf_joints: Mapping[str, ElementTree.Element], source: str, urdf: str
) -> JointSpec:
    """Join what YAML and URDF say of one joint; YAML may tighten a limit, never loosen it."""
    where = f"{source}: joints.{name}"
    if name not in urdf_joints:
        movable = [joint for joint, element in urdf_joints.items() if element.get("type") != "fixed"]
        raise SpecError(f"{where}: no such joint in {urdf}{nearest(name, movable)}")
    kind = urdf_joints[name].get("type")
    if kind not in ("revolute", "prismatic"):
        raise SpecError(f"{where}: is '{kind}' in {urdf}; expected revolute or prismatic (a joint with limits)")
    limit = urdf_joints[name].find("limit")
    values: dict[str, float] = {}
    for key, attribute in _URDF_LIMITS.items():
        text = None if limit is None else limit.get(attribute)
        own = getattr(entry, key)
        if text is None and own is None:
            raise SpecError(f"{where}.{key}: {urdf} has no limit '{attribute}' for it; give {key} here")
        try:
            bound = float(text) if text is not None else own
        except ValueError:
            raise SpecError(f"{where}: limit {attribute}={text!r} in {urdf} is not a number") from None
        looser = own is not None and (own < bound if key == "position_lower" else own > bound)
        if looser and text is not None:
            raise SpecError(f"{where}.{key}: given {own}; {urdf} allows {bound}, and it may only be tightened")
        values[key] = own if own is not None else bound
    return build(
        JointSpec,
        {
            "name": name,
            **values,
            "acceleration_limit": entry.acceleration_limit,
            "jerk_limit": entry.jerk_limit,
            "default_position": entry.default_position,
        },
        where,
    )


_URDF_LIMITS = {
    "position_lower": "lower",
    "position_upper": "upper",
    "velocity_limit": "velocity",
    "effort_limit": "effort",
}
