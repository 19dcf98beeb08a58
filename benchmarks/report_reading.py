"""How long the report takes to read many records: ``python -m benchmarks.report_reading records=5000 epochs=300``.

Copies of this repository's own records, their epochs repeated, are written into a temporary folder, read back as the
report reads them and grouped into protocols.
"""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from experiments.benchmarks import BENCHMARKS
from experiments.common.errors import exits_cleanly
from experiments.common.options import parse_options
from experiments.common.records import RECORD
from experiments.reporting.aggregate import load_runs, protocols

_RESULTS = Path(__file__).resolve().parents[1] / "results" / "qm9" / "quick"


@dataclass
class Options:
    records: int = 5000
    epochs: int = 4


def write_copies(root: Path, options: Options) -> int:
    """Write the copies, each with a seed of its own; returns their size in bytes."""
    originals = [json.loads(path.read_text()) for path in sorted(_RESULTS.glob(f"*/{RECORD}"))]
    size = 0
    for number in range(options.records):
        entry = dict(originals[number % len(originals)])
        repeated = entry["epochs"] * (1 + options.epochs // len(entry["epochs"]))
        entry |= {"seed": number // len(originals), "epochs": repeated[: options.epochs]}
        path = root / f"run{number}" / RECORD
        path.parent.mkdir()
        size += path.write_text(json.dumps(entry, indent=2) + "\n")
    return size


@exits_cleanly
def main() -> None:
    options = parse_options(Options, description=__doc__)
    with tempfile.TemporaryDirectory() as folder:
        size = write_copies(Path(folder), options)
        for attempt in ("first", "second"):
            started = time.perf_counter()
            runs = load_runs(Path(folder), "qm9")
            read = time.perf_counter()
            found = protocols(runs, [metric.name for metric in BENCHMARKS["qm9"].metrics])
            grouped = time.perf_counter()
            print(
                f"{attempt} time: {len(runs):,} records of {options.epochs} epochs, {size / 2**20:,.0f} MiB, read in "
                f"{read - started:.2f} s, grouped into {len(found)} protocol in {grouped - read:.2f} s"
            )


if __name__ == "__main__":
    main()
