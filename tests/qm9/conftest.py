"""A small part of QM9, built once a session, and a folder in which the trainer finds it."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.qm9.build import build_from_qm9pack
from experiments.qm9.molecules import Molecules, save_molecules
from tests.qm9.samples import LIMIT


@pytest.fixture(scope="session")
def store() -> Molecules:
    pytest.importorskip("rdkit")
    pytest.importorskip("torch_geometric")
    return build_from_qm9pack(limit=LIMIT)


@pytest.fixture(scope="session")
def qm9_root(store: Molecules, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ``data.root`` that holds the small set under the name of the whole."""
    root = tmp_path_factory.mktemp("qm9")
    save_molecules(store, root / "qm9_qm9pack.npz")
    return root
