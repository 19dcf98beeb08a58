"""From a source of scenes, whatever its form, to the project's store."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

from tqdm import tqdm

from experiments.scenes.manifest import Description
from experiments.scenes.scene_set import SceneSet
from experiments.scenes.store import PackedFrame, open_store, write_store


def pack(
    scenes: SceneSet,
    source: Path,
    description: Description,
    frames: Iterable[PackedFrame],
    out: Path,
    unpack: bool = True,
) -> None:
    """Turn the frames of ``source`` into a store at ``out``, and unpack it; says what it does.

    Raises :class:`UserError` naming the file at fault.
    """
    splits = f"{len(description.train)} training and {len(description.test)} test frames"
    total = len(description.train) + len(description.test)
    started = time.monotonic()
    print(f"{source}: {description.source}, {splits}")
    write_store(out, scenes, description, tqdm(frames, f"packing {scenes.title}", total, unit="frame", disable=None))
    packed = sum(path.stat().st_size for path in Path(out).glob("*.zip"))
    print(f"{out}: packed into {packed / 2**20:.1f} MiB in {time.monotonic() - started:.0f} s", flush=True)
    if unpack:
        started = time.monotonic()
        store = open_store(Path(out), scenes)
        print(f"{out}/unpacked: {store.bytes / 2**20:.0f} MiB of memory maps in {time.monotonic() - started:.0f} s")
