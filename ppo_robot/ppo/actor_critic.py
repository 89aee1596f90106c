"""The actor, the critic and the normalisers in front of and behind them."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor

from ppo_robot.ppo import distribution
from ppo_robot.ppo.normaliser import RunningNormaliser
from ppo_robot.spec.training import NetworkSpec

_ACTIVATIONS: dict[str, type[torch.nn.Module]] = {"tanh": torch.nn.Tanh, "elu": torch.nn.ELU, "relu": torch.nn.ReLU}


class ActorCritic(torch.nn.Module):
    """A Gaussian actor and a critic: two separate multilayer perceptrons, and all that a policy needs to be run.

    The normalisers are submodules, so a `state_dict` can not be saved without them. Observations are normalised and
    clipped to +-network.observation_clip; the critic's output is in normalised return units and `value` converts it.
    The critic may see more than the actor (asymmetric); otherwise give both the same observation.

    Initialisation: orthogonal with gain sqrt(2) in hidden layers, network.last_layer_gain in the actor's last layer, 1
    in the critic's, zero biases (Andrychowicz et al. 2021, arXiv:2006.05990; Engstrom et al. 2020, arXiv:2005.12729).
    """

    def __init__(
        self,
        observation_size: int,
        critic_observation_size: int,
        action_size: int,
        network: NetworkSpec,
        generator: torch.Generator | None = None,
    ) -> None:
        """Build and initialise the networks, from `generator` or else from torch's global one."""
        super().__init__()
        self.observation_size = observation_size
        self.critic_observation_size = critic_observation_size
        self.action_size = action_size
        self.network = network
        self.actor = _perceptron(observation_size, action_size, network, network.last_layer_gain, generator)
        self.critic = _perceptron(critic_observation_size, 1, network, 1.0, generator)
        self.log_std = torch.nn.Parameter(torch.full((action_size,), math.log(network.initial_std)))
        self.observation_normaliser = RunningNormaliser(observation_size)
        self.critic_observation_normaliser = RunningNormaliser(critic_observation_size)
        self.return_normaliser = RunningNormaliser(1)
        self._log_std_bounds = (math.log(network.minimum_std), math.log(network.maximum_std))

    def normalise_observation(self, observation: Tensor) -> Tensor:
        """Return what the actor network is fed, (..., observation_size)."""
        return self.observation_normaliser.normalise(observation, self.network.observation_clip)

    def normalise_critic_observation(self, critic_observation: Tensor) -> Tensor:
        """Return what the critic network is fed, (..., critic_observation_size)."""
        return self.critic_observation_normaliser.normalise(critic_observation, self.network.observation_clip)

    def bounded_log_std(self) -> Tensor:
        """Return log_std inside its bounds, (action_size,). At a bound itself the gradient still passes."""
        return self.log_std.clamp(*self._log_std_bounds)

    @torch.no_grad()
    def project_log_std(self) -> None:
        """Move the parameter itself back inside its bounds; the learner does so after each step.

        A clamp alone passes no gradient from outside its bounds: a log_std which one step carried past a bound would be
        stuck there for ever. Projected onto the bound, where torch's clamp has gradient 1, it can come back.
        """
        self.log_std.clamp_(*self._log_std_bounds)

    def policy(self, observation: Tensor) -> tuple[Tensor, Tensor]:
        """Return the action's mean (..., action_size) and log_std (action_size,); differentiable."""
        return self.actor(self.normalise_observation(observation)), self.bounded_log_std()

    @torch.inference_mode()
    def act(self, observation: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Draw actions for observations (N, observation_size).

        Returns:
            action (N, action_size), its log-probability (N,) in nats, and the mean (N, action_size).
        """
        mean, log_std = self.policy(observation)
        action = distribution.sample(mean, log_std, generator)
        return action, distribution.log_probability(action, mean, log_std), mean

    @torch.inference_mode()
    def action_mean(self, observation: Tensor) -> Tensor:
        """Return the deterministic action, (..., action_size)."""
        return self.actor(self.normalise_observation(observation))

    def normalised_value(self, critic_observation: Tensor) -> Tensor:
        """Return V in normalised return units, (...,), of (..., critic_observation_size); differentiable."""
        return self.critic(self.normalise_critic_observation(critic_observation)).squeeze(-1)

    @torch.inference_mode()
    def value(self, critic_observation: Tensor) -> Tensor:
        """Return V in the units of the return, (...,), of (..., critic_observation_size)."""
        value = self.critic(self.normalise_critic_observation(critic_observation))
        return self.return_normaliser.denormalise(value).squeeze(-1)

    @torch.no_grad()
    def update_return_normaliser(self, value_target: Tensor) -> None:
        """Merge value targets (B,) into the return's moments and keep `value` what it was.

        A new mean and deviation alone would shift every prediction of the critic, most of all after the first batch.
        Its last layer takes up the difference (PopArt, van Hasselt et al. 2016, arXiv:1602.07714, equation 9):
        w' = w sigma / sigma',   b' = (sigma b + mu - mu') / sigma'.
        """
        normaliser = self.return_normaliser
        old_mean, old_std = normaliser.mean.clone(), normaliser.standard_deviation
        if normaliser.is_identity:
            old_std = torch.ones_like(old_std)
        normaliser.update(value_target.reshape(-1, 1))
        new_mean, new_std = normaliser.mean, normaliser.standard_deviation
        last_layer = cast(torch.nn.Linear, self.critic[-1])
        last_layer.weight.copy_(last_layer.weight.double() * (old_std / new_std))
        last_layer.bias.copy_((old_std * last_layer.bias.double() + old_mean - new_mean) / new_std)


def _perceptron(
    input_size: int, output_size: int, network: NetworkSpec, last_gain: float, generator: torch.Generator | None
) -> torch.nn.Sequential:
    """Linear layers with an activation between them and none after the last."""
    widths = (input_size, *network.hidden_sizes, output_size)
    layers: list[torch.nn.Module] = []
    for index, (fan_in, fan_out) in enumerate(zip(widths[:-1], widths[1:], strict=True)):
        linear = torch.nn.Linear(fan_in, fan_out)
        is_last = index == len(network.hidden_sizes)
        torch.nn.init.orthogonal_(linear.weight, last_gain if is_last else math.sqrt(2.0), generator=generator)
        torch.nn.init.zeros_(linear.bias)
        layers.append(linear)
        if not is_last:
            layers.append(_ACTIVATIONS[network.activation]())
    return torch.nn.Sequential(*layers)
