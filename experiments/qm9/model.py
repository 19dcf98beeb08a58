"""The QM9 network in dense form: the same function and parameters as the reference, several times faster."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn import Parameter

from experiments.qm9.batches import Batch
from experiments.qm9.messages import hidden_edges, pass_messages

ROUNDS = 3  # of message passing, and of Set2Set


class EdgeConvolution(nn.Module):
    """Parameters of a message-passing round, with the names, shapes and initial values of PyTorch Geometric's NNConv.

    ``nn`` makes one ``[dim, dim]`` matrix of an edge's five channels, ``lin`` and ``bias`` act on the atom itself.
    """

    def __init__(self, dim: int, edge_hidden: int) -> None:
        super().__init__()
        self.nn = nn.Sequential(nn.Linear(5, edge_hidden), nn.ReLU(), nn.Linear(edge_hidden, dim * dim))
        self.lin = nn.Linear(dim, dim, bias=False)
        self.bias = Parameter(torch.zeros(dim))
        for layer in self.nn:  # drawn twice, as NNConv does, so that a seed means the same network
            if isinstance(layer, nn.Linear):
                layer.reset_parameters()
        nn.init.uniform_(self.lin.weight, -1 / math.sqrt(dim), 1 / math.sqrt(dim))


class Set2Set(nn.Module):
    """Parameters of Set2Set (Vinyals et al., ICLR 2016), likewise."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(2 * dim, dim)
        self.lstm.reset_parameters()


class DenseNetwork(nn.Module):
    """Message-passing network of Gilmer et al., ICML 2017, in the form of PyTorch Geometric's NNConv example.

    Linear(11, dim), three rounds of an edge convolution (an edge network 5 → hidden → dim² makes one matrix an edge)
    and GRU, Set2Set, Linear(2·dim, dim), one linear head a target. Parameters are those of
    :class:`experiments.qm9.reference.ReferenceNetwork`: a ``state_dict`` moves both ways. The mathematics is the
    same, on dense molecules (:class:`Batch`) instead of edge lists; the order of operations is not: see
    :mod:`experiments.qm9.messages`. The recurrent cells are written as matrix products, so that K task gradients
    can be taken in one vectorised pass.
    """

    def __init__(self, n_tasks: int, dim: int = 64, edge_hidden: int = 128) -> None:
        super().__init__()
        self.n_tasks = n_tasks
        self.lin0 = nn.Linear(11, dim)
        self.conv = EdgeConvolution(dim, edge_hidden)
        self.gru = nn.GRU(dim, dim)
        self.set2set = Set2Set(dim)
        self.lin1 = nn.Linear(2 * dim, dim)
        self.heads = nn.ModuleList(nn.Linear(dim, 1) for _ in range(n_tasks))

    def shared_parameters(self) -> Iterator[Parameter]:
        """The trunk: 616,960 parameters at dim 64 and 128 hidden units."""
        for module in (self.lin0, self.conv, self.gru, self.set2set, self.lin1):
            yield from module.parameters()

    def task_specific_parameters(self) -> Iterator[Parameter]:
        """The linear heads: 65 parameters a target at dim 64."""
        yield from self.heads.parameters()

    def last_shared_parameters(self) -> Iterator[Parameter]:
        """The layer that makes the representation."""
        yield from self.lin1.parameters()

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Predictions ``[B, K]``, standardised, and the representation ``[B, dim]``; rows as in the batch."""
        state = self._message_passing(batch)  # [R, D]
        pooled = self._set2set(batch.padded(state), batch.padding)  # [B, 2·D]
        representation = F.relu(self.lin1(pooled))
        heads = [cast(nn.Linear, head) for head in self.heads]
        weight = torch.cat([head.weight for head in heads])  # [K, D]
        bias = torch.cat([head.bias for head in heads])
        return F.linear(representation, weight, bias), representation

    def _message_passing(self, batch: Batch) -> Tensor:
        first, second = cast(nn.Linear, self.conv.nn[0]), cast(nn.Linear, self.conv.nn[2])
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
        pooled_weight, hidden_weight, pooled_bias, hidden_bias = self.set2set.lstm.all_weights[0]
        molecules, _, dim = state.shape
        hidden = cell = state.new_zeros(molecules, dim)
        pooled = state.new_zeros(molecules, 2 * dim)
        for _ in range(ROUNDS):
            gates = F.linear(pooled, pooled_weight, pooled_bias) + F.linear(hidden, hidden_weight, hidden_bias)
            enter, forget, candidate, output = gates.chunk(4, dim=1)
            cell = torch.sigmoid(forget) * cell + torch.sigmoid(enter) * torch.tanh(candidate)
            hidden = torch.sigmoid(output) * torch.tanh(cell)
            score = torch.bmm(state, hidden[:, :, None]).squeeze(2) + padding  # [B, n], −∞ on padding
            attended = torch.bmm(score.softmax(dim=1)[:, None], state).squeeze(1)
            pooled = torch.cat([hidden, attended], dim=1)
        return pooled
