"""Reading many records at once: all of a record but its epochs, which are nearly all of its text.

A record is written by ``write_json``, so its top-level keys stand on lines of their own, indented by two spaces, and
what lies between ``"epochs"`` and ``"best_epoch"`` can be passed over unread. Where that is not so (a record without
epochs, or written by hand) the whole of it is parsed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from experiments.common.records import FORMAT, RECORD, read_record

_START, _END = b'\n  "epochs": [\n', b'\n  ],\n  "best_epoch"'
_BLOCK = 1 << 14  # bytes at either end, far more than what stands around the epochs


def record_paths(root: Path) -> list[Path]:
    """The records below ``root`` in the order of their paths; symbolic links to folders are not followed."""
    # A folder in a record's place is a damaged record, not none.
    walk = os.walk(root)
    return sorted(Path(folder, RECORD) for folder, folders, files in walk if RECORD in files or RECORD in folders)


def read_summary(folder: Path) -> dict[str, Any] | None:
    """The record in a run folder without ``epochs``, or ``None`` where there is none.

    Raises :class:`UserError` for a record that is damaged, but for damage within its epochs.
    """
    record = _without_epochs(folder / RECORD)
    if not isinstance(record, dict) or record.get("format") != FORMAT or "benchmark" not in record:
        record = read_record(folder)  # which says what is wrong
    if record is not None:
        record.pop("epochs", None)
    return record


def read_summaries(root: Path, benchmark: str | None = None) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Path and summary of every record below ``root``, of one benchmark or all, ordered by path."""
    for path in record_paths(root):
        record = read_summary(path.parent)
        if record is not None and benchmark in (None, record["benchmark"]):
            yield path, record


def _without_epochs(path: Path) -> Any:
    """The parsed record with an empty list for its epochs; ``None`` if that cannot be done."""
    try:
        with open(path, "rb") as file:
            head = file.read(_BLOCK)
            size = os.fstat(file.fileno()).st_size
            tail = head if len(head) == size else head[:0]
            if size > len(head):
                file.seek(max(size - _BLOCK, 0))
                tail = file.read()
        start, end = head.find(_START), tail.rfind(_END)
        if start < 0 or end < 0:
            return None
        return json.loads(head[:start] + b'\n  "epochs": [' + tail[end:])
    except (OSError, ValueError):
        return None
