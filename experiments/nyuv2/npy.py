"""NYUv2 from MTAN's folders: ``{train,val}/{image,label,depth,normal}/{0..N-1}.npy`` at 288x384.

Image HxWx3 in 0..1, label HxW in -1..12, depth HxWx1 in metres, normal HxWx3 in -1..1. "val" is the official
test split. The official numbers are not kept there: training frames are numbered from 1, test frames after them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from experiments.common.errors import UserError
from experiments.nyuv2.checks import check_depth, check_labels, check_shape
from experiments.nyuv2.frames import SIZE
from experiments.nyuv2.manifest import DepthCode, Description
from experiments.nyuv2.store import PackedFrame

SHAPES = {"image": (*SIZE, 3), "label": SIZE, "depth": (*SIZE, 1), "normal": (*SIZE, 3)}
MILLIMETRES = DepthCode(step=0.001)
AGAIN = "bring it again from its source"


def is_npy_folder(source: Path) -> bool:
    return all((source / split / "image").is_dir() for split in ("train", "val"))


def describe_npy(source: Path) -> Description:
    """The splits as counted; raises :class:`UserError` where the four folders of a split do not fit."""
    train, val = (_count(source / split) for split in ("train", "val"))
    return Description(
        source="MTAN's npy folders",
        train=list(range(1, train + 1)),
        test=list(range(train + 1, train + val + 1)),
        depth=MILLIMETRES,
        camera=None,
        normals="MTAN's",
    )


def npy_frames(source: Path, description: Description) -> Iterator[PackedFrame]:
    """The frames, training split first; raises :class:`UserError` for the first bad file."""
    train = len(description.train)
    for identity in description.train + description.test:
        split, number = ("train", identity - 1) if identity <= train else ("val", identity - train - 1)
        paths = {name: source / split / name / f"{number}.npy" for name in SHAPES}
        image, label, depth, normal = (_array(paths[name], SHAPES[name]) for name in SHAPES)
        if not (np.isfinite(image).all() and image.min() >= 0 and image.max() <= 1.001):
            raise UserError(f"{paths['image']} has colours outside 0..1; divide them by their largest value")
        check_labels(label, paths["label"])
        check_depth(depth, paths["depth"])
        yield PackedFrame(
            identity=identity,
            image=np.rint(image.clip(0, 1) * 255).astype(np.uint8),
            label=label.astype(np.int8),
            level=np.rint(depth[..., 0].astype(np.float64) / MILLIMETRES.step),
            normal=unit_normals(normal, paths["normal"]),
        )


def unit_normals(normal: np.ndarray, where: Path | str) -> np.ndarray:
    """Normals [H, W, 3] of length 1, or 0 where they were; raises :class:`UserError` for other ranges."""
    if not np.isfinite(normal).all() or np.abs(normal).max() > 1.01:
        raise UserError(f"{where} has normals outside -1..1; {AGAIN}")
    length = np.linalg.norm(normal, axis=-1, keepdims=True)
    return np.where(length > 0.1, normal / np.maximum(length, 0.1), 0.0)


def _count(split: Path) -> int:
    counts = {name: len(list((split / name).glob("*.npy"))) for name in SHAPES}
    if min(counts.values()) < 1 or len(set(counts.values())) > 1:
        told = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise UserError(f"{split} has unequal numbers of npy files ({told}); {AGAIN}")
    return counts["image"]


def _array(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    try:
        array = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise UserError(f"{path} is missing; {AGAIN}") from None
    except (OSError, ValueError, EOFError) as error:  # NumPy's kinds for a truncated or foreign file
        raise UserError(f"{path} is no whole npy file ({error}); {AGAIN}") from error
    if len(shape) == 3 and shape[-1] == 1 and array.shape == shape[:2]:
        array = array[..., None]
    check_shape(array, shape, path)
    return array
