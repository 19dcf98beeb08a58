"""Made-up MT10 records for the report's tests: no number was ever measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from experiments.common.files import write_json
from experiments.common.records import FORMAT, RECORD, protocol_digest, run_name
from experiments.mt10.metrics import named_metrics, outcome
from experiments.mt10.tasks import TASKS


def config(agent: str, method: dict[str, Any], seed: int, **changes: Any) -> dict[str, Any]:
    return {
        "benchmark": "mt10",
        "preset": "quick",
        "seed": seed,
        "method": method,
        "agent": {"name": agent},
        "profile": "mt10-fixed",
        "trainer": {"steps": 3000, "evaluate_every": 1000, "evaluation_episodes": 5},
        "run": {"root": "runs"},
        **changes,
    }


def record(
    agent: str,
    method: dict[str, Any],
    successes: Sequence[Sequence[float]],
    *,
    seed: int = 0,
    seconds: float = 1.0,
    status: str = "finished",
    n_tasks: int = len(TASKS),
    **changes: Any,
) -> dict[str, Any]:
    """A record with these successes, one row an evaluation: of the first two tasks, and again of the next ones."""
    settings = config(agent, method, seed, **changes)
    tasks = TASKS[:n_tasks]
    entries = [
        {
            "epoch": i,
            "step": 1000 * (i + 1),
            "test": named_metrics(tasks, (*row,) * (n_tasks // 2), [fmean(row)] * n_tasks),
            "seconds": 1.0,
        }
        for i, row in enumerate(successes)
    ]
    results = (
        {**outcome(entries), "seconds_per_episode": seconds, "seeds_together": 1} if status == "finished" else None
    )
    return {
        "format": FORMAT,
        "benchmark": "mt10",
        "name": run_name(settings),
        "status": status,
        "method": method,
        "seed": seed,
        "protocol": protocol_digest(settings),
        "config": settings,
        "environment": {"commit": "0" * 40, "uncommitted_changes": False, "device": "cpu"},
        "data": {
            "profile": "mt10-fixed",
            "tasks": list(tasks),
            "horizon": 150,
            "differs": "made up.",
            "synthetic": False,
        },
        "started": "2000-01-01T00:00:00+00:00",
        "finished": "2000-01-01T01:00:00+00:00" if status == "finished" else None,
        "wall_seconds": 3600.0,
        "epochs": entries,
        "best_epoch": 0,
        "results": results,
    }


def write(root: Path, entry: dict[str, Any], folder: str | None = None) -> Path:
    """Write a record where a run would; returns its path."""
    path = root / "mt10" / (folder or entry["name"]) / RECORD
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, entry)
    return path
