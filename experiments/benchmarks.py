"""The benchmarks by the name that their records carry: what the report, the figures and the status know of them."""

from __future__ import annotations

from experiments.cityscapes.metrics import METRICS as CITYSCAPES_METRICS
from experiments.mt10.curves import learning_curves
from experiments.mt10.metrics import METRICS as MT10_METRICS
from experiments.mt10.rows import mt10_protocols
from experiments.mt10.tables import MT10_VIEWS
from experiments.nyuv2.metrics import METRICS as NYUV2_METRICS
from experiments.qm9.metrics import METRICS as QM9_METRICS
from experiments.reporting.benchmark import Benchmark

#: A further benchmark is one entry; ``experiments/published/<name>.json`` holds its published rows.
BENCHMARKS = {
    "cityscapes": Benchmark(title="Cityscapes", metrics=CITYSCAPES_METRICS, delta_m_digits=2),
    "mt10": Benchmark(
        title="MT10",
        metrics=MT10_METRICS,
        views=MT10_VIEWS,
        tables=tuple(MT10_VIEWS),
        group=mt10_protocols,
        pictures=learning_curves,
    ),
    "nyuv2": Benchmark(title="NYUv2", metrics=NYUV2_METRICS, delta_m_digits=2),
    "qm9": Benchmark(title="QM9", metrics=QM9_METRICS, delta_m_digits=1),
}
