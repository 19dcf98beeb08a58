"""QM9 in memory: every molecule packed into a few ragged tensors, and one compressed file that holds them.

Conventions (features, bond types, targets, units) are those of PyTorch Geometric's ``QM9`` dataset, so that a
model sees the same numbers from either source.

Letters in shapes: M molecules, A atoms of all molecules, B bonds of all molecules, N atoms of one molecule.
"""

from __future__ import annotations

import json
import platform
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from experiments.common.errors import UserError
from experiments.common.files import atomic_write, sha256, write_json

if TYPE_CHECKING:
    from torch_geometric.data import Data

ELEMENTS = (1, 6, 7, 8, 9)  # H, C, N, O, F: the order of the one-hot columns
BOND_TYPES = 4  # single, double, triple, aromatic
FORMAT = 1  # raised whenever the arrays in the file change their meaning
POSITION_STEPS = 10_000  # positions are whole multiples of 1e-4 Angstrom


class DamagedStore(UserError):
    """A stored molecule file that is truncated, altered, without its manifest, or of another format."""

    def __init__(self, path: Path, fault: str) -> None:
        super().__init__(path, fault)
        self.path, self.fault = path, fault

    def __str__(self) -> str:
        return f"{self.path} {self.fault}; delete it and prepare the data again"


@dataclass(frozen=True, eq=False)
class Molecules:
    """Molecules packed one after the other, on the CPU.

    The atoms of molecule m are rows ``offset[m]:offset[m + 1]``; its bonds are rows
    ``bond_offset[m]:bond_offset[m + 1]``, sorted by (i, j).
    """

    size: Tensor  # [M], int64, atoms per molecule
    offset: Tensor  # [M + 1], int64
    atomic_number: Tensor  # [A], uint8
    hydrogens: Tensor  # [A], uint8, hydrogens bonded to the atom
    position: Tensor  # [A, 3], float32, Angstrom, whole multiples of 1e-4
    bond_offset: Tensor  # [M + 1], int64
    bond: Tensor  # [B, 3], uint8: atoms i < j of the molecule; 0 single, 1 double, 2 triple, 3 aromatic
    targets: Tensor  # [M, 19], float32, the columns and units of PyTorch Geometric (eV, Debye, Bohr, GHz)
    identity: Tensor  # [M], int32, the QM9 index, from 1
    provenance: dict[str, Any] = field(default_factory=dict)  # source, version and checksum of the origin

    def __len__(self) -> int:
        return self.size.numel()

    def features(self) -> Tensor:
        """Node features as PyTorch Geometric computes them, [A, 11], float32.

        Columns: one-hot H, C, N, O, F; atomic number; aromatic, sp, sp2, sp3; hydrogens. The four before the
        last are 0 throughout: PyTorch Geometric reads the molecules without perceiving hybridisation.
        """
        number = self.atomic_number.float()  # [A]
        one_hot = (self.atomic_number[:, None] == torch.tensor(ELEMENTS, dtype=torch.uint8)).float()  # [A, 5]
        unused = number.new_zeros(number.numel(), 4)
        return torch.cat([one_hot, number[:, None], unused, self.hydrogens.float()[:, None]], dim=1)

    def pyg_data(self, i: int) -> Data:
        """Molecule ``i`` as a PyTorch Geometric ``Data``: x, edge_index, edge_attr, pos, z, y [1, 19], idx.

        Each bond gives two edges, sorted by row * N + column; ``idx`` is the QM9 index less one. Raises
        ``IndexError`` for a molecule that is not there.
        """
        from torch_geometric.data import Data  # seconds to import, and training never needs it

        one = self.subset([i])
        start, end, kind = one.bond.long().unbind(1)
        edge_index = torch.stack([torch.cat([start, end]), torch.cat([end, start])])  # [2, 2 * bonds]
        order = (edge_index[0] * one.size[0] + edge_index[1]).argsort()
        edge_type = torch.cat([kind, kind])[order]
        return Data(
            x=one.features(),
            edge_index=edge_index[:, order],
            edge_attr=torch.nn.functional.one_hot(edge_type, BOND_TYPES).float(),
            pos=one.position,
            z=one.atomic_number.long(),
            y=one.targets,
            idx=int(one.identity[0]) - 1,
        )

    def subset(self, indices: Sequence[int] | Tensor) -> Molecules:
        """The molecules at positions ``indices``, in that order, as a store of its own.

        Raises ``IndexError`` when a position is negative or too large.
        """
        index = torch.as_tensor(indices, dtype=torch.int64)
        if ((index < 0) | (index >= len(self))).any():
            raise IndexError(f"positions must lie in 0..{len(self) - 1}, got {index.tolist()}")
        atoms, offset = _rows(self.offset, index)
        bonds, bond_offset = _rows(self.bond_offset, index)
        return Molecules(
            size=self.size[index],
            offset=offset,
            atomic_number=self.atomic_number[atoms],
            hydrogens=self.hydrogens[atoms],
            position=self.position[atoms],
            bond_offset=bond_offset,
            bond=self.bond[bonds],
            targets=self.targets[index],
            identity=self.identity[index],
            provenance=self.provenance,
        )


def offsets(counts: Tensor) -> Tensor:
    """Where each packed run of lengths ``counts`` [M] begins, and where the last ends: [M + 1], int64."""
    return torch.cat([counts.new_zeros(1), counts.cumsum(0)])


def _rows(offset: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """Packed rows of the chosen runs, one after the other, and the offsets [len(index) + 1] of the result."""
    counts = offset[index + 1] - offset[index]
    chosen = offsets(counts)
    rows = torch.arange(int(chosen[-1])) + (offset[index] - chosen[:-1]).repeat_interleave(counts)
    return rows, chosen


def pack_molecules(
    size: np.ndarray,
    atomic_number: np.ndarray,
    position: np.ndarray,
    bonds: Sequence[np.ndarray],
    targets: np.ndarray,
    identity: np.ndarray,
    provenance: dict[str, Any],
) -> Molecules:
    """One store from packed arrays and one array [B, 3] of bonds (i, j, type) per molecule, in any order.

    Bonds get their lower atom first and are sorted; the hydrogens of an atom are counted along its bonds.
    """
    sizes = torch.from_numpy(np.array(size, np.int64))
    count = torch.tensor([len(rows) for rows in bonds], dtype=torch.int64)
    bond = np.concatenate(bonds)  # [B, 3]
    bond[:, :2].sort(axis=1)
    owner = np.repeat(np.arange(len(bonds)), count.numpy())  # [B], the molecule of each bond
    bond = bond[np.lexsort((bond[:, 1], bond[:, 0], owner))]
    offset = offsets(sizes)
    ends = bond[:, :2] + offset.numpy()[owner][:, None]  # [B, 2], rows of the packed atoms
    hydrogens = np.zeros(atomic_number.size, np.uint8)
    np.add.at(hydrogens, ends[:, 0], atomic_number[ends[:, 1]] == 1)
    np.add.at(hydrogens, ends[:, 1], atomic_number[ends[:, 0]] == 1)
    return Molecules(
        size=sizes,
        offset=offset,
        atomic_number=torch.from_numpy(atomic_number.astype(np.uint8)),
        hydrogens=torch.from_numpy(hydrogens),
        position=torch.from_numpy(position.astype(np.float32)),
        bond_offset=offsets(count),
        bond=torch.from_numpy(bond.astype(np.uint8)),
        targets=torch.from_numpy(targets.astype(np.float32)),
        identity=torch.from_numpy(identity.astype(np.int32)),
        provenance=provenance,
    )


def manifest_path(path: str | Path) -> Path:
    """The manifest that stands beside a stored file: ``<name>.json`` for ``<name>.npz``."""
    return Path(path).with_suffix(".json")


def save_molecules(store: Molecules, path: str | Path) -> None:
    """Write ``store`` to ``path`` (.npz, compressed, no pickle), then its manifest with the checksum.

    Raises ``ValueError`` when a position is not a multiple of 1e-4 Angstrom: it could not be read back.
    """
    path = Path(path)
    steps = torch.round(store.position.double() * POSITION_STEPS).to(torch.int32)
    if not torch.equal(_decode(steps), store.position):
        raise ValueError("positions must be whole multiples of 1e-4 Angstrom to be stored without loss")
    arrays = {
        "size": store.size.to(torch.uint8),
        "bonds": store.bond_offset.diff().to(torch.uint8),
        "atomic_number": store.atomic_number,
        "hydrogens": store.hydrogens,
        "position": steps,
        "bond": store.bond,
        "targets": store.targets,
        "identity": store.identity,
    }
    with atomic_write(path) as file:
        np.savez_compressed(file, **{name: array.numpy() for name, array in arrays.items()})  # type: ignore[arg-type]
    write_json(manifest_path(path), _manifest(store, path))


def _manifest(store: Molecules, path: Path) -> dict[str, Any]:
    return {
        "file": path.name,
        "format": FORMAT,
        "sha256": sha256(path),
        "molecules": len(store),
        "atoms": store.atomic_number.numel(),
        "bonds": store.bond.shape[0],
        "provenance": store.provenance,
        "written_with": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "torch": torch.__version__,
        },
    }


def load_molecules(path: str | Path) -> Molecules:
    """Read a file written by :func:`save_molecules`, after checking it against its manifest.

    Raises :class:`UserError` when there is no such file and :class:`DamagedStore` when the file or its
    manifest is damaged, the manifest is missing, or they do not belong together.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"there is no molecule file {path}; prepare the data first or correct the path")
    manifest = _read_manifest(path)
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: torch.from_numpy(archive[name]) for name in archive.files}
        store = _unpack(arrays, manifest["provenance"])
    except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise DamagedStore(path, f"cannot be read ({type(error).__name__})") from error
    if (len(store), store.atomic_number.numel(), store.bond.shape[0]) != tuple(
        manifest.get(name) for name in ("molecules", "atoms", "bonds")
    ):
        raise DamagedStore(path, "does not hold the counts that its manifest names")
    return store


def _read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of ``path``, once the file is known to be the one it describes."""
    try:
        manifest = json.loads(manifest_path(path).read_text())
    except FileNotFoundError as error:
        raise DamagedStore(path, f"has lost its manifest {manifest_path(path).name}") from error
    except ValueError as error:
        raise DamagedStore(path, f"has an unreadable manifest {manifest_path(path).name}") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise DamagedStore(path, f"is not of format {FORMAT}")
    if manifest.get("sha256") != sha256(path):
        raise DamagedStore(path, "does not match the checksum in its manifest")
    return manifest


def _unpack(arrays: dict[str, Tensor], provenance: dict[str, Any]) -> Molecules:
    size = arrays["size"].long()
    return Molecules(
        size=size,
        offset=offsets(size),
        atomic_number=arrays["atomic_number"],
        hydrogens=arrays["hydrogens"],
        position=_decode(arrays["position"]),
        bond_offset=offsets(arrays["bonds"].long()),
        bond=arrays["bond"],
        targets=arrays["targets"],
        identity=arrays["identity"],
        provenance=provenance,
    )


def _decode(steps: Tensor) -> Tensor:
    """Whole steps of 1e-4 Angstrom as float32 Angstrom."""
    # Divided in float64 this is the nearest number to the decimal text, as if the text had been parsed.
    return (steps.double() / POSITION_STEPS).float()
