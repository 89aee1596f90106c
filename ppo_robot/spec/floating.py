"""What a floating robot is: a body in the air, its rotors, the limits of its flight controller, and the cage it is in.

It has no joints. What moves it are rotors that push along +z of its base link; what it is told are a collective thrust
and the rates at which it is to turn.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from ppo_robot.errors import SpecError
from ppo_robot.spec.robot import hash_description, resolve_urdf
from ppo_robot.spec.strict import build, nearest, plain, setting

Vector = tuple[float, float, float]

_SYMMETRY = 1e-9
"""m: how far the centre of the rotors may lie from the centre of mass."""


@dataclass(frozen=True)
class RotorSpec:
    """One rotor, which pushes along +z of the base link; `spin` is its sense of rotation seen from above."""

    name: str
    position: Vector = setting(doc="m, from the centre of mass, base link's frame")
    spin: Literal["ccw", "cw"] = "ccw"


@dataclass(frozen=True)
class MotorSpec:
    """Motor and propeller, the same for every rotor. Thrusts in N."""

    thrust_upper: float = setting(above=0.0)
    torque_per_thrust: float = setting(above=0.0, doc="m: N·m of reaction about the rotor's axis for each N of thrust")
    time_constant: float = setting(low=0.0, high=1.0, doc="s, of the thrust's first-order lag; 0: none")
    thrust_lower: float = setting(0.0, low=0.0)

    def __post_init__(self) -> None:
        if not self.thrust_lower < self.thrust_upper:
            raise ValueError(
                f"motor: thrust_lower {self.thrust_lower} is not below thrust_upper {self.thrust_upper}"
            )


@dataclass(frozen=True)
class ControllerSpec:
    """The flight controller's inner loop on body rates, x y z of the base link."""

    rate_limit: Vector = setting(above=0.0, doc="rad/s, the largest rates that may be asked for")
    rate_gain: Vector = setting(above=0.0, doc="1/s: rad/s^2 asked of the rotors for each rad/s of error")


@dataclass(frozen=True)
class CageSpec:
    """The box, in the world's frame, that the robot must not leave: its lower and upper corner, m."""

    lower: Vector
    upper: Vector

    def __post_init__(self) -> None:
        for axis, low, high in zip("xyz", self.lower, self.upper, strict=True):
            if not low < high:
                raise ValueError(f"cage: lower {axis} {low} is not below upper {axis} {high}")


@dataclass(frozen=True)
class FloatingSpec:
    """A floating robot. Its whole mass is that of `base_link`, whose origin is the centre of mass.

    `description` is the URDF text itself and `urdf` where it was found; `urdf_directory` is no part of what it is.
    """

    name: str
    base_link: str
    rotors: tuple[RotorSpec, ...]
    motor: MotorSpec
    controller: ControllerSpec
    cage: CageSpec
    description: str
    urdf: str
    drag: Vector = setting(low=0.0, doc="N·s/m along x y z of the base link, against the air around")
    kind: Literal["floating"] = "floating"
    urdf_directory: str | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if len(self.rotors) < 4:
            raise ValueError(f"rotors: given {len(self.rotors)}; expected at least four")
        for axis in (0, 1):
            mean = sum(rotor.position[axis] for rotor in self.rotors) / len(self.rotors)
            if abs(mean) > _SYMMETRY:
                raise ValueError(
                    f"rotors: their centre is {mean:g} m off in {'xy'[axis]}; expected over the centre of mass, so that"
                    " equal thrusts do not turn the robot"
                )
        if sum(1 if rotor.spin == "ccw" else -1 for rotor in self.rotors):
            raise ValueError("rotors: expected as many that spin ccw as cw: equal thrusts must not turn the robot")

    @property
    def rotor_names(self) -> tuple[str, ...]:
        """Names of the rotors, in the order of every array."""
        return tuple(rotor.name for rotor in self.rotors)

    @property
    def description_hash(self) -> str:
        """Hash of the URDF as `hash_description` defines it."""
        return hash_description(self.description)

    @cached_property
    def mass(self) -> float:
        """Kg."""
        return _read_body(self.description, self.base_link, self.name)[0]

    @cached_property
    def inertia(self) -> Vector:
        """Principal inertia about x y z of the base link, kg·m^2."""
        return _read_body(self.description, self.base_link, self.name)[1]


@dataclass(frozen=True)
class _RotorFile:
    """A rotor as the robot's YAML gives it, under its name."""

    position: Vector
    spin: Literal["ccw", "cw"]


@dataclass(frozen=True)
class _FloatingFile:
    """The robot's YAML, before its URDF is read."""

    kind: Literal["floating"]
    name: str
    urdf: str
    base_link: str
    rotors: dict[str, _RotorFile]
    motor: MotorSpec
    controller: ControllerSpec
    drag: Vector
    cage: CageSpec


def floating_from_mapping(data: Mapping[str, Any], source: str) -> FloatingSpec:
    """Build a floating robot from the mapping of its YAML; `source` names the file in errors.

    Raises:
        SpecError: for a wrong key or value, or a URDF that is missing, or is not one body about its origin.
    """
    given = build(_FloatingFile, data, source)
    path = resolve_urdf(given.urdf, source)
    try:
        description = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SpecError(f"{source}: urdf: no such file {path}; give the path of a URDF") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{source}: urdf: {path} cannot be read as a URDF ({error})") from None
    _read_body(description, given.base_link, f"{source}: {path.name}")
    values = plain(given) | {
        "rotors": [{"name": name, **plain(rotor)} for name, rotor in given.rotors.items()],
        "description": description,
        "urdf_directory": str(path.parent),
    }
    return build(FloatingSpec, values, source)


def _read_body(description: str, base_link: str, source: str) -> tuple[float, Vector]:
    """Return mass and principal inertia of the one link with a mass.

    Raises:
        SpecError: if the base link is missing, has no mass of its own at its origin, or is not the only one with one.
    """
    try:
        root = ElementTree.fromstring(description)  # noqa: S314 - a robot's own file, and expat refuses entity bombs
    except ElementTree.ParseError as error:
        raise SpecError(f"{source}: not valid XML ({error}); give a URDF") from None
    links = {str(link.get("name")): link for link in root.findall("link")}
    if base_link not in links:
        raise SpecError(f"{source}: base_link: no link '{base_link}' in the URDF{nearest(base_link, links)}")
    heavy = [name for name, link in links.items() if link.find("inertial") is not None]
    if heavy != [base_link]:
        raise SpecError(
            f"{source}: links with an inertial: {', '.join(heavy) or 'none'}; expected '{base_link}' alone, with the"
            " mass of the whole robot"
        )
    inertial = links[base_link].find("inertial")
    assert inertial is not None  # noqa: S101 - found above
    origin, mass, inertia = inertial.find("origin"), inertial.find("mass"), inertial.find("inertia")
    at_origin = origin is None or all(
        float(part) == 0.0 for key in ("xyz", "rpy") for part in origin.get(key, "0 0 0").split()
    )
    try:
        kilograms = float(mass.get("value", "")) if mass is not None else 0.0
        entries = {key: float(inertia.get(key, "0")) if inertia is not None else 0.0 for key in _INERTIA}
    except ValueError as error:
        raise SpecError(f"{source}: inertial of '{base_link}': {error}") from None
    axes = (entries["ixx"], entries["iyy"], entries["izz"])
    if not at_origin or any(entries[key] for key in ("ixy", "ixz", "iyz")):
        raise SpecError(
            f"{source}: inertial of '{base_link}': expected the centre of mass at the link's origin and its axes along"
            " the principal ones; place the link there"
        )
    if not kilograms > 0.0 or not all(axis > 0.0 for axis in axes) or 2.0 * max(axes) > sum(axes):
        raise SpecError(f"{source}: inertial of '{base_link}': mass {kilograms:g}, inertia {axes} is no body's")
    return kilograms, axes


_INERTIA = ("ixx", "iyy", "izz", "ixy", "ixz", "iyz")
