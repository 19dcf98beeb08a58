"""The forms in which users have Cityscapes, made up: three frames of rendered streets each."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
from PIL import Image

from experiments.cityscapes.camera import BASELINE, FULL, LEFT, SIZE
from experiments.cityscapes.streets import render
from experiments.scenes.arrays import Arrays

FRAMES = [("train", "aachen", 0), ("train", "zurich", 1), ("val", "ulm", 2)]
NEAREST = 65_534  # what 16 bits hold of a disparity, less one: 1.85 metres
#: An official label id of each class, and of "void" for -1 (the last).
IDS = np.array([7, 11, 17, 21, 23, 24, 26, 3])


@functools.cache
def street(number: int) -> Arrays:
    """A frame at the working size."""
    return render(np.random.default_rng([7, 0, number]), SIZE)


def official_folder(root: Path) -> Path:
    for split, city, number in FRAMES:
        frame = street(number)
        disparity = np.rint(frame["depth"][0].astype(np.float64) * BASELINE * LEFT.fx * 256).clip(0, NEAREST)
        parts = {
            ("leftImg8bit", "leftImg8bit"): frame["image"].transpose(1, 2, 0),
            ("gtFine", "gtFine_labelIds"): IDS[frame["label"]].astype(np.uint8),
            ("disparity", "disparity"): np.where(disparity > 0, disparity + 1, 0).astype(np.uint16),
        }
        for (folder, ending), values in parts.items():
            path = root / folder / split / city / f"{city}_{number:06d}_000019_{ending}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            whole = values.repeat(FULL[0] // SIZE[0], 0).repeat(FULL[1] // SIZE[1], 1)
            Image.fromarray(whole).save(path, compress_level=1)
    return root


def npy_folder(root: Path, scale: float = 1.0) -> Path:
    """MTAN's layout; ``scale``: that of its inverse depth, which is not known."""
    places = {"train": 0, "val": 0}
    for split, _, number in FRAMES:
        frame = street(number)
        arrays = {
            "image": frame["image"].transpose(1, 2, 0) / np.float32(255),
            "label_7": frame["label"].astype(np.float32),
            "depth": scale * frame["depth"].transpose(1, 2, 0).astype(np.float32),
        }
        for name, array in arrays.items():
            (root / split / name).mkdir(parents=True, exist_ok=True)
            np.save(root / split / name / f"{places[split]}.npy", array)
        places[split] += 1
    return root
