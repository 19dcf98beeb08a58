"""Cityscapes from MTAN's folders: ``{train,val}/{image,label_7,depth}/{0..N-1}.npy`` at 128x256.

Depth is inverse depth, 0 where unknown. Its scale is not documented: it is kept as it is, in steps that 16 bits allow
for the largest value found.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from experiments.cityscapes.scene_set import CITYSCAPES
from experiments.common.errors import UserError
from experiments.scenes.manifest import DepthCode, Description
from experiments.scenes.npy import describe_npy, npy_frames, read_npy
from experiments.scenes.store import PackedFrame

FOLDERS = {"image": "image", "label": "label_7", "depth": "depth"}
_LEVELS = 65_000  # of the 16 bits that a stored depth has


def describe_mtan(source: Path) -> Description:
    """The splits as counted; raises :class:`UserError` for unequal folders and for the first bad depth file."""
    description = describe_npy(source, FOLDERS, DepthCode())  # the counts before the content
    return describe_npy(source, FOLDERS, DepthCode(step=_largest(source, description) / _LEVELS))


def mtan_frames(source: Path, description: Description) -> Iterator[PackedFrame]:
    """The frames, training split first; raises :class:`UserError` for the first bad file."""
    return npy_frames(source, CITYSCAPES, FOLDERS, description, largest=description.depth.step * _LEVELS * 1.001)


def _largest(source: Path, description: Description) -> float:
    """The largest inverse depth of all frames."""
    largest = 0.0
    for split, count in (("train", len(description.train)), ("val", len(description.test))):
        for number in range(count):
            path = source / split / FOLDERS["depth"] / f"{number}.npy"
            values = read_npy(path, (*CITYSCAPES.size, 1))
            if not np.isfinite(values).all():
                raise UserError(f"{path} has depths that are not finite; mark unknown depth by 0")
            largest = max(largest, float(values.max()))
    if largest <= 0:
        raise UserError(f"{source} has no valid depth at all; bring it again from its source")
    return largest
