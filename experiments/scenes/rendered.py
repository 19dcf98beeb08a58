"""Rendered frames: a synthetic stand-in for a set that is not there, made once and cached.

A frame depends on the seed, its split and its number alone. This is for trying things out where no data is: **figures
on rendered frames say nothing about the real set**.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from tqdm import tqdm

from experiments.common.errors import UserError
from experiments.common.records import digest
from experiments.scenes.arrays import Arrays, cached_arrays, frames_of
from experiments.scenes.frames import Frames
from experiments.scenes.scene_set import Rendering


def rendered_frames(
    rendering: Rendering, parts: Sequence[str], train: int, test: int, size: tuple[int, int], seed: int = 0
) -> Frames:
    """``train`` + ``test`` rendered frames of ``size`` pixels, made once and cached below the rendering's root.

    ``parts``: the arrays of a frame. Raises :class:`UserError` for an impossible number or size, or when the disk
    does not take them.
    """
    size = (int(size[0]), int(size[1]))  # a configuration gives a list
    name = rendering.name
    if train < 1 or test < 1 or min(size) < 8:
        raise UserError(
            f"cannot render {train} + {test} {name} of {size[0]}x{size[1]}; at least 1 + 1 of 8x8 are needed."
        )
    what = {"version": rendering.version, "train": train, "test": test, "size": list(size), "seed": seed}
    folder = rendering.root / f"{train}+{test}-{size[0]}x{size[1]}-seed{seed}"
    arrays = cached_arrays(
        folder, digest(what), parts, train + test, size, lambda: _rendered(rendering, train, test, size, seed)
    )
    provenance = {
        "source": f"rendered {name}",
        "synthetic": True,
        "frames": train + test,
        "train": train,
        "test": test,
        "size": list(size),
        "seed": seed,
        "version": rendering.version,
    }
    if "normal" in parts:
        provenance["normals"] = {
            "given": "exact, of the rendered bodies",
            "axes": "right, up, towards the camera",
        }
    numbers = torch.arange(train + test)
    return frames_of(arrays, numbers[:train], numbers[train:], numbers + 1, rendering.camera(size), provenance)


def _rendered(rendering: Rendering, train: int, test: int, size: tuple[int, int], seed: int) -> Iterator[Arrays]:
    numbers = [(0, number) for number in range(train)] + [(1, number) for number in range(test)]
    for split, number in tqdm(numbers, f"rendering {rendering.name}", unit="frame", disable=None):
        frame = rendering.render(np.random.default_rng([seed, split, number]), size)
        yield {name: array[None] for name, array in frame.items()}
