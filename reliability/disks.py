"""Disks of a few kilobytes, and disks that take nothing, for the tests of a full and of a read-only disk."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FILLER = "filler"


@contextmanager
def small_disk(folder: Path, n_bytes: int) -> Iterator[bool]:
    """Mount a disk of ``n_bytes`` in memory at ``folder``; yields ``False`` where that is not allowed (not root)."""
    folder.mkdir(parents=True, exist_ok=True)
    options = f"size={n_bytes}"
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True)
    try:
        yield mounted.returncode == 0
    finally:
        if mounted.returncode == 0:
            subprocess.run(["umount", "--lazy", folder], check=True)


def make_read_only(disk: Path) -> None:
    """Remount a :func:`small_disk`: from now on even root cannot write there."""
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True, capture_output=True)


def fill(disk: Path, left: int) -> None:
    """Take up the space on a :func:`small_disk` until only ``left`` bytes are free, as far as pages allow."""
    free = os.statvfs(disk)
    with open(disk / _FILLER, "wb") as file:
        file.write(bytes(max(free.f_bavail * free.f_frsize - left, 0)))


def make_room(disk: Path) -> None:
    """Undo :func:`fill`."""
    (disk / _FILLER).unlink()
