"""The seven classes of Cityscapes that the paper uses: the data set's own categories, without "void"."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from experiments.common.errors import UserError

CLASSES = ("flat", "construction", "object", "nature", "sky", "human", "vehicle")

#: Label ids 0..33 of gtFine to classes, -1 for "void" (ids 0 to 6), after the data set's own table of labels.
_FIRST_OF_CATEGORY = (7, 11, 17, 21, 23, 24, 26)
LAST_ID = 33
ID_TO_CLASS = (np.searchsorted(_FIRST_OF_CATEGORY, np.arange(LAST_ID + 1), side="right") - 1).astype(np.int8)


def seven_classes(ids: np.ndarray, where: Path | str) -> np.ndarray:
    """Label ids 0..33 as -1..6, int8; raises :class:`UserError` for others."""
    if ids.max() > LAST_ID or ids.min() < 0:
        raise UserError(
            f"{where} has label ids {ids.min()}..{ids.max()}, expected 0..{LAST_ID}; it is no gtFine labelIds picture"
        )
    return ID_TO_CLASS[ids]
