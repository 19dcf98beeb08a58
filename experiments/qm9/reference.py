"""The network in PyTorch Geometric's own layers: the plain reference that the dense one is held against."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn import Parameter
from torch_geometric.data import Data
from torch_geometric.nn import NNConv, Set2Set


class ReferenceNetwork(nn.Module):
    """Message-passing network of Gilmer et al., ICML 2017, in the form of PyTorch Geometric's NNConv example.

    Linear(11, dim), three rounds of NNConv (an edge network 5 → hidden → dim² makes one matrix an edge) and GRU,
    Set2Set, Linear(2·dim, dim), one linear head a target. Parameter names and shapes are those of
    :class:`experiments.qm9.model.DenseNetwork`: a ``state_dict`` moves both ways.
    """

    def __init__(self, n_tasks: int, dim: int = 64, edge_hidden: int = 128) -> None:
        super().__init__()
        self.n_tasks = n_tasks
        self.lin0 = nn.Linear(11, dim)
        edge_network = nn.Sequential(nn.Linear(5, edge_hidden), nn.ReLU(), nn.Linear(edge_hidden, dim * dim))
        self.conv = NNConv(dim, dim, edge_network, aggr="mean")
        self.gru = nn.GRU(dim, dim)
        self.set2set = Set2Set(dim, processing_steps=3)
        self.lin1 = nn.Linear(2 * dim, dim)
        self.heads = nn.ModuleList(nn.Linear(dim, 1) for _ in range(n_tasks))

    def forward(self, data: Data) -> tuple[Tensor, Tensor]:
        """Predictions ``[B, K]`` and the representation ``[B, dim]`` of a PyTorch Geometric batch."""
        state = F.relu(self.lin0(data.x))
        hidden = state.unsqueeze(0)
        for _ in range(3):
            message = F.relu(self.conv(state, data.edge_index, data.edge_attr))
            state, hidden = self.gru(message.unsqueeze(0), hidden)
            state = state.squeeze(0)
        representation = F.relu(self.lin1(self.set2set(state, data.batch)))
        return torch.cat([head(representation) for head in self.heads], dim=1), representation

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
