"""What a deployment asks of the safety envelope: tighter limits than the bundle's, and how long it waits for whom."""

from __future__ import annotations

from dataclasses import dataclass, field

from ppo_robot.spec.strict import setting


@dataclass(frozen=True)
class JointTightening:
    """Tighter limits of one joint; what is left out stays as it is. rad (m if prismatic), s, N·m (N)."""

    position_lower: float | None = None
    position_upper: float | None = None
    velocity_limit: float | None = setting(None, above=0.0)
    acceleration_limit: float | None = setting(None, above=0.0)
    jerk_limit: float | None = setting(None, above=0.0)
    effort_limit: float | None = setting(None, above=0.0)


@dataclass(frozen=True)
class SafetySpec:
    """The envelope's rate, limits and patience. Scales are shares of the bundle's limits: 1 at most."""

    rate: float = setting(250.0, low=20.0, high=1000.0, doc="Hz, of setpoints")
    latency: float = setting(0.02, low=0.0, high=0.5, doc="s that a stop may come late; room for it is kept")
    position_margin: float = setting(0.01, low=0.0, high=1.0, doc="rad (m), kept free inside every position limit")
    velocity_scale: float = setting(1.0, above=0.0, high=1.0)
    acceleration_scale: float = setting(1.0, above=0.0, high=1.0)
    jerk_scale: float = setting(1.0, above=0.0, high=1.0)
    joints: dict[str, JointTightening] = field(default_factory=dict)
