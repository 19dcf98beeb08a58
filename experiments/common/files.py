"""Atomic writes and checksums: a file is either whole or not there."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from experiments.common.errors import UserError


@contextmanager
def atomic_write(path: str | Path) -> Iterator[IO[bytes]]:
    """Open a temporary file beside ``path`` for writing; on success it is synced and renamed to ``path``.

    A process killed in between leaves ``path`` as it was. Temporary names begin with a dot and end
    in ``.tmp``, so that no reader takes one for a record.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)  # mkstemp makes files that only their owner can read
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@contextmanager
def output_folder(folder: Path) -> Iterator[None]:
    """Make the folder of a command's ``out`` and write in it; raises :class:`UserError` if that cannot be done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise UserError(f"cannot write in {folder}: {error.strerror}; choose another out.") from error


def write_json(path: str | Path, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically. Not-a-number values are refused (``ValueError``)."""
    text = json.dumps(value, indent=2, sort_keys=False, allow_nan=False)
    with atomic_write(path) as file:
        file.write(text.encode() + b"\n")


def sha256(path: str | Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with open(path, "rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
