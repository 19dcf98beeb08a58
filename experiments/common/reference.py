"""The single-task reference values of Δm: the published ones, or those of this project's own STL runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from experiments.common.errors import UserError
from experiments.common.metrics import Metric
from experiments.common.published import published_reference
from experiments.common.records import protocol_digest, read_record
from experiments.common.summaries import read_summaries


def reference_values(
    benchmark: str, reference: str, metrics: Sequence[Metric], folder: Path, config: dict[str, Any]
) -> dict[str, float]:
    """One value by the name of each of ``metrics``, for the run in ``folder``.

    ``reference="published"``: the paper's STL row. ``"ours"``: means over the finished STL runs beside ``folder``
    with the configuration's protocol (whatever their own reference, which STL runs do not use), of all seeds
    that have a run of every task. A run that goes on keeps the values that it began with, though there may be more
    STL runs by now. Raises :class:`UserError` if no seed has all tasks yet.
    """
    if (begun := read_record(folder)) is not None and begun.get("reference") is not None:
        return dict(begun["reference"])
    names = [metric.name for metric in metrics]
    if reference == "published":
        return dict(zip(names, published_reference(benchmark, names), strict=True))
    protocol = _without_reference(config)
    by_seed: dict[int, dict[str, float]] = {}
    for _, record in read_summaries(folder.parent, benchmark):
        single = record["method"]["name"] == "stl" and record["status"] == "finished"
        if single and _without_reference(record["config"]) == protocol:
            by_seed.setdefault(record["seed"], {}).update(record["results"]["metrics"])
    complete = [values for values in by_seed.values() if values.keys() >= set(names)]
    if not complete:
        most: dict[str, float] = max(by_seed.values(), key=len, default={})
        missing = ", ".join(name for name in names if name not in most)
        raise UserError(
            f"report.reference=ours needs finished STL runs of all tasks in one seed of this protocol, and {missing} "
            "has none; run method=stl first, or use report.reference=published."
        )
    return {name: fmean(values[name] for values in complete) for name in names}


def _without_reference(config: dict[str, Any]) -> str:
    return protocol_digest({key: value for key, value in config.items() if key != "report"})
