"""The project's store of a set of scenes: a folder small enough to carry, unpacked to memory maps on first use.

``root/manifest.json``      what is in it, from where, the split, and the checksum of each archive; written last
``root/image.zip``          NNNN.jpg, colour at the working size
``root/depth.zip``          NNNN.png, depth in the steps that the manifest states; 0 is unknown
``root/label.zip``          NNNN.png, the class plus one; 0 is ignored
``root/normal.zip``         NNNN.png, round(127 n) + 128; only where the source brought normals
``root/unpacked/<size>/``   memory maps, see :mod:`experiments.scenes.arrays`; may be deleted at any time

The archives hold ordinary pictures, so any viewer shows what a model will see. Without ``normal.zip`` the normals are
fitted to the depth when the store is unpacked.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from experiments.common.errors import UserError
from experiments.common.files import atomic_write, sha256
from experiments.common.records import digest
from experiments.scenes.arrays import Arrays, cached_arrays, frames_of, smaller
from experiments.scenes.dequantise import ROUNDS, dequantise
from experiments.scenes.frames import NORMAL_STEPS, Frames, quantised_normals
from experiments.scenes.manifest import (
    MANIFEST,
    DamagedStore,
    DepthCode,
    Description,
    Files,
    read_manifest,
    write_manifest,
)
from experiments.scenes.scene_set import SceneSet

JPEG_QUALITY = 90
_STEP = 16  # frames unpacked at a time


@dataclass(frozen=True, eq=False)
class PackedFrame:
    """One frame as it goes into the store."""

    identity: int  # its number, from 1
    image: np.ndarray  # [H, W, 3], uint8
    label: np.ndarray  # [H, W], int8, -1 or a class
    level: np.ndarray  # [H, W], whole numbers, see DepthCode
    normal: np.ndarray | None = None  # [H, W, 3], float, unit vectors


def write_store(root: Path, scenes: SceneSet, description: Description, frames: Iterable[PackedFrame]) -> None:
    """Write the store; the manifest goes first and comes back last, so a half-written store is seen as one.

    Raises :class:`UserError` when the disk does not take it, or the frames are not those of the split.
    """
    names = ["image", "depth", "label"] + (["normal"] if description.normals else [])
    root = Path(root)
    try:
        (root / MANIFEST).unlink(missing_ok=True)
        identity = []
        with ExitStack() as stack:
            archives = {}
            for name in names:
                file = stack.enter_context(atomic_write(root / f"{name}.zip"))
                archives[name] = stack.enter_context(zipfile.ZipFile(file, "w", zipfile.ZIP_STORED))
            for frame in frames:
                identity.append(frame.identity)
                for name, (ending, content) in _encoded(frame).items():
                    # A fixed date: the same frames give the same bytes.
                    archives[name].writestr(zipfile.ZipInfo(f"{frame.identity:04d}.{ending}"), content)
        if sorted(identity) != sorted(description.train + description.test):
            raise UserError(
                f"{root}: the frames are not those of the split; prepare the data again from a whole source"
            )
        if not description.normals:
            (root / "normal.zip").unlink(missing_ok=True)
        write_manifest(root, scenes, description, {name: _fingerprint(root / f"{name}.zip") for name in names})
    except OSError as error:
        raise UserError(f"cannot write {root}: {error.strerror}; free space or choose another --out.") from error


def open_store(root: Path, scenes: SceneSet, size: Sequence[int] | None = None) -> Frames:
    """The store at ``root`` as memory maps at ``size`` (default: the set's own), unpacked by the first call.

    A smaller ``size`` is made once from the whole one: colour by area, all else by the nearest pixel. Raises
    :class:`UserError` for a store that is missing, half-written, truncated or altered.
    """
    root, whole_size = Path(root), scenes.size
    size = whole_size if size is None else (int(size[0]), int(size[1]))  # a configuration gives a list
    about, files = read_manifest(root, scenes)
    if min(size) < 8 or size[0] > whole_size[0] or size[1] > whole_size[1]:
        largest = f"{whole_size[0]}x{whole_size[1]}"
        raise UserError(f"the size {size[0]}x{size[1]} is not between 8x8 and {largest}; choose another.")
    check_files(root, scenes, files)
    identity = sorted(about.train + about.test)
    normals = _origin_of_normals(scenes, about)
    made = {"files": files, "normals": normals, "depth": asdict(about.depth), "rounds": ROUNDS}
    camera = about.camera
    key = digest({**made, "frames": identity, "camera": asdict(camera) if camera else None})

    def whole() -> Arrays:
        folder = root / "unpacked" / f"{whole_size[0]}x{whole_size[1]}"
        return cached_arrays(
            folder, key, scenes.parts, len(identity), whole_size, lambda: _unpacked(root, scenes, about, identity)
        )

    if size == whole_size:
        arrays = whole()
    else:
        folder = root / "unpacked" / f"{size[0]}x{size[1]}"
        arrays = cached_arrays(folder, key, scenes.parts, len(identity), size, lambda: smaller(whole(), size))
        camera = camera.scaled(size[0] / whole_size[0], size[1] / whole_size[1]) if camera else None
    number = torch.tensor(identity)
    train, test = (torch.searchsorted(number, torch.tensor(sorted(part))) for part in (about.train, about.test))
    provenance = {
        "source": about.source,
        "synthetic": about.synthetic,
        "frames": len(identity),
        "train": len(train),
        "test": len(test),
        "size": list(size),
        "sha256": {name: stamp["sha256"] for name, stamp in files.items()},
        **({"normals": normals} if normals else {}),
        "depth": asdict(about.depth),
        **({"notes": about.notes} if about.notes else {}),
    }
    return frames_of(arrays, train, test, number, camera, provenance)


def check_files(root: Path, scenes: SceneSet, files: Files) -> None:
    """Raise :class:`UserError` unless every archive is byte for byte the one that the manifest names."""
    for name, stamp in files.items():
        path = root / f"{name}.zip"
        try:
            if path.stat().st_size != stamp["bytes"]:
                fault = f"has {path.stat().st_size} bytes, not {stamp['bytes']}: it is cut off"
                raise DamagedStore(path, fault, scenes, root)
            if sha256(path) != stamp["sha256"]:
                raise DamagedStore(path, "has been altered: its checksum is not the manifest's", scenes, root)
        except FileNotFoundError:
            raise DamagedStore(path, "is missing", scenes, root) from None
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror}; make it readable and try again.") from error


def metres(level: Tensor, code: DepthCode) -> Tensor:
    """Depth [N, H, W] in metres, or their inverse, float32, of stored levels; 0 where unknown."""
    value = dequantise(level) if code.smooth else level.float()
    return torch.where(level > 0, value * code.step + code.offset, 0.0)


def _origin_of_normals(scenes: SceneSet, about: Description) -> dict[str, Any] | None:
    if "normal" not in scenes.parts:
        return None
    if about.normals:
        return {"given": about.normals}
    assert scenes.normals is not None
    return scenes.normals.recipe


def _unpacked(root: Path, scenes: SceneSet, about: Description, identity: list[int]) -> Iterator[Arrays]:
    """The whole set in parts, decoded, with its normals; on a GPU where there is one."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    names = ["image", "depth", "label"] + (["normal"] if about.normals else [])
    with ExitStack() as stack:
        archives = {name: stack.enter_context(zipfile.ZipFile(root / f"{name}.zip")) for name in names}
        bar = stack.enter_context(
            tqdm(total=len(identity), desc=f"unpacking {scenes.title}", unit="frame", disable=None)
        )
        for start in range(0, len(identity), _STEP):
            numbers = identity[start : start + _STEP]
            image, level, label = (_decoded(archives[name], numbers) for name in ("image", "depth", "label"))
            depth = metres(torch.from_numpy(level.astype(np.int32)).to(device), about.depth)  # [n, H, W]
            part = {
                "image": image.transpose(0, 3, 1, 2),
                "label": label.astype(np.int8) - 1,
                "depth": depth.cpu().half().numpy()[:, None],
            }
            if about.normals:
                packed = _decoded(archives["normal"], numbers).astype(np.int16) - 128
                part["normal"] = packed.transpose(0, 3, 1, 2).astype(np.int8)
            elif "normal" in scenes.parts:
                assert scenes.normals is not None and about.camera is not None  # read_manifest saw to it
                part["normal"] = quantised_normals(scenes.normals.fit(depth, about.camera)).cpu().numpy()
            yield part
            bar.update(len(numbers))


def _encoded(frame: PackedFrame) -> dict[str, tuple[str, bytes]]:
    """File ending and content for each archive."""
    level = Image.fromarray(frame.level.astype(np.uint8 if frame.level.max() < 256 else np.uint16))
    encoded = {
        "image": ("jpg", _picture(Image.fromarray(frame.image), "JPEG", quality=JPEG_QUALITY)),
        "depth": ("png", _picture(level, "PNG")),
        "label": ("png", _picture(Image.fromarray((frame.label + 1).astype(np.uint8)), "PNG")),
    }
    if frame.normal is not None:
        steps = (np.rint(frame.normal * NORMAL_STEPS) + 128).astype(np.uint8)
        encoded["normal"] = ("png", _picture(Image.fromarray(steps), "PNG"))
    return encoded


def _picture(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, optimize=True, **options)
    return buffer.getvalue()


def _decoded(archive: zipfile.ZipFile, numbers: list[int]) -> np.ndarray:
    """The pictures of frames ``numbers``, one array."""
    ending = archive.namelist()[0].rpartition(".")[2]
    return np.stack([np.asarray(Image.open(archive.open(f"{number:04d}.{ending}"))) for number in numbers])


def _fingerprint(path: Path) -> dict[str, Any]:
    return {"bytes": path.stat().st_size, "sha256": sha256(path)}
