"""The molecule store against values and conventions that come from elsewhere than its own code."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from experiments.common.errors import UserError
from experiments.qm9 import build
from experiments.qm9.molecules import (
    DamagedStore,
    Molecules,
    load_molecules,
    offsets,
    pack_molecules,
    save_molecules,
)
from tests.qm9.samples import DAMAGE, LIMIT, molecule, same


@pytest.fixture
def saved(store: Molecules, tmp_path: Path) -> Path:
    path = tmp_path / "molecules.npz"
    save_molecules(store, path)
    return path


# --- known molecules ----------------------------------------------------------------------------------------


def test_methane_has_the_published_targets(store: Molecules) -> None:
    published = [
        *(0.0, 13.21, -10.5499, 3.1865, 13.7363, 35.3641, 1.2177),
        *(-1101.4878, -1101.4098, -1101.3840, -1102.0229, 6.4690),
        *(-17.1722, -17.2868, -17.3897, -16.1519),
        *(157.7118, 157.7099, 157.7070),
    ]
    targets = molecule(store, 1).targets[0]
    torch.testing.assert_close(targets, torch.tensor(published), rtol=1e-7, atol=1.01e-4)


@pytest.mark.parametrize(
    ("identity", "kilocalories"),
    [
        (1, (-395.999594594, -398.643290011, -401.014646522, -372.471772148)),
        (2, (-276.861363363, -278.620270977, -280.399259105, -259.338802047)),
        (3, (-213.087624139, -213.974294321, -215.159657987, -201.407171167)),
        (4, (-385.501996533, -387.237686461, -389.016047933, -365.800724969)),
        (5, (-301.820534838, -302.906752457, -304.091489479, -288.720028437)),
    ],
)
def test_atomisation_energies_agree_with_the_kilocalories_of_the_original_table(
    store: Molecules, identity: int, kilocalories: tuple[float, ...]
) -> None:
    expected = torch.tensor(kilocalories, dtype=torch.float64) * 0.04336414
    found = molecule(store, identity).targets[0, 12:16].double()
    # The two ways to electronvolts differ by rounded constants, about 1e-5 eV for each heavy atom.
    torch.testing.assert_close(found, expected, rtol=0, atol=3e-5)


@pytest.mark.parametrize(
    ("identity", "numbers", "hydrogens", "bonds"),
    [
        (1, [6, 1, 1, 1, 1], [4, 0, 0, 0, 0], [(0, 1, 0), (0, 2, 0), (0, 3, 0), (0, 4, 0)]),
        (3, [8, 1, 1], [2, 0, 0], [(0, 1, 0), (0, 2, 0)]),
        (4, [6, 6, 1, 1], [1, 1, 0, 0], [(0, 1, 2), (0, 3, 0), (1, 2, 0)]),
        (5, [6, 7, 1], [1, 0, 0], [(0, 1, 2), (0, 2, 0)]),
        (6, [6, 8, 1, 1], [2, 0, 0, 0], [(0, 1, 1), (0, 2, 0), (0, 3, 0)]),
        # formamide, the smallest amide: N-C(=O)
        (12, [7, 6, 8, 1, 1, 1], [2, 1, 0, 0, 0, 0], [(0, 1, 0), (0, 3, 0), (0, 4, 0), (1, 2, 1), (1, 5, 0)]),
    ],
)
def test_small_molecules_have_their_atoms_and_bonds(
    store: Molecules,
    identity: int,
    numbers: list[int],
    hydrogens: list[int],
    bonds: list[tuple[int, int, int]],
) -> None:
    one = molecule(store, identity)
    assert one.atomic_number.tolist() == numbers
    assert one.hydrogens.tolist() == hydrogens
    assert one.bond.tolist() == [list(row) for row in bonds]


def test_benzene_is_kekulised(store: Molecules) -> None:
    benzene = molecule(store, 214)
    assert benzene.atomic_number.tolist() == [6] * 6 + [1] * 6
    assert benzene.hydrogens.tolist() == [1] * 6 + [0] * 6
    ring = benzene.bond[benzene.bond[:, 1] < 6]
    assert Counter(ring[:, 2].tolist()) == {0: 3, 1: 3}
    doubles = ring[ring[:, 2] == 1][:, :2].flatten().tolist()
    assert sorted(doubles) == list(range(6)), "each carbon takes part in exactly one double bond"


def test_methane_features_and_positions_are_those_of_pyg(store: Molecules) -> None:
    methane = molecule(store, 1)
    carbon, hydrogen = [0, 1, 0, 0, 0, 6, 0, 0, 0, 0, 4], [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0]
    assert methane.features().tolist() == [carbon] + [hydrogen] * 4
    text = ["-0.0127 1.0858 0.0080", "0.0022 -0.0060 0.0020", "1.0117 1.4638 0.0003"]
    text += ["-0.5408 1.4475 -0.8766", "-0.5238 1.4379 0.9064"]
    decimals = [[float(word) for word in line.split()] for line in text]
    assert torch.equal(methane.position, torch.tensor(decimals))


# --- the store ----------------------------------------------------------------------------------------------


def test_shapes_types_and_order(store: Molecules) -> None:
    atoms, bonds = int(store.size.sum()), store.bond.shape[0]
    assert len(store) == LIMIT
    expected = {
        "size": (torch.int64, (LIMIT,)),
        "offset": (torch.int64, (LIMIT + 1,)),
        "atomic_number": (torch.uint8, (atoms,)),
        "hydrogens": (torch.uint8, (atoms,)),
        "position": (torch.float32, (atoms, 3)),
        "bond_offset": (torch.int64, (LIMIT + 1,)),
        "bond": (torch.uint8, (bonds, 3)),
        "targets": (torch.float32, (LIMIT, 19)),
        "identity": (torch.int32, (LIMIT,)),
    }
    for name, (dtype, shape) in expected.items():
        assert (getattr(store, name).dtype, tuple(getattr(store, name).shape)) == (dtype, shape), name
    assert (store.identity.diff() > 0).all()
    assert store.offset[-1] == atoms and store.bond_offset[-1] == bonds
    assert (store.bond[:, 0] < store.bond[:, 1]).all()


def test_subset_takes_molecules_in_the_order_asked(store: Molecules) -> None:
    chosen = [40, 0, 499, 40]
    part = store.subset(torch.tensor(chosen))
    assert len(part) == 4 and same(part, store.subset(chosen))
    for place, m in enumerate(chosen):
        assert same(part.subset([place]), store.subset([m]))
        atoms = slice(int(store.offset[m]), int(store.offset[m + 1]))
        rows = slice(int(part.offset[place]), int(part.offset[place + 1]))
        assert torch.equal(part.position[rows], store.position[atoms])
    assert len(store.subset([])) == 0
    for outside in (-1, LIMIT):
        with pytest.raises(IndexError, match="positions must lie in"):
            store.subset([outside])


def test_pyg_data_has_both_directions_in_row_order(store: Molecules) -> None:
    for m in (0, 3, 250, 499):
        data, one = store.pyg_data(m), store.subset([m])
        dense = torch.zeros(int(one.size), int(one.size), dtype=torch.long)
        for i, j, kind in one.bond.tolist():
            dense[i, j] = dense[j, i] = kind + 1
        assert torch.equal(data.edge_index, dense.nonzero().T)
        assert torch.equal(data.edge_attr, torch.eye(4)[dense[dense > 0] - 1])
        assert data.validate() and data.num_nodes == int(one.size)


def test_round_trip(store: Molecules, saved: Path) -> None:
    loaded = load_molecules(saved)
    assert same(loaded, store)
    assert loaded.provenance == store.provenance
    assert saved.stat().st_size < 64 * 2**20 * len(store) / build.MOLECULES
    again = saved.with_name("again.npz")
    save_molecules(store, again)
    assert again.read_bytes() == saved.read_bytes(), "the same molecules give the same file"


def test_positions_that_would_be_rounded_are_refused(store: Molecules, tmp_path: Path) -> None:
    moved = dataclasses.replace(store, position=store.position + 0.00003)
    with pytest.raises(ValueError, match="whole multiples"):
        save_molecules(moved, tmp_path / "moved.npz")


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_named_with_its_remedy(saved: Path, damage) -> None:
    damage(saved)
    with pytest.raises(DamagedStore) as caught:
        load_molecules(saved)
    message = str(caught.value)
    assert str(saved) in message and "delete it" in message and "\n" not in message


def test_missing_file_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent\.npz"):
        load_molecules(tmp_path / "absent.npz")


def test_packing_sorts_bonds_and_counts_hydrogens_on_either_side() -> None:
    water = np.array([[1, 0, 0], [2, 1, 0]])  # H, O, H: one hydrogen stands before its oxygen
    cyanide = np.array([[2, 1, 2], [1, 0, 0]])  # H, C, N
    packed = pack_molecules(
        size=np.array([3, 3]),
        atomic_number=np.array([1, 8, 1, 1, 6, 7]),
        position=np.zeros((6, 3)),
        bonds=[water, cyanide],
        targets=np.zeros((2, 19)),
        identity=np.array([3, 5]),
        provenance={},
    )
    assert packed.bond.tolist() == [[0, 1, 0], [1, 2, 0], [0, 1, 0], [1, 2, 2]]
    assert packed.hydrogens.tolist() == [0, 2, 0, 0, 1, 0]
    assert packed.offset.tolist() == [0, 3, 6] and packed.bond_offset.tolist() == [0, 2, 4]
    assert water.tolist() == [[1, 0, 0], [2, 1, 0]], "the caller's bonds are left alone"


def test_offsets() -> None:
    assert offsets(torch.tensor([2, 0, 3])).tolist() == [0, 2, 2, 5]
