"""A set of scenes from MTAN's folders: ``{train,val}/{image,label,depth,...}/{0..N-1}.npy`` at the working size.

Image HxWx3 in 0..1, label HxW in -1..classes - 1, depth HxWx1 (metres or their inverse), normal HxWx3 in -1..1. "val"
is the test split. The official numbers are not kept there: training frames count from 1, test frames after them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from experiments.common.errors import UserError
from experiments.scenes.checks import check_depth, check_labels, check_shape, unit_normals
from experiments.scenes.manifest import DepthCode, Description
from experiments.scenes.scene_set import SceneSet
from experiments.scenes.store import PackedFrame

AGAIN = "bring it again from its source"

Folders = Mapping[str, str]  # the folder of each part of a frame


def is_npy_folder(source: Path) -> bool:
    return all((source / split / "image").is_dir() for split in ("train", "val"))


def describe_npy(source: Path, folders: Folders, depth: DepthCode) -> Description:
    """The splits as counted; raises :class:`UserError` where the folders of a split do not fit."""
    train, val = (_count(source / split, folders) for split in ("train", "val"))
    return Description(
        source="MTAN's npy folders",
        train=list(range(1, train + 1)),
        test=list(range(train + 1, train + val + 1)),
        depth=depth,
        camera=None,
        normals="MTAN's" if "normal" in folders else None,
    )


def npy_frames(
    source: Path, scenes: SceneSet, folders: Folders, description: Description, largest: float
) -> Iterator[PackedFrame]:
    """The frames, training split first; raises :class:`UserError` for the first bad file.

    ``largest``: the largest depth (or inverse depth) that can be.
    """
    channels = {"image": (3,), "label": (), "depth": (1,), "normal": (3,)}
    train = len(description.train)
    for identity in description.train + description.test:
        split, number = ("train", identity - 1) if identity <= train else ("val", identity - train - 1)
        paths = {part: source / split / folder / f"{number}.npy" for part, folder in folders.items()}
        arrays = {part: read_npy(path, (*scenes.size, *channels[part])) for part, path in paths.items()}
        image, label, depth = arrays["image"], arrays["label"], arrays["depth"]
        if not (np.isfinite(image).all() and image.min() >= 0 and image.max() <= 1.001):
            raise UserError(f"{paths['image']} has colours outside 0..1; divide them by their largest value")
        check_labels(label, len(scenes.classes), paths["label"])
        check_depth(depth, largest, paths["depth"])
        yield PackedFrame(
            identity=identity,
            image=np.rint(image.clip(0, 1) * 255).astype(np.uint8),
            label=label.astype(np.int8),
            level=np.rint(depth[..., 0].astype(np.float64) / description.depth.step),
            normal=unit_normals(arrays["normal"], paths["normal"]) if "normal" in arrays else None,
        )


def read_npy(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """An array of ``shape``; raises :class:`UserError` for a file that is missing, cut off or of another shape."""
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


def _count(split: Path, folders: Folders) -> int:
    counts = {folder: len(list((split / folder).glob("*.npy"))) for folder in folders.values()}
    if min(counts.values()) < 1 or len(set(counts.values())) > 1:
        told = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise UserError(f"{split} has unequal numbers of npy files ({told}); {AGAIN}")
    return counts[folders["image"]]
