"""Claims: a run folder belongs to one process at a time, and to the next one once that process has died."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from experiments.common.errors import UserError

LOCK = ".lock"
#: Seconds between two signs of life of a holder, and after how many of them it counts as dead elsewhere.
BEAT, MISSED = 20.0, 3


@contextmanager
def claim(folder: Path) -> Iterator[bool]:
    """Hold a run folder for this process; yields ``False`` if another process holds it.

    The claim is a lock of the operating system, which ends with the process, however that ends. Some shared file
    systems keep such locks to one host; so the holder also writes its host and process into the lock file and
    touches it as long as it lives. A claim of another host that the lock alone would grant is watched for a minute
    and taken over only if it is not touched in that time.
    Raises :class:`UserError` if the folder cannot be written in.
    """
    path = folder / LOCK
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = open(path, "a+")  # noqa: SIM115 (closed below, after the run)
    except OSError as error:
        raise UserError(f"cannot write in {folder}: {error.strerror}; choose another run.root.") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        holder = read_holder(path)
        if holder is not None and holder[0] != socket.gethostname() and _beats(path):
            yield False
            return
        for leftover in folder.glob(".*.tmp"):  # of a process that was killed while it wrote
            leftover.unlink(missing_ok=True)
        try:
            os.truncate(path, 0)
            os.pwrite(file.fileno(), json.dumps({"host": socket.gethostname(), "process": os.getpid()}).encode(), 0)
        except OSError as error:
            raise UserError(
                f"cannot write {path}: {error.strerror}; free space or choose another run.root."
            ) from error
        ended = threading.Event()
        threading.Thread(target=_beat, args=(path, ended), daemon=True).start()
        try:
            yield True
        finally:
            ended.set()
            file.truncate(0)


def read_holder(path: Path) -> tuple[str, int] | None:
    """Host and process number in a lock file, or ``None`` if nobody holds it (nor died holding it)."""
    try:
        content = json.loads(path.read_text())
        return content["host"], content["process"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def is_held(folder: Path) -> bool:
    """Whether a living process holds the folder, without touching its lock: by its signs of life and, on this host,
    by whether the process exists."""
    path = folder / LOCK
    holder = read_holder(path)
    if holder is None or time.time() - path.stat().st_mtime > MISSED * BEAT:
        return False
    host, process = holder
    if host == socket.gethostname():
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass  # another user's
    return True


def _beat(path: Path, ended: threading.Event) -> None:
    while not ended.wait(BEAT):
        try:
            os.utime(path)
        except OSError:
            return  # the folder has been deleted


def _beats(path: Path) -> bool:
    """Whether a lock file is touched while it is watched; one untouched for an hour is not watched any longer."""
    seen = path.stat().st_mtime
    if time.time() - seen > 3600:
        return False
    until = time.monotonic() + MISSED * BEAT
    while time.monotonic() < until:
        if path.stat().st_mtime != seen:
            return True
        time.sleep(min(1.0, BEAT / 4))
    return False
