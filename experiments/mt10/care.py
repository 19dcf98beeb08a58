"""CARE: contextual attention over a mixture of observation encoders, Sodhani et al., ICML 2021, as in mtrl.

k encoders Linear(O, 50), ReLU, Linear(50, 50) are mixed by an attention over them, a softmax of a small network of
the task's encoding (detached there); actor and critics see the mixture beside the task's encoding. That comes from a
fixed embedding of the task's description (see :mod:`experiments.mt10.embeddings`): ReLU, Linear(768, 100), ReLU,
Linear(100, 50), ReLU, and three linear layers of 50. k is four, as in mtrl's command for MT10 (nine in its
configuration).

Everything that is trained is shared by the tasks: actor 364,408, critics 726,402, observation encoders 12,800 for 12
observations and their attention 5,304, task encoder 89,600. The critics' losses train the encoders; the actor reads
the critics' encoders without training them. Observation encoders have targets, the task encoder has none.
"""

from __future__ import annotations

import torch
from torch import Tensor
from typing_extensions import Self

from experiments.mt10.agents import Architecture, Encoded, Sizes, beside, plain_layers
from experiments.mt10.embeddings import task_embeddings
from experiments.mt10.networks import Evaluation, stack_layers

_PRETRAINED_HIDDEN = 100


class CARE(Architecture):
    """``care``; ``sizes.experts`` encoders, ``sizes.encoding_size`` features of each and of the task's encoding."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes)
        size, experts = sizes.encoding_size, sizes.experts
        #: The tasks' fixed embeddings, [K, D].
        self.embeddings = task_embeddings(sizes.tasks, sizes.n_tasks, sizes.task_embedding_file)
        self.layers = plain_layers(sizes, 2 * size)
        self.layers |= stack_layers("encoder.experts", [sizes.observation_size, size, size], copies=experts)
        self.layers |= stack_layers("encoder.attention", [size, size, size, experts])
        pretrained = [self.embeddings.shape[1], _PRETRAINED_HIDDEN, size]
        self.layers |= stack_layers("task_encoder.pretrained", pretrained)
        self.layers |= stack_layers("task_encoder", [size] * 4)

    def to(self, device: torch.device) -> Self:
        self.embeddings = self.embeddings.to(device)
        return self

    def encode(self, evaluation: Evaluation, observations: Tensor) -> Encoded:
        embedded = self.embeddings.expand(len(observations), 1, -1, -1).unsqueeze(3)  # [S, 1, K, 1, D]
        task = evaluation.mlp("task_encoder.pretrained", torch.relu(embedded), last_relu=True)
        task = evaluation.mlp("task_encoder", task)  # [S, 1, K, 1, E]
        shares = evaluation.mlp("encoder.attention", task.detach()).softmax(dim=-1)  # [S, 1, K, 1, k]
        mixture = evaluation.mlp("encoder.experts", observations)  # [S, k, K, B, E]
        state = (mixture * shares.transpose(1, 4)).sum(dim=1, keepdim=True)
        return Encoded(beside(state, task), task)

    def policy(self, evaluation: Evaluation, encoded: Encoded) -> Tensor:
        return evaluation.mlp("actor", encoded.state)

    def values(self, evaluation: Evaluation, encoded: Encoded, actions: Tensor) -> Tensor:
        return evaluation.mlp("critic", torch.cat([encoded.state, actions], dim=-1))
