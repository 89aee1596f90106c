"""Centres of mass under PyBullet, which has no call that moves one: ballast on the link, or another URDF."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ppo_robot.spec.randomization import RandomizationSpec
from ppo_robot.spec.robot import RobotSpec

Array = NDArray[np.float64]

BALLAST = "ballast_of_"
CORNERS = np.array([[1.0, 1.0, 1.0], [1.0, -1.0, -1.0], [-1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]]) / math.sqrt(3.0)
"""Of a regular tetrahedron, as far from its centre as 1: they add up to zero, and v v^T adds up to 4/3."""


def centres_stay(entries: Mapping[str, RandomizationSpec]) -> bool:
    """Return whether no centre of mass is drawn, or each once for a run: then it is loaded where it is, free of cost.

    Ballast costs a quarter of a robot's physics steps for each link that has it; loading a robot, 6 ms.
    """
    return all(entry.when == "start" for entry in _centre_entries(entries))


def ballast_radii(robot: RobotSpec, entries: Mapping[str, RandomizationSpec]) -> dict[str, float]:
    """Return how far from its centre of mass each link needs ballast for the shifts that the entries may draw, m.

    Masses at the corners of a tetrahedron move the centre of mass a third of their distance in any direction before
    nothing is left of the link itself. Near ones add less inertia, at most 3 M |shift| radius.
    """
    radii: dict[str, float] = {}
    if centres_stay(entries):
        return radii
    for entry in _centre_entries(entries):
        ends = [abs(end) for end in (entry.limits or entry.support)]
        reach = max(ends) if math.isfinite(max(ends)) else 4.0 * (entry.std or 0.0)
        for link in entry.only or robot.massive_links:
            radii[link] = radii.get(link, 0.0) + 3.2 * math.sqrt(3.0) * max(reach, 1e-3)
    return radii


def ballast_masses(mass: float, shift: Array, radius: float) -> Array:
    """Return the masses (4,) kg at a tetrahedron's corners that move a link's centre of mass by `shift` (3,) m.

    With the rest of `mass` in the middle. Of all such masses those whose sum is least: one corner has none.
    """
    parts = 0.75 * mass / radius * (CORNERS @ shift)
    parts -= parts.min()
    total = float(parts.sum())
    return parts * min(1.0, 0.95 * mass / total) if total > 0.0 else parts


def add_ballast(description: str, radii: Mapping[str, float]) -> str:
    """Return the URDF with four massless links around the centre of mass of each link of `radii` (m).

    PyBullet has no call that moves a centre of mass; masses on links fixed to it do.
    """
    if not radii:
        return description
    root = ElementTree.fromstring(description)  # noqa: S314 - a robot's own file, checked when it was loaded
    for link in list(root.findall("link")):
        name = str(link.get("name"))
        if name not in radii:
            continue
        origin = link.find("inertial/origin")
        centre = np.array([float(part) for part in ("0 0 0" if origin is None else origin.get("xyz", "0 0 0")).split()])
        for corner, direction in enumerate(CORNERS):
            place = centre + radii[name] * direction
            joint = ElementTree.SubElement(root, "joint", name=f"{BALLAST}{name}_{corner}_joint", type="fixed")
            ElementTree.SubElement(joint, "parent", link=name)
            ElementTree.SubElement(joint, "child", link=f"{BALLAST}{name}_{corner}")
            ElementTree.SubElement(joint, "origin", xyz=" ".join(repr(float(part)) for part in place))
            ballast = ElementTree.SubElement(root, "link", name=f"{BALLAST}{name}_{corner}")
            inertial = ElementTree.SubElement(ballast, "inertial")
            ElementTree.SubElement(inertial, "mass", value="0")
            ElementTree.SubElement(inertial, "inertia", ixx="0", ixy="0", ixz="0", iyy="0", iyz="0", izz="0")
    return ElementTree.tostring(root, encoding="unicode")


def shift_centres(description: str, shifts: Mapping[str, Array]) -> str:
    """Return the URDF with the centres of mass of links moved by shifts (3,) m in the link's own axes."""
    root = ElementTree.fromstring(description)  # noqa: S314 - a robot's own file, checked when it was loaded
    for link in root.findall("link"):
        inertial, shift = link.find("inertial"), shifts.get(str(link.get("name")))
        if inertial is None or shift is None or not shift.any():
            continue
        origin = inertial.find("origin")
        if origin is None:
            origin = ElementTree.SubElement(inertial, "origin")
        place = np.array([float(part) for part in origin.get("xyz", "0 0 0").split()]) + shift
        origin.set("xyz", " ".join(repr(float(part)) for part in place))
    return ElementTree.tostring(root, encoding="unicode")


def _centre_entries(entries: Mapping[str, RandomizationSpec]) -> list[RandomizationSpec]:
    return [entry for name, entry in entries.items() if (entry.parameter or name) == "centre_of_mass"]
