"""In simulated time, which stands still until it is answered: whether a cycle must wait for the policy's action."""

from __future__ import annotations

import time


class ActionWait:
    """Lets the cycle of a moment at which the policy acts wait for its action, so that no figure depends on the load.

    The policy acts once a control period of simulated time, from its first action on, which engages this. An action
    that is not there after `timeout` s of wall time disengages it until the next one comes.
    """

    def __init__(self, control_period: float, timeout: float) -> None:
        """Begin disengaged; `control_period` is in s of simulated time."""
        self.control_period = control_period
        self.timeout = timeout
        self.timeouts = 0
        self._acted_at: float | None = None
        self._waiting_since: float | None = None

    @property
    def engaged(self) -> bool:
        """Whether the policy acts; while it does not, who answers the simulation should keep to real time."""
        return self._acted_at is not None

    def forget(self) -> None:
        """Wait for nothing before the next action."""
        self._acted_at = self._waiting_since = None

    def waits(self, now: float) -> bool:
        """Take the time to which the simulation went on; return whether its cycle must wait for an action."""
        if self._waiting_since is not None:  # the simulation went on without an answer, so it waits for nobody now
            self.timeouts += 1
            self._acted_at = None
        due = self._acted_at is not None and now - self._acted_at >= self.control_period * (1.0 - 1e-6)
        self._waiting_since = time.monotonic() if due else None
        return due

    def acted(self, now: float, stamp: float) -> bool:
        """Take an action that came at the simulated time `now`; return whether the cycle waited for it.

        It may overtake the clock that it answers; then its `stamp`, of the state behind it, is ahead of `now`.
        """
        waited = self._waiting_since is not None
        ahead = now < stamp < now + self.control_period
        self._acted_at, self._waiting_since = stamp if ahead else now, None
        return waited

    def gave_up(self) -> bool:
        """Return whether the cycle has waited for too long, and must now do without."""
        if self._waiting_since is None or time.monotonic() - self._waiting_since < self.timeout:
            return False
        self.timeouts += 1
        self.forget()
        return True
