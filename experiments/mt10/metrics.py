"""From the evaluations of a run to its outcome: success at the best evaluation, the last, and over the last ten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from experiments.common.metrics import Metric

SUCCESS = "success"
#: The one column of the paper's Table 4.
METRICS = (Metric(SUCCESS, "", higher_is_better=True, digits=2, latex=r"\text{success}"),)

_LAST = 10


def named_metrics(tasks: Sequence[str], success: Sequence[float], returns: Sequence[float]) -> dict[str, float]:
    """An evaluation of one seed under the names of the record: the mean success, then success and return by task."""
    metrics = {SUCCESS: fmean(success)}
    metrics |= {f"{SUCCESS}/{task}": float(value) for task, value in zip(tasks, success, strict=True)}
    return metrics | {f"return/{task}": float(value) for task, value in zip(tasks, returns, strict=True)}


def best_evaluation(entries: Sequence[Mapping[str, Any]]) -> int:
    """The first of the evaluations with the highest mean success."""
    successes = [entry["test"][SUCCESS] for entry in entries]
    return successes.index(max(successes))


def outcome(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What a finished run reports.

    ``metrics``: the best evaluation's, which is how the paper chooses; it is the maximum of many noisy numbers, so
    ``last`` (the last evaluation) and ``mean_of_last_10`` stand beside it. ``search_score``: what a search over a
    setting minimises; MT10 has no validation split, and of the three this is the least noisy and involves no choice.
    """
    best = best_evaluation(entries)
    last = [entry["test"] for entry in entries[-_LAST:]]
    mean_of_last = {name: fmean(test[name] for test in last) for name in last[0]}
    return {
        "epoch": best,
        "delta_m": None,
        "metrics": dict(entries[best]["test"]),
        "best": {"step": entries[best]["step"], SUCCESS: entries[best]["test"][SUCCESS]},
        "last": {"step": entries[-1]["step"], **entries[-1]["test"]},
        "mean_of_last_10": mean_of_last,
        "search_score": {"name": "failures in the last 10 evaluations", "value": 1.0 - mean_of_last[SUCCESS]},
    }


def logged_results(results: Mapping[str, Any]) -> dict[str, Any]:
    """The outcome for a tracker, which takes plain numbers: of ``best``, ``last``, … their mean success."""
    parts = {name: results[name][SUCCESS] for name in ("best", "last", "mean_of_last_10")}
    return {**results, **parts, "search_score": results["search_score"]["value"]}
