"""The PPO update: epochs of minibatches over one rollout, with everything that a bit-exact resume needs."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from ppo_robot.ppo import distribution, loss
from ppo_robot.ppo.actor_critic import ActorCritic
from ppo_robot.ppo.rollout import Batch
from ppo_robot.ppo.schedule import LearningRateSchedule
from ppo_robot.spec.training import PpoSpec

_ADAM_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


class NonFiniteError(ArithmeticError):
    """A batch, a loss or a gradient is NaN or infinite; the message and `term` name it. The step was not taken."""

    def __init__(self, term: str, minibatch: int | None = None) -> None:
        """Name the term, and the minibatch of this update (from 0) in which it appeared."""
        where = "before the first minibatch" if minibatch is None else f"in minibatch {minibatch} of this update"
        super().__init__(f"{term} is not finite, {where}; the optimizer step was not taken")
        self.term = term


@dataclass(frozen=True)
class UpdateMetrics:
    """What one update did. Losses, clip fraction and gradient norm are means over the minibatches stepped on."""

    policy_loss: float
    value_loss: float  # in squared normalised return units, with the factor 1/2
    entropy: float  # nats, of the policy after the update
    kl: float  # nats, exact KL(policy that acted || policy after the update), mean over the batch
    clip_fraction: float
    explained_variance: float  # of the values at the time of acting
    gradient_norm: float  # before clipping
    learning_rate: float  # of the last step
    epochs_run: int  # begun, including one ended early
    minibatches: int  # optimizer steps taken
    early_stopped: bool


@dataclass(frozen=True)
class _Samples:
    """A batch made ready for the networks: inputs and values normalised once, as the normalisers stand still."""

    observation: Tensor
    critic_observation: Tensor
    action: Tensor
    log_probability: Tensor
    action_mean: Tensor
    value: Tensor
    advantage: Tensor
    value_target: Tensor

    def take(self, index: Tensor) -> _Samples:
        return _Samples(*(getattr(self, name).index_select(0, index) for name in _SAMPLE_FIELDS))


_SAMPLE_FIELDS = tuple(item.name for item in fields(_Samples))


class Learner:
    """Trains an `ActorCritic` with clipped PPO (Schulman et al. 2017, arXiv:1707.06347) and Adam.

    The order within an update matters:

    1. The batch is checked; the return normaliser takes in the value targets. The critic's last layer absorbs its
       change, so predictions in units of the return stay what they were (`ActorCritic.update_return_normaliser`).
    2. Epochs of shuffled minibatches. The observation normalisers stand still, so the probability ratio of the first
       minibatch is 1 up to rounding.
    3. The observation normalisers take in the batch's raw observations, for the next rollout.

    Advantages are normalised over the whole batch and not per minibatch: the same sample then weighs the same in every
    epoch, a small last minibatch gets no distorted scale, and it is done once.
    """

    def __init__(self, actor_critic: ActorCritic, spec: PpoSpec) -> None:
        """Prepare to train `actor_critic` in place."""
        self.actor_critic = actor_critic
        self.spec = spec
        self.schedule = LearningRateSchedule(spec)
        self.updates = 0
        self._names = [name for name, _ in actor_critic.named_parameters()]
        self._parameters = list(actor_critic.parameters())
        # eps as in the original ppo2. One flat copy of all parameters was tried: 3 % faster, not worth it.
        self.optimizer = torch.optim.Adam(self._parameters, lr=spec.learning_rate, eps=1e-5, fused=True)

    def warm_start(self, observations: Tensor, critic_observations: Tensor) -> None:
        """Give the observation normalisers their first moments, before the first rollout.

        Observations just after a reset show no velocity and no last action; some steps of random actions give moments
        that are nearer to what the first rollout will meet.

        Args:
            observations: (M, observation_size), raw.
            critic_observations: (M, critic_observation_size), raw.

        Raises:
            RuntimeError: an update was made already.
            ValueError: wrong size, or a value is not finite.
        """
        if self.updates > 0:
            raise RuntimeError(f"warm_start comes before the first update; {self.updates} were made")
        self._update_observation_normalisers(observations, critic_observations)

    def update(self, batch: Batch, progress: float, generator: torch.Generator | None = None) -> UpdateMetrics:
        """Improve the policy and the critic on one rollout made by the current policy.

        Args:
            batch: from `RolloutBuffer.flat`.
            progress: share of the run done, 0 to 1, for the linear schedule.
            generator: shuffles the minibatches; its state is the caller's to save.

        Raises:
            NonFiniteError: the batch, a loss or a gradient is not finite. Nothing was touched if it is the batch;
                otherwise the failing step was not taken, while earlier ones of this update were.
            ValueError: progress is outside 0 to 1, or the batch is empty.
        """
        self._require_finite_batch(batch)
        self.schedule.on_progress(progress)
        samples = self._prepare(batch)
        old_log_std = self.actor_critic.bounded_log_std().detach().clone()
        totals = [0.0] * 4
        epochs_run, minibatches, stopped = 0, 0, False
        while epochs_run < self.spec.epochs and not stopped:
            epochs_run += 1
            for index in self._shuffled(len(batch), generator):
                figures = self._minibatch(samples.take(index), old_log_std, minibatches)
                if figures is None:  # the policy has moved far enough: ends this epoch and all that would follow
                    stopped = True
                    break
                totals = [total + figure for total, figure in zip(totals, figures, strict=True)]
                minibatches += 1
        kl, entropy = self._policy_change(samples, old_log_std)
        self._update_observation_normalisers(batch.observation, batch.critic_observation)
        self.updates += 1
        policy_loss, value_loss, clip_fraction, gradient_norm = (total / max(minibatches, 1) for total in totals)
        return UpdateMetrics(
            policy_loss=policy_loss,
            value_loss=value_loss,
            entropy=entropy,
            kl=kl,
            clip_fraction=clip_fraction,
            explained_variance=loss.explained_variance(batch.value, batch.value_target),
            gradient_norm=gradient_norm,
            learning_rate=self.schedule.learning_rate,
            epochs_run=epochs_run,
            minibatches=minibatches,
            early_stopped=stopped,
        )

    def _minibatch(self, samples: _Samples, old_log_std: Tensor, number: int) -> tuple[float, ...] | None:
        """Take one optimizer step; None, and no step, where the policy's KL exceeds spec.stop_kl.

        Returns policy loss, value loss, clip fraction and gradient norm.
        """
        spec, actor_critic = self.spec, self.actor_critic
        mean, log_std = actor_critic.actor(samples.observation), actor_critic.bounded_log_std()
        value = actor_critic.critic(samples.critic_observation).squeeze(-1)

        log_probability = distribution.log_probability(samples.action, mean, log_std)
        policy_loss, clip_fraction = loss.policy_loss(
            log_probability, samples.log_probability, samples.advantage, spec.clip_range
        )
        value_loss = loss.value_loss(value, samples.value, samples.value_target, spec.value_clip_range)
        entropy = distribution.entropy(log_std)
        total = policy_loss + spec.value_coefficient * value_loss - spec.entropy_coefficient * entropy

        with torch.no_grad():
            kl = distribution.kl_divergence(samples.action_mean, old_log_std, mean, log_std).mean()
            # One transfer a minibatch; on the CPU it costs microseconds and a bad number stops before the weights do.
            figures = torch.stack([policy_loss, value_loss, entropy, kl, clip_fraction]).tolist()
        for name, figure in zip(("policy_loss", "value_loss", "entropy"), figures[:3], strict=True):
            if not math.isfinite(figure):
                raise NonFiniteError(name, number)
        if number > 0:  # before the first step the KL is 0 and says nothing
            if spec.stop_kl is not None and not figures[3] <= spec.stop_kl:
                return None
            self.schedule.on_kl(figures[3])
        gradient_norm = self._step(total, number)
        return figures[0], figures[1], figures[4], gradient_norm

    def _step(self, total: Tensor, number: int) -> float:
        """Back-propagate, clip, take the optimizer's step; returns the gradient's norm before clipping."""
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        gradients = [parameter.grad for parameter in self._parameters if parameter.grad is not None]
        norm_tensor = torch.nn.utils.get_total_norm(gradients)
        norm = norm_tensor.item()
        if not math.isfinite(norm):
            raise NonFiniteError(self._non_finite_gradient(), number)
        torch.nn.utils.clip_grads_with_norm_(self._parameters, self.spec.maximum_gradient_norm, norm_tensor)
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.learning_rate
        self.optimizer.step()
        self.actor_critic.project_log_std()
        return norm

    def _non_finite_gradient(self) -> str:
        for name, parameter in zip(self._names, self._parameters, strict=True):
            if parameter.grad is not None and not torch.isfinite(parameter.grad).all():
                return f"gradient of {name}"
        return "norm of the gradient"

    @torch.no_grad()
    def _prepare(self, batch: Batch) -> _Samples:
        actor_critic = self.actor_critic
        if self.spec.normalise_return:
            actor_critic.update_return_normaliser(batch.value_target)
        advantage = batch.advantage
        if self.spec.normalise_advantage:
            advantage = (advantage - advantage.mean()) / (advantage.std(correction=0) + 1e-8)
        returns = actor_critic.return_normaliser
        return _Samples(
            observation=actor_critic.normalise_observation(batch.observation),
            critic_observation=actor_critic.normalise_critic_observation(batch.critic_observation),
            action=batch.action,
            log_probability=batch.log_probability,
            action_mean=batch.action_mean,
            value=returns.normalise(batch.value),
            advantage=advantage,
            value_target=returns.normalise(batch.value_target),
        )

    def _shuffled(self, size: int, generator: torch.Generator | None) -> tuple[Tensor, ...]:
        """One epoch's minibatches: as few as spec.minibatch_size allows, equal in size to within one sample."""
        order = torch.randperm(size, generator=generator)
        return order.tensor_split(math.ceil(size / self.spec.minibatch_size))

    @torch.inference_mode()
    def _policy_change(self, samples: _Samples, old_log_std: Tensor) -> tuple[float, float]:
        mean, log_std = self.actor_critic.actor(samples.observation), self.actor_critic.bounded_log_std()
        kl = distribution.kl_divergence(samples.action_mean, old_log_std, mean, log_std).mean()
        return float(kl), float(distribution.entropy(log_std))

    def _update_observation_normalisers(self, observation: Tensor, critic_observation: Tensor) -> None:
        if self.spec.normalise_observation:
            self.actor_critic.observation_normaliser.update(observation)
            self.actor_critic.critic_observation_normaliser.update(critic_observation)

    def _require_finite_batch(self, batch: Batch) -> None:
        if len(batch) == 0:
            raise ValueError("batch: given 0 samples; expected at least 1")
        for item in fields(batch):
            # A sum is finite only if every number is (or it overflowed, which is as bad); no mask is written out.
            if not math.isfinite(getattr(batch, item.name).sum(dtype=torch.float64).item()):
                raise NonFiniteError(item.name)

    def state_dict(self) -> dict[str, Tensor]:
        """Return networks, normalisers, Adam's moments, schedule and counter as one flat dict of tensor copies.

        Flat and tensors only, so that it goes into a safetensors file as it is. The generator's state is the caller's.
        """
        state = {f"actor_critic.{name}": tensor for name, tensor in self.actor_critic.state_dict().items()}
        for name, parameter in zip(self._names, self._parameters, strict=True):
            for moment, tensor in self.optimizer.state.get(parameter, {}).items():
                state[f"optimizer.{name}.{moment}"] = tensor
        for name, figure in self.schedule.state_dict().items():
            state[f"schedule.{name}"] = torch.tensor(figure, dtype=torch.float64)
        state["updates"] = torch.tensor(self.updates, dtype=torch.int64)
        return {name: tensor.detach().clone() for name, tensor in state.items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue, bit for bit, from what `state_dict` returned.

        Raises:
            KeyError: an entry is missing.
            RuntimeError: the networks' shapes or names differ (torch's message lists them).
        """
        prefix = "actor_critic."
        updates, learning_rate = int(state["updates"]), float(state["schedule.learning_rate"])
        moments = {}
        if updates > 0 or any(name.startswith("optimizer.") for name in state):  # none before the first step
            for index, name in enumerate(self._names):
                moments[index] = {moment: state[f"optimizer.{name}.{moment}"].clone() for moment in _ADAM_MOMENTS}
        self.actor_critic.load_state_dict(
            {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
        )
        self.optimizer.load_state_dict(
            {"state": moments, "param_groups": self.optimizer.state_dict()["param_groups"]}
        )
        self.schedule.load_state_dict({"learning_rate": learning_rate})
        self.updates = updates
