"""Where the store comes from: bonds from SMILES or coordinates, the package, PyTorch Geometric, the cache."""

from __future__ import annotations

import dataclasses
import importlib.util
import threading
import time
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
from experiments.qm9.molecules import Molecules, load_molecules
from tests.qm9.samples import LIMIT, drop_manifest, molecule, same, truncate

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
