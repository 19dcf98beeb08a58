"""Small QM9 runs for the tests: configurations, runs in this process, in processes of their own, and killed ones."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir

from experiments.common.config import CONFIGS
from experiments.common.errors import UserError
from experiments.common.records import RECORD
from experiments.qm9 import train as trainer
from experiments.qm9.config import QM9Config, checked

SMALL = [
    "model.dim=8",
    "model.edge_hidden=8",
    "data.train=24",
    "data.validation=6",
    "data.test=8",
    "trainer.epochs=2",
    "trainer.batch_size=6",
    "optimizer.lr=0.003",
    "run.threads=1",
    "run.device=cpu",
    "run.progress=false",
]

#: The keys of a record, and of its epochs, that say how long things took.
TIMES = ("started", "finished", "wall_seconds", "seconds", "train_seconds")


def small(qm9_root: Path, root: Path, *overrides: str) -> list[str]:
    """A command line of a run of seconds; later overrides win."""
    return [*SMALL, f"data.root={qm9_root}", f"run.root={root}", *overrides]


def configured(arguments: list[str]) -> QM9Config:
    """The checked configuration of a command line."""
    with initialize_config_dir(str(CONFIGS / "qm9"), version_base="1.3"):
        return checked(compose("train", overrides=arguments))


def run(arguments: list[str]) -> dict[str, Any]:
    """Carry a run out in this process; returns its record as it lies on the disk."""
    config = configured(arguments)
    done = trainer.train(config)
    (path,) = [path for path in Path(config.run.root).rglob(RECORD) if path.parent.name == done["name"]]
    return json.loads(path.read_text())


def numbers(record: dict[str, Any]) -> dict[str, Any]:
    """A record without its times, and without where and in what state of the source it was written."""
    kept = {key: value for key, value in record.items() if key not in (*TIMES, "environment")}
    kept["epochs"] = [{key: value for key, value in e.items() if key not in TIMES} for e in record["epochs"]]
    kept["config"] = {key: value for key, value in record["config"].items() if key not in ("run", "logger")}
    return kept


def records(root: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(root.rglob(RECORD))]


def run_folder(root: Path) -> Path:
    """The one run folder below ``root``."""
    (folder,) = [path for path in root.iterdir() if path.is_dir()]
    return folder


def command(arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Any) -> tuple[int, str, str]:
    """The Hydra command in this process: exit status, standard output and standard error."""
    monkeypatch.setattr(sys, "argv", ["train", *arguments])
    status = 0
    capsys.readouterr()
    try:
        trainer.main()
    except SystemExit as stop:
        status = int(stop.code or 0)
    out, err = capsys.readouterr()
    return status, out, err


# --- processes of their own ---------------------------------------------------------------------------------

# Children of a server that has imported everything once: a start takes a tenth of a second instead of five.
_CONTEXT = multiprocessing.get_context("forkserver")


def start(
    arguments: list[str], log: Path, before: Callable[..., None] | None = None, *given: Any
) -> ForkServerProcess:
    """Start a run in a process of its own; ``before(*given)`` is called in it first, ``log`` takes its output."""
    _CONTEXT.set_forkserver_preload(["tests.qm9.runs"])
    process = _CONTEXT.Process(target=_child, args=(arguments, log, before, given))
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


def _child(arguments: list[str], log: Path, before: Callable[..., None] | None, given: tuple[Any, ...]) -> None:
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    torch.set_num_threads(1)
    if before is not None:
        before(*given)
    try:
        trainer.train(configured(arguments))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        raise SystemExit(1) from None


def kill_at_the_nth(module_name: str, name: str, n: int) -> None:
    """Have this process killed as it calls ``module.name`` for the ``n``-th time, half-way through where that exists.

    For a function that writes to a file the first half of the content is written first.
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
        import io

        buffer = io.BytesIO()
        original(state, buffer)
        file.write(buffer.getvalue()[: buffer.tell() // 2])
        with suppress(OSError):
            file.flush()

    setattr(module, name, killing)
