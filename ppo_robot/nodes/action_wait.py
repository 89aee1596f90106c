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

    def waits(self, now: float) -> bool:
        """Take the time to which the simulation went on; return whether its cycle must wait for an action."""
        due = self._acted_at is not None and now - self._acted_at >= self.control_period * (1.0 - 1e-6)
        self._waiting_since = time.monotonic() if due else None
        return due

    def acted(self, now: float) -> bool:
        """Take an action that came at the simulated time `now`; return whether the cycle waited for it."""
        waited = self._waiting_since is not None
        self._acted_at, self._waiting_since = now, None
        return waited

    def gave_up(self) -> bool:
        """Return whether the cycle has waited for too long, and must now do without."""
        if self._waiting_since is None or time.monotonic() - self._waiting_since < self.timeout:
            return False
        self.timeouts += 1
        self._acted_at = self._waiting_since = None
        return True
