"""From whatever form of NYUv2 a user has to the project's store.

    python scripts/prepare_nyuv2.py --source PATH --out data/nyuv2 [--normals normals_gt] [--download]

``PATH`` is one of: the official ``nyu_depth_v2_labeled.mat`` (beside it ``splits.mat`` and ``classMapping40.mat``);
the folder of MTAN's npy files; a folder of pictures. What it is shows in its content. ``--download`` fetches the
official file and the two beside it first; a broken download goes on where it was.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from experiments.common.errors import UserError, exits_cleanly
from experiments.nyuv2.camera import FARTHEST
from experiments.nyuv2.download import OFFICIAL, OFFICIAL_CHECKSUM, OFFICIAL_NAME, download
from experiments.nyuv2.folder import describe_folder, folder_frames, is_picture_folder
from experiments.nyuv2.official import META_FILES, META_FOLDER, describe_official, official_frames
from experiments.nyuv2.scene_set import MILLIMETRES, NYUV2
from experiments.scenes.manifest import Description
from experiments.scenes.npy import describe_npy, is_npy_folder, npy_frames
from experiments.scenes.prepare import pack
from experiments.scenes.store import PackedFrame

NPY_FOLDERS = {"image": "image", "label": "label", "depth": "depth", "normal": "normal"}
EXPECTED = (
    "expected nyu_depth_v2_labeled.mat, MTAN's folder (train/ and val/ with image, label, depth, normal) "
    "or a folder of pictures (rgb/, depth8/, label40/, train.txt, test.txt)"
)


def prepare(source: Path, out: Path, normals: Path | None = None, unpack: bool = True) -> None:
    """Turn ``source`` into a store at ``out``, checked frame by frame, and unpack it.

    ``normals`` is a folder of the user's ``normals_gt`` for sources without normals of their own. Raises
    :class:`UserError` naming the file at fault.
    """
    description, frames = detected(Path(source), normals)
    pack(NYUV2, source, description, frames, out, unpack)


def detected(source: Path, normals: Path | None = None) -> tuple[Description, Iterator[PackedFrame]]:
    """What ``source`` is, and its frames; raises :class:`UserError` when it is nothing known."""
    if not source.exists():
        raise UserError(f"{source} does not exist; {EXPECTED}")
    if source.is_dir() and (source / OFFICIAL_NAME).is_file():
        source = source / OFFICIAL_NAME
    if source.is_file():
        description = describe_official(source, normals)
        return description, official_frames(source, description, normals)
    if normals is not None:
        raise UserError(f"--normals goes with {OFFICIAL_NAME} only, and {source} is a folder; leave it out")
    if is_npy_folder(source):
        description = describe_npy(source, NPY_FOLDERS, MILLIMETRES)
        return description, npy_frames(source, NYUV2, NPY_FOLDERS, description, FARTHEST)
    if is_picture_folder(source):
        description = describe_folder(source)
        return description, folder_frames(source, description)
    raise UserError(f"{source} holds no form of NYUv2 that is known; {EXPECTED}")


@exits_cleanly
def main() -> None:
    parser = argparse.ArgumentParser(description="Prepare NYUv2 for training.", epilog=EXPECTED)
    parser.add_argument("--source", type=Path, required=True, help="what you have; with --download, where to put it")
    parser.add_argument("--out", type=Path, default=NYUV2.default_root, help="the store (default: %(default)s)")
    parser.add_argument("--normals", type=Path, help="folder of normals_gt, with the official file")
    parser.add_argument("--download", action="store_true", help=f"fetch {OFFICIAL_NAME} (2.8 GB) first, resumable")
    parser.add_argument("--url", default=OFFICIAL, help="another address of it")
    parser.add_argument("--no-unpack", action="store_true", help="leave the unpacking to the first training run")
    arguments = parser.parse_args()
    source = arguments.source
    if arguments.download:
        source = source if source.suffix == ".mat" else source / OFFICIAL_NAME
        for name in META_FILES:
            if not (source.parent / name).is_file():
                download(f"{META_FOLDER}/{name}", source.parent / name)
        download(arguments.url, source, checksum=OFFICIAL_CHECKSUM)
    prepare(source, arguments.out, arguments.normals, unpack=not arguments.no_unpack)
