"""What a store says about itself: where its frames come from, their split, and the checksums of its archives."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from experiments.common.errors import UserError
from experiments.common.files import write_json
from experiments.scenes.frames import Camera
from experiments.scenes.scene_set import SceneSet

FORMAT = 1  # raised whenever the archives change their meaning
MANIFEST = "manifest.json"

Files = dict[str, dict[str, Any]]  # of each archive, by name: "bytes" and "sha256"


@dataclass(frozen=True)
class DepthCode:
    """How whole numbers in ``depth.zip`` become depth (or its inverse): ``level * step + offset``; 0 is unknown."""

    step: float = 0.001
    offset: float = 0.0
    smooth: bool = False  # steps so coarse that :func:`dequantise` has to undo them


@dataclass(frozen=True)
class Description:
    """What a source says about the frames it gives."""

    source: str  # for the record
    train: list[int]  # official numbers
    test: list[int]
    depth: DepthCode
    camera: Camera | None
    normals: str | None = None  # whose normals come with the frames; None: they are fitted
    synthetic: bool = False
    notes: dict[str, Any] | None = None  # checksums and the like


class DamagedStore(UserError):
    """A store that is missing, half-written, truncated or altered."""

    def __init__(self, path: Path, fault: str, scenes: SceneSet, root: Path) -> None:
        super().__init__(f"{path} {fault}; {scenes.prepare} {root}")


def write_manifest(root: Path, scenes: SceneSet, description: Description, files: Files) -> None:
    """Write ``root/manifest.json``, atomically: from now on the store is whole."""
    manifest = {
        "format": FORMAT,
        "source": description.source,
        "synthetic": description.synthetic,
        "frames": len(description.train) + len(description.test),
        "set": scenes.name,
        "size": list(scenes.size),
        "classes": list(scenes.classes),
        "depth": asdict(description.depth),
        "camera": asdict(description.camera) if description.camera else None,
        "normals": description.normals,
        "notes": description.notes or {},
        "files": files,
        "train": _runs(description.train),
        "test": _runs(description.test),
    }
    write_json(root / MANIFEST, manifest)


def read_manifest(root: Path, scenes: SceneSet) -> tuple[Description, Files]:
    """What the store at ``root`` holds; raises :class:`UserError` where there is no whole one."""
    path = root / MANIFEST
    try:
        manifest = json.loads(path.read_text())
        if manifest["format"] != FORMAT:
            raise DamagedStore(path, f"has format {manifest['format']}, not {FORMAT}", scenes, root)
        if manifest.get("set", "nyuv2") != scenes.name:  # the first stores did not say
            raise DamagedStore(path, f"is of a store of {manifest['set']}, not of {scenes.title}", scenes, root)
        if tuple(manifest["size"]) != scenes.size:
            size = "x".join(map(str, scenes.size))
            raise DamagedStore(path, f"is of {manifest['size']} pictures, not {size}", scenes, root)
        description = Description(
            source=manifest["source"],
            train=_unrolled(manifest["train"]),
            test=_unrolled(manifest["test"]),
            depth=DepthCode(**manifest["depth"]),
            camera=Camera(**manifest["camera"]) if manifest["camera"] else None,
            normals=manifest["normals"],
            synthetic=manifest["synthetic"],
            notes=manifest["notes"],
        )
        expected = ["image", "depth", "label"] + (["normal"] if description.normals else [])
        files = {name: {key: manifest["files"][name][key] for key in ("bytes", "sha256")} for name in expected}
        if "normal" in scenes.parts and description.normals is None and description.camera is None:
            raise ValueError("neither normals nor a camera to fit them with")
    except FileNotFoundError:
        if not root.is_dir():
            raise DamagedStore(root, "does not exist", scenes, root) from None
        if any(root.iterdir()) and not any(root.glob("*.zip")):
            prepare = scenes.prepare.replace("PATH", str(root))
            raise UserError(
                f"{root} is no {scenes.title} store; to make one of what it holds, {prepare} {scenes.default_root}"
            ) from None
        fault = f"is missing: this folder is no {scenes.title} store, or one whose preparation was cut off"
        raise DamagedStore(path, fault, scenes, root) from None
    except OSError as error:
        raise UserError(
            f"cannot read {path}: {error.strerror}; make it readable or choose another data.root."
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedStore(path, f"is damaged ({type(error).__name__}: {error})", scenes, root) from error
    return description, files


def _runs(numbers: list[int]) -> str:
    """Sorted whole numbers as text: '3-8 10 12-15'."""
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and parts[-1][1] == number - 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return " ".join(str(first) if first == last else f"{first}-{last}" for first, last in parts)


def _unrolled(text: str) -> list[int]:
    """The numbers of :func:`_runs`, sorted."""
    bounds = [part.split("-") for part in text.split()]
    return [number for ends in bounds for number in range(int(ends[0]), int(ends[-1]) + 1)]
