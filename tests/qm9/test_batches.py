"""What a batch holds: every molecule once an epoch, in an order of seed and epoch, with the right edges."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from experiments.qm9.batches import DenseMolecules, evaluation_order, training_order
from experiments.qm9.metrics import COLUMNS
from experiments.qm9.molecules import BOND_TYPES, Molecules

CHOSEN = torch.tensor([213, 2, 0, 499, 4, 117, 300, 3])


@pytest.fixture(scope="module")
def dense(store: Molecules) -> DenseMolecules:
    return DenseMolecules.from_molecules(store, store.targets[:, COLUMNS], "cpu")


@pytest.mark.parametrize("batch_size", [1, 7, 10, 100])
def test_every_molecule_comes_once_an_epoch(batch_size: int) -> None:
    indices = torch.arange(3, 73)
    batches = training_order(indices, batch_size, seed=4, epoch=2)
    assert torch.cat(batches).sort().values.equal(indices)
    assert [len(batch) for batch in batches[:-1]] == [batch_size] * (len(batches) - 1)
    assert 0 < len(batches[-1]) <= batch_size


def test_order_depends_on_seed_and_epoch_alone() -> None:
    indices = torch.arange(200)

    def order(seed: int, epoch: int) -> list[int]:
        return torch.cat(training_order(indices, 20, seed, epoch)).tolist()

    torch.manual_seed(0)
    first = order(0, 1)
    torch.manual_seed(99)
    torch.rand(1000)
    assert order(0, 1) == first
    seen = {tuple(order(seed, epoch)) for seed in range(4) for epoch in range(4)}
    assert len(seen) == 16, "no two pairs of seed and epoch share an order, such as (0, 1) and (1, 0)"


def test_evaluation_takes_every_molecule_once_sorted_by_size(store: Molecules) -> None:
    indices = torch.arange(499, -1, -3)
    parts = list(evaluation_order(indices, store.size, 50))
    taken = torch.cat(parts)
    assert taken.sort().values.equal(indices.sort().values)
    assert (store.size[taken].diff() >= 0).all() and max(map(len, parts)) == 50


def atoms_of(store: Molecules, m: int) -> slice:
    return slice(int(store.offset[m]), int(store.offset[m + 1]))


def expected_edges(store: Molecules, m: int, padded: int) -> Tensor:
    """Channels [n, n, 6] of one molecule, pair by pair, in float64: bond one-hot, distance, one; over n − 1."""
    one = store.subset([m])
    n = int(one.size)
    kinds = {(i, j): kind for i, j, kind in one.bond.tolist()}
    edges = torch.zeros(padded, padded, BOND_TYPES + 2, dtype=torch.float64)
    for i in range(n):
        for j in range(n):
            if i == j:
                continue
            kind = kinds.get((min(i, j), max(i, j)))
            if kind is not None:
                edges[i, j, kind] = 1
            edges[i, j, BOND_TYPES] = torch.linalg.vector_norm((one.position[i] - one.position[j]).double())
            edges[i, j, BOND_TYPES + 1] = 1
    return edges / (n - 1)


@pytest.mark.parametrize("groups", [None, 1, 3, 20])
def test_batches_hold_the_molecules_and_zero_padding(
    store: Molecules, dense: DenseMolecules, groups: int | None
) -> None:
    batch = dense.batch(CHOSEN, groups)
    order = sorted(CHOSEN.tolist(), key=lambda m: int(store.size[m]))
    sizes = [int(store.size[m]) for m in order]
    found = [(group.atoms, edges) for group in batch.groups for edges in group.edges]
    assert len(found) == len(order) == batch.targets.shape[0]
    expected_groups = {None: len(set(sizes)), 1: 1, 3: 3, 20: len(order)}[groups]
    assert len(batch.groups) == expected_groups
    row = 0
    for place, ((padded, edges), m, n) in enumerate(zip(found, order, sizes, strict=True)):
        assert padded >= n and (groups is not None or padded == n)
        torch.testing.assert_close(edges.double(), expected_edges(store, m, padded), rtol=1e-6, atol=0)
        features = batch.features[row : row + padded]
        assert torch.equal(features[:n], store.features()[atoms_of(store, m)])
        assert not features[n:].any() and not edges[n:].any() and not edges[:, n:].any()
        assert torch.equal(batch.targets[place], store.targets[m, COLUMNS])
        mask = [0.0 if atom < n else -torch.inf for atom in range(max(sizes))]
        assert batch.padding[place].tolist() == mask
        row += padded
    assert row == batch.features.shape[0]


@pytest.mark.parametrize("groups", [None, 1, 3])
def test_packed_rows_unfold_and_neighbours_are_averaged(
    store: Molecules, dense: DenseMolecules, groups: int | None
) -> None:
    batch = dense.batch(CHOSEN, groups)
    generator = torch.Generator().manual_seed(0)
    state = torch.randn(batch.features.shape[0], 5, generator=generator)
    means, unfolded = batch.mean_of_neighbours(state), batch.padded(state)
    order = sorted(CHOSEN.tolist(), key=lambda m: int(store.size[m]))
    row = 0
    padded = [group.atoms for group in batch.groups for _ in range(group.molecules)]
    for place, (m, height) in enumerate(zip(order, padded, strict=True)):
        n = int(store.size[m])
        own = state[row : row + n]
        assert torch.equal(unfolded[place, :n], own)
        others = (own.sum(0) - own) / (n - 1)
        torch.testing.assert_close(means[row : row + n], others, rtol=1e-5, atol=1e-6)
        row += height


def test_the_dense_arrays_hold_the_store(store: Molecules, dense: DenseMolecules) -> None:
    for m in CHOSEN.tolist():
        n, one = int(store.size[m]), store.subset([m])
        assert torch.equal(dense.position[m, :n], one.position) and not dense.position[m, n:].any()
        assert int((dense.bond[m] > 0).sum()) == 2 * len(one.bond)
        for i, j, kind in one.bond.tolist():
            assert dense.bond[m, i, j] == dense.bond[m, j, i] == kind + 1
