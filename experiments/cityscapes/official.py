"""Cityscapes from its official files, of the ``train`` and ``val`` splits (the ``test`` labels are not published):

``leftImg8bit/SPLIT/CITY/NAME_leftImg8bit.png``, ``gtFine/SPLIT/CITY/NAME_gtFine_labelIds.png`` and
``disparity/SPLIT/CITY/NAME_disparity.png``, as the data set's site packs them, all 1024x2048.

Frames are brought to 128x256, MTAN's size: colour by bilinear interpolation, label and disparity by the nearest
pixel.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from experiments.cityscapes.camera import FULL, SIZE, camera_at, inverse_depth
from experiments.cityscapes.classes import seven_classes
from experiments.common.errors import UserError
from experiments.scenes.checks import check_depth, check_shape
from experiments.scenes.manifest import DepthCode, Description
from experiments.scenes.resize import colour_at, nearest_at, read_picture
from experiments.scenes.store import PackedFrame

PARTS = {"leftImg8bit": "leftImg8bit", "gtFine": "gtFine_labelIds", "disparity": "disparity"}
STEPS = DepthCode(step=1e-5)  # 1 / metres; a pixel of disparity is 211 of them
LARGEST = 0.65  # 1 / metres: what 16 bits of these steps hold, one and a half metres


def is_official_folder(source: Path) -> bool:
    return all((source / part).is_dir() for part in PARTS)


def describe_official(source: Path) -> Description:
    """The splits as found, in the order of the names; raises :class:`UserError` for a frame that lacks a part."""
    train, val = (len(_names(source, split)) for split in ("train", "val"))
    return Description(
        source="Cityscapes' official files",
        train=list(range(1, train + 1)),
        test=list(range(train + 1, train + val + 1)),
        depth=STEPS,
        camera=camera_at(SIZE),
    )


def official_frames(source: Path) -> Iterator[PackedFrame]:
    """The frames, training split first; raises :class:`UserError` for the first bad one."""
    names = [(split, name) for split in ("train", "val") for name in _names(source, split)]
    for identity, (split, name) in enumerate(names, 1):
        paths = [_path(source, part, split, name) for part in PARTS]
        colour, ids, disparity = (read_picture(path) for path in paths)
        for array, shape, path in zip((colour, ids, disparity), ((*FULL, 3), FULL, FULL), paths, strict=True):
            check_shape(array, shape, path)
        inverse = inverse_depth(nearest_at(disparity, SIZE))
        check_depth(inverse, LARGEST, paths[2])
        yield PackedFrame(
            identity=identity,
            image=colour_at(colour, SIZE),
            label=seven_classes(nearest_at(ids, SIZE).astype(np.int64), paths[1]),
            level=np.rint(inverse / STEPS.step),
        )


def _names(source: Path, split: str) -> list[str]:
    """``CITY/NAME`` of every frame of a split."""
    ending = f"_{PARTS['leftImg8bit']}.png"
    root = source / "leftImg8bit" / split
    names = sorted(path.relative_to(root).as_posix().removesuffix(ending) for path in root.glob(f"*/*{ending}"))
    if not names:
        raise UserError(f"{root} has no CITY/NAME{ending}; unpack leftImg8bit_trainvaltest.zip there")
    for name in names:
        for part in PARTS:
            if not (path := _path(source, part, split, name)).is_file():
                raise UserError(f"{path} is missing; unpack {part}_trainvaltest.zip there")
    return names


def _path(source: Path, part: str, split: str, name: str) -> Path:
    return source / part / split / f"{name}_{PARTS[part]}.png"
