"""The learning rate over a run: constant, linear in progress, or steered by the policy's KL."""

from __future__ import annotations

from ppo_robot.spec.training import PpoSpec

_KL_BAND = 2.0  # a KL between desired / 2 and desired * 2 is left alone
_STEP = 1.5


class LearningRateSchedule:
    """Holds the current learning rate; the learner reports progress and KL, whichever schedule runs.

    - constant: `spec.learning_rate` throughout.
    - linear: from `spec.learning_rate` at progress 0 to `spec.minimum_learning_rate` at progress 1.
    - adaptive: divided by 1.5 where the KL exceeds twice `spec.desired_kl`, times 1.5 where it is under half of it,
      kept between the minimum and maximum rate (Schulman et al. 2017 section 4 for the band;
      rsl_rl applies it to the rate).
    """

    def __init__(self, spec: PpoSpec) -> None:
        """Start at `spec.learning_rate`."""
        self._spec = spec
        self.learning_rate = spec.learning_rate

    def on_progress(self, progress: float) -> float:
        """Report the share of the run done, 0 to 1, at the start of an update; returns the learning rate.

        Raises:
            ValueError: progress is outside 0 to 1.
        """
        if not 0.0 <= progress <= 1.0:
            raise ValueError(f"progress: given {progress}; expected the share of the run done, 0 to 1")
        if self._spec.schedule == "linear":
            first, last = self._spec.learning_rate, self._spec.minimum_learning_rate
            self.learning_rate = first + (last - first) * progress
        return self.learning_rate

    def on_kl(self, kl: float) -> float:
        """Report KL(acting policy || current policy) in nats before a minibatch's step; returns the learning rate."""
        spec = self._spec
        if spec.schedule == "adaptive":
            if kl > spec.desired_kl * _KL_BAND:
                self.learning_rate = max(self.learning_rate / _STEP, spec.minimum_learning_rate)
            elif kl < spec.desired_kl / _KL_BAND:
                self.learning_rate = min(self.learning_rate * _STEP, spec.maximum_learning_rate)
        return self.learning_rate

    def state_dict(self) -> dict[str, float]:
        """Return what a resumed run needs."""
        return {"learning_rate": self.learning_rate}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Continue from what `state_dict` returned."""
        self.learning_rate = float(state["learning_rate"])
