"""Small QM9 runs for the tests: configurations, runs in this process and in processes of their own."""

from __future__ import annotations

import json
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir

from experiments.common.config import CONFIGS
from experiments.common.records import RECORD
from experiments.qm9 import train as trainer
from experiments.qm9.config import QM9Config, checked
from reliability.runs import finish, numbers
from reliability.runs import read_records as records
from reliability.runs import start as start_command
from tests.command_line import outcome

__all__ = ["command", "configured", "finish", "numbers", "records", "run", "run_folder", "small", "start"]

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


def run_folder(root: Path) -> Path:
    """The one run folder below ``root``."""
    (folder,) = [path for path in root.iterdir() if path.is_dir()]
    return folder


def command(arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Any) -> tuple[int, str, str]:
    """The Hydra command in this process: exit status, standard output and standard error."""
    return outcome(trainer.main, arguments, monkeypatch, capsys)


def start(
    arguments: list[str], log: Path, before: Callable[..., None] | None = None, *given: Any
) -> ForkServerProcess:
    """Start a QM9 run in a process of its own; ``before(*given)`` is called in it first, ``log`` takes its output."""
    return start_command("experiments.qm9.train", arguments, log, before, *given)
