"""What every frame of NYUv2 must be, whatever it came from; and pictures brought to the working size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from experiments.common.errors import UserError
from experiments.nyuv2.arrays import nearest
from experiments.nyuv2.frames import CLASSES, SIZE, VALID_COLUMNS, VALID_ROWS

FULL = (480, 640)  # rows and columns of the official frames
FARTHEST = 20.0  # metres; the Kinect sees 10

# From the 40 classes to 13 (Couprie et al., ICLR 2013): class13Mapping.mat of ankurhanda/nyuv2-meta-data.
FORTY_TO_THIRTEEN = np.array(
    [0, 12, 5, 6, 1, 4, 9, 10, 12, 13, 6, 8, 6, 13, 10, 6, 13, 6, 7, 7, 5, 7, 3, 2, 6]
    + [11, 7, 7, 7, 7, 7, 7, 6, 7, 7, 7, 7, 7, 7, 6, 7],
    dtype=np.int8,
)  # fmt: skip


def thirteen_classes(label40: np.ndarray, where: Path | str) -> np.ndarray:
    """Labels 0..40 as -1..12, int8; raises :class:`UserError` for others."""
    if label40.max() > 40 or label40.min() < 0:
        raise UserError(
            f"{where} has labels {label40.min()}..{label40.max()}, expected 0..40 (0 unlabelled); "
            "it is not a picture of the 40 NYUv2 classes"
        )
    return FORTY_TO_THIRTEEN[label40] - 1


def check_labels(label: np.ndarray, where: Path | str) -> None:
    """Raise :class:`UserError` unless labels lie in -1..12 and are whole."""
    if not np.isfinite(label).all() or (label != np.rint(label)).any():
        raise UserError(f"{where} has labels that are no whole numbers; it is not a label array")
    if label.min() < -1 or label.max() >= len(CLASSES):
        raise UserError(
            f"{where} has labels {label.min():g}..{label.max():g}, expected -1..{len(CLASSES) - 1}; "
            "13-class labels less one are needed"
        )


def check_depth(depth: np.ndarray, where: Path | str) -> None:
    """Raise :class:`UserError` unless depth is in metres, 0 where unknown, and known somewhere."""
    if not np.isfinite(depth).all():
        raise UserError(f"{where} has depths that are not finite; mark unknown depth by 0")
    if depth.min() < 0 or depth.max() > FARTHEST:
        raise UserError(
            f"{where} has depths {depth.min():.3g}..{depth.max():.3g}, expected 0..{FARTHEST:g} metres; "
            "check its unit"
        )
    if not depth.any():
        raise UserError(f"{where} has no valid depth at all; the file is damaged, bring it again from its source")


def check_shape(array: np.ndarray, expected: tuple[int, ...], where: Path | str) -> None:
    """Raise :class:`UserError` unless ``array`` is of the ``expected`` shape."""
    if array.shape != expected:
        raise UserError(f"{where} has the shape {list(array.shape)}, expected {list(expected)}")


def cropped_colour(image: np.ndarray) -> np.ndarray:
    """A colour picture [480, 640, 3] cut to the toolbox's valid part, [288, 384, 3] by bilinear interpolation."""
    part = Image.fromarray(image[slice(*VALID_ROWS), slice(*VALID_COLUMNS)])
    return np.asarray(part.resize(SIZE[::-1], Image.Resampling.BILINEAR))


def cropped_nearest(values: np.ndarray) -> np.ndarray:
    """Labels or depth [480, 640] or [480, 640, C] cut and resized likewise, by the nearest pixel."""
    part = values[slice(*VALID_ROWS), slice(*VALID_COLUMNS)]
    plane: Tensor = torch.from_numpy(np.ascontiguousarray(part, np.float32))
    plane = plane[None, None] if values.ndim == 2 else plane.permute(2, 0, 1)[None]
    return nearest(plane, SIZE)[0].permute(1, 2, 0).numpy().reshape(*SIZE, *values.shape[2:])
