"""Dense batches of molecules: padded arrays of the whole set, and groups of like-sized molecules within a batch.

A batch is a uniformly random draw without replacement, as any loader's. Only *within* a batch molecules are
sorted by size and evaluated in groups of the same padded size; neither the loss nor its gradient
depends on the order, so that a batch is statistically what it always was.

Shape letters: M molecules in the set, B in a batch, n atoms after padding, R rows (padded atoms of a batch),
K targets, C = 6 edge channels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from experiments.qm9.messages import Group
from experiments.qm9.molecules import BOND_TYPES, Molecules


@dataclass(frozen=True, eq=False)
class Batch:
    """Molecules in groups of like size; rows of ``features`` follow the groups, molecule after molecule."""

    features: Tensor  # [R, 11], float32; zero on padding
    groups: list[Group]
    targets: Tensor  # [B, K], standardised
    padding: Tensor  # [B, n_max]: 0 for an atom, −∞ for padding

    def padded(self, state: Tensor) -> Tensor:
        """Packed rows ``[R, D]`` as ``[B, n_max, D]``."""
        longest = self.padding.shape[1]
        blocks = state.split([group.rows for group in self.groups])
        return torch.cat(
            [
                F.pad(block.view(group.molecules, group.atoms, -1), (0, 0, 0, longest - group.atoms))
                for block, group in zip(blocks, self.groups, strict=True)
            ]
        )

    def mean_of_neighbours(self, state: Tensor) -> Tensor:
        """For every atom the mean of the other atoms' ``state`` in its molecule: ``[R, D]``."""
        blocks = state.split([group.rows for group in self.groups])
        means = []
        for block, group in zip(blocks, self.groups, strict=True):
            block = block.view(group.molecules, group.atoms, -1)
            means.append(torch.bmm(group.edges[..., -1], block).flatten(0, 1))
        return torch.cat(means)


@dataclass(frozen=True, eq=False)
class DenseMolecules:
    """The whole set as padded arrays, on the device it trains on (about 200 MiB for all of QM9)."""

    size: Tensor  # [M], int64, on the CPU: batches are planned there without waiting for a GPU
    features: Tensor  # [M, n_max, 11], uint8
    position: Tensor  # [M, n_max, 3], float32, Angstrom
    bond: Tensor  # [M, n_max, n_max], uint8: 0 no bond, else type + 1
    targets: Tensor  # [M, K], float32, standardised

    @classmethod
    def from_molecules(cls, molecules: Molecules, targets: Tensor, device: torch.device | str) -> DenseMolecules:
        """Pad a store; ``targets`` ``[M, K]`` are taken as they are."""
        size = molecules.size
        longest = int(size.max())
        molecule = torch.repeat_interleave(torch.arange(len(molecules)), size)  # of every atom
        atom = torch.arange(len(molecule)) - molecules.offset[molecule]
        features = torch.zeros(len(molecules), longest, 11, dtype=torch.uint8)
        features[molecule, atom] = molecules.features().to(torch.uint8)
        position = torch.zeros(len(molecules), longest, 3)
        position[molecule, atom] = molecules.position
        bonds = molecules.bond_offset.diff()
        molecule = torch.repeat_interleave(torch.arange(len(molecules)), bonds)  # of every bond
        first, second, kind = molecules.bond.long().unbind(1)
        bond = torch.zeros(len(molecules), longest, longest, dtype=torch.uint8)
        bond[molecule, first, second] = bond[molecule, second, first] = (kind + 1).to(torch.uint8)
        return cls(size, *(tensor.to(device) for tensor in (features, position, bond, targets)))

    def batch(self, indices: Tensor, groups: int | None = None) -> Batch:
        """The molecules ``indices`` ``[B]`` (on the CPU) as a batch, sorted by size.

        ``groups``: that many groups of equal count, each padded to its largest molecule (few kernels, for a
        GPU); ``None``: one group a size, no padding at all (least work, for a CPU).
        """
        indices = indices[self.size[indices].argsort(stable=True)]
        size = self.size[indices]
        if groups is None:
            counts = torch.unique_consecutive(size, return_counts=True)[1].tolist()
        else:
            counts = [len(part) for part in torch.arange(len(size)).tensor_split(min(groups, len(size)))]
        atoms = [int(part[-1]) for part in size.split(counts)]
        device = self.targets.device
        indices, size = indices.to(device, non_blocking=True), size.to(device, non_blocking=True)
        parts = list(zip(indices.split(counts), size.split(counts), atoms, strict=True))
        absent = torch.arange(atoms[-1], device=device) >= size[:, None]  # [B, n_max]
        return Batch(
            features=torch.cat([self.features[part, :n].flatten(0, 1) for part, _, n in parts]).float(),
            groups=[self._group(part, part_size, n) for part, part_size, n in parts],
            targets=self.targets[indices],
            padding=torch.zeros_like(absent, dtype=torch.float32).masked_fill_(absent, -torch.inf),
        )

    def _group(self, indices: Tensor, size: Tensor, atoms: int) -> Group:
        position = self.position[indices, :atoms]
        distance = torch.cdist(position, position, compute_mode="donot_use_mm_for_euclid_dist")  # [b, n, n]
        bond = F.one_hot(self.bond[indices, :atoms, :atoms].long(), BOND_TYPES + 1)[..., 1:]
        present = torch.arange(atoms, device=size.device) < size[:, None]  # [b, n]
        pair = present[:, :, None] & present[:, None, :]
        pair = pair & ~torch.eye(atoms, dtype=torch.bool, device=size.device)
        factor = pair / (size - 1).clamp(min=1)[:, None, None]  # 1/(number of neighbours)
        channels = torch.cat([bond, distance[..., None], torch.ones_like(distance)[..., None]], dim=-1)
        return Group(channels * factor[..., None])


def training_order(indices: Tensor, batch_size: int, seed: int, epoch: int) -> list[Tensor]:
    """The batches of one epoch: a permutation of ``indices`` that depends on seed and epoch alone.

    The last, smaller batch is kept, as in the paper's code.
    """
    generator = torch.Generator().manual_seed(_mix(seed, epoch))
    order = indices[torch.randperm(len(indices), generator=generator)]
    return list(order.split(batch_size))


def evaluation_order(indices: Tensor, size: Tensor, batch_size: int) -> Iterator[Tensor]:
    """``indices`` in batches of like-sized molecules, for evaluation, where the order is free."""
    return iter(indices[size[indices].argsort(stable=True)].split(batch_size))


def _mix(seed: int, epoch: int) -> int:
    """Different for every pair, so that seed 0 in epoch 1 does not repeat seed 1 in epoch 0."""
    return (seed * 1_000_003 + epoch) % (1 << 63)
