"""The update: parity with plain autograd, early stop, refusal of bad numbers, determinism and resume."""

import copy
from dataclasses import replace

import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from ppo_robot.ppo.actor_critic import ActorCritic
from ppo_robot.ppo.learner import Learner, NonFiniteError
from ppo_robot.ppo.rollout import Batch
from ppo_robot.spec.training import NetworkSpec, PpoSpec

SIZE, OBSERVATION, CRITIC, ACTION = 50, 4, 6, 2


def make(spec=None, seed=0):
    actor_critic = ActorCritic(
        OBSERVATION, CRITIC, ACTION, NetworkSpec(hidden_sizes=(16, 8)), torch.Generator().manual_seed(seed)
    )
    return Learner(actor_critic, spec or PpoSpec(minibatch_size=20, epochs=3, learning_rate=3e-3))


def make_batch(actor_critic, seed=0):
    generator = torch.Generator().manual_seed(seed)
    observation = torch.randn(SIZE, OBSERVATION, generator=generator) * 2 + 1
    critic_observation = torch.randn(SIZE, CRITIC, generator=generator)
    action, log_probability, mean = (tensor.clone() for tensor in actor_critic.act(observation, generator))
    value = actor_critic.value(critic_observation).clone()
    advantage = torch.randn(SIZE, generator=generator) + 0.3
    target = advantage + value + 5
    return Batch(observation, critic_observation, action, log_probability, mean, value, advantage, target)


def shuffler(seed=0):
    return torch.Generator().manual_seed(seed)


def weights(learner):
    return {name: tensor.clone() for name, tensor in learner.actor_critic.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def reference_update(actor_critic, spec, batch, generator):
    """PPO once more, in float64, per sample and with torch's own distributions and losses; no early stop."""
    actor_critic = copy.deepcopy(actor_critic).double()
    actor, critic, log_std = actor_critic.actor, actor_critic.critic, actor_critic.log_std
    data = {name: getattr(batch, name).double() for name in batch.__dataclass_fields__}
    shift, scale = torch.zeros((), dtype=torch.float64), torch.ones((), dtype=torch.float64)
    if spec.normalise_return:
        shift, scale = data["value_target"].mean(), data["value_target"].std(correction=0)
        with torch.no_grad():
            critic[-1].weight /= scale
            critic[-1].bias.sub_(shift).div_(scale)
    advantage = data["advantage"]
    if spec.normalise_advantage:
        advantage = (advantage - advantage.mean()) / advantage.std(correction=0)
    old = Independent(Normal(data["action_mean"], log_std.detach().clone().exp()), 1)
    parameters = [*actor.parameters(), *critic.parameters(), log_std]
    optimizer = torch.optim.Adam(parameters, lr=spec.learning_rate, eps=1e-5, foreach=False)
    for _ in range(spec.epochs):
        order = torch.randperm(SIZE, generator=generator)
        for index in torch.tensor_split(order, -(-SIZE // spec.minibatch_size)):
            policy = Independent(Normal(actor(data["observation"][index]), log_std.exp()), 1)
            losses = []
            for log_prob, value, i in zip(
                policy.log_prob(data["action"][index]),
                critic(data["critic_observation"][index])[:, 0],
                index.tolist(), strict=True,
            ):
                ratio = (log_prob - data["log_probability"][i]).exp()
                bounded = min(max(ratio, ratio.new_tensor(1 - spec.clip_range)), ratio.new_tensor(1 + spec.clip_range))
                surrogate = min(ratio * advantage[i], bounded * advantage[i])
                target, before = (data["value_target"][i] - shift) / scale, (data["value"][i] - shift) / scale
                error = (value - target) ** 2
                if spec.value_clip_range is not None:
                    moved = torch.clip(value - before, -spec.value_clip_range, spec.value_clip_range)
                    error = max(error, (before + moved - target) ** 2)
                losses.append(-surrogate + spec.value_coefficient * error / 2)
            total = sum(losses) / len(losses) - spec.entropy_coefficient * policy.entropy().mean()
            optimizer.zero_grad()
            total.backward()
            torch.nn.utils.clip_grad_norm_(parameters, spec.maximum_gradient_norm)
            optimizer.step()
    kl = kl_divergence(old, Independent(Normal(actor(data["observation"]), log_std.exp()), 1)).mean().item()
    return {name: value.detach() for name, value in actor_critic.named_parameters()}, kl


@pytest.mark.parametrize("normalise_return", [False, True])
@pytest.mark.parametrize("value_clip_range", [None, 0.05])
def test_one_update_matches_plain_autograd(normalise_return, value_clip_range):
    spec = PpoSpec(
        minibatch_size=20, epochs=4, learning_rate=3e-3, stop_kl=None, entropy_coefficient=0.01,
        value_clip_range=value_clip_range, normalise_return=normalise_return, maximum_gradient_norm=0.3,
        normalise_observation=False, clip_range=0.1,
    )
    learner = make(spec)
    batch = make_batch(learner.actor_critic)
    expected, kl = reference_update(learner.actor_critic, spec, batch, shuffler())
    metrics = learner.update(batch, 0.0, shuffler())
    for name, parameter in learner.actor_critic.named_parameters():
        torch.testing.assert_close(parameter.detach().double(), expected[name], atol=2e-6, rtol=1e-5)
    assert metrics.kl == pytest.approx(kl, rel=1e-3)
    assert metrics.minibatches == 12 and metrics.epochs_run == 4 and not metrics.early_stopped
    assert metrics.clip_fraction > 0  # so that the comparison covers the clip


def test_first_minibatch_has_ratio_one_and_normalisers_move_afterwards():
    learner = make(PpoSpec(minibatch_size=SIZE, epochs=1, normalise_advantage=False))
    first = make_batch(learner.actor_critic)
    learner.warm_start(first.observation, first.critic_observation)
    for seed in range(3):
        batch = make_batch(learner.actor_critic, seed)
        metrics = learner.update(batch, 0.0, shuffler())
        # ratio 1: the surrogate is the plain mean of the advantage
        assert metrics.policy_loss == pytest.approx(-batch.advantage.mean().item(), abs=1e-6)
        assert metrics.clip_fraction == 0.0
    normaliser = learner.actor_critic.observation_normaliser
    assert normaliser.count.item() == 4 * SIZE
    with pytest.raises(RuntimeError, match="before the first update"):
        learner.warm_start(first.observation, first.critic_observation)


def test_normalisation_can_be_switched_off():
    learner = make(PpoSpec(minibatch_size=20, normalise_observation=False, normalise_return=False))
    batch = make_batch(learner.actor_critic)
    learner.warm_start(batch.observation, batch.critic_observation)
    learner.update(batch, 0.0, shuffler())
    actor_critic = learner.actor_critic
    assert actor_critic.observation_normaliser.is_identity and actor_critic.return_normaliser.is_identity
    assert actor_critic.critic_observation_normaliser.is_identity


def test_early_stop_ends_all_epochs_and_not_only_the_inner_loop():
    spec = PpoSpec(minibatch_size=10, epochs=50, learning_rate=1e-2, stop_kl=0.02)
    learner = make(spec)
    batch = make_batch(learner.actor_critic)
    metrics = learner.update(batch, 0.0, shuffler())
    free = make(replace(spec, stop_kl=None)).update(batch, 0.0, shuffler())
    assert metrics.early_stopped and not free.early_stopped
    assert metrics.epochs_run < free.epochs_run == 50
    # five minibatches an epoch; the one that stopped took no step and none followed
    assert 5 * (metrics.epochs_run - 1) <= metrics.minibatches < 5 * metrics.epochs_run
    assert metrics.kl < 0.1 < free.kl


def test_every_sample_is_used_once_an_epoch_in_minibatches_of_even_size():
    learner = make(PpoSpec(minibatch_size=20))
    parts = learner._shuffled(SIZE, shuffler())
    assert [len(part) for part in parts] == [17, 17, 16]
    assert torch.cat(parts).sort().values.tolist() == list(range(SIZE))


def test_schedules_reach_the_optimizer():
    linear = make(PpoSpec(minibatch_size=20, schedule="linear", minimum_learning_rate=1e-4, learning_rate=1e-3))
    batch = make_batch(linear.actor_critic)
    assert linear.update(batch, 0.5, shuffler()).learning_rate == pytest.approx(5.5e-4)
    assert linear.optimizer.param_groups[0]["lr"] == pytest.approx(5.5e-4)
    adaptive = make(PpoSpec(minibatch_size=20, schedule="adaptive", desired_kl=1.0, stop_kl=None, epochs=1))
    # three minibatches, a KL far under desired / 2 before the second and the third
    assert adaptive.update(batch, 0.0, shuffler()).learning_rate == pytest.approx(3e-4 * 1.5**2)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", list(Batch.__dataclass_fields__))
def test_bad_input_is_named_and_touches_nothing(name, bad):
    learner = make()
    learner.update(make_batch(learner.actor_critic), 0.0, shuffler())
    batch = make_batch(learner.actor_critic, seed=1)
    getattr(batch, name).view(-1)[7] = bad
    before = learner.state_dict()
    with pytest.raises(NonFiniteError, match=name) as raised:
        learner.update(batch, 0.0, shuffler())
    assert raised.value.term == name
    assert same(before, learner.state_dict())


@pytest.mark.parametrize(
    "parameter, term", [("actor.0.weight", "policy_loss"), ("critic.0.bias", "value_loss"), ("log_std", "policy_loss")]
)
def test_bad_weight_is_named_by_the_loss_it_spoils(parameter, term):
    learner = make(PpoSpec(minibatch_size=20, normalise_return=False))
    batch = make_batch(learner.actor_critic)
    with torch.no_grad():
        learner.actor_critic.get_parameter(parameter).view(-1)[0] = float("nan")
    before = learner.state_dict()
    with pytest.raises(NonFiniteError, match=f"{term} is not finite, in minibatch 0"):
        learner.update(batch, 0.0, shuffler())
    after = learner.state_dict()
    assert all(torch.equal(before[name].nan_to_num(-1), after[name].nan_to_num(-1)) for name in before)


def test_bad_gradient_is_named_and_the_step_not_taken():
    learner = make(PpoSpec(minibatch_size=20, normalise_return=False))
    batch = make_batch(learner.actor_critic)
    learner.actor_critic.critic[2].weight.register_hook(lambda gradient: gradient * float("inf"))
    before = weights(learner)
    with pytest.raises(NonFiniteError) as raised:
        learner.update(batch, 0.0, shuffler())
    assert raised.value.term == "gradient of critic.2.weight"
    assert same(before, weights(learner))


def test_same_seed_same_bits():
    states = []
    for _ in range(2):
        learner, generator = make(), shuffler()
        for seed in range(3):
            learner.update(make_batch(learner.actor_critic, seed), seed / 3, generator)
        states.append(learner.state_dict())
    assert same(*states)


@pytest.mark.parametrize("updates_before", [0, 1, 3])
@pytest.mark.parametrize("schedule", ["constant", "linear", "adaptive"])
def test_resume_is_bit_identical(schedule, updates_before):
    spec = PpoSpec(minibatch_size=20, epochs=2, schedule=schedule, stop_kl=None)
    learner, generator = make(spec), shuffler()
    for seed in range(updates_before):
        learner.update(make_batch(learner.actor_critic, seed), 0.1 * seed, generator)
    resumed, resumed_generator = make(spec, seed=99), shuffler(99)
    if updates_before != 1:  # whether or not the one that loads has a past of its own
        resumed.update(make_batch(resumed.actor_critic, 5), 0.0, resumed_generator)
    state = learner.state_dict()
    resumed.load_state_dict(state)
    resumed_generator.set_state(generator.get_state())
    for seed in range(10, 13):
        one = learner.update(make_batch(learner.actor_critic, seed), 0.5, generator)
        other = resumed.update(make_batch(resumed.actor_critic, seed), 0.5, resumed_generator)
        assert one == other
    assert same(learner.state_dict(), resumed.state_dict())
    assert resumed.updates == updates_before + 3


def test_state_is_flat_tensors_with_memory_of_their_own():
    learner = make()
    learner.update(make_batch(learner.actor_critic), 0.0, shuffler())
    state = learner.state_dict()
    assert all(isinstance(tensor, torch.Tensor) and tensor.is_contiguous() for tensor in state.values())
    assert len({tensor.data_ptr() for tensor in state.values()}) == len(state)
    kept = {name: tensor.clone() for name, tensor in state.items()}
    learner.update(make_batch(learner.actor_critic), 0.0, shuffler())
    assert same(state, kept)


def test_incomplete_state_is_refused_before_anything_changes():
    learner, other = make(), make(seed=1)
    learner.update(make_batch(learner.actor_critic), 0.0, shuffler())
    state, before = learner.state_dict(), weights(other)
    del state["optimizer.log_std.exp_avg"]
    with pytest.raises(KeyError, match="optimizer.log_std.exp_avg"):
        other.load_state_dict(state)
    assert same(before, weights(other))
