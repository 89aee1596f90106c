"""The actor-critic: shapes, initialisation, bounds of the log-std, units of the value, what the state holds."""

import math

import pytest
import torch

from ppo_robot.ppo.actor_critic import ActorCritic
from ppo_robot.spec.training import NetworkSpec


def build(seed=0, **changes):
    return ActorCritic(5, 8, 2, NetworkSpec(**changes), torch.Generator().manual_seed(seed))


def observations(rows=16, size=5, seed=1):
    return torch.randn(rows, size, generator=torch.Generator().manual_seed(seed)) * 3 + 1


def test_shapes_and_consistent_log_probability():
    actor_critic, seen = build(), observations()
    action, log_prob, mean = actor_critic.act(seen, torch.Generator().manual_seed(2))
    assert action.shape == mean.shape == (16, 2)
    assert log_prob.shape == actor_critic.value(observations(size=8)).shape == (16,)
    assert torch.equal(mean, actor_critic.action_mean(seen))
    policy_mean, log_std = actor_critic.policy(seen)
    reference = torch.distributions.Normal(policy_mean, log_std.exp()).log_prob(action).sum(-1)
    torch.testing.assert_close(log_prob, reference)


def test_initialisation():
    actor_critic = build(initial_std=0.3)
    hidden = actor_critic.actor[2].weight
    torch.testing.assert_close(hidden @ hidden.T, 2.0 * torch.eye(64), atol=1e-4, rtol=0)
    assert actor_critic.actor[-1].weight.norm(dim=1).tolist() == pytest.approx([0.01, 0.01], rel=1e-4)
    assert actor_critic.critic[-1].weight.norm().item() == pytest.approx(1.0, rel=1e-4)
    assert all((layer.bias == 0).all() for layer in actor_critic.actor if isinstance(layer, torch.nn.Linear))
    assert actor_critic.bounded_log_std().exp().tolist() == pytest.approx([0.3, 0.3])
    same, other = build(), build(seed=1)
    assert torch.equal(build().actor[0].weight, same.actor[0].weight)
    assert not torch.equal(same.actor[0].weight, other.actor[0].weight)


@pytest.mark.parametrize("start, bound, pull", [(-9.0, math.log(0.01), -1.0), (9.0, math.log(2.0), 1.0)])
def test_log_std_beyond_a_bound_is_bounded_and_finds_its_way_back(start, bound, pull):
    actor_critic = build()
    optimizer = torch.optim.SGD([actor_critic.log_std], lr=0.1)
    with torch.no_grad():
        actor_critic.log_std.fill_(start)
    assert actor_critic.bounded_log_std().tolist() == pytest.approx([bound] * 2)
    actor_critic.project_log_std()
    (pull * actor_critic.bounded_log_std().sum()).backward()
    optimizer.step()
    assert actor_critic.bounded_log_std().tolist() == pytest.approx([bound - 0.1 * pull] * 2)


def test_value_is_denormalised_and_kept_by_a_new_normaliser():
    actor_critic, seen = build(), observations(size=8)
    before = actor_critic.value(seen)
    torch.testing.assert_close(before, actor_critic.normalised_value(seen).detach())
    for scale, offset in [(3.0, 100.0), (50.0, -20.0)]:
        targets = torch.randn(500, generator=torch.Generator().manual_seed(3)) * scale + offset
        actor_critic.update_return_normaliser(targets)
        torch.testing.assert_close(actor_critic.value(seen), before, atol=2e-5, rtol=1e-4)
    std, mean = actor_critic.return_normaliser.standard_deviation.item(), actor_critic.return_normaliser.mean.item()
    torch.testing.assert_close(actor_critic.normalised_value(seen) * std + mean, before, atol=2e-5, rtol=1e-4)


def test_observations_are_normalised_and_clipped_before_the_network():
    actor_critic = build(observation_clip=2.0)
    actor_critic.observation_normaliser.update(observations(rows=1000))
    far = torch.full((1, 5), 1e6)
    assert torch.equal(actor_critic.normalise_observation(far), torch.full((1, 5), 2.0))
    assert torch.equal(actor_critic.action_mean(far), actor_critic.action_mean(far * 10))


def test_state_dict_holds_the_normalisers():
    actor_critic, other = build(), build(seed=9)
    actor_critic.observation_normaliser.update(observations())
    actor_critic.critic_observation_normaliser.update(observations(size=8))
    actor_critic.update_return_normaliser(torch.arange(10.0))
    other.load_state_dict(actor_critic.state_dict())
    assert torch.equal(other.action_mean(observations()), actor_critic.action_mean(observations()))
    assert torch.equal(other.value(observations(size=8)), actor_critic.value(observations(size=8)))


@pytest.mark.parametrize("activation", ["tanh", "elu", "relu"])
def test_activations_and_depths(activation):
    actor_critic = build(activation=activation, hidden_sizes=(32, 16, 8))
    assert len(actor_critic.actor) == 7
    assert actor_critic.action_mean(observations()).isfinite().all()
