"""What the recorded robot was told and what it did, on one clock, ready to be told to another robot."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ppo_robot.errors import BadInputError
from ppo_robot.policy.bundle import Bundle
from ppo_robot.recording.run_data import Commands, JointStates, RunData
from ppo_robot.spec.motion import Motion
from ppo_robot.telemetry.matrix import Kind

Array = NDArray[np.float64]

PAUSE = 0.25
"""s without a command or a state, after which the motion counts as another one."""

SHORTEST = 0.2
"""s; a motion that is shorter says nothing."""

_JUMP = 4.0
"""Times the velocity limit: no joint moves so fast, so the robot was put elsewhere."""


def recorded_motions(data: RunData, bundle: Bundle) -> list[Motion]:
    """Return the motions of a recording, parted where commands or states pause or the robot was put elsewhere.

    The commands are the envelope's setpoints at the moment at which they were published, where `safety/telemetry` was
    recorded; otherwise the controller's position commands at the moment at which they were received.

    Raises:
        BadInputError: if no joint states or no commands were recorded, or no motion is long enough.
    """
    states = data.joint_states
    if states is None or not len(states.stamp):
        raise BadInputError(f"{data.name}: no joint states in it; --in-sim needs /joint_states")
    state_time, position = _measured(states, bundle)
    command_time, command = _setpoints(data) if data.safety else _controller(data, bundle)
    if not len(command_time):
        raise BadInputError(f"{data.name}: no command in it; was the envelope ever armed?")
    limit = _JUMP * np.array([joint.velocity_limit for joint in bundle.robot.joints])
    motions = []
    for first, last in _stretches(state_time, position, limit):
        begin, end = state_time[first], state_time[last - 1]
        chosen = (command_time >= begin) & (command_time <= end)
        for some in _unbroken(np.flatnonzero(chosen), command_time):
            # From the last state before the first command on: there the robot still stands.
            start, stop = command_time[some[0]], min(end, command_time[some[-1]] + PAUSE)
            since = max(first, int(np.searchsorted(state_time, start, side="right")) - 1)
            inside = np.arange(since, last)[state_time[since:last] <= stop]
            if len(inside) > 2 and state_time[inside[-1]] - state_time[inside[0]] >= SHORTEST:
                motions.append(Motion(state_time[inside], position[inside], command_time[some], command[some]))
    if not motions:
        raise BadInputError(f"{data.name}: no {SHORTEST} s with both commands and joint states; nothing to compare")
    return motions


def _measured(states: JointStates, bundle: Bundle) -> tuple[Array, Array]:
    """Return stamps (n,) that grow, and positions (n, J) in the bundle's order."""
    index = bundle.joint_index(states.names)
    good = np.isfinite(states.position[:, index]).all(axis=1)
    stamp, position = states.stamp[good], states.position[good][:, index]
    order = np.argsort(stamp, kind="stable")
    stamp, position = stamp[order], position[order]
    new = np.concatenate([[True], np.diff(stamp) > 0.0]) if len(stamp) else np.zeros(0, dtype=bool)
    return stamp[new], position[new]


def _setpoints(data: RunData) -> tuple[Array, Array]:
    """Return when each setpoint was published, on the clock of the stamps, and the setpoints (n, J)."""
    rows = data.safety
    sent = (rows["kind"] == Kind.CYCLE) & np.isfinite(rows["published"]) & np.isfinite(rows["position"]).all(axis=1)
    now, ros_now, published = (rows[name][sent] for name in ("now", "ros_now", "published"))
    # In simulated time both clocks of a row are that; the moment of publishing is of the wall's.
    time = np.where(now == ros_now, ros_now, ros_now - now + published)
    return time, rows["position"][sent]


def _controller(data: RunData, bundle: Bundle) -> tuple[Array, Array]:
    joints = len(bundle.robot.joints)
    fitting = [one for one in data.commands if one.values.shape[1:] == (joints,)]
    if not fitting:
        return np.zeros(0), np.zeros((0, joints))
    most: Commands = max(fitting, key=lambda one: len(one.time))
    index = bundle.joint_index(most.names) if most.names else np.arange(joints)
    order = np.argsort(most.time, kind="stable")
    return (most.time + most.duration)[order], most.values[order][:, index]


def _stretches(time: Array, position: Array, limit: Array) -> list[tuple[int, int]]:
    """Return [first, last) of the states between pauses and jumps."""
    if not len(time):
        return []
    step = np.diff(time)
    jumped = (np.abs(np.diff(position, axis=0)) > limit * np.maximum(step, 0.02)[:, None]).any(axis=1)
    cuts = (np.flatnonzero(jumped | (step > PAUSE)) + 1).tolist()
    return list(zip([0, *cuts], [*cuts, len(time)], strict=True))


def _unbroken(rows: NDArray[np.intp], time: Array) -> Sequence[NDArray[np.intp]]:
    """Part rows where more than a pause lies between two of them."""
    if not len(rows):
        return []
    return np.split(rows, np.flatnonzero(np.diff(time[rows]) > PAUSE) + 1)
