"""How long thousands of run folders take to read: ``python -m reliability.many_records``.

Settings, each as key=value:

  runs=5000                   how many folders
  template=results/qm9/quick  records to copy, with seeds of their own; their numbers count for nothing here

Prints the seconds of reading all records and grouping them into tables, of finding a run's reference, and of the
status command where there is one, in this process: without the start of Python and its imports.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import itertools
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.common.aggregate import load_runs, protocols
from experiments.common.errors import UserError, exits_cleanly
from experiments.common.options import parse_options
from experiments.common.records import RECORD, find_records
from experiments.qm9.metrics import METRICS


@dataclass
class Settings:
    runs: int = 5000
    template: str = "results/qm9/quick"


def write_copies(template: Path, root: Path, number: int) -> int:
    """Write ``number`` copies of the records below ``template``, each with its own seed; returns their bytes."""
    originals = [json.loads(path.read_text()) for path in sorted(template.rglob(RECORD))]
    if not originals:
        raise UserError(f"{template} holds no records; give template=FOLDER.")
    for i, original in zip(range(number), itertools.cycle(originals), strict=False):
        seed = i // len(originals)
        record = {**original, "seed": seed, "config": {**original["config"], "seed": seed}, "name": f"copy-{i}"}
        folder = root / "qm9" / f"copy-{i}"
        folder.mkdir(parents=True)
        (folder / ".lock").touch()
        (folder / RECORD).write_text(json.dumps(record, indent=2))
    return sum(path.stat().st_size for path in root.rglob(RECORD))


def timings(root: Path) -> dict[str, float]:
    """Seconds of each reader on the folders below ``root``."""
    found = {
        "read and grouped for the report": _seconds(
            lambda: protocols(load_runs(root, "qm9"), [metric.name for metric in METRICS])
        ),
        "searched for single-task references": _seconds(lambda: list(find_records(root, "qm9"))),
    }
    if importlib.util.find_spec("experiments.status") is not None:
        status: Any = importlib.import_module("experiments.status")
        with contextlib.redirect_stdout(io.StringIO()):
            found["status"] = _seconds(lambda: status.main([f"root={root}"]))
    return found


def _seconds(action: Callable[[], Any]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


@exits_cleanly
def main(arguments: Sequence[str] | None = None) -> None:
    settings = parse_options(Settings, arguments, description=__doc__)
    with tempfile.TemporaryDirectory() as folder:
        size = write_copies(Path(settings.template), Path(folder), settings.runs)
        print(f"{settings.runs} records, {size / settings.runs / 1024:.1f} KiB each")
        for name, seconds in timings(Path(folder)).items():
            print(f"{name}: {seconds:.2f} s")


if __name__ == "__main__":
    main()
