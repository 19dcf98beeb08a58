"""The benchmarks by the name that their records carry: what the report, the figures and the status know of them."""

from __future__ import annotations

from experiments.common.benchmark import Benchmark
from experiments.nyuv2.metrics import METRICS as NYUV2_METRICS
from experiments.qm9.metrics import METRICS as QM9_METRICS

#: A further benchmark is one entry; ``experiments/published/<name>.json`` holds its published rows.
BENCHMARKS = {
    "nyuv2": Benchmark(title="NYUv2", metrics=NYUV2_METRICS, delta_m_digits=2),
    "qm9": Benchmark(title="QM9", metrics=QM9_METRICS, delta_m_digits=1),
}
