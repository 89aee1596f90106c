"""The envelope with its log: whatever goes into it or comes out of it is a row of `safety/telemetry`."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

from ppo_robot.joint_input import JointMessage
from ppo_robot.joint_input import Refusal as StateRefusal
from ppo_robot.nodes.telemetry_rows import RowsMessage
from ppo_robot.safety.actions import Action
from ppo_robot.safety.envelope import Envelope, Verdict
from ppo_robot.safety.reasons import Cause, Refusal, State
from ppo_robot.telemetry.matrix import SAFETY_ROWS, Array, Kind, Table, safety_columns

PERIOD = 0.1
"""s between two messages, each of which holds every row since the one before."""

ROWS = 256
"""Room for what 0.1 s give: cycles at 500 Hz, states at 1 kHz, actions at 200 Hz. What is full goes out at once."""

STATES = {state: float(place) for place, state in enumerate(State)}
CAUSES: dict[Cause | None, float] = {None: 0.0} | {cause: 1.0 + place for place, cause in enumerate(Cause)}


class LoggedEnvelope:
    """Hands everything on to an envelope, with the times of one pair of clocks, and writes it down.

    An envelope that is given the same rows answers with the same cycles, bit for bit. Not thread-safe.
    """

    def __init__(
        self,
        envelope: Envelope,
        now: Callable[[], float],
        ros_now: Callable[[], float],
        publish: Callable[[bytes], None],
    ) -> None:
        """Wrap an envelope.

        Args:
            envelope: nobody else may call what changes it.
            now: its monotonic clock, s.
            ros_now: the clock of the stamps, s.
            publish: takes the messages.
        """
        joints = envelope.limits.joints
        self.envelope = envelope
        self._now, self._ros_now, self._publish = now, ros_now, publish
        self._table = Table(safety_columns(joints), ROWS)
        self._message = RowsMessage(SAFETY_ROWS, self._table)
        self._flushed = time.monotonic()
        self._sequence, self._stamp = 0, 0.0
        self._zeros = (0.0,) * joints
        self._unknown = (math.nan,) * (3 * joints)

    # What comes in.

    def take_state(self, message: JointMessage) -> StateRefusal | None:
        """Take a joint state; return why it was refused, or None."""
        now, ros_now = self._now(), self._ros_now()
        refusal = self.envelope.take_state(message, ros_now, now)
        reading = self.envelope.states.newest
        if refusal is None and reading is not None:
            measured = (*reading.position.tolist(), *reading.velocity.tolist(), *reading.effort.tolist())
            self._add(Kind.STATE, now, ros_now, stamp=reading.stamp, joints=measured)
        return refusal

    def take_action(self, action: Action, sequence: int) -> Refusal | None:
        """Take a policy's action, the `sequence`-th of its own; return why it was refused, or None."""
        now, ros_now = self._now(), self._ros_now()
        refusal = self.envelope.take_action(action, ros_now, now)
        if refusal is None:
            self._sequence, self._stamp = sequence, action.stamp
            joints = (*self.envelope.actions.newest, *self._zeros, *self._zeros)
            self._add(Kind.ACTION, now, ros_now, sequence, action.stamp, joints=joints)
        return refusal

    def take_tilt(self, angle: float) -> None:
        """Take the angle in rad of a floating base against the vertical."""
        now = self._now()
        self.envelope.take_tilt(angle, now)
        self._add(Kind.TILT, now, self._ros_now(), value=angle)

    def take_observations(self, observations: Array, sequence: int) -> None:
        """Take what the policy saw (m, O) since the last call, up to its tick `sequence`."""
        now = self._now()
        self.envelope.take_observations(observations, now)
        self._add(Kind.OBSERVATION, now, self._ros_now(), sequence=sequence, value=len(observations))

    def take_publishers(self, place: int, topic: str, count: int) -> None:
        """Take how many publish a topic, the `place`-th of those that only one may publish."""
        now = self._now()
        self.envelope.take_publishers(topic, count, now)
        self._add(Kind.PUBLISHERS, now, self._ros_now(), sequence=place, value=count)

    def arm(self) -> str | None:
        """Begin to blend from the measured pose; return why that is not possible, or None."""
        now = self._now()
        refusal = self.envelope.arm(now)
        self._add(Kind.ARM, now, self._ros_now())
        return refusal

    def stop(self, cause: Cause, detail: str) -> None:
        """Stop the robot and stay stopped."""
        now = self._now()
        self.envelope.stop(cause, detail, now)
        self._add(Kind.STOP, now, self._ros_now(), cause=cause)

    def disarm(self) -> None:
        """Stop, and send nothing once the robot stands."""
        now = self._now()
        self.envelope.disarm(now)
        self._add(Kind.DISARM, now, self._ros_now())

    def reset(self) -> str | None:
        """Leave a latched stop for disarmed; return why that is not possible yet, or None."""
        now = self._now()
        refusal = self.envelope.reset(now)
        self._add(Kind.RESET, now, self._ros_now())
        return refusal

    # What goes out.

    def cycle(self, send: Callable[[Verdict, float], bool]) -> Verdict:
        """Run one cycle, hand its verdict and its time in s to `send`, which says whether it sent a command."""
        now, ros_now = self._now(), self._ros_now()
        verdict = self.envelope.cycle(ros_now, now)
        checked = time.monotonic()
        published = time.monotonic() if send(verdict, now) else math.nan
        setpoint = verdict.setpoint
        sent = () if setpoint is None else (*setpoint.position, *setpoint.velocity, *setpoint.acceleration)
        self._row()[:] = (
            *(Kind.CYCLE, now, ros_now, self._sequence, self._stamp, STATES[verdict.state], CAUSES[verdict.cause]),
            *(verdict.changed, checked, published, 0.0, *(sent or self._unknown), *verdict.limits),
        )
        if checked - self._flushed >= PERIOD:
            self.flush()
        return verdict

    def flush(self) -> None:
        """Publish what there is."""
        self._flushed = time.monotonic()
        if len(self._table):
            self._publish(self._message.take())

    def _add(
        self,
        kind: Kind,
        now: float,
        ros_now: float,
        sequence: int = 0,
        stamp: float = 0.0,
        cause: Cause | None = None,
        value: float = 0.0,
        joints: Sequence[float] = (),
    ) -> None:
        """Add a row of something that went in; `joints` are position, velocity and acceleration, (3 J,)."""
        envelope = self.envelope
        self._row()[:] = (
            *(kind, now, ros_now, sequence, stamp, STATES[envelope.state], CAUSES[cause or envelope.cause]),
            *(0.0, 0.0, math.nan, value, *(joints or (*self._zeros, *self._zeros, *self._zeros)), *self._zeros),
        )

    def _row(self) -> Array:
        """Return the next row, to be filled."""
        if self._table.full:
            self.flush()
        return self._table.next()
