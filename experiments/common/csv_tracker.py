"""Plain files in the run's folder: ``metrics.csv`` (a row an epoch), ``results.csv``, ``pictures/NAME/EPOCH.png``."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.common.files import atomic_write
from experiments.common.tracking import Pictures, flat_results, pixels

METRICS, RESULTS, PICTURES = "metrics.csv", "results.csv", "pictures"


class CsvTracker:
    """Every file is whole at any moment; an epoch that is logged again after a resumption replaces its row."""

    title = "CSV"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: dict[int, dict[str, Any]] = {}
        if (folder / METRICS).exists():
            with open(folder / METRICS, newline="") as file:
                for row in csv.DictReader(file):
                    self.rows[int(row["epoch"])] = {key: value for key, value in row.items() if value != ""}

    def log(self, values: dict[str, float], epoch: int) -> None:
        self.rows = {before: row for before, row in self.rows.items() if before < epoch}
        self.rows[epoch] = {"epoch": epoch, **values}
        self._write(METRICS, list(self.rows.values()))

    def log_pictures(self, make: Callable[[], Pictures], epoch: int) -> None:
        from PIL import Image

        for name, picture in make().items():
            with atomic_write(self.folder / PICTURES / name / f"{epoch}.png") as file:
                Image.fromarray(pixels(picture)).save(file, format="png")

    def finish(self, results: dict[str, Any]) -> None:
        if "metrics" in results:
            self._write(RESULTS, [{key.removeprefix("result/"): v for key, v in flat_results(results).items()}])

    def _write(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        text = io.StringIO()
        columns = dict.fromkeys(key for row in rows for key in row)
        writer = csv.DictWriter(text, list(columns), restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        with atomic_write(self.folder / name) as file:
            file.write(text.getvalue().encode())
