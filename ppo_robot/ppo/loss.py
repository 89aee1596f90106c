"""PPO's losses and the figures that watch them, as pure functions of (B,) tensors."""

from __future__ import annotations

import torch
from torch import Tensor


def policy_loss(
    log_prob: Tensor, old_log_prob: Tensor, advantage: Tensor, clip_range: float
) -> tuple[Tensor, Tensor]:
    """Return the clipped surrogate loss and the fraction of samples whose ratio lies outside the clip range.

    L = -mean min( r A, clip(r, 1 - eps, 1 + eps) A ),  r = exp(log_prob - old_log_prob)
    (Schulman et al. 2017, arXiv:1707.06347, equation 7).

    Args:
        log_prob: (B,) of the policy being trained, differentiable.
        old_log_prob: (B,) of the policy that acted.
        advantage: (B,).
        clip_range: eps.
    """
    ratio = torch.exp(log_prob - old_log_prob)
    clipped_ratio = ratio.clamp(1.0 - clip_range, 1.0 + clip_range)
    loss = -torch.minimum(ratio * advantage, clipped_ratio * advantage).mean()
    clip_fraction = (ratio.detach() - 1.0).abs().gt(clip_range).float().mean()
    return loss, clip_fraction


def value_loss(value: Tensor, old_value: Tensor, target: Tensor, value_clip_range: float | None) -> Tensor:
    """Return half the mean squared error, pessimistically clipped around the old value.

    L = 1/2 mean max( (V - G)^2, (V_old + clip(V - V_old, -eps, eps) - G)^2 )
    (Schulman's baselines ppo2; item 9 of Huang et al. 2022, "The 37 Implementation Details of PPO"). The max is
    essential: without it, a value beyond the clip range and on the wrong side of the target gets no gradient at all.
    The factor 1/2, which makes the gradient V - G, stands here and not in `value_coefficient`, as in CleanRL; rsl_rl
    and stable-baselines3 have no 1/2, so their coefficient of 0.5 is 1.0 here.

    Args:
        value: (B,), differentiable.
        old_value: (B,), prediction at the time of acting.
        target: (B,).
        value_clip_range: eps, in the units of the values; None for no clip.
    """
    squared_error = (value - target).square()
    if value_clip_range is not None:
        clipped = old_value + (value - old_value).clamp(-value_clip_range, value_clip_range)
        squared_error = torch.maximum(squared_error, (clipped - target).square())
    return 0.5 * squared_error.mean()


def explained_variance(value: Tensor, target: Tensor) -> float:
    """Return 1 - Var(target - value) / Var(target) of (B,) tensors: 1 perfect, 0 no better than the mean.

    NaN where the target does not vary, as there is nothing to explain.
    """
    variance = target.var(correction=0)
    if variance == 0.0:
        return float("nan")
    return float(1.0 - (target - value).var(correction=0) / variance)


def approximate_kl(log_prob: Tensor, old_log_prob: Tensor) -> Tensor:
    """Return the k3 estimate of KL(old || new) in nats from samples of the old policy; never negative.

    mean( (r - 1) - log r ),  r = exp(log_prob - old_log_prob)  (Schulman 2020, "Approximating KL Divergence",
    joschu.net/blog/kl-approx.html). For policies whose KL has no closed form; for the Gaussian, the learner uses the
    exact `distribution.kl_divergence`, which has no sampling noise.
    """
    log_ratio = log_prob - old_log_prob
    return (torch.expm1(log_ratio) - log_ratio).mean()
