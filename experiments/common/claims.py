"""Claims: a run folder belongs to one process at a time, and to the next one once that process has died.

A claim is a file ``.claim-N``; the one with the highest number counts. Where that has been given back, or its process
is dead, the next number is to be had: a file that must not be there yet is made by one process only, on network
file systems without locks too. The file that counts is never deleted, so that a process that was slow
between looking and taking finds a higher number than its own, and withdraws.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from experiments.common.errors import UserError
from experiments.common.progress import tell

CLAIM = ".claim-"
_FREE = '"free"'
#: Seconds between two signs of life of a holder, and after how many of them it counts as dead elsewhere.
BEAT, MISSED = 20.0, 3
_LOOK_AGAIN = 0.2  # seconds
_LONG_AGO = 3600.0  # seconds: a claim without a sign of life since then is free without being watched

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def claim(folder: Path, setting: str = "run.root") -> Iterator[bool]:
    """Hold a run folder for this process; yields ``False`` if another process holds it.

    A claim ends with its process, however that ends: the system's lock on its file says so on the same machine and,
    where the file system passes locks on, on others. Elsewhere it is told by signs of life: the holder touches the
    file, and a claim of another machine is watched for a minute before it is taken over. A process that finds its
    claim taken over (after a SIGSTOP, a machine's sleep, a lost network) or deleted ends at once.
    Raises :class:`UserError` if the folder cannot be written in; ``setting`` is what would choose another.
    """
    try:
        taken = _take(folder)
        if taken is not None:
            for leftover in folder.glob(".*.tmp"):  # of a process that was killed while it wrote
                leftover.unlink(missing_ok=True)
    except OSError as error:
        remedy = "free space or choose" if error.errno in _NO_SPACE else "choose"
        raise UserError(f"cannot write in {folder}: {error.strerror}; {remedy} another {setting}.") from error
    if taken is None:
        yield False
        return
    number, descriptor = taken
    ended = threading.Event()
    life = threading.Thread(target=_beat, args=(folder, number, descriptor, ended), daemon=True)
    life.start()
    try:
        yield True
    finally:
        ended.set()
        life.join()
        _give_back(descriptor)


@contextmanager
def wait_for_claim(folder: Path, setting: str) -> Iterator[None]:
    """Hold a folder as :func:`claim` does, after waiting for whoever holds it."""
    while True:
        with claim(folder, setting) as held:
            if held:
                yield
                return
        time.sleep(_LOOK_AGAIN)


def is_held(folder: Path) -> bool:
    """Whether a living process holds the folder; of one on another machine, by its last sign of life."""
    try:
        number = _newest(folder)
        held, touched = _look(folder, number) if number else (False, 0.0)
    except OSError:
        return False
    return time.time() - touched <= MISSED * BEAT if held is None else held


def _take(folder: Path) -> tuple[int, int] | None:
    """The number and the open file of a new claim, or ``None`` if the folder is another's."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        newest = _newest(folder)
        try:
            if newest and not _is_free(folder, newest):
                return None
            descriptor = os.open(_path(folder, newest + 1), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        except (FileExistsError, FileNotFoundError):
            time.sleep(0.01)  # another process was faster; its claim is looked at next
            continue
        try:
            _sign(descriptor)
        except OSError:
            _give_back(descriptor)
            raise
        numbers = _numbers(folder)
        if max(numbers, default=0) > newest + 1:
            _path(folder, newest + 1).unlink(missing_ok=True)
            os.close(descriptor)
            continue
        for number in numbers:
            if number <= newest:
                _path(folder, number).unlink(missing_ok=True)
        return newest + 1, descriptor


def _sign(descriptor: int) -> None:
    """Lock a claim where locks are to be had, and then say whose it is."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # waits for those who only try whether it is locked
        locked = True
    except OSError:
        locked = False
    os.write(descriptor, json.dumps({**_machine(), "process": os.getpid(), "locked": locked}).encode())


def _give_back(descriptor: int) -> None:
    """Free a claim by its content and by its time: the one may fail on a full disk, the other is lost in copying."""
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, _FREE.encode(), 0)
    with suppress(OSError):
        os.utime(descriptor, (0, 0))  # last: what is written changes the time
    os.close(descriptor)


def _is_free(folder: Path, number: int) -> bool:
    """Whether a claim has been given back or its process is dead, if need be by watching it for a minute."""
    held, first = _look(folder, number)
    if held is None and _now(folder) - first > _LONG_AGO:
        return True
    if held is None:
        tell(f"{folder.name} was claimed elsewhere; is it alive? A minute will tell.", aside=True)
    until = time.monotonic() + MISSED * BEAT
    while held is None and time.monotonic() < until:
        time.sleep(min(1.0, BEAT / 4))
        held, touched = _look(folder, number)
        if held is None and touched != first:
            return False
    return not held


def _look(folder: Path, number: int) -> tuple[bool | None, float]:
    """Whether a claim is held, ``None`` where only time can tell, and the time of its last sign of life."""
    with open(_path(folder, number)) as file:  # whose opening has a network file system ask its server
        touched = os.fstat(file.fileno()).st_mtime
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True, touched
        except OSError:
            pass  # there are no locks here
        try:
            holder = json.load(file)
            if holder == json.loads(_FREE):
                return False, touched
            here = all(holder[key] == value for key, value in _machine().items())
            process, locked = int(holder["process"]), holder["locked"]
        except (ValueError, KeyError, TypeError):
            return None, touched  # just made, and not yet signed
    if touched == 0 or (here and (locked or not _exists(process))):
        return False, touched
    return None, touched


def _beat(folder: Path, number: int, descriptor: int, ended: threading.Event) -> None:
    while not ended.wait(BEAT):
        with suppress(OSError):  # a disk that is away for a while
            os.utime(descriptor)
            if lost := _lost(folder, number, descriptor):
                tell(f"error: {folder.name} {lost}; this process ends.", aside=True)
                os._exit(1)  # nothing more may be written, and everything is whole at any moment


def _lost(folder: Path, number: int, descriptor: int) -> str | None:
    """How this process has lost its claim, if it has."""
    try:
        if _newest(folder) > number:
            return "was taken over by another process while this one stood still"
        same = os.path.samestat(os.stat(_path(folder, number)), os.fstat(descriptor))
    except FileNotFoundError:
        same = False
    return None if same else "has been deleted while it was under way"


def _numbers(folder: Path) -> list[int]:
    names = [name.removeprefix(CLAIM) for name in os.listdir(folder) if name.startswith(CLAIM)]
    return [int(name) for name in names if name.isdecimal()]


def _newest(folder: Path) -> int:
    """The number of the claim that counts; 0 where there has never been one."""
    return max(_numbers(folder), default=0)


def _path(folder: Path, number: int) -> Path:
    return folder / f"{CLAIM}{number}"


def _machine() -> dict[str, str]:
    """What tells machines apart on which locks and process numbers mean the same: two may share a name."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        boot = ""
    return {"host": socket.gethostname(), "boot": boot}


def _exists(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # another user's
    return True


def _now(folder: Path) -> float:
    """The time by the clock that dates the folder's files, which need not be this machine's."""
    with tempfile.TemporaryFile(dir=folder) as file:
        return os.fstat(file.fileno()).st_mtime
