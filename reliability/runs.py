"""Runs of a trainer's command in processes of their own, and what they leave behind."""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import torch

from experiments.common.claims import CLAIM
from experiments.common.records import PLANS, RECORD

#: The keys of a record, of its epochs and of its results that say how long things took.
TIMES = ("started", "finished", "wall_seconds", "seconds", "train_seconds", "seconds_per_episode")

#: What a finished run means to leave, MT10 a policy and the others a network.
_KEPT = {RECORD, "multirun.yaml", "network.pt", "policy.pt"}

# Children of a server that has imported everything once: a start takes a tenth of a second instead of five.
_CONTEXT = multiprocessing.get_context("forkserver")


def start(
    module: str,
    arguments: Sequence[str],
    log: Path,
    before: Callable[..., None] | None = None,
    *given: Any,
    cwd: Path | None = None,
) -> ForkServerProcess:
    """Start ``module.main()`` with a command line, in a process of its own and one thread.

    ``before(*given)`` is called in it first, ``log`` takes its output, ``cwd`` is its working directory.
    """
    _CONTEXT.set_forkserver_preload(["reliability.preload"])
    process = _CONTEXT.Process(target=_child, args=(module, list(arguments), log, before, given, cwd))
    process.start()
    return process


def finish(process: ForkServerProcess, seconds: float = 60) -> int | None:
    """Wait for a process; returns its exit status, negative for the signal that ended it."""
    process.join(seconds)
    if process.is_alive():
        process.kill()
        process.join()
        raise AssertionError(f"the run did not end within {seconds} seconds")
    return process.exitcode


def _child(
    module: str,
    arguments: list[str],
    log: Path,
    before: Callable[..., None] | None,
    given: tuple[Any, ...],
    cwd: Path | None,
) -> None:
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
    if cwd is not None:
        os.chdir(cwd)
    command = importlib.import_module(module)
    if before is not None:
        before(*given)
    sys.argv = [module, *arguments]
    command.main()


def numbers(record: dict[str, Any]) -> dict[str, Any]:
    """A record without its times, and without where and in what state of the source it was written."""

    def timeless(part: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in part.items() if key not in TIMES}

    kept = {
        key: value for key, value in timeless(record).items() if key not in ("environment", "earlier_environments")
    }
    kept["epochs"] = [timeless(entry) for entry in record["epochs"]]
    kept["results"] = timeless(record["results"] or {})
    kept["config"] = {key: value for key, value in record["config"].items() if key not in ("run", "logger")}
    return kept


def read_records(root: Path) -> list[dict[str, Any]]:
    """All records below ``root``, by path."""
    return [json.loads(path.read_text()) for path in sorted(root.rglob(RECORD))]


def leftovers(root: Path) -> set[str]:
    """Names of the files below ``root`` that finished runs should not have left; plans of sweeps stay."""
    names = {path.name for path in root.rglob("*") if path.is_file() and path.parent.name != PLANS}
    return {name for name in names - _KEPT if not name.startswith(CLAIM)}
