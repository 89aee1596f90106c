"""Recordings made without ROS: the shipped policy and the real envelope, on an arm that lags behind its commands."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np

from ppo_robot.joint_input import JointMessage
from ppo_robot.policy.bundle import Bundle, load_bundle
from ppo_robot.recording.bag import BagWriter
from ppo_robot.recording.schemas import Schemas
from ppo_robot.report.recorded import Recorded, Table
from ppo_robot.safety.actions import Action
from ppo_robot.safety.envelope import Envelope
from ppo_robot.safety.limits import make_limits
from ppo_robot.safety.reasons import Cause, State
from ppo_robot.spec.safety import JointTightening, SafetySpec
from ppo_robot.state import RobotState
from ppo_robot.telemetry.matrix import POLICY_TIMES, SAFETY_SCALARS, Kind

BUNDLE = Path(__file__).parents[1] / "config" / "policies" / "reach"
MONOTONIC, ROS = 5000.0, 1.79e9
"""What the two clocks show when a recording begins, s."""

GOALS = ((0.45, 0.1, 0.4), (0.3, -0.35, 0.55), (0.5, 0.25, 0.2), (0.35, 0.0, 0.65))
RATE = 200.0
SAFETY = SafetySpec(rate=RATE, self_collision=False, joints={"wrist_1_joint": JointTightening(velocity_limit=0.6)})
STATES, CAUSES = list(State), list(Cause)


class Maker:
    """Runs ticks and cycles in turn on one clock, and keeps the rows that the nodes would have sent."""

    def __init__(self, bundle: Bundle, seed: int) -> None:
        self.bundle, self.limits = bundle, make_limits(bundle.robot, SAFETY)
        self.envelope = Envelope(self.limits, SAFETY, bundle.task.control_period)
        self.runner = bundle.runner(1)
        self.random = np.random.default_rng(seed)
        self.position = self.runner.path.model.default_position.copy()
        self.velocity = np.zeros_like(self.position)
        self.policy: list[dict] = []
        self.safety: list[dict] = []
        self.newest: tuple[float, float] = (0.0, 0.0)
        self.pending: tuple[float, Action] | None = None
        self.begun = False

    def state(self, now: float) -> None:
        """The robot reports, and both nodes take it."""
        noise = self.random.normal(0.0, 5e-4, len(self.position))
        self.measured = self.position + noise, self.velocity + 10.0 * noise, np.zeros_like(noise)
        self.stamp = ROS + now
        self.received = MONOTONIC + now + 3e-4 + self.random.gamma(2.0, 1.5e-4)
        message = JointMessage(self.limits.joint_names, *(part.tolist() for part in self.measured), self.stamp)
        self.envelope.take_state(message, ROS - MONOTONIC + self.received, self.received)
        self.row(Kind.STATE, self.received, self.stamp, self.measured)

    def tick(self, now: float, goal: tuple[float, float, float]) -> None:
        """One tick of the policy, whose action is on its way to the envelope then."""
        began = max(MONOTONIC + now, self.received)
        # Moments of the tick: begun, observed, network begun and ended, acted, published.
        times = began + np.cumsum([0.0, *(self.random.gamma(2.0, [3e-5, 1e-6, 4e-5, 2e-5, 7e-5]))])
        state = RobotState.zeros(1, len(self.position))
        state.joint_position[0], state.joint_velocity[0], state.joint_effort[0] = self.measured
        state.age[0] = began - self.received
        if not self.begun:
            self.runner.reset(state)
        target = self.runner.tick(state, np.array([goal]))[0]
        action = self.runner.action[0].astype(float)
        sequence = len(self.policy) + 1.0
        self.policy.append(
            {
                **{"sequence": sequence, "begun": float(not self.begun), "state_stamp": self.stamp},
                **{"state_received": self.received, "state_ros": ROS - MONOTONIC + self.received},
                **dict(zip(POLICY_TIMES, times.tolist(), strict=True)),
                **{"period_cpu_s": 4e-4, "log_probability": 0.0, "goal_position": np.array(goal)},
                **dict(zip(("joint_position", "joint_velocity", "joint_effort"), self.measured, strict=True)),
                **{"joint_target": target, "mean": action, "std": np.zeros_like(action), "action": action},
                "observation": self.runner.observation[0].astype(float),
                "normalised_observation": self.runner.observation[0].astype(float),
            }
        )
        self.begun = True
        arrival = times[-1] + self.random.gamma(2.0, 2e-4)
        self.pending = arrival, Action(self.limits.joint_names, target.tolist(), self.stamp)

    def take_action(self, before: float) -> None:
        """The envelope receives the action that is on its way, where it arrives `before` a moment."""
        if self.pending is None or self.pending[0] > before:
            return
        (arrival, action), self.pending = self.pending, None
        self.newest = float(len(self.policy)), action.stamp
        self.envelope.take_action(action, ROS - MONOTONIC + arrival, arrival)
        zeros = np.zeros(len(self.position))
        self.row(Kind.ACTION, arrival, action.stamp, (np.array(action.position), zeros, zeros))

    def cycle(self, now: float) -> None:
        """One cycle of the envelope; the arm follows with a lag."""
        verdict = self.envelope.cycle(ROS - MONOTONIC + now, now)
        checked = now + 5e-5 + self.random.gamma(2.0, 1e-5)
        arrays = (np.full(len(self.position), np.nan),) * 3
        if verdict.setpoint is not None:
            setpoint = verdict.setpoint
            arrays = np.array(setpoint.position), np.array(setpoint.velocity), np.array(setpoint.acceleration)
            step = (arrays[0] - self.position) * (1.0 - np.exp(-1.0 / (RATE * 0.02)))
            self.position, self.velocity = self.position + step, step * RATE
        published = np.nan if verdict.setpoint is None else checked + self.random.gamma(3.0, 2e-5)
        more = {"changed": float(verdict.changed), "checked": checked, "published": published}
        self.row(Kind.CYCLE, now, self.newest[1], arrays, limits=np.array([float(x) for x in verdict.limits]), **more)

    def row(self, kind: Kind, now: float, stamp: float = 0.0, arrays=None, limits=None, **more: float) -> None:
        """Keep one row of safety/telemetry."""
        zeros, cause = np.zeros(len(self.position)), self.envelope.cause
        values = {
            **{"kind": float(kind), "now": now, "ros_now": ROS - MONOTONIC + now, "stamp": stamp},
            "sequence": self.newest[0] if kind in (Kind.CYCLE, Kind.ACTION) else 0.0,
            "state": float(STATES.index(self.envelope.state)),
            "cause": 0.0 if cause is None else 1.0 + CAUSES.index(cause),
            **{name: more.get(name, 0.0) for name in ("changed", "checked", "published", "value")},
        }
        assert set(values) == set(SAFETY_SCALARS)
        named = zip(("position", "velocity", "acceleration"), arrays or (zeros, zeros, zeros), strict=True)
        self.safety.append({**values, **dict(named), "limits": zeros if limits is None else limits})


def make(
    seconds: float, seed: int = 0, stop: float | None = None, silence: tuple[float, float] = (0.0, 0.0)
) -> Recorded:
    """Return a recording of so many seconds that is armed after 0.2 s and gets a new goal every 1.5 s.

    Args:
        seed: of noise and delays.
        stop: s at which a person stops the robot.
        silence: from and until when (s) the policy does not tick.
    """
    maker = Maker(load_bundle(BUNDLE), seed)
    control = round(RATE * maker.bundle.task.control_period)
    for count in range(round(seconds * RATE)):
        now, at = count / RATE, MONOTONIC + (count + 0.3 + 0.4 * np.sin(count / 377.0)) / RATE
        if count % 2 == 0:
            maker.state(now)
        if count == round(0.2 * RATE):
            maker.envelope.arm(at)
            maker.row(Kind.ARM, at)
        if stop is not None and count == round(stop * RATE):
            maker.envelope.stop(Cause.REQUESTED, "a person", at)
            maker.row(Kind.STOP, at)
        acting = now >= 0.4 and not silence[0] <= now < silence[1]
        if not acting:
            maker.begun = False
        elif count % control == 0 and maker.random.uniform() > 0.003:  # now and then a tick is missed
            late = 0.008 * (maker.random.uniform() < 0.01)
            maker.tick(now + 1e-3 + late + maker.random.gamma(1.5, 1e-4), GOALS[int(now / 1.5) % len(GOALS)])
        maker.take_action(at)
        maker.cycle(at)
    policy, safety = (
        {name: np.array([row[name] for row in rows]) for name in rows[0]} for rows in (maker.policy, maker.safety)
    )
    return Recorded("made", maker.bundle.robot.joint_names, policy, safety, maker.bundle, maker.limits)


def repeated(recorded: Recorded, times: int) -> Recorded:
    """Return a recording that goes through another one so many times, one after the other, as one activation."""
    length = recorded.duration + 1.0 / RATE
    ticks = recorded.ticks

    def table(rows: Table, moving: tuple[str, ...]) -> dict:
        out = {name: np.concatenate([column] * times) for name, column in rows.items()}
        which = np.repeat(np.arange(times), len(next(iter(rows.values()))))
        for name in moving:
            out[name] = out[name] + which * length
        out["sequence"] = out["sequence"] + which * ticks * (out["sequence"] > 0)
        return out

    policy = table(recorded.policy, ("state_stamp", "state_received", "state_ros", *POLICY_TIMES))
    safety = table(recorded.safety, ("now", "ros_now", "stamp", "checked", "published"))
    return dataclasses.replace(recorded, policy=policy, safety=safety)


def write_bag(recorded: Recorded, directory: Path, info: dict | None = None) -> None:
    """Write a recording as the recorder would: telemetry in messages of 0.1 s, joint states, a warning, the policy's
    word of itself."""
    schemas = Schemas()
    types = schemas.store.types
    with BagWriter(directory, schemas=schemas, sync=False) as writer:

        def put(topic: str, kind: str, seconds: float, message: object) -> None:
            writer.add_topic(topic, kind)
            writer.write(topic, round(seconds * 1e9), schemas.encode(message, kind))

        said = info or {"bundle_id": recorded.bundle.id, "action": "deterministic", "seed": 7}
        put("/policy/info", "std_msgs/msg/String", ROS, types["std_msgs/msg/String"](json.dumps(said)))
        for topic, label, table, times in (
            ("/policy/telemetry", "tick", recorded.policy, "tick_began"),
            ("/safety/telemetry", "row", recorded.safety, "now"),
        ):
            if not table:
                continue
            widths = {name: values[0].size for name, values in table.items()}
            rows = np.column_stack(list(table.values()))
            for part in np.split(np.arange(len(rows)), np.flatnonzero(np.diff(table[times] // 0.1)) + 1):
                sizes = {label: len(part), **widths}
                dimension, layout = types["std_msgs/msg/MultiArrayDimension"], types["std_msgs/msg/MultiArrayLayout"]
                dimensions = [dimension(name, size, size) for name, size in sizes.items()]
                message = types["std_msgs/msg/Float64MultiArray"](layout(dimensions, 0), rows[part].ravel())
                at = ROS - MONOTONIC + float(table[times][part[-1]])
                put(topic, "std_msgs/msg/Float64MultiArray", at, message)
        states = recorded.states
        for stamp, position, velocity in zip(
            *(states.get(name, ()) for name in ("stamp", "position", "velocity")), strict=True
        ):
            header = types["std_msgs/msg/Header"](_time(types, stamp), "")
            state = types["sensor_msgs/msg/JointState"](
                header, list(recorded.joint_names), position, velocity, np.zeros(0)
            )
            put("/joint_states", "sensor_msgs/msg/JointState", float(stamp), state)
        log = types["rcl_interfaces/msg/Log"](_time(types, ROS + 1.0), 30, "safety", "a <b>warning</b>", "", "", 0)
        put("/rosout", "rcl_interfaces/msg/Log", ROS + 1.0, log)


def _time(types: dict, seconds: float) -> object:
    whole = int(seconds)
    return types["builtin_interfaces/msg/Time"](whole, round((seconds - whole) * 1e9))
