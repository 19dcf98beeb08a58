"""Faults that a process brings on itself: called in it before its run begins."""

from __future__ import annotations

import importlib
import io
import os
import resource
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

import torch


def kill_at_the_nth(module_name: str, name: str, n: int) -> None:
    """Have this process killed as it calls ``module.name`` for the ``n``-th time.

    At a ``torch.save`` half of the content is written first.
    """
    module = sys.modules[module_name]
    original, calls = getattr(module, name), 0

    def killing(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls < n:
            return original(*args, **kwargs)
        if name == "save" and module is torch:
            half(*args)
        os.kill(os.getpid(), 9)

    def half(state: Any, file: Any) -> None:
        buffer = io.BytesIO()
        original(state, buffer)
        file.write(buffer.getvalue()[: buffer.tell() // 2])
        with suppress(OSError):
            file.flush()

    setattr(module, name, killing)


def raise_signal_in_step(module_name: str, problem: str, n: int, number: int) -> None:
    """Send a signal to this process as it computes the losses of ``module.problem`` for the ``n``-th time."""
    cls = getattr(importlib.import_module(module_name), problem)
    original, calls = cls.losses, 0

    def losses(self: Any, handle: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == n:
            os.kill(os.getpid(), number)
        return original(self, handle)

    cls.losses = losses


def raise_signal_in_evaluation(module_name: str, n: int, number: int, again: bool = False) -> None:
    """Send a signal to this process before the ``n``-th batch (or step) that is evaluated in a module.

    If a batch follows that one, the process ends with status 99. ``again``: a second signal comes as the checkpoint
    is written.
    """
    module = importlib.import_module(module_name)
    original, save, calls = module.uninterrupted, torch.save, 0

    def watched(batches: Iterable[Any]) -> Iterator[Any]:
        nonlocal calls
        for batch in original(batches):
            calls += 1
            if calls > n:
                os._exit(99)
            if calls == n:
                os.kill(os.getpid(), number)
            yield batch

    def saving(*args: Any) -> None:
        if calls == n:
            os.kill(os.getpid(), number)
        save(*args)

    module.uninterrupted = watched  # type: ignore[attr-defined]
    if again:
        torch.save = saving  # type: ignore[assignment]


def limit_file_size(n_bytes: int) -> None:
    """No file of this process may grow beyond ``n_bytes``: a write fails as on a full disk (EFBIG)."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes))
