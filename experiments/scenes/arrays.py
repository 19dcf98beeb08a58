"""A folder of plain arrays that a :class:`Frames` maps into memory: written once, whole or not at all.

``folder/{image,label,depth}.npy``, perhaps ``normal.npy``, and ``contents.json``, which names the origin
of the arrays and their sizes. The folder is a cache: where anything about it is not as it was left, it is made again.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from experiments.common.claims import wait_for_claim
from experiments.common.errors import UserError
from experiments.common.files import write_json
from experiments.common.progress import tell
from experiments.scenes.frames import Camera, Frames

CONTENTS = "contents.json"
#: Name, type, and channels before the rows and columns of each array.
ARRAYS = {"image": (np.uint8, (3,)), "label": (np.int8, ()), "depth": (np.float16, (1,)), "normal": (np.int8, (3,))}

Arrays = dict[str, np.ndarray]  # the arrays of some frames, by name


def read_arrays(folder: Path, key: str) -> Arrays | None:
    """The arrays as private memory maps, or ``None`` unless the folder is whole and made from ``key``."""
    try:
        contents = json.loads((folder / CONTENTS).read_text())
        if contents["key"] != key:
            return None
        for name, stamp in contents["files"].items():
            if stamp != _stamp(folder / f"{name}.npy"):
                return None
        # Mode "c": torch wants writable memory, and nobody may write into the file.
        return {name: np.load(folder / f"{name}.npy", mmap_mode="c") for name in contents["files"]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def write_arrays(
    folder: Path, key: str, names: Sequence[str], count: int, size: tuple[int, int], parts: Iterable[Arrays]
) -> None:
    """Write the arrays ``names`` of ``count`` frames, which come in ``parts``, beside ``folder``; then rename.

    Raises :class:`UserError` when the disk does not take them.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        _need_space(partial, names, count, size)
        with ExitStack() as stack:
            files = {name: stack.enter_context(open(partial / f"{name}.npy", "wb")) for name in names}
            for name, file in files.items():
                _header(file, name, count, size)
            for part in parts:
                for name, file in files.items():
                    file.write(np.ascontiguousarray(part[name], ARRAYS[name][0]).tobytes())
            for file in files.values():
                file.flush()
                os.fsync(file.fileno())
        stamps = {name: _stamp(partial / f"{name}.npy") for name in names}
        write_json(partial / CONTENTS, {"key": key, "files": stamps})
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    except OSError as error:
        raise UserError(
            f"cannot write {folder}: {error.strerror}; free space or choose another data.root."
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def cached_arrays(
    folder: Path,
    key: str,
    names: Sequence[str],
    count: int,
    size: tuple[int, int],
    make: Callable[[], Iterable[Arrays]],
) -> Arrays:
    """The arrays ``names`` in ``folder``, made by ``make`` where they are missing, damaged, or of another ``key``.

    Of several processes at once one makes them and the others wait. Raises :class:`UserError` as
    :func:`write_arrays` does.
    """
    arrays = read_arrays(folder, key)
    if arrays is None:
        with wait_for_claim(folder.parent / f".{folder.name}.making", "data.root"):
            arrays = read_arrays(folder, key)
            if arrays is None:
                if folder.is_dir():
                    again = f"warning: {folder} is damaged or of another version; it is made again."
                    tell(again, aside=True)
                write_arrays(folder, key, names, count, size, make())
                arrays = read_arrays(folder, key)
    if arrays is None:
        raise UserError(f"{folder} does not hold what was just written there; check the disk and try again.")
    return arrays


def smaller(arrays: Arrays, size: tuple[int, int], step: int = 32) -> Iterator[Arrays]:
    """The frames at ``size``: the mean of each area for colour, the nearest pixel for all else, in parts."""
    for start in range(0, len(arrays["image"]), step):
        part = {name: torch.from_numpy(array[start : start + step]) for name, array in arrays.items()}
        image = interpolate(part["image"].float(), size, mode="area").round().to(torch.uint8)
        others = {name: nearest(part[name].float(), size).numpy() for name in part if name in ("depth", "normal")}
        yield {"image": image.numpy(), "label": nearest(part["label"][:, None].float(), size)[:, 0].numpy(), **others}


def nearest(values: Tensor, size: tuple[int, int]) -> Tensor:
    """``values`` [N, C, H, W] at ``size`` by the pixel that holds each new pixel's centre."""
    return interpolate(values, size, mode="nearest-exact")


def frames_of(
    arrays: Arrays,
    train: Tensor,
    test: Tensor,
    identity: Tensor,
    camera: Camera | None,
    provenance: dict[str, Any],
) -> Frames:
    """The arrays as :class:`Frames`, still mapped."""
    image, label, depth = (torch.from_numpy(arrays[name]) for name in ("image", "label", "depth"))
    normal = torch.from_numpy(arrays["normal"]) if "normal" in arrays else None
    return Frames(
        image, label, depth, normal, train=train, test=test, identity=identity, camera=camera, provenance=provenance
    )


def _header(file: IO[bytes], name: str, count: int, size: tuple[int, int]) -> None:
    kind, channels = ARRAYS[name]
    shape = (count, *channels, *size)
    description = {"descr": np.lib.format.dtype_to_descr(np.dtype(kind)), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, description)


def _need_space(folder: Path, names: Sequence[str], count: int, size: tuple[int, int]) -> None:
    kinds = [ARRAYS[name] for name in names]
    pixel = sum(np.dtype(kind).itemsize * int(np.prod(channels)) for kind, channels in kinds)
    needed, free = count * size[0] * size[1] * pixel, shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"unpacking into {folder.parent} needs {needed / 2**20:.0f} MiB and the disk has {free / 2**20:.0f}; "
            "free space or choose another data.root."
        )


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]
