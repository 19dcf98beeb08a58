"""The network in PyTorch Geometric's own layers: the plain reference that the dense one is held against."""

from __future__ import annotations

from copy import deepcopy

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.nn import NNConv, Set2Set

from experiments.qm9.model import DenseNetwork


class ReferenceNetwork(DenseNetwork):
    """:class:`DenseNetwork`'s parameters and function by PyTorch Geometric's layers, on its edge lists."""

    def __init__(self, n_tasks: int, dim: int = 64, edge_hidden: int = 128) -> None:
        super().__init__(n_tasks, dim, edge_hidden)
        edge_network = deepcopy(self.conv.nn)  # which NNConv draws anew
        layers = {"conv": NNConv(dim, dim, edge_network, aggr="mean"), "set2set": Set2Set(dim, processing_steps=3)}
        for name, layer in layers.items():
            layer.load_state_dict(getattr(self, name).state_dict())
            setattr(self, name, layer)

    def forward(self, data: Data) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """Predictions ``[B, K]`` and the representation ``[B, dim]`` of a PyTorch Geometric batch."""
        state = F.relu(self.lin0(data.x))
        hidden = state.unsqueeze(0)
        for _ in range(3):
            message = F.relu(self.conv(state, data.edge_index, data.edge_attr))
            state, hidden = self.gru(message.unsqueeze(0), hidden)
            state = state.squeeze(0)
        representation = F.relu(self.lin1(self.set2set(state, data.batch)))
        return torch.cat([head(representation) for head in self.heads], dim=1), representation
