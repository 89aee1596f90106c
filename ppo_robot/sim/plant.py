"""The PyBullet plant: B simulated robots, one physics client each."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ppo_robot.errors import BadInputError
from ppo_robot.kinematics import RobotModel
from ppo_robot.sim.ballast import add_ballast, ballast_radii, centres_stay, shift_centres
from ppo_robot.sim.pybullet_dynamics import NOMINAL, PybulletDynamics
from ppo_robot.sim.quiet import pybullet, quiet_stdout
from ppo_robot.spec.task import SimulationSpec
from ppo_robot.state import RobotState

Array = NDArray[np.float64]
Rows = NDArray[np.intp]


_MIRRORED_FOLDERS = 3


class PybulletPlant:
    """B robots under PyBullet, each in a client of its own; the only loop over environments is over physics calls.

    A reset leaves no trace of what was before it: the same start and references give the same trajectory, bit for bit.
    """

    nominal = NOMINAL

    def __init__(self, model: RobotModel, spec: SimulationSpec, batch: int) -> None:
        """Load the robot into `batch` physics clients.

        Raises:
            BadInputError: if PyBullet cannot load the URDF.
        """
        self.model = model
        self.spec = spec
        self.truth = RobotState.zeros(batch, model.joints)
        self.self_collision = np.zeros(batch, dtype=bool)
        self._states = np.zeros((batch, model.joints, 3))  # position, velocity, effort, as PyBullet gives them
        self._check_collision = spec.self_collision and bool(model.spec.self_collision_pairs)
        self._clients: list[int] = []
        self._bodies: list[int] = []
        for _ in range(batch):
            client, body = load_robot_body(model, spec)
            self._clients.append(client)
            self._bodies.append(body)
        # Every client loaded the same URDF, so one table of indices serves all.
        table = joint_table(self._clients[0], self._bodies[0])
        self._indices = [table[name] for name in model.spec.joint_names]
        self._locked = _locked_positions(model, self._clients[0], self._bodies[0])
        bodies = list(zip(self._clients, self._bodies, strict=True))
        links = _link_table(*bodies[0])
        self.dynamics = PybulletDynamics(model, spec, bodies, self._indices, links)
        self._shift = np.zeros((batch, len(model.spec.massive_links), 3))  # of the centres of mass that were loaded

    def close(self) -> None:
        """Disconnect every physics client."""
        while self._clients:
            pybullet.disconnect(physicsClientId=self._clients.pop())

    def reset(self, joint_position: Array, rows: Rows, joint_velocity: Array | None = None) -> None:
        """Put `rows` (k,) at joint positions (k, J) rad, at rest or with velocities (k, J) rad/s.

        Updates `truth` and `self_collision` there.
        """
        velocity = np.zeros_like(joint_position) if joint_velocity is None else joint_velocity
        for place, row in enumerate(rows):
            client, body = self._clients[row], self._bodies[row]
            state = zip(self._indices, joint_position[place].tolist(), velocity[place].tolist(), strict=True)
            for index, position, rate in state:
                pybullet.resetJointState(body, index, position, rate, physicsClientId=client)
            for index, position in self._locked.items():  # their motors hold them, but not to the last bit
                pybullet.resetJointState(body, index, position, 0.0, physicsClientId=client)
            if self._check_collision:
                pybullet.performCollisionDetection(physicsClientId=client)
                self.self_collision[row] = _touches_itself(client, body)
        self.truth.joint_position[rows] = joint_position
        self.truth.joint_velocity[rows] = velocity
        self.truth.joint_effort[rows] = 0.0
        self.truth.stamp[rows] = 0.0

    def apply(self, values: Mapping[str, Array], rows: Rows) -> None:
        """Take drawn dynamics for `rows` (k,); see `PARAMETERS`. Others than these keep their nominal values."""
        if "centre_of_mass" in values and centres_stay(self.spec.randomization):
            shift = values["centre_of_mass"].reshape(self._shift.shape)
            for row in rows.tolist():
                if not np.array_equal(shift[row], self._shift[row]):
                    self._load_again(row, shift[row])
        self.dynamics.apply(values, rows.tolist())

    def set_payload(self, mass: float) -> None:
        """Let every robot carry `mass` (kg) more, at the centre of mass of the payload link."""
        self.dynamics.set_payload(mass)

    def step(
        self, reference: Array, substeps: NDArray[np.int64] | None = None, load: Array | None = None
    ) -> None:
        """Follow the references (S, B, J) rad through S physics steps; update `truth` and `self_collision`.

        `substeps` (B,) ends some robots' steps earlier; `load` (B, J) N·m pulls on the joints all the while. A servo of
        PyBullet's is a constraint: within its effort limit it yields to no load.
        """
        references, dynamics = reference.transpose(1, 0, 2).tolist(), self.dynamics
        loads = None if load is None else load.tolist()
        # Read at once what was stepped: a second pass over all clients would find their memory out of the cache.
        for row, (client, body) in enumerate(zip(self._clients, self._bodies, strict=True)):
            effort = dynamics.effort[row]
            position_gain, velocity_gain = dynamics.position_gain[row], dynamics.velocity_gain[row]
            steps = references[row] if substeps is None else references[row][: substeps[row]]
            pulled = loads is not None and any(loads[row])
            for target in steps:
                # Motors are sent before every step: Bullet would otherwise aim at the last reference for all of them.
                pybullet.setJointMotorControlArray(
                    body,
                    self._indices,
                    pybullet.POSITION_CONTROL,
                    targetPositions=target,
                    forces=effort,
                    positionGains=position_gain,
                    velocityGains=velocity_gain,
                    physicsClientId=client,
                )
                if pulled and loads is not None:  # forgotten after each step
                    pybullet.setJointMotorControlArray(
                        body, self._indices, pybullet.TORQUE_CONTROL, forces=loads[row], physicsClientId=client
                    )
                pybullet.stepSimulation(physicsClientId=client)
            self._observe(row, client, body)
        self._publish(reference.shape[0] if substeps is None else substeps)

    def step_effort(self, effort: Array) -> None:
        """Apply the efforts (S, B, J) N·m, within the limits, through S physics steps; nothing else holds them."""
        limit = self.model.effort_limit
        efforts = np.clip(effort, -limit, limit)
        for row, (client, body) in enumerate(zip(self._clients, self._bodies, strict=True)):
            for torque in efforts[:, row].tolist():
                # Bullet's own motors would brake the joints, by more than dry friction does; and it forgets a torque
                # after each step.
                pybullet.setJointMotorControlArray(
                    body,
                    self._indices,
                    pybullet.VELOCITY_CONTROL,
                    forces=self.dynamics.friction[row],
                    physicsClientId=client,
                )
                pybullet.setJointMotorControlArray(
                    body, self._indices, pybullet.TORQUE_CONTROL, forces=torque, physicsClientId=client
                )
                pybullet.stepSimulation(physicsClientId=client)
            self._observe(row, client, body)
        self._publish(effort.shape[0])
        self.truth.joint_effort[:] = efforts[-1]

    def _load_again(self, row: int, shift: Array) -> None:
        """Load one robot anew, its links' centres of mass moved by a shift (L, 3) m."""
        pybullet.disconnect(physicsClientId=self._clients[row])
        shifts = dict(zip(self.model.spec.massive_links, shift, strict=True))
        self._clients[row], self._bodies[row] = load_robot_body(self.model, self.spec, shifts=shifts)
        self.dynamics.replace(row, self._clients[row], self._bodies[row])
        self._shift[row] = shift

    def _observe(self, row: int, client: int, body: int) -> None:
        """Read the joints and contacts of one robot."""
        joints = pybullet.getJointStates(body, self._indices, physicsClientId=client)
        self._states[row] = [(state[0], state[1], state[3]) for state in joints]
        if self._check_collision:
            self.self_collision[row] = _touches_itself(client, body)

    def _publish(self, steps: int | NDArray[np.int64]) -> None:
        """Update `truth` after physics steps."""
        self.truth.joint_position[:] = self._states[:, :, 0]
        self.truth.joint_velocity[:] = self._states[:, :, 1]
        self.truth.joint_effort[:] = self._states[:, :, 2]
        self.truth.stamp += self.spec.physics_period * steps


def load_robot_body(
    model: RobotModel, spec: SimulationSpec, visual: bool = False, shifts: Mapping[str, Array] | None = None
) -> tuple[int, int]:
    """Open a physics client, load the robot with its base fixed, and return (client, body).

    `shifts` (3,) m move the centres of mass of links.

    Raises:
        BadInputError: if PyBullet cannot load the URDF, or has no client left.
    """
    client = pybullet.connect(pybullet.DIRECT)
    if client < 0:
        raise BadInputError(
            "training.num_envs: PyBullet gives a process no more physics clients (about 1024); raise num_workers"
        )
    pybullet.setTimeStep(spec.physics_period, physicsClientId=client)
    pybullet.setGravity(0.0, 0.0, -spec.gravity, physicsClientId=client)
    pybullet.setPhysicsEngineParameter(deterministicOverlappingPairs=1, physicsClientId=client)
    if any((entry.parameter or name) == "contact_restitution" for name, entry in spec.randomization.items()):
        # Below 0.2 m/s Bullet would let nothing bounce.
        pybullet.setPhysicsEngineParameter(restitutionVelocityThreshold=0.0, physicsClientId=client)
    flags = pybullet.URDF_USE_INERTIA_FROM_FILE | pybullet.URDF_USE_SELF_COLLISION
    if not visual:
        flags |= pybullet.URDF_IGNORE_VISUAL_SHAPES
    try:
        with quiet_stdout(), _urdf_file(model, spec, shifts or {}) as path:
            body = pybullet.loadURDF(str(path), useFixedBase=True, flags=flags, physicsClientId=client)
    except pybullet.error as error:
        pybullet.disconnect(physicsClientId=client)
        message = f"robot {model.spec.name}: PyBullet cannot load its URDF {model.spec.urdf} ({error})"
        raise BadInputError(message) from None
    _keep_only_listed_pairs(model, spec, client, body)
    _prepare_joints(model, client, body)
    return client, body


def joint_table(client: int, body: int) -> dict[str, int]:
    """Return PyBullet's joint index for each joint name of a body."""
    count = pybullet.getNumJoints(body, physicsClientId=client)
    infos = [pybullet.getJointInfo(body, index, physicsClientId=client) for index in range(count)]
    return {info[1].decode(): index for index, info in enumerate(infos)}


def _link_table(client: int, body: int) -> dict[str, int]:
    count = pybullet.getNumJoints(body, physicsClientId=client)
    infos = [pybullet.getJointInfo(body, index, physicsClientId=client) for index in range(count)]
    base = pybullet.getBodyInfo(body, physicsClientId=client)[0].decode()
    return {base: -1} | {info[12].decode(): index for index, info in enumerate(infos)}


def _keep_only_listed_pairs(model: RobotModel, spec: SimulationSpec, client: int, body: int) -> None:
    """Let only the robot file's pairs of links collide; every other pair costs time and would stop the arm at rest."""
    links = _link_table(client, body)
    pairs = model.spec.self_collision_pairs if spec.self_collision else ()
    wanted = {frozenset((links[one], links[other])) for one, other in pairs}
    indices = sorted(links.values())
    for place, first in enumerate(indices):
        for second in indices[place + 1 :]:
            collide = int(frozenset((first, second)) in wanted)
            pybullet.setCollisionFilterPair(body, body, first, second, collide, physicsClientId=client)


def _locked_positions(model: RobotModel, client: int, body: int) -> dict[int, float]:
    """Return where each joint that can move but is not controlled stays, by PyBullet's index."""
    return {
        index: model.spec.locked_joints.get(name, 0.0)
        for name, index in joint_table(client, body).items()
        if name not in model.spec.joint_names
        and pybullet.getJointInfo(body, index, physicsClientId=client)[2] != pybullet.JOINT_FIXED
    }


def _touches_itself(client: int, body: int) -> bool:
    """Return whether links of a listed pair touch; Bullet's contacts begin some millimetres before they do."""
    return any(point[8] <= 0.0 for point in pybullet.getContactPoints(body, body, physicsClientId=client))


def _prepare_joints(model: RobotModel, client: int, body: int) -> None:
    """Hold locked joints where the robot file says, and take away Bullet's default damping of 0.04."""
    for index, position in _locked_positions(model, client, body).items():
        pybullet.resetJointState(body, index, position, 0.0, physicsClientId=client)
        pybullet.setJointMotorControl2(
            body, index, pybullet.POSITION_CONTROL, targetPosition=position, force=1e3, physicsClientId=client
        )
    for index in range(-1, pybullet.getNumJoints(body, physicsClientId=client)):
        pybullet.changeDynamics(body, index, linearDamping=0.0, angularDamping=0.0, physicsClientId=client)


@contextlib.contextmanager
def _urdf_file(model: RobotModel, spec: SimulationSpec, shifts: Mapping[str, Array]) -> Iterator[Path]:
    """Yield a file with the spec's description, with what moves centres of mass, where its meshes are found."""
    original = model.spec.urdf_path
    description = add_ballast(model.spec.description, ballast_radii(model.spec, spec.randomization))
    if shifts:
        description = shift_centres(description, shifts)
    if original is not None and original.is_file() and original.read_text("utf-8") == description:
        yield original
        return
    # The spec is what the run is, whatever became of the file since.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "robot.urdf" if original is None else _mirror(original, Path(folder))
        path.write_text(description, encoding="utf-8")
        yield path


def _mirror(original: Path, folder: Path) -> Path:
    """Return a new path in `folder` from which relative and package:// paths lead where they do from `original`.

    PyBullet looks for a mesh in the URDF's own folder and in those above it; three of them hold a ROS package.
    """
    parents = original.resolve().parents[:_MIRRORED_FOLDERS]
    path = folder.joinpath(*(parent.name for parent in reversed(parents[:-1])))
    path.mkdir(parents=True, exist_ok=True)
    place = path
    for depth, parent in enumerate(parents):
        inner = parents[depth - 1].name if depth else original.name
        for entry in parent.iterdir() if os.access(parent, os.R_OK | os.X_OK) else ():
            if entry.name != inner:
                (place / entry.name).symlink_to(entry)
        place = place.parent
    return path / original.name
