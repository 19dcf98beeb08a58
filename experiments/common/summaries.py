"""Reading many records at once: all of a record but its epochs, which are nearly all of its text.

A record is written by ``write_json``, so its top-level keys stand on lines of their own, indented by two spaces, and
what lies between ``"epochs"`` and ``"best_epoch"`` can be passed over, but for the number of the last epoch. Where
that is not so (a record without epochs, or written by hand) the whole of it is parsed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from experiments.common.records import FORMAT, RECORD, read_record

_START, _END = b'\n  "epochs": [\n', b'\n  ],\n  "best_epoch"'
_STAND = ("epoch", "step")  # of an epoch's entry; an entry of MT10 has both
_BLOCK = 1 << 14  # bytes at either end, far more than what stands around the epochs


def record_paths(root: Path) -> list[Path]:
    """The records below ``root`` in the order of their paths; symbolic links to folders are not followed."""
    # A folder in a record's place is a damaged record, not none.
    walk = os.walk(root)
    return sorted(Path(folder, RECORD) for folder, folders, files in walk if RECORD in files or RECORD in folders)


def read_summary(folder: Path) -> dict[str, Any] | None:
    """The record in a run folder, or ``None`` where there is none, with ``done`` in the place of ``epochs``.

    ``done``: the last epoch's ``epoch`` and, where it has one, ``step``; empty before the first. Raises
    :class:`UserError` for a record that is damaged, but for damage within its epochs.
    """
    record = _from_ends(folder / RECORD)
    if not isinstance(record, dict) or record.get("format") != FORMAT or "benchmark" not in record:
        record = read_record(folder)  # which says what is wrong
        if record is not None:
            last = (record.pop("epochs", None) or [{}])[-1]
            record["done"] = {key: last[key] for key in _STAND if key in last}
    return record


def read_summaries(root: Path, benchmark: str | None = None) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Path and summary of every record below ``root``, of one benchmark or all, ordered by path."""
    for path in record_paths(root):
        record = read_summary(path.parent)
        if record is not None and benchmark in (None, record["benchmark"]):
            yield path, record


def _from_ends(path: Path) -> Any:
    """The summary of a record in the usual layout, most of it unread; ``None`` for any other."""
    try:
        with open(path, "rb") as file:
            head = file.read(_BLOCK)
            size = os.fstat(file.fileno()).st_size
            tail = head if len(head) == size else head[:0]
            if size > len(head):
                file.seek(max(size - _BLOCK, 0))
                tail = file.read()
        start, end = head.find(_START), tail.rfind(_END)
        done = {key: int(text) for key, text in _last_values(tail[: max(end, 0)])}
        if start < 0 or end < 0 or "epoch" not in done:
            return None
        record = json.loads(head[:start] + b'\n  "epochs": [' + tail[end:])
    except (OSError, ValueError):
        return None
    return {key: value for key, value in record.items() if key != "epochs"} | {"done": done}


def _last_values(epochs: bytes) -> Iterator[tuple[str, bytes]]:
    """What the last of the epochs says of where it stands."""
    for key in _STAND:
        _, found, after = epochs.rpartition(f'\n      "{key}": '.encode())
        if found:
            yield key, after.split(b"\n", 1)[0].rstrip(b",")
