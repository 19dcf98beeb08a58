"""Multi-task SAC of one seed written the usual way, with modules and a loop over tasks: what ours must equal.

Only for ``mtl_sac``; it knows nothing of the learner but how to take over its parameters. In float64, as the
distribution's density subtracts the mean from an action that differs from it by 1e-4.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from experiments.mt10.learner import Learner
from experiments.mt10.replay import Batch


def mlp(learner: Learner, part: str, copy_index: int) -> nn.Sequential:
    """The learner's network as modules, for its only seed."""
    modules: list[nn.Module] = []
    depth = 0
    while f"{part}.{depth}.weight" in learner.parameters:
        weight = learner.parameters[f"{part}.{depth}.weight"][0, copy_index].detach()
        layer = nn.Linear(*weight.shape)
        layer.weight.data = weight.T.clone()
        layer.bias.data = learner.parameters[f"{part}.{depth}.bias"][0, copy_index].detach().clone()
        modules += [layer, nn.ReLU()]
        depth += 1
    return nn.Sequential(*modules[:-1]).double()


class ReferenceSAC:
    def __init__(self, learner: Learner, *, shared_temperature: bool) -> None:
        self.actor = mlp(learner, "actor", 0)
        self.critics = [mlp(learner, "critic", 0), mlp(learner, "critic", 1)]
        self.targets = copy.deepcopy(self.critics)
        self.shared_temperature = shared_temperature
        self.options, self.n_tasks = learner.options, learner.n_tasks
        n_temperatures = 1 if shared_temperature else learner.n_tasks
        self.log_temperature = torch.zeros(n_temperatures, dtype=torch.float64, requires_grad=True)
        lr = learner.options.lr
        self.actor_optimizer = torch.optim.Adam(self.actor.parameters(), lr)
        self.critic_optimizer = torch.optim.Adam([p for critic in self.critics for p in critic.parameters()], lr)
        self.temperature_optimizer = torch.optim.Adam([self.log_temperature], lr)

    def temperature(self, k: int) -> Tensor:
        return self.log_temperature[0 if self.shared_temperature else k].exp()

    def sample(self, observations: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        mean, raw = self.actor(observations).chunk(2, dim=-1)
        deviation = (-20.0 + 11.0 * (raw.tanh() + 1.0)).exp()
        before = mean + deviation * noise
        action = before.tanh()
        log_probability = torch.distributions.Normal(mean, deviation).log_prob(before)
        log_probability = log_probability - torch.log(torch.relu(1 - action**2) + 1e-6)
        return action, log_probability.sum(-1)

    def update(self, batch: Batch, critic_noise: Tensor, actor_noise: Tensor) -> tuple[list[float], list[float]]:
        """One update; returns the critics' and the actor's task losses."""
        batch = Batch(*(part.double() for part in batch[:4]))
        critic_noise, actor_noise = critic_noise.double(), actor_noise.double()
        critic_losses = []
        for k in range(self.n_tasks):
            observations, actions, rewards, following = (part[0, k] for part in batch[:4])
            with torch.no_grad():
                next_actions, log_probability = self.sample(following, critic_noise[0, k])
                inputs = torch.cat([following, next_actions], dim=1)
                value = torch.min(*(target(inputs)[:, 0] for target in self.targets))
                goal = rewards + self.options.gamma * (value - self.temperature(k) * log_probability)
            inputs = torch.cat([observations, actions], dim=1)
            critic_losses.append(sum(nn.functional.mse_loss(critic(inputs)[:, 0], goal) for critic in self.critics))
        self.critic_optimizer.zero_grad()
        torch.stack(critic_losses).sum().backward()
        self.critic_optimizer.step()

        actor_losses, temperature_losses = [], []
        for k in range(self.n_tasks):
            observations = batch.observations[0, k]
            actions, log_probability = self.sample(observations, actor_noise[0, k])
            inputs = torch.cat([observations, actions], dim=1)
            value = torch.min(*(critic(inputs)[:, 0] for critic in self.critics))
            actor_losses.append((self.temperature(k).detach() * log_probability - value).mean())
            target_entropy = self.options.target_entropy * actions.shape[1]
            gap = (-log_probability.detach() - target_entropy).mean()
            temperature_losses.append(self.temperature(k) * gap)
        self.actor_optimizer.zero_grad()
        torch.stack(actor_losses).sum().backward()
        self.actor_optimizer.step()
        self.temperature_optimizer.zero_grad()
        losses = torch.stack(temperature_losses)
        (losses.mean() if self.shared_temperature else losses.sum()).backward()
        self.temperature_optimizer.step()

        with torch.no_grad():
            for critic, target in zip(self.critics, self.targets, strict=True):
                for parameter, average in zip(critic.parameters(), target.parameters(), strict=True):
                    average.mul_(1 - self.options.tau).add_(self.options.tau * parameter)
        return torch.stack(critic_losses).tolist(), torch.stack(actor_losses).tolist()
