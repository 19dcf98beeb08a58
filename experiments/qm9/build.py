"""QM9 into the store of :mod:`experiments.qm9.molecules`, from an installed package or PyTorch Geometric.

``qm9pack`` ships every molecule as text: SMILES, elements, coordinates and properties in atomic units, but no
bonds. They come from the SMILES, placed on the atoms of the coordinates. A molecule whose SMILES does not fit
its coordinates (other element order, other hydrogen counts, impossible distances) gets its bonds from RDKit's
perception of the coordinates instead. That is slow, and 8 molecules of the whole set need it.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tqdm import tqdm

from experiments.common.claims import wait_for_claim
from experiments.common.errors import UserError
from experiments.common.files import sha256
from experiments.common.progress import tell
from experiments.qm9.molecules import (
    ELEMENTS,
    POSITION_STEPS,
    DamagedStore,
    Molecules,
    load_molecules,
    pack_molecules,
    save_molecules,
)

# PyTorch Geometric, pandas and RDKit are imported where used: a run that finds the stored file needs none.
if TYPE_CHECKING:
    import pandas
    from rdkit.Chem import Mol
    from torch_geometric.data import Data

MOLECULES = 130_831  # of the 133,885 of QM9, without the 3,054 uncharacterised ones
TABLES = ("qm9_part1.csv", "qm9_part2.csv", "qm9_part3.csv")
SYMBOLS = b"HCNOF"  # in the order of ELEMENTS
PROPERTIES = (  # targets 0..11
    ["Dipole_debye", "Polarizability_bohr3", "HOMO_au", "LUMO_au", "HOMO_LUMO_gap_au", "R2_bohr2", "ZPVE_au"]
    + ["InternalEnergy_0K_au", "InternalEnergy_298K_au", "Enthalphy_298K_au", "GibbsFreeEnergy_298K_au"]
    + ["Heatcapacity_Cv_cal_mol_K"]
)
ENERGIES = range(7, 11)  # the targets U0, U, H, G, from which the atomisation energies 12..15 follow
ROTATIONS = ["RotA_GHz", "RotB_GHz", "RotC_GHz"]  # targets 16..18
# By atomic number, in Angstrom; Cordero et al., Dalton Transactions 2008.
COVALENT_RADIUS = np.array([0, 0.31, 0, 0, 0, 0, 0.76, 0.71, 0.66, 0.57])
# In sums of covalent radii. Over the whole set, the bonds of a SMILES reach 1.30 and the heavy atoms that it
# leaves unbonded come no closer than 1.14, but for four molecules with a bond over 1.42 and a gap under 1.00.
LONGEST_BOND = 1.35
CLOSEST_UNBONDED = 1.05
REINSTALL = "run: pip install --force-reinstall --no-deps qm9pack"


def build_from_qm9pack(limit: int | None = None) -> Molecules:
    """Every molecule of the installed ``qm9pack`` package, by QM9 index; about half a minute.

    ``limit``, at least 1, takes the first so many molecules only. ``provenance["perceived"]`` lists the QM9
    indices whose bonds come from the coordinates. Raises :class:`UserError` when the package is missing or
    damaged.
    """
    folder = _qm9pack_folder()
    table, checksums = _read_tables(folder, limit)
    try:
        size = table["N_atoms"].to_numpy(np.int64)  # [M]
        atomic_number = _atomic_numbers(table["Elements"])  # [A]
        steps = _position_steps(table["XYZ_Ang"])  # [A, 3]
        if not atomic_number.size == steps.shape[0] == size.sum():
            raise ValueError("elements and coordinates differ in number")
        targets = _targets(table, atomic_number, size)  # [M, 19]
    except (KeyError, ValueError) as error:
        raise UserError(f"the tables in {folder} are damaged ({error}); {REINSTALL}") from error
    position = steps / POSITION_STEPS  # [A, 3], float64
    bonds, perceived = _all_bonds(table["SMILES"].tolist(), size, atomic_number, position)
    identity = table["Index"].to_numpy(np.int32)
    provenance = {
        "source": "qm9pack",
        "version": importlib.metadata.version("qm9pack"),
        "sha256": checksums,
        "perceived": identity[perceived].tolist(),
    }
    return pack_molecules(size, atomic_number, position, bonds, targets, identity, provenance)


def _qm9pack_folder() -> Path:
    # Found, not imported: importing the package needs pkg_resources, which current setuptools no longer has.
    package = importlib.util.find_spec("qm9pack")
    if package is None or not package.submodule_search_locations:
        raise UserError("the package qm9pack, which holds QM9, is missing: pip install -r requirements.txt")
    return Path(next(iter(package.submodule_search_locations))) / "data"


def _read_tables(folder: Path, limit: int | None) -> tuple[pandas.DataFrame, dict[str, str]]:
    """The rows of the package's tables, ordered by index, and the checksum of each file read."""
    import pandas

    columns = ["Index", "SMILES", "N_atoms", "Elements", "XYZ_Ang", *PROPERTIES, *ROTATIONS]
    parts: list[pandas.DataFrame] = []
    checksums: dict[str, str] = {}
    missing = MOLECULES if limit is None else limit
    for name in TABLES:
        if limit is not None and missing <= 0:
            break
        try:
            rows = None if limit is None else missing
            part = pandas.read_csv(folder / name, usecols=columns, nrows=rows)
            checksums[name] = sha256(folder / name)
        except (OSError, ValueError) as error:
            raise UserError(f"{folder / name} cannot be read ({error}); {REINSTALL}") from error
        parts.append(part)
        missing -= len(part)
    table = pandas.concat(parts, ignore_index=True).sort_values("Index", ignore_index=True)
    if missing or not table["Index"].is_unique:
        raise UserError(f"{folder} holds {len(table)} molecules, not {limit or MOLECULES}; {REINSTALL}")
    return table, checksums


def _atomic_numbers(elements: Iterable[str]) -> np.ndarray:
    """Atomic numbers [A], uint8, from texts such as ``['C','H']``."""
    lookup = np.zeros(256, np.uint8)
    lookup[np.frombuffer(SYMBOLS, np.uint8)] = ELEMENTS
    numbers = lookup[np.frombuffer("".join(elements).encode(), np.uint8)]
    return numbers[numbers > 0]


def _position_steps(coordinates: Iterable[str]) -> np.ndarray:
    """Coordinates [A, 3] in whole steps of 1e-4 Angstrom, int64, from texts such as ``[[0.1,0.,2.3],[…]]``.

    PyTorch Geometric reads them from a file with four decimals, the package gives ten.
    """
    text = ",".join(coordinates).replace("[", "").replace("]", "")
    position = np.fromstring(text, sep=",").reshape(-1, 3)
    exact = position * POSITION_STEPS
    steps = np.rint(exact).astype(np.int64)
    # Scaling can push a coordinate that lies halfway to the wrong side; rounding as printing does cannot.
    halfway = np.abs(exact - np.floor(exact) - 0.5) < 1e-5
    steps[halfway] = [round(round(value, 4) * POSITION_STEPS) for value in position[halfway].tolist()]
    return steps


def _targets(table: pandas.DataFrame, atomic_number: np.ndarray, size: np.ndarray) -> np.ndarray:
    """The 19 targets [M, 19], float32, in PyTorch Geometric's order and units, computed in float64.

    Its atomisation energies come from a table in kcal/mol with constants rounded otherwise: 1e-6 relative.
    """
    from torch_geometric.datasets.qm9 import HAR2EV, atomrefs, conversion

    # ``conversion`` is float32, too coarse for the difference of two large energies: it only says which are
    # energies.
    factor = np.where(conversion[: len(PROPERTIES)].numpy() == 1, 1.0, HAR2EV)
    properties = table[PROPERTIES].to_numpy(np.float64) * factor  # [M, 12]
    references = np.zeros((max(ELEMENTS) + 1, len(ENERGIES)))
    references[list(ELEMENTS)] = np.array([atomrefs[target] for target in ENERGIES]).T
    first = np.cumsum(size) - size
    free_atoms = np.add.reduceat(references[atomic_number], first)  # [M, 4]
    rotations = table[ROTATIONS].to_numpy(np.float64)
    targets = np.concatenate([properties, properties[:, ENERGIES] - free_atoms, rotations], axis=1)
    if not np.isfinite(targets).all():
        raise ValueError("a property is missing")
    return targets.astype(np.float32)


def _all_bonds(
    smiles: Sequence[str], size: np.ndarray, atomic_number: np.ndarray, position: np.ndarray
) -> tuple[list[np.ndarray], list[int]]:
    """The bonds [B, 3] of each molecule, and which molecules needed bond perception from the coordinates."""
    from rdkit import rdBase

    cuts = np.cumsum(size)[:-1]
    molecules = zip(smiles, np.split(atomic_number, cuts), np.split(position, cuts), strict=True)
    bonds, perceived = [], []
    with rdBase.BlockLogs():
        for m, (text, numbers, positions) in enumerate(
            tqdm(molecules, "QM9 bonds", len(smiles), unit="molecule", disable=None)
        ):
            found = smiles_bonds(text, numbers, positions)
            if found is None:
                found = perceived_bonds(numbers, positions)
                perceived.append(m)
            bonds.append(found)
    return bonds, perceived


def smiles_bonds(smiles: str, atomic_number: np.ndarray, position: np.ndarray) -> np.ndarray | None:
    """Bonds [B, 3] (i, j, type) of the kekulised SMILES, placed on N atoms; ``position`` [N, 3], Angstrom.

    Heavy atoms stand in the order of the SMILES; each hydrogen belongs to its nearest heavy atom. ``None``
    when that does not fit the coordinates.
    """
    from rdkit import Chem

    graph = Chem.MolFromSmiles(smiles)
    if graph is None:
        return None
    heavy, light = np.flatnonzero(atomic_number > 1), np.flatnonzero(atomic_number == 1)
    if [atom.GetAtomicNum() for atom in graph.GetAtoms()] != atomic_number[heavy].tolist():
        return None
    squared = np.square(position[:, None] - position[heavy]).sum(-1)  # [N, heavy]
    owner = squared[light].argmin(1)
    hydrogens = np.bincount(owner, minlength=heavy.size)
    if hydrogens.tolist() != [atom.GetTotalNumHs() for atom in graph.GetAtoms()]:
        return None
    backbone = _graph_bonds(graph)
    radius = COVALENT_RADIUS[atomic_number]
    length = np.sqrt(squared) / (radius[:, None] + radius[heavy])
    if not _plausible(backbone, length[heavy], length[light, owner]):
        return None
    backbone[:, :2] = heavy[backbone[:, :2]]
    return np.concatenate([backbone, np.stack([light, heavy[owner], np.zeros_like(light)], axis=1)])


def _plausible(backbone: np.ndarray, length: np.ndarray, to_hydrogen: np.ndarray) -> bool:
    """Whether bonded atoms are close, and unbonded heavy atoms are not; lengths in sums of covalent radii."""
    start, end = backbone[:, 0], backbone[:, 1]
    unbonded = length.copy()  # [heavy, heavy]
    np.fill_diagonal(unbonded, np.inf)
    unbonded[start, end] = unbonded[end, start] = np.inf
    bonded = np.concatenate([length[start, end], to_hydrogen])
    return bool((bonded < LONGEST_BOND).all() and (unbonded > CLOSEST_UNBONDED).all())


def perceived_bonds(atomic_number: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Bonds [B, 3] (i, j, type) that RDKit perceives in a neutral molecule; ``position`` [N, 3], Angstrom."""
    from rdkit import Chem
    from rdkit.Chem import rdDetermineBonds

    graph = Chem.RWMol()
    place = Chem.Conformer(len(atomic_number))
    for number, point in zip(atomic_number.tolist(), position.tolist(), strict=True):
        place.SetAtomPosition(graph.AddAtom(Chem.Atom(number)), point)
    graph.AddConformer(place)
    rdDetermineBonds.DetermineBonds(graph, charge=0, embedChiral=False)
    return _graph_bonds(graph)


def _graph_bonds(graph: Mol) -> np.ndarray:
    """Bonds [B, 3], int64: the two atoms and 0 single, 1 double, 2 triple, with aromatic rings kekulised."""
    from rdkit import Chem

    Chem.Kekulize(graph, clearAromaticFlags=True)
    bonds = [(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx(), bond.GetBondType()) for bond in graph.GetBonds()]
    return np.array([(start, end, int(kind) - 1) for start, end, kind in bonds], np.int64).reshape(-1, 3)


def build_from_pyg(root: Path) -> Molecules:
    """Every molecule of ``torch_geometric.datasets.QM9(root)``, which downloads its files on first use.

    Raises :class:`UserError` when the download fails or its result is not the QM9 that we know.
    """
    import torch_geometric
    from torch_geometric.datasets import QM9

    try:
        dataset = QM9(str(root))
    except Exception as error:  # the network, the archive and the parser each raise kinds of their own
        raise UserError(
            f"PyTorch Geometric could not prepare QM9 in {root} ({type(error).__name__}: {error}); "
            f"check the network, delete {root} and try again, or use the source qm9pack, which needs none"
        ) from error
    if len(dataset) != MOLECULES:
        raise UserError(f"{root} holds {len(dataset)} molecules, not {MOLECULES}; delete it and try again")
    provenance = {"source": "pyg", "version": torch_geometric.__version__}
    return molecules_from_pyg(tqdm(dataset, "QM9 graphs", unit="molecule", disable=None), provenance)


def molecules_from_pyg(graphs: Iterable[Data], provenance: dict[str, Any]) -> Molecules:
    """A store of PyTorch Geometric molecules with x, edge_index, edge_attr, pos, z, y and idx.

    Raises :class:`UserError` when their features are not those that ``Molecules.features`` gives back.
    """
    numbers, positions, bonds, targets, identity, given = [], [], [], [], [], []
    for graph in graphs:
        forward = graph.edge_index[0] < graph.edge_index[1]
        kind = graph.edge_attr[forward].argmax(1, keepdim=True)
        bonds.append(torch.cat([graph.edge_index[:, forward].T, kind], dim=1).numpy())  # [B, 3]
        numbers.append(graph.z.numpy())
        positions.append(graph.pos.numpy())
        targets.append(graph.y.numpy())
        identity.append(int(graph.idx) + 1)
        given.append(graph.x)
    store = pack_molecules(
        size=np.array([len(rows) for rows in numbers]),
        atomic_number=np.concatenate(numbers),
        position=np.concatenate(positions),
        bonds=bonds,
        targets=np.concatenate(targets),
        identity=np.array(identity),
        provenance=provenance,
    )
    if not torch.equal(store.features(), torch.cat(given)):
        raise UserError(
            "these QM9 features are not those of PyTorch Geometric with RDKit (hybridisation columns 0); "
            "delete the processed files and let PyTorch Geometric make them again"
        )
    return store


BUILDERS: dict[str, Callable[[Path], Molecules]] = {
    "qm9pack": lambda root: build_from_qm9pack(),
    "pyg": lambda root: build_from_pyg(root / "pyg"),
}


def open_molecules(root: Path, source: str) -> Molecules:
    """QM9 from ``source`` ('qm9pack' or 'pyg'): ``root/qm9_<source>.npz``, which the first call writes.

    A damaged file is built again, with one line of warning. Of several processes at once one builds and the
    others wait. Raises :class:`UserError` for an unknown source, or when the source cannot be had.
    """
    if source not in BUILDERS:
        raise UserError(f"unknown QM9 source '{source}'; expected one of {', '.join(BUILDERS)}")
    root = Path(root)
    path = root / f"qm9_{source}.npz"
    store, _ = _stored(path)
    if store is not None:
        return store
    try:
        with wait_for_claim(root / f".qm9_{source}.making", "data.root"):
            store, fault = _stored(path)  # another process may have built it while this one waited
            if store is None:
                if fault is not None:
                    tell(f"warning: {path} {fault.fault}; it is built again", aside=True)
                store = BUILDERS[source](root)
                save_molecules(store, path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; free space or choose another data.root.") from error
    return store


def _stored(path: Path) -> tuple[Molecules | None, DamagedStore | None]:
    """The stored molecules, or ``None`` and, if there is a file, what is wrong with it."""
    if not path.is_file():
        return None, None
    try:
        return load_molecules(path), None
    except DamagedStore as fault:
        return None, fault
