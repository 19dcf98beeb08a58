"""From whatever form of Cityscapes a user has to the project's store.

    python scripts/prepare_cityscapes.py --source PATH --out data/cityscapes

``PATH`` is one of: the folder of the official files (``leftImg8bit/``, ``gtFine/``, ``disparity/``), to be had from
the data set's site after registration; the folder of MTAN's npy files. What it is shows in its content.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from experiments.cityscapes.npy import describe_mtan, mtan_frames
from experiments.cityscapes.official import describe_official, is_official_folder, official_frames
from experiments.cityscapes.scene_set import CITYSCAPES
from experiments.common.errors import UserError, exits_cleanly
from experiments.scenes.manifest import Description
from experiments.scenes.npy import is_npy_folder
from experiments.scenes.prepare import pack
from experiments.scenes.store import PackedFrame

EXPECTED = (
    "expected the official files (leftImg8bit/, gtFine/, disparity/) or MTAN's folder (train/ and val/ with image, "
    "label_7, depth)"
)


def prepare(source: Path, out: Path, unpack: bool = True) -> None:
    """Turn ``source`` into a store at ``out``, checked frame by frame, and unpack it.

    Raises :class:`UserError` naming the file at fault.
    """
    description, frames = detected(Path(source))
    pack(CITYSCAPES, source, description, frames, out, unpack)


def detected(source: Path) -> tuple[Description, Iterator[PackedFrame]]:
    """What ``source`` is, and its frames; raises :class:`UserError` when it is nothing known."""
    if not source.exists():
        raise UserError(f"{source} does not exist; {EXPECTED}")
    if is_official_folder(source):
        return describe_official(source), official_frames(source)
    if is_npy_folder(source):
        description = describe_mtan(source)
        return description, mtan_frames(source, description)
    raise UserError(f"{source} holds no form of Cityscapes that is known; {EXPECTED}")


@exits_cleanly
def main() -> None:
    parser = argparse.ArgumentParser(description="Prepare Cityscapes for training.", epilog=EXPECTED)
    parser.add_argument("--source", type=Path, required=True, help="what you have")
    parser.add_argument("--out", type=Path, default=CITYSCAPES.default_root, help="the store (default: %(default)s)")
    parser.add_argument("--no-unpack", action="store_true", help="leave the unpacking to the first training run")
    arguments = parser.parse_args()
    prepare(arguments.source, arguments.out, unpack=not arguments.no_unpack)
