"""The words of the envelope: the states it is in, why it limits a joint, why it refuses an action, why it stopped."""

from __future__ import annotations

from enum import Enum, IntFlag


class State(Enum):
    """What the envelope does with the robot."""

    DISARMED = "disarmed"
    BLENDING = "blending"
    ACTIVE = "active"
    LIMITED = "limited"
    HOLDING = "holding"
    STOPPING = "stopping"
    STOPPED = "stopped"


ARMED = (State.BLENDING, State.ACTIVE, State.LIMITED, State.HOLDING)
"""The states in which the robot may move for a policy."""


class Limit(IntFlag):
    """Why the setpoint of a joint is not where the policy's action would have it; one bit each."""

    POSITION = 1  # the action lay outside the position limits
    DYNAMICS = 2  # it would have broken the velocity, acceleration or jerk limit
    STOP = 4  # behind it no stop would have remained possible
    BLEND = 8  # the robot is still led from where it was to where the policy wants it
    SPEED = 16  # a link was too fast
    CLEARANCE = 32  # two links were too near to each other
    WORKSPACE = 64  # the tool was about to leave its box
    EFFORT = 128  # the motor was at its cap and would have been driven further


FREE = Limit(0)
"""No limit at all; made once: making one takes as long as looking at three joints."""


class Refusal(Enum):
    """Why an action was not used; the one before stands until the watchdog ends it."""

    WRONG_LENGTH = "positions and joint names differ in number"
    JOINT_UNKNOWN = "a joint is not the robot's"
    JOINT_MISSING = "a joint of the robot is missing"
    JOINT_DUPLICATED = "a joint is named twice"
    NOT_FINITE = "a position is not finite"
    STAMP_ZERO = "the stamp is zero"
    STAMP_FUTURE = "the stamp lies in the future"
    STAMP_REPEATED = "the stamp is that of the action before"
    STAMP_BACKWARD = "the stamp is older than that of the action before"
    STALE = "the state that it was computed from is too old"


class Cause(Enum):
    """Why the envelope stopped the robot. The first one stays until a reset."""

    REQUESTED = "a person or a program asked for it"
    SHUTDOWN = "the safety process was told to end"
    ERROR = "an error in the safety process"
    STATE_LOST = "no usable joint state in time"
    POLICY_LOST = "the policy stayed silent"
    SECOND_PUBLISHER = "two processes publish what only one may"
    CLOCK_JUMPED = "the clock jumped or stood still"
    CYCLE_LATE = "the safety process itself was late"
    TRACKING = "the robot does not follow its setpoint"
    OVERSPEED = "a joint moves faster than its limit"
    EFFORT = "a motor stayed above its effort limit"
    CLEARANCE = "two links came too near to each other"
    OUTSIDE = "the robot is outside its limits and does not move back"
    NOT_TRAINED_FOR = "the observation is far from all that the policy was trained on"
    TILT = "the base tilts too far"
