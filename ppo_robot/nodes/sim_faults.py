"""What may go wrong with the simulated robot: faults that are switched while it runs. Knows no ROS."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ppo_robot.errors import BadInputError
from ppo_robot.spec.strict import nearest, setting
from ppo_robot.spec.task import SimulationSpec

Array = NDArray[np.float64]

LONGEST_LATENCY = 1.0
"""s; of latency and jitter together."""


@dataclass(frozen=True)
class SimFaults:
    """What is wrong with the simulated robot at the moment; the default is nothing. Each is a ROS parameter, too."""

    position_noise: float = setting(0.0, low=0.0, high=1.0, doc="rad, standard deviation of each reported position")
    velocity_noise: float = setting(0.0, low=0.0, high=10.0, doc="rad/s, standard deviation of each reported velocity")
    state_latency: float = setting(0.0, low=0.0, high=0.5, doc="s from the measurement to its arrival")
    state_jitter: float = setting(0.0, low=0.0, high=0.5, doc="s, of which a uniform share is added to the latency")
    state_dropout: float = setting(0.0, low=0.0, high=1.0, doc="probability that a joint state is never sent")
    command_loss: float = setting(0.0, low=0.0, high=1.0, doc="probability that a command never arrives")
    frozen_joint: str = setting("", doc="joint whose encoder reports the same position for ever, at rest; empty: none")
    reversed_joint: str = setting("", doc="joint whose encoder reports with the wrong sign; empty: none")
    payload: float = setting(0.0, low=0.0, high=50.0, doc="kg carried beyond what the robot was made for")
    stall: float = setting(0.0, low=0.0, high=10.0, doc="s for which the whole node stands still, once when set")

    def check(self, joint_names: Sequence[str]) -> None:
        """Refuse faults of joints that the robot does not have.

        Raises:
            BadInputError: naming the fault and the nearest joint.
        """
        for key in ("frozen_joint", "reversed_joint"):
            name = getattr(self, key)
            if name and name not in joint_names:
                raise BadInputError(f"{key}: no joint '{name}'{nearest(name, joint_names)}")


def nominal_faults(spec: SimulationSpec) -> SimFaults:
    """Return the imperfections that the task itself gives the robot's sensors."""
    sensors = spec.sensors
    return SimFaults(
        position_noise=sensors.joint_position.noise,
        velocity_noise=sensors.joint_velocity.noise,
        state_latency=sensors.delay,
    )


@dataclass(frozen=True)
class Measurement:
    """What the robot reports of its controlled joints (J,), in the robot's order; stamp in s of simulated time."""

    stamp: float
    position: Array
    velocity: Array
    effort: Array


class FaultySensors:
    """Turns the truth into what is reported under the faults of the moment.

    Each kind of fault has a random stream of its own, so that switching one does not change the draws of another.
    """

    def __init__(self, joint_names: Sequence[str], physics_period: float, seed: int) -> None:
        """Prepare; `record` the truth at least once before `report`."""
        self.faults = SimFaults()
        self._names = tuple(joint_names)
        streams = np.random.SeedSequence(seed, spawn_key=(1,)).spawn(4)
        self._noise, self._jitter, self._dropout, self._loss = (np.random.default_rng(stream) for stream in streams)
        self._history: deque[Measurement] = deque(maxlen=round(LONGEST_LATENCY / physics_period) + 2)
        self._reported_stamp = -1.0
        self._frozen: float | None = None

    def set_faults(self, faults: SimFaults) -> None:
        """Switch to these faults from now on.

        Raises:
            BadInputError: if one names an unknown joint; nothing is changed then.
        """
        faults.check(self._names)
        if faults.frozen_joint != self.faults.frozen_joint:
            self._frozen = None
        self.faults = faults

    def clear(self) -> None:
        """Forget what was measured, as before a jump to another pose."""
        self._history.clear()
        self._frozen = None

    def record(self, truth: Measurement) -> None:
        """Take the truth after one physics step."""
        self._history.append(truth)

    def loses_command(self) -> bool:
        """Return whether the command that has just been sent gets lost."""
        return self.faults.command_loss > 0.0 and self._loss.random() < self.faults.command_loss

    def report(self) -> Measurement | None:
        """Return what arrives now, or None where it got lost or nothing newer has arrived."""
        faults = self.faults
        truth = self._history[-1]
        if faults.state_latency or faults.state_jitter:
            truth = self._measured_at(truth.stamp - faults.state_latency - faults.state_jitter * self._jitter.random())
        if faults.state_dropout and self._dropout.random() < faults.state_dropout:
            return None
        if truth.stamp <= self._reported_stamp:  # a transport keeps the order: this one is still on its way
            return None
        self._reported_stamp = truth.stamp
        return self._distort(truth)

    def _measured_at(self, time: float) -> Measurement:
        """Return the truth at an earlier time, between two physics steps where it lies there."""
        newer = self._history[-1]
        for older in reversed(self._history):
            if older.stamp <= time:
                span = newer.stamp - older.stamp
                share = (time - older.stamp) / span if span > 0.0 else 0.0
                return Measurement(
                    stamp=time,
                    position=older.position + share * (newer.position - older.position),
                    velocity=older.velocity + share * (newer.velocity - older.velocity),
                    effort=older.effort + share * (newer.effort - older.effort),
                )
            newer = older
        return self._history[0]

    def _distort(self, truth: Measurement) -> Measurement:
        faults, joints = self.faults, len(self._names)
        position, velocity = truth.position.copy(), truth.velocity.copy()
        if faults.position_noise:
            position += faults.position_noise * self._noise.standard_normal(joints)
        if faults.velocity_noise:
            velocity += faults.velocity_noise * self._noise.standard_normal(joints)
        if faults.reversed_joint:
            joint = self._names.index(faults.reversed_joint)
            position[joint], velocity[joint] = -position[joint], -velocity[joint]
        if faults.frozen_joint:
            joint = self._names.index(faults.frozen_joint)
            self._frozen = float(position[joint]) if self._frozen is None else self._frozen
            position[joint], velocity[joint] = self._frozen, 0.0
        return Measurement(truth.stamp, position, velocity, truth.effort.copy())
