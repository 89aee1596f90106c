"""What a task may draw anew: the parameters by name, and how an entry of `simulation.randomization` draws one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ppo_robot.spec.strict import nearest, setting

When = Literal["start", "reset", "interval", "step"]

_ALWAYS: tuple[When, ...] = ("start", "reset", "interval", "step")
_BODY: tuple[When, ...] = ("start", "reset", "interval")
_EPISODE: tuple[When, ...] = ("start", "reset")


@dataclass(frozen=True)
class Parameter:
    """One quantity of the simulated robot.

    Attributes:
        per: what there is one value for: the robot, each joint, link or rotor, or each axis of a link, of the tool or
            of a floating robot.
        unit: of a drawn value; 1 for factors and shares.
        meets: how a draw meets what is there without it: `factor` multiplies it, `offset` is added to it, `absolute`
            takes its place. Several entries of a factor or an offset are multiplied or added.
        low: the least value that has a meaning.
        high: the largest.
        when: the times at which it may be drawn.
        doc: what it is.
    """

    per: Literal["robot", "joint", "link", "link_axis", "tool_axis", "rotor", "axis"]
    unit: str
    meets: Literal["factor", "offset", "absolute"]
    low: float
    high: float
    when: tuple[When, ...]
    doc: str


_SHARED = {
    "gravity": Parameter("robot", "1", "factor", 0.0, 10.0, _BODY, "strength of gravity"),
    "action_latency": Parameter("robot", "s", "offset", 0.0, 1.0, _ALWAYS, "dead time beyond actuator.delay"),
    "observation_latency": Parameter("robot", "s", "offset", 0.0, 1.0, _ALWAYS, "age beyond sensors.delay"),
    "control_period": Parameter("robot", "s", "offset", -1.0, 1.0, ("step",), "how much longer a period takes"),
    "dropout_probability": Parameter("robot", "1", "offset", 0.0, 1.0, _BODY, "that a dropout begins in a period"),
    "dropout_hold": Parameter("robot", "s", "offset", 0.0, 10.0, _BODY, "for how long the last state is repeated"),
}

ARM_PARAMETERS: Mapping[str, Parameter] = {
    **_SHARED,
    "link_mass": Parameter("link", "1", "factor", 0.01, 100.0, _BODY, "mass, and inertia with it: density"),
    "link_inertia": Parameter("link", "1", "factor", 0.01, 100.0, _BODY, "inertia beyond what the mass makes it"),
    "centre_of_mass": Parameter("link_axis", "m", "offset", -0.5, 0.5, _BODY, "shift in the link's own axes"),
    "payload": Parameter("robot", "kg", "offset", 0.0, 1e3, _BODY, "more mass at the payload link's centre"),
    "contact_friction": Parameter("robot", "1", "absolute", 0.0, 10.0, _BODY, "coefficient of every contact"),
    "contact_restitution": Parameter("robot", "1", "absolute", 0.0, 1.0, _BODY, "of every contact"),
    "contact_stiffness": Parameter("robot", "N/m", "absolute", 1.0, 1e9, _BODY, "of every contact"),
    "contact_damping": Parameter("robot", "N·s/m", "absolute", 0.0, 1e7, _BODY, "of every contact"),
    "joint_damping": Parameter("joint", "1", "factor", 0.0, 1e3, _BODY, "viscous friction"),
    "joint_friction": Parameter("joint", "1", "absolute", 0.0, 1e3, _BODY, "dry friction in units of the URDF's"),
    "motor_strength": Parameter("joint", "1", "factor", 0.0, 10.0, _BODY, "effort limit"),
    "position_gain": Parameter("joint", "1", "factor", 0.01, 100.0, _BODY, "servo's gain on position"),
    "velocity_gain": Parameter("joint", "1", "factor", 0.01, 100.0, _BODY, "servo's gain on velocity"),
    "servo_lag": Parameter("joint", "1", "factor", 0.0, 100.0, _BODY, "time constant of simulation.actuator.lag"),
    "joint_position_error": Parameter("joint", "rad", "offset", -10.0, 10.0, _ALWAYS, "measured beside the truth"),
    "joint_velocity_error": Parameter("joint", "rad/s", "offset", -1e3, 1e3, _ALWAYS, "measured beside the truth"),
    "joint_position_step": Parameter("robot", "rad", "offset", 0.0, 1.0, _BODY, "quantisation beyond the sensor's"),
    "joint_velocity_step": Parameter("robot", "rad/s", "offset", 0.0, 100.0, _BODY, "quantisation"),
    "joint_zero": Parameter("joint", "rad", "offset", -1.0, 1.0, _EPISODE, "what an encoder says at the true zero"),
    "push": Parameter("tool_axis", "N", "offset", -1e4, 1e4, ("interval",), "force on the tool, base frame"),
    "joint_load": Parameter("joint", "1", "offset", -10.0, 10.0, _ALWAYS, "torque on the joint over its limit"),
    "start_position": Parameter("joint", "rad", "offset", -10.0, 10.0, _EPISODE, "added to the drawn start pose"),
    "start_velocity": Parameter("joint", "1", "offset", -1.0, 1.0, _EPISODE, "velocity over its limit at the start"),
}
"""Of a robot with joints."""

FLIGHT_PARAMETERS: Mapping[str, Parameter] = {
    **_SHARED,
    "body_mass": Parameter("robot", "1", "factor", 0.01, 100.0, _BODY, "mass, and inertia with it: density"),
    "body_inertia": Parameter("axis", "1", "factor", 0.1, 10.0, _BODY, "inertia beyond what the mass makes it"),
    "drag": Parameter("axis", "1", "factor", 0.0, 100.0, _BODY, "drag against the air, body frame"),
    "wind": Parameter("axis", "m/s", "offset", -50.0, 50.0, _ALWAYS, "velocity of the air, world frame"),
    "body_force": Parameter("axis", "N", "offset", -1e3, 1e3, _ALWAYS, "force on the centre of mass, world frame"),
    "rotor_strength": Parameter("rotor", "1", "factor", 0.0, 10.0, _BODY, "thrust for what is asked of the motor"),
    "rotor_lag": Parameter("rotor", "1", "factor", 0.0, 100.0, _BODY, "time constant of the motor"),
    "position_error": Parameter("axis", "m", "offset", -10.0, 10.0, _ALWAYS, "measured beside the truth, world"),
    "velocity_error": Parameter("axis", "m/s", "offset", -10.0, 10.0, _ALWAYS, "measured beside the truth, world"),
    "attitude_error": Parameter("axis", "rad", "offset", -1.0, 1.0, _ALWAYS, "measured beside the truth, body"),
    "body_rate_error": Parameter("axis", "rad/s", "offset", -10.0, 10.0, _ALWAYS, "measured beside the truth, body"),
    "flight_start_position": Parameter("axis", "m", "offset", -10.0, 10.0, _EPISODE, "added to the drawn start"),
    "flight_start_velocity": Parameter("axis", "m/s", "offset", -10.0, 10.0, _EPISODE, "added to the drawn start's"),
    "flight_start_attitude": Parameter("axis", "rad", "offset", -1.0, 1.0, _EPISODE, "turned beyond the drawn start"),
}
"""Of a floating robot."""

PARAMETERS: Mapping[str, Parameter] = {**ARM_PARAMETERS, **FLIGHT_PARAMETERS}


@dataclass(frozen=True)
class RandomizationSpec:
    """One draw. `parameter` defaults to the entry's own key, so that one parameter may have several entries.

    `uniform` and `log_uniform` draw from `range`, `normal` around `mean` with `std`, `choice` from `values`, all alike.

    `when`: `start` draws once for each environment of a run, `reset` for each episode, `step` for each control period,
    `interval` at the start of an episode and again whenever a time drawn from `interval` has passed. With `duration`
    a draw of `interval` lasts so long, and what is there without the entry holds before and after, from the start on.

    `episodes` is the share of the episodes in which the entry acts: each episode draws one lot in [0, 1), and entries
    whose spans do not overlap never meet (half of the episodes one disturbance, half the other).
    """

    parameter: str = ""
    distribution: Literal["uniform", "log_uniform", "normal", "choice"] = "uniform"
    range: tuple[float, float] | None = setting(None, doc="uniform, log_uniform: from, to")
    mean: float | None = setting(None, doc="normal; by default what is there without the entry")
    std: float | None = setting(None, low=0.0, doc="normal")
    values: tuple[float, ...] = setting((), doc="choice")
    when: When = "reset"
    interval: tuple[float, float] | None = setting(None, above=0.0, doc="s from one draw to the next, from, to")
    duration: float | None = setting(None, above=0.0, doc="s that a draw lasts, with when: interval; null: to the next")
    limits: tuple[float, float] | None = setting(None, doc="hard bounds: a draw beyond them is moved onto them")
    shared: bool = setting(False, doc="one draw for all joints, links and axes")
    only: tuple[str, ...] = setting((), doc="names of the joints or links that it is for; empty: all")
    episodes: tuple[float, float] = setting((0.0, 1.0), low=0.0, high=1.0, doc="share of the episodes, from, to")

    def __post_init__(self) -> None:
        for name in ("range", "interval", "limits", "episodes"):
            span = getattr(self, name)
            if span is not None and not span[0] <= span[1]:
                raise ValueError(f"{name}: given {list(span)}; expected the lower bound first")
        self._check_distribution()
        if (self.when == "interval") != (self.interval is not None):
            said = f"given {list(self.interval)}" if self.interval is not None else "missing"
            raise ValueError(f"interval: {said} with when: {self.when}; it belongs to when: interval")
        if self.duration is not None and self.when != "interval":
            raise ValueError(f"duration: given {self.duration} with when: {self.when}; it belongs to when: interval")

    def _check_distribution(self) -> None:
        given = {
            "range": self.range is not None,
            "std": self.std is not None,
            "mean": self.mean is not None,
            "values": bool(self.values),
        }
        needed = {"normal": "std", "choice": "values"}.get(self.distribution, "range")
        allowed = {needed, "mean"} if self.distribution == "normal" else {needed}
        if not given[needed]:
            raise ValueError(f"{needed}: missing; distribution {self.distribution} draws from it")
        for name, is_given in given.items():
            if is_given and name not in allowed:
                raise ValueError(f"{name}: given with distribution {self.distribution}; it draws from {needed}")
        if self.distribution == "log_uniform" and not self.support[0] > 0.0:
            raise ValueError(f"range: given {list(self.support)}; expected above 0 for log_uniform")

    @property
    def support(self) -> tuple[float, float]:
        """The least and the largest draw before `limits`; infinite for normal."""
        if self.range is not None:
            return self.range
        return (min(self.values), max(self.values)) if self.values else (-math.inf, math.inf)


def check_randomization(
    entries: Mapping[str, RandomizationSpec], parameters: Mapping[str, Parameter] = ARM_PARAMETERS
) -> None:
    """Hold the entries of a task against the parameters that its kind of robot has.

    Raises:
        ValueError: if a parameter is unknown, may not be drawn then or so far, or is `absolute` and drawn twice.
    """
    absolute: dict[str, str] = {}
    for key, entry in entries.items():
        name, where = entry.parameter or key, f"randomization.{key}"
        if name not in parameters:
            raise ValueError(f"{where}: no parameter '{name}'{nearest(name, parameters)}")
        parameter = parameters[name]
        if entry.when not in parameter.when:
            raise ValueError(f"{where}.when: given {entry.when}; {name} is drawn at {' or '.join(parameter.when)}")
        if entry.only and parameter.per in ("robot", "tool_axis", "axis"):
            raise ValueError(f"{where}.only: given with {name}; there is one of it for the whole robot")
        bounds = f"{parameter.low:g} to {parameter.high:g} {parameter.unit}"
        ends = [end for end in (*entry.support, *(entry.limits or ())) if math.isfinite(end)]
        if any(not parameter.low <= end <= parameter.high for end in ends):
            raise ValueError(f"{where}: given {ends}; {name} has a meaning from {bounds}")
        if parameter.meets == "absolute" and absolute.setdefault(name, key) != key:
            raise ValueError(f"{where}: {name} is drawn by randomization.{absolute[name]} already; expected one entry")
