"""What the tests of the molecule store share: a small part of QM9, how to look into it and how to damage it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import torch

from experiments.qm9.molecules import Molecules, load_molecules, manifest_path, save_molecules

LIMIT = 500  # molecules in the session's store: the first of QM9, 3 to 20 atoms


def position_of(store: Molecules, identity: int) -> int:
    """Where the molecule of a QM9 index stands in the store."""
    return store.identity.tolist().index(identity)


def molecule(store: Molecules, identity: int) -> Molecules:
    return store.subset([position_of(store, identity)])


def same(a: Molecules, b: Molecules) -> bool:
    names = [entry.name for entry in dataclasses.fields(Molecules) if entry.name != "provenance"]
    pairs = [(getattr(a, name), getattr(b, name)) for name in names]
    return all(x.dtype == y.dtype and torch.equal(x, y) for x, y in pairs)


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
