"""How all runs below a folder stand, from their records and the sweeps' plans, without reading the records whole.

A record may be megabytes; what matters here stands at its beginning and its end. Records are written by
:func:`experiments.common.files.write_json`, indented, so that both can be told from the lines' indentation.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from experiments.common.claims import is_held
from experiments.common.records import FORMAT, RECORD

PLANS = "sweeps"  # folder of a sweep's plan, beside its runs
STATES = ("finished", "running", "interrupted", "failed", "damaged", "waiting")

_PART = 6 << 10  # bytes of a record's beginning, and of its end, that usually hold what is needed
_EPOCHS, _END_OF_EPOCHS = b'\n  "epochs": [', b"\n  ],\n"


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
            summary = read_summary(folder / RECORD)
            if summary is None:
                yield RunState("?", folder.name, "damaged", error=f"{folder / RECORD} cannot be read")
                continue
            configs.append(summary["config"])
            yield _state(folder, summary)
        elif folder.name == PLANS:
            plans += [folder / name for name in sorted(names) if name.endswith(".json") and not name.startswith(".")]
    yield from _waiting(plans, configs)


def read_summary(path: Path) -> dict[str, Any] | None:
    """A record without its epochs but with ``done``: the last epoch's ``epoch`` and ``step``; ``None`` if damaged."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            size = os.fstat(descriptor).st_size
            record = _from_ends(descriptor, size) if size > 2 * _PART else None
            if record is None:
                record = json.loads(os.pread(descriptor, size, 0))
                last = record.pop("epochs", None) or [{}]
                record["done"] = {key: last[-1][key] for key in ("epoch", "step") if key in last[-1]}
        finally:
            os.close(descriptor)
        return record if record["format"] == FORMAT else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _from_ends(descriptor: int, size: int) -> dict[str, Any] | None:
    """The summary of a long record, or ``None`` where its epochs begin or its last one ends elsewhere than usual."""
    head, tail = os.pread(descriptor, _PART, 0), os.pread(descriptor, _PART, size - _PART)
    begin, end = head.find(_EPOCHS), tail.rfind(_END_OF_EPOCHS)
    done = {}
    for name in ("epoch", "step"):
        key = f'\n      "{name}": '.encode()
        if (found := tail.rfind(key, 0, max(end, 0))) >= 0:
            done[name] = int(tail[found + len(key) :].split(b"\n", 1)[0].rstrip(b","))
    if begin < 0 or end < 0 or "epoch" not in done:
        return None
    record: dict[str, Any] = json.loads(head[:begin].rstrip(b",") + b"}")
    return record | json.loads(b"{" + tail[end + len(_END_OF_EPOCHS) :]) | {"done": done}


def _state(folder: Path, record: Mapping[str, Any]) -> RunState:
    status = record["status"]
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
        traced = {key for key in named if any(_at(config, key) is not None for config in own)}  # a group may not
        started: dict[tuple[str, ...], set[tuple[Any, ...]]] = {}
        for run in runs:
            values = {key: _value(text) for key, _, text in (override.partition("=") for override in run)}
            keys = tuple(key for key in values if key in traced)
            if keys not in started:
                started[keys] = {tuple(_at(config, key) for key in keys) for config in own}
            if run not in announced and tuple(values[key] for key in keys) not in started[keys]:
                announced.add(run)
                yield RunState(benchmark, " ".join(run), "waiting")


def _at(config: Mapping[str, Any], key: str) -> Any:
    """A configuration's value as an override would give it: of a group its name."""
    value: Any = config
    for part in key.lstrip("+").split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return _comparable(value.get("name") if isinstance(value, Mapping) else value)


def _value(text: str) -> Any:
    try:
        return _comparable(float(text))
    except ValueError:
        return _comparable(yaml.safe_load(text))


def _comparable(value: Any) -> Any:
    """Numbers as such, lists and the like as text."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float):
        return float(value)
    return value if isinstance(value, str) else json.dumps(value)
