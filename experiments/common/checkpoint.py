"""What a run leaves of its networks: checkpoints while it is under way, its last network when it has finished.

A checkpoint is everything that a resumed run needs, written atomically, the last but one kept as a fallback.
"""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import torch

from experiments.common.errors import UserError
from experiments.common.files import atomic_write
from experiments.common.progress import tell

CURRENT, PREVIOUS = "checkpoint.pt", "checkpoint.previous.pt"
NETWORK = "network.pt"
_NEW = ".checkpoint.new"  # whole, but not yet in its place


def save_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Write ``folder/checkpoint.pt``; the one before it becomes ``checkpoint.previous.pt``.

    ``state`` holds tensors and plain values only. Raises :class:`UserError` if the disk does not take it.
    """
    current = folder / CURRENT
    try:
        with atomic_write(folder / _NEW) as file:
            torch.save(state, file)
        if current.exists():
            os.replace(current, folder / PREVIOUS)
        os.replace(folder / _NEW, current)
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"cannot write {current}: {disk_error(error)}; free space or choose another run.root."
        ) from error


def disk_error(error: BaseException) -> str:
    """What the disk said: torch hides it behind an error of its own, raised while it handled the disk's."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__context__
    return cause.strerror or str(cause) if cause is not None else str(error).splitlines()[0]


def save_network(folder: Path, network: torch.nn.Module) -> None:
    """Write ``folder/network.pt``, the network's ``state_dict``, atomically.

    Raises :class:`UserError` if the disk does not take it.
    """
    path = folder / NETWORK
    try:
        with atomic_write(path) as file:
            torch.save(network.state_dict(), file)
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"cannot write {path}: {disk_error(error)}; "
            "free space, choose another run.root or set run.keep_network=false."
        ) from error


def load_network(folder: Path, network: torch.nn.Module) -> None:
    """Give ``network`` the weights in ``folder/network.pt``; nothing but tensors is unpickled.

    Raises :class:`UserError` where there is no such file, or it is damaged or of another network.
    """
    path = folder / NETWORK
    try:
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except FileNotFoundError:
        raise UserError(
            f"{path} is missing: the run was made with run.keep_network=false, or by an earlier version; delete "
            "its folder and run it again."
        ) from None
    except Exception as error:  # a truncated zip file surfaces as one of many exception types
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"{path} cannot be used ({reason}); it is damaged or of another version: delete its folder and run again."
        ) from error


def load_checkpoint(folder: Path) -> dict[str, Any] | None:
    """The newest whole checkpoint in ``folder``, on the CPU, or ``None`` if there is none; a damaged one is reported.

    Nothing but tensors and plain values is unpickled (``weights_only=True``).
    """
    present = [path for name in (CURRENT, PREVIOUS) if (path := folder / name).exists()]
    for path in present:
        try:
            with zipfile.ZipFile(path) as archive:  # torch writes checksums but does not look at them
                if (part := archive.testzip()) is not None:
                    raise zipfile.BadZipFile(f"wrong checksum of {part}")
            return torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # a truncated zip file surfaces as one of many exception types
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            remedy = "starting anew" if path == present[-1] else "falling back to the one before"
            tell(f"warning: {path} is damaged ({reason}); {remedy}.", aside=True)
    return None


def remove_checkpoints(folder: Path) -> None:
    """Delete the checkpoints of a finished run."""
    for name in (CURRENT, PREVIOUS, _NEW):
        (folder / name).unlink(missing_ok=True)
