"""NYUv2 from its official file, ``nyu_depth_v2_labeled.mat`` (Silberman et al., ECCV 2012), read with h5py.

Seen from Python the file holds ``images`` [N, 3, 640, 480], ``depths`` and ``labels`` [N, 640, 480]: MATLAB's axes,
so the last two are swapped here. Beside it, or in ``meta/``, must lie ``splits.mat`` (the official split) and
``classMapping40.mat`` (894 classes to 40); both are in the repository ankurhanda/nyuv2-meta-data. Frames are cut to
the toolbox's valid part and resized: colour by bilinear interpolation, depth and labels by the nearest pixel.

``normals_gt``, where a user has it, is a folder of pictures numbered like the frames (from 1, or from 0 if there is
a 0), in which a colour c stands for 2 c / 255 - 1, and perhaps a folder ``masks`` whose 0 marks unknown pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from experiments.common.errors import UserError
from experiments.common.files import sha256
from experiments.nyuv2.camera import (
    CROPPED,
    FARTHEST,
    FULL,
    VALID_COLUMNS,
    VALID_ROWS,
    cropped_colour,
    cropped_nearest,
)
from experiments.nyuv2.classes import thirteen_classes
from experiments.nyuv2.scene_set import MILLIMETRES
from experiments.scenes.checks import check_depth, check_shape, unit_normals
from experiments.scenes.manifest import Description
from experiments.scenes.resize import read_picture
from experiments.scenes.store import PackedFrame

META = "https://github.com/ankurhanda/nyuv2-meta-data"
META_FOLDER = "https://raw.githubusercontent.com/ankurhanda/nyuv2-meta-data/master"
META_FILES = ("splits.mat", "classMapping40.mat")


def describe_official(source: Path, normals: Path | None = None) -> Description:
    """The official split and the file's checksum; raises :class:`UserError` for a file that is not whole."""
    with _opened(source) as file:
        shapes = {name: (*file[name].shape,) if name in file else None for name in ("images", "depths", "labels")}
        count = shapes["labels"][0] if shapes["labels"] else 0
        height, width = FULL
        expected = {
            "images": (count, 3, width, height),
            "depths": (count, width, height),
            "labels": (count, width, height),
        }
        if shapes != expected:
            raise UserError(f"{source} has arrays {shapes}, expected {expected}; it is not the labelled NYUv2 set")
    splits = _meta(source, "splits.mat", "trainNdxs", "testNdxs")
    train, test = (splits[name].ravel().astype(int).tolist() for name in ("trainNdxs", "testNdxs"))
    if set(train) & set(test) or not train or not test or not set(train + test) <= set(range(1, count + 1)):
        raise UserError(f"the split in splits.mat beside {source} does not fit its {count} frames")
    if normals is not None and not normals.is_dir():
        raise UserError(f"{normals} is no folder; --normals takes the folder of normals_gt pictures")
    return Description(
        source=source.name,
        train=train,
        test=test,
        depth=MILLIMETRES,
        camera=CROPPED,
        normals="normals_gt" if normals else None,
        notes={"source_sha256": sha256(source)},
    )


def official_frames(source: Path, description: Description, normals: Path | None = None) -> Iterator[PackedFrame]:
    """The frames in the order of their numbers; raises :class:`UserError` for the first bad one."""
    to_forty = np.concatenate([[0], _meta(source, "classMapping40.mat", "mapClass")["mapClass"].ravel()]).astype(
        np.int64
    )
    with _opened(source) as file:
        for number in sorted(description.train + description.test):
            where = f"{source}, frame {number}"
            try:
                colour, depth, label = (file[name][number - 1] for name in ("images", "depths", "labels"))
            except OSError as error:
                raise UserError(f"{where} cannot be read ({error}); download the file again") from error
            if label.max() >= len(to_forty):
                raise UserError(
                    f"{where} has a label {label.max()}, expected 0..{len(to_forty) - 1}; download it again"
                )
            # The toolbox counts 40 "other" classes; 0 and the classes left out of the 40 are unlabelled.
            classes = thirteen_classes(to_forty[label.T], where)
            metres = cropped_nearest(depth.T)
            check_depth(metres, FARTHEST, where)
            yield PackedFrame(
                identity=number,
                image=cropped_colour(np.ascontiguousarray(colour.transpose(2, 1, 0))),
                label=cropped_nearest(classes).astype(np.int8),
                level=np.rint(metres.astype(np.float64) / MILLIMETRES.step),
                normal=_given_normals(normals, number) if normals else None,
            )


def _given_normals(folder: Path, number: int) -> np.ndarray:
    """A picture of ``normals_gt``, [288, 384, 3], unit vectors or 0."""
    pictures = _numbered(folder if any(folder.glob("*.png")) else folder / "new_normals")
    place = number - 1 if 0 in pictures else number
    if place not in pictures:
        raise UserError(f"{folder} has no picture for frame {number}; --normals needs one for every frame")
    picture = pictures[place]
    values = _full(_read(picture), picture).astype(np.float32) / 127.5 - 1
    masks = _numbered(picture.parent.parent / "masks") or _numbered(folder / "masks")
    if place in masks:
        values = np.where(_full(_read(masks[place])[..., :1], masks[place]) > 0, values, 0.0)
    return unit_normals(cropped_nearest(values), picture)


def _read(path: Path) -> np.ndarray:
    """A picture with at least one channel, the last axis."""
    picture = read_picture(path)
    return picture[..., None] if picture.ndim == 2 else picture[..., :3]


def _full(picture: np.ndarray, where: Path) -> np.ndarray:
    """A picture of the whole frame; one of the valid part alone gets its empty margin back."""
    rows, columns = VALID_ROWS[1] - VALID_ROWS[0], VALID_COLUMNS[1] - VALID_COLUMNS[0]
    if picture.shape[:2] == (rows, columns):
        whole = np.zeros((*FULL, picture.shape[2]), picture.dtype)
        whole[slice(*VALID_ROWS), slice(*VALID_COLUMNS)] = picture
        return whole
    check_shape(picture, (*FULL, picture.shape[2]), where)
    return picture


def _numbered(folder: Path) -> dict[int, Path]:
    return {int(path.stem): path for path in folder.glob("*.png") if path.stem.isdigit()}


def _opened(source: Path) -> Any:
    try:
        import h5py
    except ImportError:
        raise UserError(f"reading {source.name} needs h5py; run: pip install h5py") from None
    try:
        return h5py.File(source, "r")
    except OSError as error:
        raise UserError(f"{source} is no whole HDF5 file ({error}); download it again") from error


def _meta(source: Path, name: str, *keys: str) -> dict[str, Any]:
    from scipy.io import loadmat

    for folder in (source.parent, source.parent / "meta"):
        if (folder / name).is_file():
            try:
                found = dict(loadmat(folder / name))
            except Exception as error:  # SciPy raises kinds of its own for each way a file can be broken
                raise UserError(f"{folder / name} is damaged ({error}); fetch it again from {META}") from error
            if missing := [key for key in keys if key not in found]:
                raise UserError(f"{folder / name} has no {', '.join(missing)}; fetch it again from {META}")
            return found
    raise UserError(f"{name} must lie beside {source}; it is in {META}")
