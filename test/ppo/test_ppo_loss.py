"""Losses against numbers worked out by hand."""

import math

import pytest
import torch

from ppo_robot.ppo import loss


def log(*ratios):
    return torch.log(torch.tensor(ratios, dtype=torch.float64))


def test_policy_loss_by_hand():
    # min(r A, clip(r) A), eps 0.25: (1.5, 2) -> 2.5; (1.5, -2) -> -3; (0.5, 2) -> 1; (0.5, -2) -> -1.5; (1, 4) -> 4
    advantage = torch.tensor([2.0, -2.0, 2.0, -2.0, 4.0], dtype=torch.float64)
    result, fraction = loss.policy_loss(log(1.5, 1.5, 0.5, 0.5, 1.0), torch.zeros(5), advantage, 0.25)
    assert result.item() == pytest.approx(-(2.5 - 3 + 1 - 1.5 + 4) / 5)
    assert fraction.item() == pytest.approx(4 / 5)


def test_policy_gradient_vanishes_only_where_clipping_is_pessimistic():
    advantage = torch.tensor([2.0, -2.0, 2.0, -2.0], dtype=torch.float64)
    log_prob = log(1.5, 1.5, 0.5, 0.5).requires_grad_()
    loss.policy_loss(log_prob, torch.zeros(4), advantage, 0.25)[0].backward()
    # d(-mean(r A))/d(log r) = -r A / 4 where not clipped
    assert log_prob.grad.tolist() == pytest.approx([0.0, 0.75, -0.25, 0.0])


def test_value_loss_takes_the_larger_error():
    value, old, target = torch.tensor([1.0, 3.0, 1.0]), torch.zeros(3), torch.tensor([1.0, 1.0, 5.0])
    # clipped to 0.5: errors (1-1)^2=0 | 0.25 -> 0.25;  (3-1)^2=4 | 0.25 -> 4;  16 | 20.25 -> 20.25
    assert loss.value_loss(value, old, target, 0.5).item() == pytest.approx(0.5 * (0.25 + 4 + 20.25) / 3)
    assert loss.value_loss(value, old, target, None).item() == pytest.approx(0.5 * (0 + 4 + 16) / 3)


def test_value_that_overshot_still_gets_a_gradient():
    # Beyond the clip range and beyond the target: SB3's form (no max) gives gradient 0 here and the value stays wrong.
    value = torch.tensor([3.0], requires_grad=True)
    loss.value_loss(value, torch.tensor([0.0]), torch.tensor([1.0]), 0.5).backward()
    assert value.grad.item() == pytest.approx(2.0)


def test_explained_variance():
    target = torch.tensor([0.0, 2.0, 4.0])
    assert loss.explained_variance(target + 7.0, target) == pytest.approx(1.0)
    assert loss.explained_variance(torch.zeros(3), target) == pytest.approx(0.0)
    assert loss.explained_variance(-target, target) == pytest.approx(-3.0)
    assert math.isnan(loss.explained_variance(target, torch.ones(3)))


def test_approximate_kl_by_hand_and_never_negative():
    # r = 2: 1 - ln 2;  r = 1/2: -1/2 + ln 2;  mean 1/4
    assert loss.approximate_kl(log(2.0, 0.5), torch.zeros(2)).item() == pytest.approx(0.25)
    ratios = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    assert all(loss.approximate_kl(ratio[None], torch.zeros(1)) >= 0 for ratio in ratios)


def test_approximate_kl_estimates_the_gaussian_kl():
    generator = torch.Generator().manual_seed(5)
    old, new = torch.distributions.Normal(0.0, 1.0), torch.distributions.Normal(0.2, 1.1)
    drawn = torch.randn(200_000, generator=generator)
    exact = torch.distributions.kl_divergence(old, new).item()
    assert loss.approximate_kl(new.log_prob(drawn), old.log_prob(drawn)).item() == pytest.approx(exact, rel=0.05)
