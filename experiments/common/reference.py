"""The single-task reference values of Δm: the published ones, or those of this project's own STL runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from experiments.common.benchmark import Metric
from experiments.common.errors import UserError
from experiments.common.published import published_reference
from experiments.common.records import protocol_digest
from experiments.common.summaries import read_summaries


def reference_values(
    benchmark: str, reference: str, metrics: Sequence[Metric], root: Path, config: dict[str, Any]
) -> list[float]:
    """One value a metric, in the order of ``metrics``.

    ``reference="published"``: the paper's STL row. ``"ours"``: the means over all finished STL runs
    under ``root`` with the configuration's protocol (whatever their own reference, which STL runs do not use).
    Raises :class:`UserError` if a metric has no such run yet.
    """
    if reference == "published":
        return published_reference(benchmark)
    protocol = _without_reference(config)
    found: dict[str, list[float]] = {metric.name: [] for metric in metrics}
    for _, record in read_summaries(root, benchmark):
        single = record["method"]["name"] == "stl" and record["status"] == "finished"
        if single and _without_reference(record["config"]) == protocol:
            for name, value in record["results"]["metrics"].items():
                found[name].append(value)
    if missing := [name for name, values in found.items() if not values]:
        raise UserError(
            f"report.reference=ours needs finished STL runs of this protocol, and {', '.join(missing)} has none; "
            "run method=stl first, or use report.reference=published."
        )
    return [fmean(values) for values in found.values()]


def _without_reference(config: dict[str, Any]) -> str:
    return protocol_digest({key: value for key, value in config.items() if key != "report"})
