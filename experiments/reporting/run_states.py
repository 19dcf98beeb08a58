"""How all runs below a folder stand, from the summaries of their records and the sweeps' plans."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.common.claims import is_held
from experiments.common.errors import UserError
from experiments.common.overrides import override_value, setting_at
from experiments.common.records import PLANS, RECORD
from experiments.common.summaries import read_summary

_OF_RECORDS = ("finished", "running", "interrupted", "failed")
STATES = (*_OF_RECORDS, "damaged", "waiting")


@dataclass(frozen=True)
class RunState:
    """One run. ``done`` of ``total`` epochs (or environment steps); ``seconds``: so far; ``left``: estimated.

    ``state``: one of :data:`STATES`. ``interrupted`` is any run that is neither at its end nor held by a process.
    """

    benchmark: str
    name: str
    state: str
    done: int = 0
    total: int = 0
    seconds: float = 0.0
    left: float | None = None
    error: str | None = None


def run_states(root: Path) -> Iterator[RunState]:
    """The runs below ``root``, ordered by path, then what the plans of its sweeps hold beyond them."""
    configs = []
    plans = []
    for folder, names in _folders(root):
        if RECORD in names:
            try:
                summary = read_summary(folder)
                state = None if summary is None else _state(folder, summary)
            except (UserError, KeyError, TypeError, AttributeError):
                yield RunState("?", folder.name, "damaged", error=f"{folder / RECORD} cannot be read")
                continue
            if summary is not None and state is not None:  # None: deleted a moment ago
                configs.append(summary["config"])
                yield state
        elif folder.name == PLANS:
            plans += [folder / name for name in sorted(names) if name.endswith(".json") and not name.startswith(".")]
    yield from _waiting(plans, configs)


def _state(folder: Path, record: Mapping[str, Any]) -> RunState:
    status = record["status"]
    if not isinstance(record["benchmark"], str) or status not in _OF_RECORDS:
        raise TypeError("a record without a benchmark or with an unknown status")
    if status in ("running", "interrupted"):
        status = "running" if is_held(folder) else "interrupted"
    trainer = record["config"].get("trainer", {})
    if "epochs" in trainer:
        total, done = trainer["epochs"], record["done"].get("epoch", -1) + 1
    else:
        total, done = trainer.get("steps", 0), record["done"].get("step", 0)
    seconds = record["wall_seconds"]
    left = seconds / done * (total - done) if done and status in ("running", "interrupted") else None
    return RunState(record["benchmark"], record["name"], status, done, total, seconds, left, record.get("error"))


def _folders(root: Path) -> Iterator[tuple[Path, Sequence[str]]]:
    for folder, folders, files in os.walk(root):
        if RECORD in files:
            folders.clear()  # what a run keeps beside its record holds no other runs
        else:
            folders.sort()
        yield Path(folder), files


def _waiting(plans: Sequence[Path], configs: Sequence[Mapping[str, Any]]) -> Iterator[RunState]:
    """The runs of the plans to which no record's configuration fits."""
    announced: set[tuple[str, ...]] = set()
    for plan in plans:
        try:
            content = json.loads(plan.read_text())
            runs, benchmark = [tuple(run) for run in content["runs"]], str(content["benchmark"])
        except (OSError, ValueError, KeyError, TypeError):
            continue  # nothing but a convenience
        own = [config for config in configs if config.get("benchmark") == benchmark]
        named = dict.fromkeys(override.partition("=")[0] for run in runs for override in run)
        # A group may leave no trace.
        traced = {key for key in named if any(setting_at(config, key) is not None for config in own)}
        started: dict[tuple[str, ...], set[tuple[Any, ...]]] = {}
        for run in runs:
            values = {key: override_value(text) for key, _, text in (override.partition("=") for override in run)}
            keys = tuple(key for key in values if key in traced)
            if keys not in started:
                started[keys] = {tuple(setting_at(config, key) for key in keys) for config in own}
            if run not in announced and tuple(values[key] for key in keys) not in started[keys]:
                announced.add(run)
                yield RunState(benchmark, " ".join(run), "waiting")
