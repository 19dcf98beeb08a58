"""The paper's tables by number (Navon et al., ICML 2022): which benchmark each is of and which view of it."""

from __future__ import annotations

from typing import NamedTuple

from experiments.benchmarks import BENCHMARKS
from experiments.common.metrics import Metric
from experiments.common.published import load_published
from experiments.reporting.benchmark import Benchmark


class PaperTable(NamedTuple):
    """``view``: a name of ``experiments.reporting.views.USUAL_VIEWS`` or of the benchmark's own."""

    benchmark: str
    view: str
    content: str


PAPER_TABLES = {
    1: PaperTable("qm9", "summary", "QM9: mean rank and Δm"),
    2: PaperTable("nyuv2", "results", "NYUv2: all metrics"),
    3: PaperTable("cityscapes", "results", "Cityscapes: all metrics"),
    4: PaperTable("mt10", "results", "MT10: success"),
    5: PaperTable("mt10", "update_interval", "MT10: success and run time against the update interval"),
    6: PaperTable("qm9", "results", "QM9: every target"),
    7: PaperTable("qm9", "run_time", "QM9: run time"),
}


def benchmark_of(name: str) -> Benchmark:
    """The registered benchmark, or for one that has published rows alone what their file says of it.

    Raises :class:`UserError` if there is no such file.
    """
    if name in BENCHMARKS:
        return BENCHMARKS[name]
    published = load_published(name)
    metrics = tuple(
        Metric(metric, "", higher, 2, rf"\text{{{metric}}}")
        for metric, higher in zip(published.metrics, published.higher_is_better, strict=True)
    )
    return Benchmark(title=published.title, metrics=metrics, trainable=False)
