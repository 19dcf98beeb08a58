"""NYUv2 ready to train on: the prepared store where there is one, else rendered rooms, and says which."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from experiments.common.errors import UserError
from experiments.nyuv2.augment import step_generator
from experiments.nyuv2.frames import SIZE, Batch, Frames
from experiments.nyuv2.manifest import MANIFEST, PREPARE
from experiments.nyuv2.rooms import rendered_rooms
from experiments.nyuv2.store import open_store

DEFAULT_ROOT = Path("data/nyuv2")
ROOMS_ROOT = Path("data/rendered_rooms")
SOURCES = ("auto", "store", "rooms")


def load_frames(
    root: str | Path | None = None,
    source: str = "auto",
    size: Sequence[int] = SIZE,
    train: int | None = None,
    test: int | None = None,
    rooms: Sequence[int] = (200, 50),
    rooms_root: str | Path = ROOMS_ROOT,
    seed: int = 0,
    device: torch.device | str = "cpu",
    whole: bool = False,
) -> Frames:
    """The frames to train on, and one line on standard output that says what they are.

    ``root`` is a prepared store; without it ``NYUV2_ROOT``, then ``data/nyuv2``. ``source`` "auto" falls
    back to rendered rooms where no store was named and none is found; "store" insists on one and "rooms" wants none.
    ``train`` and ``test`` keep so many frames of each split, spread evenly over it. ``rooms`` says how many rooms to
    render for training and test, ``seed`` which. On a CPU the arrays stay mapped unless ``whole`` is set.

    Raises :class:`UserError` for a missing or damaged store, or more frames than there are.
    """
    if source not in SOURCES:
        raise UserError(f"unknown data source '{source}'; expected one of {', '.join(SOURCES)}.")
    shape = (size[0], size[1])
    found = None if source == "rooms" else find_store(root)
    if found is None and source == "store":
        raise UserError(
            f"no NYUv2 store is named by data.root or NYUV2_ROOT, nor at {DEFAULT_ROOT}; {PREPARE} {DEFAULT_ROOT}"
        )
    if found is not None:
        frames = open_store(found, shape)
        print(f"NYUv2: {found} ({frames.provenance['source']}), {_counts(frames)}", flush=True)
    else:
        why = (
            "As data.source says"
            if source == "rooms"
            else f"No NYUv2 data found (data.root, NYUV2_ROOT, {DEFAULT_ROOT})"
        )
        print(f"{why}: training on RENDERED rooms (synthetic)", flush=True)
        frames = rendered_rooms(Path(rooms_root), rooms[0], rooms[1], shape, seed)
    frames = _fewer(frames, train, test)
    return frames.to(device) if whole or torch.device(device).type != "cpu" else frames


def find_store(root: str | Path | None = None) -> Path | None:
    """The store that ``root``, ``NYUV2_ROOT`` or the default place names, or ``None``.

    A named place is taken as it is, so that a wrong name is an error and not a silent fall-back. The default place
    counts once it holds anything of a store: half of one is an error too.
    """
    if root is not None and str(root):
        return Path(root)
    if named := os.environ.get("NYUV2_ROOT"):
        return Path(named)
    holds_some = (DEFAULT_ROOT / MANIFEST).exists() or any(DEFAULT_ROOT.glob("*.zip"))
    return DEFAULT_ROOT if holds_some else None


def training_order(frames: Frames, batch_size: int, seed: int, epoch: int) -> list[torch.Tensor]:
    """Positions of the frames of each batch of one epoch: a function of ``seed`` and ``epoch`` alone.

    As in the released code's loader the last batch may be smaller.
    """
    order = frames.train[torch.randperm(len(frames.train), generator=step_generator(seed, epoch, -1))]
    return list(order.split(batch_size))


def test_batches(frames: Frames, batch_size: int) -> Iterator[Batch]:
    """The test frames in the official order."""
    for positions in frames.test.split(batch_size):
        yield frames.batch(positions)


test_batches.__test__ = False  # type: ignore[attr-defined]  # pytest would take it for a test


def _fewer(frames: Frames, train: int | None, test: int | None) -> Frames:
    """``frames`` with splits of so many frames, evenly spread: neighbours in the set show the same room."""
    chosen = {}
    for name, count in (("train", train), ("test", test)):
        split = getattr(frames, name)
        if count is None or count == len(split):
            continue
        if not 1 <= count <= len(split):
            raise UserError(f"data.{name} is {count}, but the set has 1..{len(split)} {name} frames; choose another.")
        chosen[name] = split[torch.linspace(0, len(split) - 1, count).round().long()]
    counts = {name: len(split) for name, split in chosen.items()}
    return replace(frames, **chosen, provenance={**frames.provenance, **counts})


def _counts(frames: Frames) -> str:
    height, width = frames.size
    return f"{len(frames.train)} training and {len(frames.test)} test frames of {height}x{width}"
