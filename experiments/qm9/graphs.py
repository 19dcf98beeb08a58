"""QM9 as graphs for the reference network: complete graphs with bond type and distance on every edge."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.data import Batch as GraphBatch
from torch_geometric.data import Data
from torch_geometric.transforms import Distance

from experiments.qm9.molecules import BOND_TYPES, Molecules


def complete_graph(data: Data) -> Data:
    """An edge between every pair of atoms, both ways, with ``edge_attr`` ``[E, 5]``: bond one-hot and distance."""
    atoms = data.num_nodes
    bonds = torch.zeros(atoms, atoms, BOND_TYPES)
    bonds[data.edge_index[0], data.edge_index[1]] = data.edge_attr
    data.edge_index = (~torch.eye(atoms, dtype=torch.bool)).nonzero().T.contiguous()
    data.edge_attr = bonds[data.edge_index[0], data.edge_index[1]]
    return Distance(norm=False)(data)


def graph_batch(molecules: Molecules, indices: Tensor) -> Data:
    """The molecules ``indices`` ``[B]``, in this order, as one PyTorch Geometric batch of complete graphs."""
    chosen = molecules.subset(indices)
    return GraphBatch.from_data_list([complete_graph(chosen.pyg_data(i)) for i in range(len(indices))])
