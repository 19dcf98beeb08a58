"""The molecule store against values, bonds and conventions that come from elsewhere than its own code."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from experiments.common.errors import UserError
from experiments.qm9 import build
from experiments.qm9.build import (
    build_from_pyg,
    build_from_qm9pack,
    molecules_from_pyg,
    open_molecules,
    perceived_bonds,
    smiles_bonds,
)
from experiments.qm9.molecules import (
    DamagedStore,
    Molecules,
    load_molecules,
    manifest_path,
    offsets,
    pack_molecules,
    save_molecules,
)

pytest.importorskip("rdkit")
pytest.importorskip("torch_geometric")

LIMIT = 500


@pytest.fixture(scope="module")
def store() -> Molecules:
    return build_from_qm9pack(limit=LIMIT)


@pytest.fixture
def saved(store: Molecules, tmp_path: Path) -> Path:
    path = tmp_path / "molecules.npz"
    save_molecules(store, path)
    return path


def position_of(store: Molecules, identity: int) -> int:
    """Where the molecule of a QM9 index stands in the store."""
    return store.identity.tolist().index(identity)


def molecule(store: Molecules, identity: int) -> Molecules:
    return store.subset([position_of(store, identity)])


def same(a: Molecules, b: Molecules) -> bool:
    names = [entry.name for entry in dataclasses.fields(Molecules) if entry.name != "provenance"]
    pairs = [(getattr(a, name), getattr(b, name)) for name in names]
    return all(x.dtype == y.dtype and torch.equal(x, y) for x, y in pairs)


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


# --- bonds --------------------------------------------------------------------------------------------------


def contacts(one: Molecules) -> set[tuple[int, int]]:
    """Pairs of atoms that RDKit calls bonded for their distance alone."""
    from rdkit import Chem
    from rdkit.Chem import rdDetermineBonds

    symbol = Chem.GetPeriodicTable().GetElementSymbol
    rows = zip(one.atomic_number.tolist(), one.position.tolist(), strict=True)
    lines = [f"{symbol(number)} {x:.4f} {y:.4f} {z:.4f}" for number, (x, y, z) in rows]
    graph = Chem.MolFromXYZBlock("\n".join([str(len(lines)), "", *lines]))
    rdDetermineBonds.DetermineConnectivity(graph, useVdw=True, covFactor=1.2)
    ends = ((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in graph.GetBonds())
    return {(min(pair), max(pair)) for pair in ends}


def test_connectivity_agrees_with_perception_from_coordinates(store: Molecules) -> None:
    """Every bond is a contact; the only other contacts lie across a four-membered ring."""
    across = 0
    for one in (store.subset([m]) for m in range(len(store))):
        bonds = {(i, j) for i, j, _ in one.bond.tolist()}
        close = contacts(one)
        assert bonds <= close, f"QM9 index {int(one.identity)}"
        neighbours = [{i + j - k for i, j in bonds if k in (i, j)} for k in range(int(one.size))]
        for i, j in close - bonds:
            assert len(neighbours[i] & neighbours[j]) >= 2, f"QM9 index {int(one.identity)}: {i}, {j}"
            across += 1
    assert across < 0.01 * len(store)


def test_valences_are_chemical(store: Molecules) -> None:
    """Carbon 4, nitrogen 3, oxygen 2, fluorine 1, hydrogen 1; formal charges cancel within a molecule."""
    usual = torch.tensor([0, 1, 0, 0, 0, 0, 4, 3, 2, 1])
    charged = 0
    for m in range(len(store)):
        one = store.subset([m])
        start, end, kind = one.bond.long().unbind(1)
        valence = torch.zeros(int(one.size), dtype=torch.long)
        valence.index_add_(0, start, kind + 1)
        valence.index_add_(0, end, kind + 1)
        excess = valence - usual[one.atomic_number.long()]
        assert int(excess.abs().max()) <= 1 and int(excess.sum()) == 0, f"QM9 index {int(one.identity)}"
        charged += bool(excess.any())
    assert charged < 0.02 * len(store)


def test_exceptions_of_the_first_molecules_are_found_by_the_checks(store: Molecules) -> None:
    # 23 and 24 carry the hydrogens of another geometry than their SMILES; 486's nitrogens stand elsewhere.
    assert store.provenance["perceived"] == [23, 24, 486]
    for identity in (23, 24, 486):
        one = molecule(store, identity)
        start, end, _ = one.bond.long().unbind(1)
        length = (one.position[start] - one.position[end]).norm(dim=1)
        assert length.max() < 1.6 and length.min() > 0.9


@pytest.mark.parametrize(
    ("fault", "smiles", "move"),
    [
        ("unreadable", "C#", None),
        ("other elements", "CN", None),
        ("other hydrogens", "C=C", None),
        ("bond too long", "CC", (0, 8.0)),
        ("unbonded atoms too close", "CCC", None),
    ],
)
def test_smiles_that_does_not_fit_is_refused(
    store: Molecules, fault: str, smiles: str, move: tuple[int, float] | None
) -> None:
    ethane, propane = molecule(store, 7), molecule(store, 13)
    one = propane if smiles == "CCC" else ethane
    numbers, position = one.atomic_number.numpy(), one.position.double().numpy().copy()
    fitting = "CCC" if smiles == "CCC" else "CC"
    assert smiles_bonds(fitting, numbers, position) is not None
    if move is not None:  # one half of the molecule, so that its hydrogens stay with it
        near = np.linalg.norm(position - position[0], axis=1) < 1.2
        position[near] += move[1]
    if fault == "unbonded atoms too close":
        middle = next(row for row in range(3) if int(one.hydrogens[row]) == 2)
        ends = [row for row in range(3) if row != middle]
        position[ends[1]] = position[ends[0]] + (0.9, 0.9, 0)
        position[ends[1]] += (position[middle] - position[ends[1]]) * 0.05
        close = np.linalg.norm(position[ends[1]] - position[ends[0]])
        assert close < build.CLOSEST_UNBONDED * 2 * build.COVALENT_RADIUS[6]
    assert smiles_bonds(smiles, numbers, position) is None


def test_perception_finds_the_bonds_of_the_smiles(store: Molecules) -> None:
    for identity in (1, 5, 12, 13):
        one = molecule(store, identity)
        found = perceived_bonds(one.atomic_number.numpy(), one.position.double().numpy())
        found[:, :2].sort(axis=1)
        assert sorted(found.tolist()) == one.bond.tolist()


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


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def drop_manifest(path: Path) -> None:
    manifest_path(path).unlink()


def tear_manifest(path: Path) -> None:
    manifest_path(path).write_text(manifest_path(path).read_text()[:50])


def swap_manifest(path: Path) -> None:
    other = path.with_name("other.npz")
    save_molecules(load_molecules(path).subset([0, 1]), other)
    manifest_path(other).replace(manifest_path(path))


def change_format(path: Path) -> None:
    manifest = json.loads(manifest_path(path).read_text())
    manifest_path(path).write_text(json.dumps(manifest | {"format": 0}))


DAMAGE = [truncate, flip_a_bit, empty, drop_manifest, tear_manifest, swap_manifest, change_format]


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


# --- opening ------------------------------------------------------------------------------------------------


@pytest.fixture
def builds(store: Molecules, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Replaces the whole build by a small one; the list records each call."""
    calls: list[Path] = []

    def small(root: Path) -> Molecules:
        calls.append(root)
        time.sleep(0.2)
        return store.subset(range(20))

    monkeypatch.setitem(build.BUILDERS, "qm9pack", small)
    return calls


def test_open_builds_once_and_then_reads(builds: list[Path], tmp_path: Path) -> None:
    first = open_molecules(tmp_path / "qm9", "qm9pack")
    second = open_molecules(tmp_path / "qm9", "qm9pack")
    assert len(builds) == 1 and same(first, second) and first.provenance == second.provenance
    assert (tmp_path / "qm9" / "qm9_qm9pack.npz").is_file()


@pytest.mark.parametrize("damage", [truncate, drop_manifest])
def test_open_builds_a_damaged_file_again_and_says_so(builds: list[Path], tmp_path: Path, capsys, damage) -> None:
    first = open_molecules(tmp_path, "qm9pack")
    path = tmp_path / "qm9_qm9pack.npz"
    damage(path)
    again = open_molecules(tmp_path, "qm9pack")
    warning = capsys.readouterr().err.strip()
    assert len(builds) == 2 and same(first, again) and same(again, load_molecules(path))
    assert warning.startswith("warning:") and str(path) in warning and "\n" not in warning


def test_openers_at_once_build_once(builds: list[Path], tmp_path: Path) -> None:
    # Threads, each with its own handle on the lock file, exclude each other as processes do.
    results: list[Molecules] = []
    openers = [threading.Thread(target=lambda: results.append(open_molecules(tmp_path, "qm9pack"))) for _ in range(3)]
    for opener in openers:
        opener.start()
    for opener in openers:
        opener.join()
    assert len(builds) == 1 and len(results) == 3 and all(same(results[0], other) for other in results)


def test_unknown_source_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="qm9pack, pyg"):
        open_molecules(tmp_path, "qm8")


def test_missing_package_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install -r requirements\.txt"):
        build_from_qm9pack(limit=1)


@pytest.mark.parametrize("keep", [2_000, 900_000, None])
def test_damaged_package_is_a_user_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, keep: int | None) -> None:
    whole = build._qm9pack_folder() / build.TABLES[0]
    if keep is not None:
        with open(whole, "rb") as file:
            (tmp_path / whole.name).write_bytes(file.read(keep))
    monkeypatch.setattr(build, "_qm9pack_folder", lambda: tmp_path)
    with pytest.raises(UserError, match="reinstall"):
        build_from_qm9pack(limit=3_000)


# --- PyTorch Geometric --------------------------------------------------------------------------------------


def write_raw_files(store: Molecules, folder: Path, skipped: int) -> None:
    """The three files that PyTorch Geometric downloads, for these molecules; one is uncharacterised."""
    from rdkit import Chem
    from torch_geometric.datasets.qm9 import conversion

    folder.mkdir(parents=True)
    symbol = Chem.GetPeriodicTable().GetElementSymbol
    blocks = []
    for m in range(len(store)):
        one = store.subset([m])
        counts = f"{int(one.size):3d}{len(one.bond):3d}  0  0  0  0  0  0  0  0999 V2000"
        lines = [f"gdb_{m + 1}", "", "", counts]
        for number, (x, y, z) in zip(one.atomic_number.tolist(), one.position.tolist(), strict=True):
            lines.append(f"{x:10.4f}{y:10.4f}{z:10.4f} {symbol(number):<3} 0" + "  0" * 11)
        lines += [f"{j + 1:3d}{i + 1:3d}{kind + 1:3d}  0" for i, j, kind in reversed(one.bond.tolist())]
        blocks.append("\n".join([*lines, "M  END", "$$$$", ""]))
    (folder / "gdb9.sdf").write_text("".join(blocks))
    given = store.targets.double() / conversion.double()
    rows = torch.cat([given[:, 16:], given[:, :16]], dim=1).tolist()
    table = [",".join([f"gdb_{m + 1}", *map(repr, row)]) for m, row in enumerate(rows)]
    (folder / "gdb9.sdf.csv").write_text("\n".join(["header", *table, ""]))
    (folder / "uncharacterized.txt").write_text("\n".join([""] * 9 + [f"  {skipped}  C  C", "", ""]))


def test_store_is_what_pyg_makes_of_its_raw_files(
    store: Molecules, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PyTorch Geometric's own reader decides features, edge order, positions and target columns."""
    from torch_geometric.datasets import QM9

    part = store.subset(range(0, LIMIT, 10))
    write_raw_files(part, tmp_path / "raw", skipped=3)
    kept = [m for m in range(len(part)) if m != 2]
    dataset = QM9(str(tmp_path))
    assert len(dataset) == len(kept)
    for theirs, m in zip(dataset, kept, strict=True):
        ours = part.pyg_data(m)
        for name in ("x", "edge_index", "edge_attr", "pos", "z"):
            expected, found = getattr(theirs, name), getattr(ours, name)
            assert found.dtype == expected.dtype and torch.equal(found, expected), (name, m)
        torch.testing.assert_close(ours.y, theirs.y, rtol=3e-7, atol=0)

    monkeypatch.setattr(build, "MOLECULES", len(kept))
    built = build_from_pyg(tmp_path)
    targets = torch.cat([data.y for data in dataset])
    numbered = torch.tensor([m + 1 for m in kept], dtype=torch.int32)
    expected = dataclasses.replace(part.subset(kept), targets=targets, identity=numbered)
    assert same(built, expected) and built.provenance["source"] == "pyg"


def test_conversion_from_pyg_round_trips(store: Molecules) -> None:
    part = store.subset(range(60))
    converted = molecules_from_pyg([part.pyg_data(m) for m in range(60)], {"source": "test"})
    assert same(converted, part)


def test_features_of_another_pyg_are_refused(store: Molecules) -> None:
    data = store.pyg_data(0)
    data.x[0, 9] = 1  # sp3, which a sanitised reading sets
    with pytest.raises(UserError, match="hybridisation"):
        molecules_from_pyg([data], {})


def test_failed_download_is_a_user_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch_geometric.datasets

    def offline(root: str) -> None:
        raise OSError("name resolution failed")

    monkeypatch.setattr(torch_geometric.datasets, "QM9", offline)
    with pytest.raises(UserError, match="check the network"):
        build_from_pyg(tmp_path)


def test_incomplete_pyg_set_is_a_user_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch_geometric.datasets

    monkeypatch.setattr(torch_geometric.datasets, "QM9", lambda root: [None] * 7)
    with pytest.raises(UserError, match="holds 7 molecules, not 130831"):
        build_from_pyg(tmp_path)


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
