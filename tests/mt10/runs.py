"""Small MT10 runs for the tests: configurations, runs in this process, and their records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir

from experiments.common.config import CONFIGS
from experiments.common.records import RECORD
from experiments.mt10 import train as trainer
from experiments.mt10.config import MT10Config, checked
from reliability.runs import numbers
from reliability.runs import read_records as records
from tests.command_line import outcome

__all__ = ["command", "configured", "numbers", "records", "run", "run_one", "small"]

#: A run of half a second: 4 episodes of 2 tasks on tiny networks, an evaluation each.
SMALL = [
    "preset=control",
    "tasks=[east,north]",
    "sac.width=8",
    "sac.batch_per_task=4",
    "trainer.steps=80",
    "trainer.initial_steps=30",
    "trainer.evaluate_every=20",
    "trainer.evaluation_episodes=1",
    "run.threads=1",
    "run.device=cpu",
    "run.progress=false",
]


def small(root: Path, *overrides: str) -> list[str]:
    """A command line of a run of half a second; later overrides win."""
    return [*SMALL, f"run.root={root}", *overrides]


def configured(arguments: list[str]) -> MT10Config:
    """The checked configuration of a command line."""
    with initialize_config_dir(str(CONFIGS / "mt10"), version_base="1.3"):
        return checked(compose("train", overrides=arguments))


def run(arguments: list[str]) -> list[dict[str, Any]]:
    """Carry the runs of one process out in this one; returns their records as they lie on the disk."""
    config = configured(arguments)
    names = [record["name"] for record in trainer.train(config)]
    return [json.loads((Path(config.run.root) / name / RECORD).read_text()) for name in names]


def run_one(arguments: list[str]) -> dict[str, Any]:
    """As :func:`run` for one seed."""
    (record,) = run(arguments)
    return record


def command(arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Any) -> tuple[int, str, str]:
    """The Hydra command in this process: exit status, standard output and standard error."""
    return outcome(trainer.main, arguments, monkeypatch, capsys)
