"""The Gaussian's formulas against torch.distributions and numbers worked out by hand."""

import math

import pytest
import torch
from torch.distributions import Independent, Normal
from torch.distributions import kl_divergence as reference_kl

from ppo_robot.ppo import distribution


def normal(mean, log_std):
    return Independent(Normal(mean, log_std.exp().expand_as(mean)), 1)


@pytest.fixture
def drawn():
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(*shape, generator=generator).double() for shape in [(9, 3), (9, 3), (9, 3), (3,), (3,)]]


def test_against_torch_distributions(drawn):
    action, mean_a, mean_b, log_std_a, log_std_b = drawn
    old, new = normal(mean_a, log_std_a), normal(mean_b, log_std_b)
    torch.testing.assert_close(distribution.log_probability(action, mean_a, log_std_a), old.log_prob(action))
    torch.testing.assert_close(distribution.entropy(log_std_a).expand(9), old.entropy())
    torch.testing.assert_close(
        distribution.kl_divergence(mean_a, log_std_a, mean_b, log_std_b), reference_kl(old, new)
    )


def test_by_hand():
    zero = torch.zeros(1, dtype=torch.float64)
    two = torch.tensor([math.log(2.0)], dtype=torch.float64)
    one = torch.ones(1, dtype=torch.float64)
    # N(1; 0, 1) has density exp(-1/2) / sqrt(2 pi)
    assert distribution.log_probability(one, zero, zero).item() == pytest.approx(-0.5 - 0.918938533204673)
    assert distribution.entropy(zero).item() == pytest.approx(1.418938533204673)
    # KL(N(0, 1) || N(1, 2^2)) = ln 2 + (1 + 1) / 8 - 1/2
    assert distribution.kl_divergence(zero, zero, one, two).item() == pytest.approx(math.log(2.0) - 0.25)


def test_kl_is_zero_at_itself_and_never_negative_in_float32():
    generator = torch.Generator().manual_seed(2)
    mean, log_std = torch.randn(1000, 4, generator=generator), torch.randn(4, generator=generator)
    assert distribution.kl_divergence(mean, log_std, mean, log_std).abs().max() == 0.0
    for scale in (1e-6, 1e-4, 1e-2):
        moved = log_std + scale * torch.randn(4, generator=generator)
        assert distribution.kl_divergence(mean, log_std, mean, moved).min() >= -1e-9


def test_sample_moments_and_seed():
    mean, log_std = torch.tensor([[1.0, -2.0]]).repeat(50_000, 1), torch.tensor([0.5, -1.0])
    first = distribution.sample(mean, log_std, torch.Generator().manual_seed(4))
    again = distribution.sample(mean, log_std, torch.Generator().manual_seed(4))
    assert torch.equal(first, again)
    torch.testing.assert_close(first.mean(0), mean[0], atol=0.03, rtol=0)
    torch.testing.assert_close(first.std(0), log_std.exp(), atol=0.03, rtol=0)
