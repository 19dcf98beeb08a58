"""A set of scenes ready to train on: the prepared store where there is one, else rendered, and says which."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from experiments.common.errors import UserError
from experiments.common.progress import tell
from experiments.scenes.augment import step_generator
from experiments.scenes.frames import Batch, Frames
from experiments.scenes.manifest import MANIFEST
from experiments.scenes.rendered import rendered_frames
from experiments.scenes.scene_set import SceneSet
from experiments.scenes.store import open_store


def load_frames(
    scenes: SceneSet,
    root: str | Path | None = None,
    source: str = "auto",
    size: Sequence[int] | None = None,
    train: int | None = None,
    test: int | None = None,
    seed: int = 0,
    device: torch.device | str = "cpu",
    whole: bool = False,
) -> Frames:
    """The frames to train on, and one line on standard output that says what they are.

    ``root`` is a prepared store; without it the set's variable (such as ``NYUV2_ROOT``), then its default place.
    ``source`` "auto" falls back to rendered frames where no store was named and none is found; "store" insists on one
    and the rendering's name ("rooms") wants none. ``train`` and ``test`` keep so many frames of each split, spread
    evenly over it; of rendered ones as many are made, from ``seed``. On a CPU the arrays stay mapped unless ``whole``
    is set.

    Raises :class:`UserError` for a missing or damaged store, or more frames than there are.
    """
    rendering = scenes.rendering
    if source not in scenes.sources:
        raise UserError(f"unknown data source '{source}'; expected one of {', '.join(scenes.sources)}.")
    size = scenes.size if size is None else (size[0], size[1])
    found = None if source == rendering.name else find_store(scenes, root)
    places = f"data.root, {scenes.root_variable}, {scenes.default_root}"
    if found is None and source == "store":
        raise UserError(f"no {scenes.title} store at {places}; {scenes.prepare} {scenes.default_root}")
    if found is not None:
        frames = _fewer(open_store(found, scenes, size), train, test)
        tell(f"{scenes.title}: {found} ({frames.provenance['source']}), {_counts(frames)}")
    else:
        none = find_store(scenes, root) is None
        why = f"No {scenes.title} data found ({places})" if none else "As data.source says"
        counts = (train or rendering.counts[0], test or rendering.counts[1])
        tell(f"{why}: training on RENDERED {rendering.name} (synthetic)")
        frames = rendered_frames(rendering, scenes.parts, *counts, size, seed)
    return frames.to(device) if whole or torch.device(device).type != "cpu" else frames


def find_store(scenes: SceneSet, root: str | Path | None = None) -> Path | None:
    """The store that ``root``, the set's variable or its default place names, or ``None``.

    A named place is taken as it is, so that a wrong name is an error and not a silent fall-back. The default place
    counts once it holds anything of a store: half of one is an error too.
    """
    if root is not None and str(root):
        return Path(root)
    if named := os.environ.get(scenes.root_variable):
        return Path(named)
    place = scenes.default_root
    return place if (place / MANIFEST).exists() or any(place.glob("*.zip")) else None


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


def spread(positions: torch.Tensor, count: int) -> torch.Tensor:
    """``count`` of the positions, from the first to the last at even distances."""
    return positions[torch.linspace(0, len(positions) - 1, count).round().long()]


def _fewer(frames: Frames, train: int | None, test: int | None) -> Frames:
    """``frames`` with splits of so many frames, evenly spread: neighbours in the set show the same room."""
    chosen: dict[str, Any] = {}
    for name, count in (("train", train), ("test", test)):
        split = getattr(frames, name)
        if count is None or count == len(split):
            continue
        if not 1 <= count <= len(split):
            raise UserError(f"data.{name} is {count}, but the set has 1..{len(split)} {name} frames; choose another.")
        chosen[name] = spread(split, count)
    counts = {name: len(split) for name, split in chosen.items()}
    return replace(frames, **chosen, provenance={**frames.provenance, **counts})


def _counts(frames: Frames) -> str:
    height, width = frames.size
    return f"{len(frames.train)} training and {len(frames.test)} test frames of {height}x{width}"
