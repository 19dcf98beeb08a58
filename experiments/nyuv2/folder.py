"""NYUv2 from a folder of pictures: ``rgb/NNNN.jpg``, ``depth8/NNNN.png``, ``label40/NNNN.png``, ``{train,test}.txt``.

NNNN is the official number, from 1. Depth is the in-painted depth in 8 bits, metres = (level + 1/2) 9.9955 / 255.
Labels are the 40 classes of the NYU toolbox, 0 unlabelled.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from experiments.common.errors import UserError
from experiments.nyuv2.camera import CROPPED, FARTHEST, FULL, cropped_colour, cropped_nearest
from experiments.nyuv2.classes import thirteen_classes
from experiments.scenes.checks import check_depth, check_shape
from experiments.scenes.manifest import DepthCode, Description
from experiments.scenes.resize import read_picture
from experiments.scenes.store import PackedFrame

PARTS = {"rgb": "jpg", "depth8": "png", "label40": "png"}
_STEP = 9.9955 / 255  # metres
EIGHT_BITS = DepthCode(step=_STEP, offset=_STEP / 2, smooth=True)


def is_picture_folder(source: Path) -> bool:
    return all((source / part).is_dir() for part in PARTS)


def describe_folder(source: Path) -> Description:
    """The split and the conventions; raises :class:`UserError` where a picture of the split is missing."""
    train, test = (_numbers(source / f"{part}.txt") for part in ("train", "test"))
    if both := set(train) & set(test):
        raise UserError(f"{source}: frame {min(both):04d} is in train.txt and in test.txt; mend one of them")
    for number in train + test:
        for part in PARTS:
            if not _path(source, part, number).is_file():
                raise UserError(f"{_path(source, part, number)} is missing; bring the folder again from its source")
    return Description("pictures with 8-bit depth", train, test, EIGHT_BITS, CROPPED)


def folder_frames(source: Path, description: Description) -> Iterator[PackedFrame]:
    """The frames in the order of their numbers; raises :class:`UserError` for the first bad one."""
    for number in sorted(description.train + description.test):
        colour, depth, label = (read_picture(_path(source, part, number)) for part in PARTS)
        check_shape(colour, (*FULL, 3), _path(source, "rgb", number))
        check_shape(depth, FULL, _path(source, "depth8", number))
        check_shape(label, FULL, _path(source, "label40", number))
        level = cropped_nearest(depth)
        check_depth(level * EIGHT_BITS.step, FARTHEST, _path(source, "depth8", number))
        classes = thirteen_classes(label, _path(source, "label40", number))
        yield PackedFrame(
            identity=number,
            image=cropped_colour(colour),
            label=cropped_nearest(classes).astype(np.int8),
            level=level,
        )


def _path(source: Path, part: str, number: int) -> Path:
    return source / part / f"{number:04d}.{PARTS[part]}"


def _numbers(path: Path) -> list[int]:
    try:
        numbers = [int(line) for line in path.read_text().split()]
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; it lists the official numbers of a split") from error
    except ValueError as error:
        raise UserError(f"{path} must hold one official frame number a line ({error})") from error
    if not numbers or min(numbers) < 1 or len(set(numbers)) != len(numbers):
        raise UserError(f"{path} must hold frame numbers from 1, each once; bring it again from its source")
    return numbers
