"""The 13 classes of NYUv2 that the paper uses, and the 40 that they come from."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from experiments.common.errors import UserError

CLASSES = (
    ("bed", "books", "ceiling", "chair", "floor", "furniture", "objects")
    + ("picture", "sofa", "table", "tv", "wall", "window")
)  # fmt: skip

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
