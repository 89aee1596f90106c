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
    policy_timeout: float = setting(0.1, above=0.0, high=2.0, doc="s without a usable action, then the robot is held")
    hold_timeout: float = setting(5.0, above=0.0, high=600.0, doc="s of holding for a silent policy, then a stop")
    state_timeout: float = setting(0.1, above=0.0, high=2.0, doc="s without a usable joint state, then a stop")
    cycle_timeout: float = setting(0.05, above=0.0, high=2.0, doc="s between two cycles of its own, then a stop")
    future_tolerance: float = setting(0.05, low=0.0, high=2.0, doc="s; a stamp further ahead is refused")
    clock_jump: float = setting(0.2, above=0.0, high=10.0, doc="s that the ROS clock may leave the monotonic one by")
    blend_time: float = setting(1.0, low=0.0, high=60.0, doc="s from the measured pose to following the policy")
    blend_speed: float = setting(0.2, above=0.0, high=1.0, doc="share of the velocity limits at a blend's start")
    blend_distance: float = setting(0.02, above=0.0, doc="rad (m); a policy whose target is nearer needs no blend")
    tracking_error: float = setting(0.35, above=0.0, doc="rad (m) between setpoint and measured position")
    tracking_time: float = setting(0.2, low=0.0, high=10.0, doc="s that it may last")
    stray: float = setting(0.05, above=0.0, doc="rad (m) that a joint may measure outside its limits, margin included")
    overspeed: float = setting(1.25, above=1.0, high=10.0, doc="measured speed as a share of the velocity limit")
    overspeed_time: float = setting(0.05, low=0.0, high=10.0, doc="s that it may last")
    effort_time: float = setting(0.5, low=0.0, high=10.0, doc="s that a joint may stay at its effort limit")
    self_collision: bool = setting(True, doc="watch the distances between links that can touch")
    clearance_slow: float = setting(0.05, above=0.0, high=1.0, doc="m between two links, below which motion is slowed")
    clearance_stop: float = setting(0.01, low=0.0, high=1.0, doc="m between two links, which no stop ends below")
    link_speed: float | None = setting(None, above=0.0, doc="m/s, of every link and the tool; 0.25 beside people")
    tool_lower: tuple[float, ...] = setting((), doc="m in the base frame: x, y, z below which the tool may not go")
    tool_upper: tuple[float, ...] = setting((), doc="m in the base frame: x, y, z above which the tool may not go")
    tilt_limit: float | None = setting(None, above=0.0, high=3.1, doc="rad, of the base against the vertical")
    tilt_time: float = setting(0.1, low=0.0, high=10.0, doc="s that it may last")
    novelty_margin: float | None = setting(
        0.5, low=0.0, high=100.0, doc="share of its range in training that an observation may lie beyond it; null: off"
    )
    novelty_time: float = setting(0.3, low=0.0, high=10.0, doc="s that it may lie further out")
    standstill: float = setting(0.05, above=0.0, doc="rad/s (m/s) below which the robot stands, for a reset")
    intervention: float = setting(0.002, above=0.0, doc="rad (m); a setpoint further from the policy's is a change")

    def __post_init__(self) -> None:
        if self.clearance_stop >= self.clearance_slow:
            raise ValueError(
                f"clearance_stop: given {self.clearance_stop}; expected less than clearance_slow {self.clearance_slow}"
            )
        lower, upper = self.tool_lower, self.tool_upper
        if len(lower) != len(upper) or len(lower) not in (0, 3):
            raise ValueError(f"tool_lower, tool_upper: given {list(lower)} and {list(upper)}; expected x, y, z in both")
        # Written so that NaN is refused, too.
        if not all(low < high for low, high in zip(lower, upper, strict=True)):
            raise ValueError(f"tool_lower: given {list(lower)}; expected less than tool_upper {list(upper)}")
