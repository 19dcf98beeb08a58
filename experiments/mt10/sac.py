"""Soft actor-critic (Haarnoja et al., 2018) for S seeds and K tasks at once: the losses as pure functions.

Options and defaults are those of mtrl, which the paper's MT10 runs used. Shapes: S seeds, K tasks, B samples of each
task, O observations, A actions. Episodes never terminate early, so every target is bootstrapped.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from experiments.mt10.agents import Architecture, Encoded
from experiments.mt10.networks import Evaluation
from experiments.mt10.replay import Batch

_LOG_STD_LOW, _LOG_STD_HIGH = -20.0, 2.0  # mtrl's bounds of the policy's log-deviation


@dataclass
class SACOptions:
    """Hyper-parameters; the defaults are those of the paper's runs where nothing else is said.

    * ``width``, ``layers``: hidden layers of actor and critics; ``stl_layers`` those of ``stl_sac``.
    * ``encoding_size``, ``experts``: of the task encoding, and of CARE and soft modularization.
    * ``task_embedding_file``: CARE's task embeddings, a JSON file in mtrl's format; null takes our own.
    * ``lr``: Adam's learning rate of actor, critics and temperature; ``method_lr``: of a method's own parameters
      (UW).
    * ``gamma``, ``tau``, ``encoder_tau``: discount; target networks' moving averages of critics and encoders.
    * ``initial_temperature``; ``temperature``: ``shared`` by all tasks, ``per_task``, or ``auto``: shared with
      PCGrad, CAGrad and Nash-MTL, else per task, as the published rows.
    * ``target_entropy``: of the policy, to which a temperature is learned, for each of the action's numbers.
    * ``temperature_in_aggregation``: the temperature's task gradients go through a method of their own, as in mtrl's
      PCGrad and CAGrad; else each temperature follows its own loss, a shared one the mean over tasks.
    * ``batch_per_task``, ``sampling``: 128 of each task (``balanced``), or mtrl's uniform mix (``mixed``).
    * ``capture``: ``none``, ``graph`` (CUDA graphs; on a CPU the same halves are run from static memory), or
      ``compile`` (``torch.compile`` of the losses); ``compile_backend``: its backend.
    * ``check_every``: updates between two looks at the device's flag of non-finite values; on a CPU every one is
      seen.
    """

    width: int = 400
    layers: int = 3
    stl_layers: int = 2
    encoding_size: int = 50
    experts: int = 4
    task_embedding_file: str | None = None
    lr: float = 3e-4
    method_lr: float = 0.025
    gamma: float = 0.99
    tau: float = 0.005
    encoder_tau: float = 0.05
    initial_temperature: float = 1.0
    temperature: str = "auto"
    target_entropy: float = -1.0
    temperature_in_aggregation: bool = False
    batch_per_task: int = 128
    sampling: str = "balanced"
    capture: str = "none"
    compile_backend: str = "inductor"
    check_every: int = 100


class Sampled(NamedTuple):
    """Actions [S, 1, K, B, A] and their log-probabilities [S, 1, K, B, 1]."""

    actions: Tensor
    log_probabilities: Tensor


def sample_actions(policy: Tensor, noise: Tensor) -> Sampled:
    """Squashed Gaussian actions from a policy's output [S, 1, K, B, 2A] and standard normal noise [S, 1, K, B, A]."""
    mean, raw = policy.chunk(2, dim=-1)
    log_std = _LOG_STD_LOW + 0.5 * (_LOG_STD_HIGH - _LOG_STD_LOW) * (torch.tanh(raw) + 1.0)
    actions = torch.tanh(mean + log_std.exp() * noise)
    gaussian = -0.5 * noise.square() - log_std - 0.5 * math.log(2.0 * math.pi)
    squashing = torch.log(torch.relu(1.0 - actions.square()) + 1e-6)
    return Sampled(actions, (gaussian - squashing).sum(dim=-1, keepdim=True))


def mean_action(policy: Tensor) -> Tensor:
    """The deterministic action [S, 1, K, B, A]."""
    return torch.tanh(policy.chunk(2, dim=-1)[0])


def task_means(values: Tensor, weights: Tensor | None) -> Tensor:
    """[S, K, B] -> [S, K]."""
    return values.mean(dim=-1) if weights is None else (values * weights).sum(dim=-1)


def critic_losses(
    architecture: Architecture,
    trained: Evaluation,
    frozen: Evaluation,
    target: Evaluation,
    temperature: Tensor,
    batch: Batch,
    noise: Tensor,
    gamma: float,
) -> Tensor:
    """Σ over both critics of the mean squared Bellman error of each task, [S, K].

    ``trained``: everything but the actor takes gradients; ``frozen``: nothing does; ``target``: target critics and
    encoders. ``temperature`` is [S, K] or [S, 1], ``noise`` [S, K, B, A].
    """
    following = batch.next_observations.unsqueeze(1)
    with torch.no_grad():
        policy = architecture.policy(frozen, architecture.encode(frozen, following))
        actions, log_probabilities = sample_actions(policy, noise.unsqueeze(1))
        values = architecture.values(target, architecture.encode(target, following), actions)
        soft_values = _smaller(values) - temperature[..., None] * log_probabilities[:, 0, ..., 0]
        targets = batch.rewards + gamma * soft_values  # [S, K, B]
    encoded = architecture.encode(trained, batch.observations.unsqueeze(1))
    predicted = architecture.values(trained, encoded, batch.actions.unsqueeze(1))[..., 0]  # [S, 2, K, B]
    return task_means((predicted - targets.unsqueeze(1)).square().sum(dim=1), batch.weights)


def actor_losses(
    architecture: Architecture,
    trained: Evaluation,
    frozen: Evaluation,
    temperature: Tensor,
    observations: Tensor,
    weights: Tensor | None,
    noise: Tensor,
) -> tuple[Tensor, Tensor]:
    """The mean of α log π − min(Q₁, Q₂) of each task, and the mean of log π without a gradient; both [S, K].

    ``trained``: the actor takes gradients; ``frozen``: encoders and critics as they are. Noise as above.
    """
    with torch.no_grad():
        encoded: Encoded = architecture.encode(frozen, observations.unsqueeze(1))
    actions, log_probabilities = sample_actions(architecture.policy(trained, encoded), noise.unsqueeze(1))
    values = _smaller(architecture.values(frozen, encoded, actions))
    log_probabilities = log_probabilities[:, 0, ..., 0]  # [S, K, B]
    losses = task_means(temperature[..., None] * log_probabilities - values, weights)
    return losses, task_means(log_probabilities.detach(), weights)


def _smaller(values: Tensor) -> Tensor:
    """The smaller of the two critics' values: [S, 2, K, B, 1] -> [S, K, B]."""
    return torch.minimum(values[:, 0], values[:, 1]).squeeze(-1)
