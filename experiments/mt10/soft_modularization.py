"""Soft modularization (Yang et al., NeurIPS 2020) in mtrl's version, which the paper's row is.

mtrl's network and the authors' own are not the same model (two layers of two modules of 256 units and skip-connected
routing there). Here, for each of actor and critics: four experts Linear(50, 400), ReLU; every output expert i reads
the mixture Σⱼ pᵢⱼ hⱼ of the four; four experts Linear(400, out), averaged. The routing p, a softmax over j, is made
of the product of the observation's and the task's encoding by Linear(50, 400), ReLU, Linear(400, 16). Critics first
bring observation and action back to 50 features by a linear layer.

Shared are all layers but the task embedding, which is each task's own: actor 121,248, critics 225,540, the
observation's encoder 5,750 (12 observations), the task encoder 8,150 of which 500 are task-specific. The critics'
losses train both encoders.
"""

from __future__ import annotations

import torch
from torch import Tensor

from experiments.mt10.agents import Architecture, Encoded, Sizes, learned_task_encoding, task_encoder_layers
from experiments.mt10.networks import Evaluation, Layers, Linear, stack_layers


class SoftModularization(Architecture):
    """``soft_modularization``; ``sizes.experts`` modules a layer, ``sizes.width`` units in each."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes)
        size = sizes.encoding_size
        self.layers = modular_layers("actor", sizes, 2 * sizes.action_size, copies=1)
        self.layers["critic.projection"] = Linear(size + sizes.action_size, size, copies=2)
        self.layers |= modular_layers("critic", sizes, 1, copies=2)
        self.layers |= stack_layers("encoder", [sizes.observation_size, size, size, size])
        self.layers |= task_encoder_layers(size)

    def encode(self, evaluation: Evaluation, observations: Tensor) -> Encoded:
        return Encoded(evaluation.mlp("encoder", observations), learned_task_encoding(evaluation))

    def policy(self, evaluation: Evaluation, encoded: Encoded) -> Tensor:
        return self._modular(evaluation, "actor", encoded.state, encoded.task)

    def values(self, evaluation: Evaluation, encoded: Encoded, actions: Tensor) -> Tensor:
        projected = evaluation.linear("critic.projection", torch.cat([encoded.state, actions], dim=-1))
        return self._modular(evaluation, "critic", projected, encoded.task)

    def _modular(self, evaluation: Evaluation, part: str, features: Tensor, task: Tensor | None) -> Tensor:
        """From features [S, C, K, B, F] and the task's encoding [S, 1, K, 1, F] to outputs [S, C, K, B, out]."""
        assert task is not None
        experts = self.sizes.experts
        seeds, copies, tasks, samples, _ = features.shape
        routing = torch.relu(evaluation.linear(f"{part}.routing.0", features * task))
        routing = evaluation.linear(f"{part}.routing.1", routing)
        shares = routing.view(seeds, copies, tasks, samples, experts, experts).softmax(dim=-1)
        repeated = features.unsqueeze(2).expand(-1, -1, experts, -1, -1, -1).flatten(1, 2)  # [S, C*E, K, B, F]
        hidden = torch.relu(evaluation.linear(f"{part}.experts.0", repeated)).unflatten(1, (copies, experts))
        mixed = torch.einsum("sckbij,scjkbh->scikbh", shares, hidden)
        return evaluation.linear(f"{part}.experts.1", mixed.flatten(1, 2)).unflatten(1, (copies, experts)).mean(dim=2)


def modular_layers(part: str, sizes: Sizes, outputs: int, *, copies: int) -> Layers:
    """Two layers of experts and the routing between them."""
    size, width, experts = sizes.encoding_size, sizes.width, sizes.experts
    layers = stack_layers(f"{part}.experts", [size, width, outputs], copies=copies * experts)
    return layers | stack_layers(f"{part}.routing", [size, width, experts**2], copies=copies)
