"""From the epochs of a run to the one row that it reports."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any


def at_epoch(entries: Sequence[dict[str, Any]], epoch: int) -> dict[str, Any]:
    """Test metrics of one epoch, such as the one that was best on validation."""
    return _results(epoch, dict(entries[epoch]["test"]))


def mean_of_last(entries: Sequence[dict[str, Any]], number: int) -> dict[str, Any]:
    """Test metrics averaged over the last ``number`` epochs (or all, if there are fewer); no selection."""
    tests = [entry["test"] for entry in entries[-number:]]
    return _results(len(entries) - 1, {name: fmean(test[name] for test in tests) for name in tests[0]})


def _results(epoch: int, metrics: dict[str, float]) -> dict[str, Any]:
    return {"epoch": epoch, "delta_m": metrics.pop("delta_m", None), "metrics": metrics}
