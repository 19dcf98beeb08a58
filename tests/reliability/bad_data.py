"""Bad data sets, as the commands find them that prepare one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from tests.cityscapes import forms as streets
from tests.nyuv2.forms import npy_folder
from tests.reliability.bad_rows import Row


def _npy(part: str, array: np.ndarray | None) -> Callable[[Path], None]:
    """MTAN's folders in ``folder/source`` with one array replaced, or its file cut off."""

    def make(folder: Path) -> None:
        path = npy_folder(folder / "source") / "train" / part / "1.npy"
        if array is None:
            path.write_bytes(path.read_bytes()[:100])
        else:
            np.save(path, array, allow_pickle=array.dtype == object)

    return make


def _empty_split(folder: Path) -> None:
    """A folder of pictures that lists no training frame."""
    for part in ("rgb", "depth8", "label40"):
        (folder / "source" / part).mkdir(parents=True)
    for part in ("train", "test"):
        (folder / "source" / f"{part}.txt").write_text("")


PREPARED = ["--source", "{folder}/source", "--out", "{folder}/out"]

PREPARE_NYUV2: list[Row] = [
    (PREPARED, "{folder}/source does not exist", "expected nyu_depth_v2_labeled.mat"),
    (
        PREPARED,
        "holds no form of NYUv2",
        "expected nyu_depth_v2_labeled.mat",
        lambda folder: (folder / "source").mkdir(),
    ),
    (
        PREPARED,
        "{folder}/source is no whole HDF5 file",
        "download it again",
        lambda folder: (folder / "source").write_text("no HDF5"),
    ),
    (PREPARED, "train.txt must hold frame numbers from 1", "bring it again", _empty_split),
    (PREPARED, "1.npy is no whole npy file", "bring it again", _npy("image", None)),
    (
        PREPARED,
        "1.npy is no whole npy file",
        "bring it again",
        _npy("image", np.array([{"an": "object"}], dtype=object)),
    ),
    (PREPARED, "shape [10, 10, 1], expected [288, 384, 1]", "1.npy", _npy("depth", np.zeros((10, 10, 1)))),
    (PREPARED, "labels 13..13, expected -1..12", "1.npy", _npy("label", np.full((288, 384), 13.0))),
    (PREPARED, "not finite", "1.npy", _npy("depth", np.full((288, 384, 1), np.nan))),
    (
        ["--source", "{folder}/source", "--out", "/dev/null/out"],
        "cannot write /dev/null/out",
        "choose another --out",
        _npy("label", np.zeros((288, 384))),
    ),
    (
        [*PREPARED, "--normals", "{folder}"],
        "--normals goes with nyu_depth_v2_labeled.mat only",
        "leave it out",
        lambda folder: (folder / "source").mkdir(),
    ),
]

CITYSCAPES_SOURCE = ["--source", "{folder}/source", "--out", "{folder}/out"]


def _npy_street(split: str, part: str, array: np.ndarray | None) -> Callable[[Path], None]:
    """MTAN's Cityscapes folders in ``folder/source`` with one array replaced, or its file cut off."""

    def make(folder: Path) -> None:
        path = streets.npy_folder(folder / "source") / split / part / "0.npy"
        if array is None:
            path.write_bytes(path.read_bytes()[:100])
        else:
            np.save(path, array, allow_pickle=array.dtype == object)

    return make


def _official_street(part: str, change: Callable[[Path], None]) -> Callable[[Path], None]:
    """The official folders in ``folder/source`` with one file changed."""

    def make(folder: Path) -> None:
        change(next((streets.official_folder(folder / "source") / part / "val").rglob("*.png")))

    return make


def _picture(array: np.ndarray) -> Callable[[Path], None]:
    return lambda path: Image.fromarray(array).save(path)


PREPARE_CITYSCAPES: list[Row] = [
    (CITYSCAPES_SOURCE, "{folder}/source does not exist", "expected the official files"),
    (
        CITYSCAPES_SOURCE,
        "holds no form of Cityscapes that is known",
        "expected the official files",
        lambda folder: (folder / "source").mkdir(),
    ),
    (
        CITYSCAPES_SOURCE,
        "{folder}/source",
        "expected the official files",
        lambda folder: (folder / "source").write_text("no folder"),
    ),
    (CITYSCAPES_SOURCE, "0.npy is no whole npy file", "bring it again", _npy_street("train", "image", None)),
    (
        CITYSCAPES_SOURCE,
        "0.npy is no whole npy file",
        "bring it again",
        _npy_street("val", "label_7", np.array([{"an": "object"}], dtype=object)),
    ),
    (
        CITYSCAPES_SOURCE,
        "shape [10, 10, 1], expected [128, 256, 1]",
        "0.npy",
        _npy_street("val", "depth", np.zeros((10, 10, 1))),
    ),
    (
        CITYSCAPES_SOURCE,
        "labels 7..7, expected -1..6",
        "0.npy",
        _npy_street("val", "label_7", np.full((128, 256), 7.0)),
    ),
    (
        CITYSCAPES_SOURCE,
        "not finite",
        "mark unknown depth by 0",
        _npy_street("train", "depth", np.full((128, 256, 1), np.nan)),
    ),
    (
        CITYSCAPES_SOURCE,
        "colours outside 0..1",
        "divide them",
        _npy_street("train", "image", np.full((128, 256, 3), 255.0)),
    ),
    (
        CITYSCAPES_SOURCE,
        "unequal numbers of npy files",
        "bring it again",
        lambda folder: next((streets.npy_folder(folder / "source") / "val" / "depth").glob("*.npy")).unlink(),
    ),
    (
        CITYSCAPES_SOURCE,
        "is missing",
        "unpack disparity_trainvaltest.zip there",
        _official_street("disparity", Path.unlink),
    ),
    (
        CITYSCAPES_SOURCE,
        "disparity.png",
        "",
        _official_street("disparity", lambda path: path.write_bytes(path.read_bytes()[:500])),
    ),
    (
        CITYSCAPES_SOURCE,
        "leftImg8bit.png",
        "expected [1024, 2048, 3]",
        _official_street("leftImg8bit", _picture(np.zeros((10, 10, 3), np.uint8))),
    ),
    (
        CITYSCAPES_SOURCE,
        "labelIds.png",
        "",
        _official_street("gtFine", _picture(np.full((1024, 2048), 200, np.uint8))),
    ),
    (
        ["--source", "{folder}/source", "--out", "/dev/null/out"],
        "cannot write /dev/null/out",
        "choose another --out",
        lambda folder: (streets.npy_folder(folder / "source"), None)[1],
    ),
]
