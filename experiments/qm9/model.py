"""The QM9 network in dense form: the same function and parameters as the reference, several times faster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from experiments.qm9.batches import Batch
from experiments.qm9.messages import hidden_edges, pass_messages
from experiments.qm9.reference import ReferenceNetwork

ROUNDS = 3  # of message passing, and of Set2Set


class DenseNetwork(ReferenceNetwork):
    """:class:`ReferenceNetwork` evaluated on dense molecules (:class:`Batch`) instead of edge lists.

    Parameters and their initial values are inherited, the mathematics is the same, the order of operations is
    not: see :mod:`experiments.qm9.messages`. The recurrent cells are written as matrix products, so that
    K task gradients can be taken in one vectorised pass.
    """

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """Predictions ``[B, K]``, standardised, and the representation ``[B, dim]``; rows as in the batch."""
        state = self._message_passing(batch)  # [R, D]
        pooled = self._set2set(batch.padded(state), batch.padding)  # [B, 2·D]
        representation = F.relu(self.lin1(pooled))
        heads = [cast(nn.Linear, head) for head in self.heads]
        weight = torch.cat([head.weight for head in heads])  # [K, D]
        bias = torch.cat([head.bias for head in heads])
        return F.linear(representation, weight, bias), representation

    def _message_passing(self, batch: Batch) -> Tensor:
        first, second = self.conv.nn[0], self.conv.nn[2]
        dim, hidden_units = self.lin0.out_features, first.out_features
        weight = torch.cat([first.weight, first.bias[:, None]], dim=1)  # the bias meets the last edge channel
        matrices = second.weight.view(dim, dim, hidden_units).transpose(1, 2).reshape(dim, hidden_units * dim)
        # The edge network's constant part and NNConv's root weight act on [mean of the neighbours, atom].
        linear = torch.cat([second.bias.view(dim, dim), self.conv.lin.weight.T])
        hidden = hidden_edges(batch.groups, weight)

        state = F.relu(self.lin0(batch.features))
        for _ in range(ROUNDS):
            message = pass_messages(state, weight, matrices, batch.groups, hidden)
            neighbours = batch.mean_of_neighbours(state)
            message = message + torch.addmm(self.conv.bias, torch.cat([neighbours, state], dim=1), linear)
            state = self._gru(F.relu(message), state)
        return state

    def _gru(self, message: Tensor, state: Tensor) -> Tensor:
        """One step of the gated recurrent unit for all atoms (Cho et al., 2014, in PyTorch's convention)."""
        message_weight, state_weight, message_bias, state_bias = self.gru.all_weights[0]
        from_message = F.linear(message, message_weight, message_bias).chunk(3, dim=1)
        from_state = F.linear(state, state_weight, state_bias).chunk(3, dim=1)
        reset = torch.sigmoid(from_message[0] + from_state[0])
        update = torch.sigmoid(from_message[1] + from_state[1])
        candidate = torch.tanh(from_message[2] + reset * from_state[2])
        return candidate + update * (state - candidate)

    def _set2set(self, state: Tensor, padding: Tensor) -> Tensor:
        """Set2Set (Vinyals et al., ICLR 2016) over each molecule's atoms: ``[B, 2·D]`` from ``[B, n, D]``."""
        lstm = self.set2set.lstm
        molecules, _, dim = state.shape
        hidden = cell = state.new_zeros(molecules, dim)
        pooled = state.new_zeros(molecules, 2 * dim)
        for _ in range(ROUNDS):
            gates = F.linear(pooled, lstm.weight_ih_l0, lstm.bias_ih_l0)
            gates = gates + F.linear(hidden, lstm.weight_hh_l0, lstm.bias_hh_l0)
            enter, forget, candidate, output = gates.chunk(4, dim=1)
            cell = torch.sigmoid(forget) * cell + torch.sigmoid(enter) * torch.tanh(candidate)
            hidden = torch.sigmoid(output) * torch.tanh(cell)
            score = torch.bmm(state, hidden[:, :, None]).squeeze(2) + padding  # [B, n], −∞ on padding
            attended = torch.bmm(score.softmax(dim=1)[:, None], state).squeeze(1)
            pooled = torch.cat([hidden, attended], dim=1)
        return pooled


def parameter_count(parameters: Iterator[nn.Parameter]) -> int:
    return sum(parameter.numel() for parameter in parameters)
