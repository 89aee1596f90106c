"""Running mean and variance of a feature vector, and the normalisation that they give."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

# Below this a feature counts as one that has not moved; it is centred and left in its own units.
CONSTANT_STD = 1e-4


class RunningNormaliser(torch.nn.Module):
    """Mean and variance over every row ever given, kept in float64; x is normalised to (x - mean) / std.

    Moments are float64 because a float32 running mean stops moving after some 10^7 samples. Before the first sample the
    normaliser is the identity, without clipping, which is also how a run without normalisation is expressed. A feature
    whose standard deviation is under 1e-4 is centred and not scaled (as scikit-learn's StandardScaler does for constant
    features): dividing by almost nothing would turn the first small movement into a huge input.

    Buffers (all in `state_dict`): mean (size,), variance (size,) population variance, count (1,).
    """

    mean: Tensor
    variance: Tensor
    count: Tensor
    _mean: Tensor
    _std: Tensor

    def __init__(self, size: int) -> None:
        """Start as the identity on vectors of `size` features."""
        super().__init__()
        if size < 1:
            raise ValueError(f"size: given {size}; expected at least 1 feature")
        self.size = size
        self.register_buffer("mean", torch.zeros(size, dtype=torch.float64))
        self.register_buffer("variance", torch.ones(size, dtype=torch.float64))
        self.register_buffer("count", torch.zeros(1, dtype=torch.float64))
        # float32 copies, so that normalising costs two small operations and no conversion.
        self.register_buffer("_mean", torch.zeros(size), persistent=False)
        self.register_buffer("_std", torch.ones(size), persistent=False)
        self._is_identity = True
        self.register_load_state_dict_post_hook(_refresh_after_load)

    @property
    def is_identity(self) -> bool:
        """True until the first sample: neither scales nor clips."""
        return self._is_identity

    @property
    def standard_deviation(self) -> Tensor:
        """The divisor, (size,) float64: the standard deviation, or 1 for a feature that has not moved."""
        std = self.variance.sqrt()
        return torch.where(std < CONSTANT_STD, torch.ones_like(std), std)

    @torch.no_grad()
    def update(self, batch: Tensor) -> None:
        """Merge the rows of `batch`, (..., size), into the moments (Chan, Golub and LeVeque 1979, equation 2.1).

        Raises:
            ValueError: the last axis is not `size`, or a value is not finite (one NaN would stay for ever).
        """
        if batch.shape[-1] != self.size:
            raise ValueError(f"batch: given shape {tuple(batch.shape)}; expected a last axis of {self.size}")
        rows = batch.reshape(-1, self.size).double()
        if len(rows) == 0:
            return
        batch_variance, batch_mean = torch.var_mean(rows, dim=0, correction=0)
        # A NaN or infinity anywhere in a column makes that column's variance NaN: no second pass is needed.
        finite = torch.isfinite(batch_variance)
        if not finite.all():
            columns = torch.nonzero(~finite).flatten().tolist()
            raise ValueError(f"batch: features {columns} hold NaN or infinity; expected finite numbers")
        total = self.count + len(rows)
        delta = batch_mean - self.mean
        # M = M_a + M_b + delta^2 n_a n_b / n, each M a sum of squared deviations, here divided by n throughout
        weight = len(rows) / total
        self.variance.mul_(1.0 - weight).add_(batch_variance * weight + delta.square() * (1.0 - weight) * weight)
        self.mean.add_(delta * weight)
        self.count.copy_(total)
        self.refresh()

    def normalise(self, x: Tensor, clip: float | None = None) -> Tensor:
        """Return (x - mean) / std, clipped to [-clip, clip]; (..., size) in, float32 (..., size) out."""
        if self._is_identity:
            return x.float()
        normalised = (x.float() - self._mean) / self._std
        return normalised if clip is None else normalised.clamp(-clip, clip)

    def denormalise(self, x: Tensor) -> Tensor:
        """Return x * std + mean, the inverse of `normalise` without a clip; float32 (..., size)."""
        return x.float() if self._is_identity else x.float() * self._std + self._mean

    @torch.no_grad()
    def refresh(self) -> None:
        """Derive the float32 copies from the moments; needed only by who writes the buffers by hand."""
        self._mean.copy_(self.mean)
        self._std.copy_(self.standard_deviation)
        self._is_identity = float(self.count) == 0.0


def _refresh_after_load(module: torch.nn.Module, _incompatible_keys: Any) -> None:
    cast(RunningNormaliser, module).refresh()
