"""Made-up run records for the report's tests, and the report run on them: no number was ever measured."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from experiments.common.files import write_json
from experiments.common.records import FORMAT, RECORD, protocol_digest, run_name
from experiments.qm9.metrics import METRICS
from experiments.report import main

NAMES = [metric.name for metric in METRICS]


def config(**changes: Any) -> dict[str, Any]:
    """A configuration; keys with dots are written ``trainer__epochs``."""
    value: dict[str, Any] = {
        "benchmark": "qm9",
        "preset": "quick",
        "seed": 0,
        "method": {"name": "ls", "task_weights": None},
        "data": {"source": "made-up"},
        "trainer": {"epochs": 10, "batch_size": 60},
        "model": {"dim": 32, "edge_hidden": 128},
        "report": {"reference": "published"},
        "run": {"root": "runs"},
    }
    for key, change in changes.items():
        group, _, name = key.partition("__")
        if name:
            value[group] = {**value.get(group, {}), name: change}
        else:
            value[group] = change
    return value


def record(values: dict[str, float] | None, *, data: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """A record with these test values, finished unless ``status`` is given; other changes are the configuration's."""
    status = changes.pop("status", "finished")
    settings = config(**changes)
    provenance = {"source": "made-up", "synthetic": True, "train": 60, "validation": 10, "test": 20}
    return {
        "format": FORMAT,
        "benchmark": settings["benchmark"],
        "name": run_name(settings),
        "status": status,
        "method": settings["method"],
        "seed": settings["seed"],
        "protocol": protocol_digest(settings),
        "config": settings,
        "environment": {"commit": "0" * 40, "uncommitted_changes": False, "device": "cpu"},
        "data": {**provenance, "split_seed": settings["seed"], **(data or {})},
        "started": "2000-01-01T00:00:00+00:00",
        "finished": "2000-01-01T01:00:00+00:00" if status == "finished" else None,
        "wall_seconds": 3600.0,
        "epochs": [],
        "best_epoch": 3,
        "results": {"metrics": values, "delta_m": None, "epoch": 3} if status == "finished" else None,
    }


def with_epochs(entry: dict[str, Any], count: int = 3) -> dict[str, Any]:
    """The record with made-up epochs: test errors that fall to the result's, weights and eigenvalues."""
    final = entry["results"]["metrics"]
    entry["epochs"] = [
        {
            "epoch": epoch,
            "seconds": 1.0,
            "learning_rate": 1e-3,
            "train_losses": dict.fromkeys(NAMES, 1.0),
            "weights": {name: 1.0 + place + epoch for place, name in enumerate(NAMES)},
            "smallest_eigenvalue": 0.5**epoch,
            "solver_statuses": {},
            "test": {**{name: value * (count - epoch) for name, value in final.items()}, "delta_m": None},
            "score": 1.0,
        }
        for epoch in range(count)
    ]
    return entry


def write(root: Path, entry: dict[str, Any], folder: str | None = None) -> Path:
    """Write a record where a run would; returns its path."""
    path = root / entry["benchmark"] / (folder or entry["name"]) / RECORD
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, entry)
    return path


def all_metrics(value: float) -> dict[str, float]:
    """The same value for every metric."""
    return dict.fromkeys(NAMES, value)


def write_single_tasks(root: Path, seed: int, values: dict[str, float], **changes: Any) -> list[Path]:
    """One single-task run for each of ``values``, under the task numbers of the benchmark."""
    return [
        write(
            root,
            record({name: value}, seed=seed, method={"name": "stl", "main_task": NAMES.index(name)}, **changes),
        )
        for name, value in values.items()
    ]


def report(root: Path, *arguments: str) -> Path:
    """Run the command on ``root``, without pictures unless asked for; returns the folder of its files."""
    out = root.parent / "report"
    main(["benchmark=qm9", f"root={root}", f"out={out}", "pictures=false", *arguments])
    return out / "qm9"


def rows(folder: Path, protocol: str = "*") -> dict[tuple[str, str], dict[str, str]]:
    """The rows of the one CSV file in ``folder`` by source and method."""
    (path,) = (path for path in folder.glob(f"{protocol}.csv") if path.stem != "runs")
    with open(path, newline="") as file:
        return {(row["source"], row["method"]): row for row in csv.DictReader(file)}
