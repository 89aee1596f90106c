"""The robot as MuJoCo sees it: its URDF through MuJoCo's own loader, and what PyBullet leaves out of the joints."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import mujoco
import numpy as np
from numpy.typing import NDArray

from ppo_robot.errors import BadInputError
from ppo_robot.kinematics import RobotModel
from ppo_robot.spec.robot import RobotSpec
from ppo_robot.spec.task import SimulationSpec

Array = NDArray[np.float64]

# As written: links without an inertial weigh nothing (pinocchio agrees), and fixed links stay bodies of their own.
_COMPILER = '<compiler fusestatic="false" discardvisual="false" inertiafromgeom="false"/>'
_MESH_FOLDERS = 3
"""Where a mesh is looked for: the URDF's folder and so many above it, as PyBullet does; they hold a ROS package."""
_SERVO_PERIOD = 0.001
"""s, the longest step of MuJoCo's own: a drive's loop runs at 1 kHz or more. A stiff servo at its effort limit has no
damping but what it computes from the last step, and at 5 ms it chatters between both ends of the limit."""


@dataclass(frozen=True)
class DriveSpec:
    """Motor, gearbox and position servo of each joint.

    A geared drive's rotor inertia and losses grow with the torque that it can give; the ratios are those of arm6's URDF
    and near those of MuJoCo Menagerie's Panda (0.1 kg·m² and 1 N·m·s/rad for 87 N·m).

    Attributes:
        armature_per_effort: rotor inertia behind the gears in kg·m² per N·m of effort limit; no URDF says it.
        damping_per_effort: viscous friction in N·m·s/rad per N·m, for a joint whose URDF gives none.
        friction_per_effort: dry friction in N·m per N·m, for a joint whose URDF gives none.
        natural_frequency: Hz, of the slowest motion of the arm under its servos about the default pose.
        damping_ratio: of the same motion; 1 is critical. Faster motions are damped more.
    """

    armature_per_effort: float = 0.1 / 150.0
    damping_per_effort: float = 1.0 / 150.0
    friction_per_effort: float = 0.5 / 150.0
    natural_frequency: float = 20.0
    damping_ratio: float = 1.0


def build_mujoco_model(model: RobotModel, spec: SimulationSpec, drive: DriveSpec) -> mujoco.MjModel:
    """Return MuJoCo's model of the robot, with one position actuator for each joint, in the spec's joint order.

    Joints that are not controlled are rigid where the robot file holds them. Only listed pairs of links collide. The
    model's own time step is a whole fraction of the physics period.

    Raises:
        BadInputError: if MuJoCo cannot load the URDF or one of its meshes is missing.
    """
    robot = model.spec
    text, assets = _loadable(robot)
    try:
        tree = mujoco.MjSpec.from_string(text, assets=assets)
        _prepare_options(tree, spec)
        _lock_joints(tree, robot)
        _collide_only(tree, robot.self_collision_pairs if spec.self_collision else ())
        _add_servos(tree, model)
        engine = tree.compile()
    except (ValueError, RuntimeError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise BadInputError(f"robot {robot.name}: MuJoCo cannot load its URDF {robot.urdf} ({reason})") from None
    _set_joint_dynamics(engine, model, drive)
    _set_gains(engine, model, drive)
    return engine


def joint_dofs(engine: mujoco.MjModel, names: Iterable[str]) -> NDArray[np.intp]:
    """Return the degree of freedom of each named joint, which is its place in qpos too: all have one."""
    return np.array([engine.joint(name).dofadr[0] for name in names], dtype=np.intp)


def mass_matrix(engine: mujoco.MjModel, data: mujoco.MjData) -> Array:
    """Return the joint-space inertia (V, V) kg·m², armature included, of the configuration last evaluated in `data`."""
    # Column by column: `mj_fullM` has another signature in each major version.
    columns = np.zeros((engine.nv, engine.nv))
    for column, unit in enumerate(np.eye(engine.nv)):
        mujoco.mj_mulM(engine, data, columns[column], unit)
    return columns.T


def _loadable(robot: RobotSpec) -> tuple[str, dict[str, bytes]]:
    """Return the URDF without visuals, its meshes renamed to keys of the returned assets: MuJoCo knows no packages."""
    try:
        root = ElementTree.fromstring(robot.description)  # noqa: S314 - a robot's own file, and expat refuses bombs
    except ElementTree.ParseError as error:
        raise BadInputError(f"robot {robot.name}: MuJoCo cannot load its URDF {robot.urdf} ({error})") from None
    for element in root.findall("mujoco"):
        root.remove(element)
    for link in root.findall("link"):
        for visual in link.findall("visual"):
            link.remove(visual)
    names: dict[Path, str] = {}
    for mesh in root.iter("mesh"):
        path = _find_mesh(robot, str(mesh.get("filename")))
        name = names.setdefault(path, f"mesh{len(names)}{path.suffix.lower()}")
        mesh.set("filename", name)
    ElementTree.SubElement(root, "mujoco").append(ElementTree.fromstring(_COMPILER))  # noqa: S314 - our own
    return ElementTree.tostring(root, encoding="unicode"), {name: path.read_bytes() for path, name in names.items()}


def _find_mesh(robot: RobotSpec, filename: str) -> Path:
    """Return the file of a mesh: an absolute path, or one below the URDF's folder or one of those above it."""
    relative = Path(filename.partition("://")[2] or filename)
    folders: list[Path] = []
    if robot.urdf_path is not None:
        folders = list(robot.urdf_path.resolve().parents[: 1 + _MESH_FOLDERS])
    for folder in folders or [Path("/")]:
        if (folder / relative).is_file() and (folders or relative.is_absolute()):
            return folder / relative
    message = f"robot {robot.name}: its URDF {robot.urdf} names the mesh {filename}, which was not found"
    raise BadInputError(f"{message}; put it beside the URDF, or in its package above it")


def _prepare_options(tree: mujoco.MjSpec, spec: SimulationSpec) -> None:
    tree.option.timestep = spec.physics_period / math.ceil(spec.physics_period / _SERVO_PERIOD - 1e-6)
    tree.option.gravity = (0.0, 0.0, -spec.gravity)
    # Damping of joints and servos enters implicitly: of the fast motions of a stiff arm it is a large part.
    tree.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    # By default MuJoCo answers a number that is not finite by a silent reset; here it must reach who checks for it.
    tree.option.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_AUTORESET)


def _lock_joints(tree: mujoco.MjSpec, robot: RobotSpec) -> None:
    """Make joints that are not controlled rigid: move their bodies to where the robot file holds them."""
    for equality in list(tree.equalities):  # <mimic>; a locked joint follows nothing
        if not {equality.name1, equality.name2} <= set(robot.joint_names):
            tree.delete(equality)
    for joint in list(tree.joints):
        if joint.name in robot.joint_names:
            continue
        body, value = joint.parent, robot.locked_joints.get(joint.name, 0.0)
        if joint.type == mujoco.mjtJoint.mjJNT_SLIDE:
            shift = np.zeros(3)
            mujoco.mju_rotVecQuat(shift, value * np.array(joint.axis), np.array(body.quat))
            body.pos = np.array(body.pos) + shift
        elif joint.type == mujoco.mjtJoint.mjJNT_HINGE:
            turn, quaternion = np.zeros(4), np.zeros(4)
            mujoco.mju_axisAngle2Quat(turn, np.array(joint.axis), value)
            mujoco.mju_mulQuat(quaternion, np.array(body.quat), turn)
            body.quat = quaternion
        tree.delete(joint)


def _collide_only(tree: mujoco.MjSpec, pairs: Iterable[tuple[str, str]]) -> None:
    """Take every geom out of MuJoCo's own search and list the geoms of the robot file's pairs instead."""
    names: dict[str, list[str]] = {}
    for body in tree.bodies:
        for place, geom in enumerate(body.geoms):
            geom.name = f"{body.name}/{place}"
            geom.contype = geom.conaffinity = 0
            names.setdefault(body.name, []).append(geom.name)
    for one, other in pairs:
        for first in names.get(one, ()):
            for second in names.get(other, ()):
                tree.add_pair(geomname1=first, geomname2=second)


def _add_servos(tree: mujoco.MjSpec, model: RobotModel) -> None:
    """Add a position actuator for each joint; the gains follow once the compiled model tells the inertia.

    The effort limit is the actuator's own and not the joint's: MuJoCo 3 integrates a servo that the joint's limit
    clamps as if its damping still acted, at less than half the acceleration (fixed in 4.0).
    """
    for joint, limit in zip(model.spec.joints, model.effort_limit.tolist(), strict=True):
        tree.joint(joint.name).actfrclimited = 0
        servo = tree.add_actuator(name=joint.name, target=joint.name)
        servo.trntype = mujoco.mjtTrn.mjTRN_JOINT
        servo.set_to_position(kp=1.0, kv=1.0)
        servo.forcelimited = 1
        servo.forcerange = (-limit, limit)


def _set_joint_dynamics(engine: mujoco.MjModel, model: RobotModel, drive: DriveSpec) -> None:
    """Give each joint its rotor inertia, and damping and dry friction where its URDF says nothing of them."""
    root = ElementTree.fromstring(model.spec.description)  # noqa: S314 - a robot's own file
    said = {joint.get("name"): joint.find("dynamics") for joint in root.findall("joint")}
    dofs = joint_dofs(engine, model.spec.joint_names)
    engine.dof_armature[dofs] = drive.armature_per_effort * model.effort_limit
    for name, dof, limit in zip(model.spec.joint_names, dofs, model.effort_limit, strict=True):
        given = said[name].keys() if said[name] is not None else ()  # type: ignore[union-attr]
        if "damping" not in given:
            engine.dof_damping[dof] = drive.damping_per_effort * limit
        if "friction" not in given:
            engine.dof_frictionloss[dof] = drive.friction_per_effort * limit
    # The softness of friction, limits and contacts follows from the inertia, of which armature is a part.
    mujoco.mj_setConst(engine, mujoco.MjData(engine))


def _set_gains(engine: mujoco.MjModel, model: RobotModel, drive: DriveSpec) -> None:
    """Tune each servo at the default pose: k = m w², d = 2 z m w, with m the sum of |M| over the joint's row.

    With the diagonal alone, motions in which all joints swing together would be slower and underdamped. Rows of
    K - w² M so dominated by their diagonal make it positive (Gershgorin), so no motion is slower than w; and as damping
    is the same share of stiffness in every joint, none is damped less than z.
    """
    data = mujoco.MjData(engine)
    dofs = joint_dofs(engine, model.spec.joint_names)
    data.qpos[dofs] = model.default_position
    mujoco.mj_forward(engine, data)
    inertia = np.abs(mass_matrix(engine, data))[np.ix_(dofs, dofs)].sum(axis=1)
    frequency = 2.0 * math.pi * drive.natural_frequency
    stiffness = inertia * frequency**2
    engine.actuator_gainprm[:, 0] = stiffness
    engine.actuator_biasprm[:, 1] = -stiffness
    engine.actuator_biasprm[:, 2] = -2.0 * drive.damping_ratio * inertia * frequency
