"""The forms in which users have NYUv2, made up: a few frames of furnished rooms each."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

from experiments.nyuv2.camera import CROPPED, FULL, SIZE
from experiments.nyuv2.classes import FORTY_TO_THIRTEEN
from experiments.nyuv2.folder import EIGHT_BITS
from experiments.nyuv2.rooms import render
from experiments.scenes.arrays import Arrays
from experiments.scenes.manifest import DepthCode, Description
from experiments.scenes.store import PackedFrame

TRAIN, TEST = [1, 3], [2]  # official numbers


@functools.cache
def room(number: int) -> Arrays:
    """A frame at the working size."""
    return render(np.random.default_rng([7, 0, number]), SIZE)


def packed(number: int, coarse: bool, normals: bool) -> PackedFrame:
    frame = room(number)
    depth = frame["depth"][0].astype(np.float64)
    code = EIGHT_BITS if coarse else DepthCode()
    return PackedFrame(
        identity=number,
        image=frame["image"].transpose(1, 2, 0),
        label=frame["label"],
        level=np.where(depth > 0, np.rint((depth - code.offset) / code.step), 0),
        normal=frame["normal"].transpose(1, 2, 0) / 127 if normals else None,
    )


def description(coarse: bool = True, normals: bool = False) -> Description:
    code = EIGHT_BITS if coarse else DepthCode()
    return Description("rendered", TRAIN, TEST, code, CROPPED, "exact" if normals else None, synthetic=True)


def full_size(values: np.ndarray) -> np.ndarray:
    """Values [H, W, ...] on the whole frame of 480x640, around the toolbox's crop repeated at its border."""
    rows = (np.arange(FULL[0]) - 44).clip(0, 426) * SIZE[0] // 427
    columns = (np.arange(FULL[1]) - 40).clip(0, 560) * SIZE[1] // 561
    return values[rows[:, None], columns[None]]


def label40(label: np.ndarray) -> np.ndarray:
    """A label of the 40 classes for each of -1..12."""
    first = np.array([0] + [int(np.flatnonzero(value == FORTY_TO_THIRTEEN)[0]) for value in range(1, 14)])
    return first[label + 1].astype(np.uint8)


def picture_folder(root: Path) -> Path:
    for part in ("rgb", "depth8", "label40"):
        (root / part).mkdir(parents=True)
    for number in TRAIN + TEST:
        frame = packed(number, coarse=True, normals=False)
        Image.fromarray(full_size(frame.image)).save(root / "rgb" / f"{number:04d}.jpg", quality=98)
        Image.fromarray(full_size(frame.level).astype(np.uint8)).save(root / "depth8" / f"{number:04d}.png")
        Image.fromarray(full_size(label40(frame.label))).save(root / "label40" / f"{number:04d}.png")
    (root / "train.txt").write_text("".join(f"{number:04d}\n" for number in TRAIN))
    (root / "test.txt").write_text("".join(f"{number:04d}\n" for number in TEST))
    return root


def npy_folder(root: Path) -> Path:
    for split, numbers in (("train", TRAIN), ("val", TEST)):
        for place, number in enumerate(numbers):
            frame = room(number)
            arrays = {
                "image": frame["image"].transpose(1, 2, 0) / np.float32(255),
                "label": frame["label"].astype(np.float32),
                "depth": frame["depth"].transpose(1, 2, 0).astype(np.float32),
                "normal": frame["normal"].transpose(1, 2, 0).astype(np.float32) / 127,
            }
            for name, array in arrays.items():
                (root / split / name).mkdir(parents=True, exist_ok=True)
                np.save(root / split / name / f"{place}.npy", array)
    return root


def official_file(root: Path) -> Path:
    """A small file in the form of nyu_depth_v2_labeled.mat, with its split and class mapping; needs h5py."""
    import h5py

    frames = [packed(number, coarse=False, normals=False) for number in (1, 2, 3)]
    path = root / "nyu_depth_v2_labeled.mat"
    root.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["images"] = np.stack([full_size(frame.image).transpose(2, 1, 0) for frame in frames])
        file["depths"] = np.stack([full_size(frame.level).T.astype(np.float32) / 1000 for frame in frames])
        # 894 classes: here class 2 k stands for k of the 40, and odd ones for nothing.
        file["labels"] = np.stack([2 * full_size(label40(frame.label)).T.astype(np.uint16) for frame in frames])
    mapping = np.zeros((1, 894), np.uint8)
    mapping[0, 1:80:2] = np.arange(1, 41)
    savemat(root / "classMapping40.mat", {"mapClass": mapping})
    savemat(root / "splits.mat", {"trainNdxs": np.array([TRAIN]).T, "testNdxs": np.array([TEST]).T})
    return path


def normals_folder(root: Path, zero_based: bool) -> Path:
    """Normals as normals_gt keeps them."""
    (root / "new_normals").mkdir(parents=True)
    for number in TRAIN + TEST:
        normal = full_size(room(number)["normal"].transpose(1, 2, 0)) / 127
        picture = Image.fromarray(np.rint((normal + 1) * 127.5).astype(np.uint8))
        picture.save(root / "new_normals" / f"{number - zero_based:04d}.png")
    return root
