"""The diagonal Gaussian policy's density, entropy, divergence and sampling, as pure functions.

Every function takes the natural logarithm of the standard deviation: it needs no positivity constraint, so no update
can make it invalid. `log_std` is (A,) or broadcasts to (..., A); the last axis is the action and is summed over.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

_HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)


def log_probability(action: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """Return log N(action; mean, diag(std^2)), shape (...,) in nats, of actions and means of shape (..., A).

    log p = sum_i [ -(a_i - mu_i)^2 / (2 sigma_i^2) - log sigma_i - log(2 pi) / 2 ]   (Bishop 2006, equation 2.43,
    for a diagonal covariance).
    """
    scaled = (action - mean) * torch.exp(-log_std)
    return -0.5 * scaled.square().sum(-1) - (log_std + _HALF_LOG_TWO_PI).sum(-1)


def entropy(log_std: Tensor) -> Tensor:
    """Return the differential entropy in nats, shape (...,); it does not depend on the mean.

    H = sum_i [ log sigma_i + (1 + log(2 pi)) / 2 ]   (Cover and Thomas 2006, theorem 8.4.1).
    """
    return (log_std + (0.5 + _HALF_LOG_TWO_PI)).sum(-1)


def kl_divergence(mean_old: Tensor, log_std_old: Tensor, mean_new: Tensor, log_std_new: Tensor) -> Tensor:
    """Return KL(old || new) in nats, exact, shape (...,), of means of shape (..., A).

    KL = sum_i [ log(sigma_new / sigma_old) + (sigma_old^2 + (mu_old - mu_new)^2) / (2 sigma_new^2) - 1/2 ]
    (Kullback 1959, chapter 9; the same form as in rsl_rl's adaptive schedule).
    """
    log_ratio = log_std_new - log_std_old
    # expm1 keeps precision where old and new nearly agree: there the plain form subtracts two numbers close to 1/2.
    spread = log_ratio + 0.5 * torch.expm1(-2.0 * log_ratio)
    shift = 0.5 * ((mean_old - mean_new) * torch.exp(-log_std_new)).square()
    return (spread + shift).sum(-1)


def sample(mean: Tensor, log_std: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Draw one action for each row of mean, shape (..., A): mean + std * epsilon, epsilon ~ N(0, 1)."""
    noise = torch.randn(mean.shape, generator=generator, dtype=mean.dtype, device=mean.device)
    return mean + torch.exp(log_std) * noise
