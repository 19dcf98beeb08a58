"""Offline W&B files read back, record by record, with W&B's own message definitions."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any


def messages(path: Path) -> list[bytes]:
    """The messages in an offline W&B file: 7 bytes of header, then a LevelDB log in blocks of 32 KiB."""
    content, position, found, parts = path.read_bytes(), 7, [], b""
    assert content.startswith(b":W&B")
    while position + 7 <= len(content):
        if 32768 - position % 32768 < 7:  # no room for another header in this block
            position += 32768 - position % 32768
            continue
        _, length, kind = struct.unpack_from("<IHB", content, position)
        parts += content[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # whole, or the last part
            found.append(parts)
            parts = b""
    return found


def logged(folder: Path) -> tuple[list[dict[str, Any]], dict[str, Any], dict[str, Any]]:
    """What lies in a folder's offline W&B files: the rows, the summary and the configuration.

    Pictures and tables appear under ``KEY/_type``, ``KEY/path`` and so on.
    """
    import wandb
    from wandb.proto.wandb_internal_pb2 import Record

    wandb.teardown()  # waits until everything is written
    rows: list[dict[str, Any]] = []
    summary: dict[str, Any] = {}
    config: dict[str, Any] = {}
    for path in sorted(folder.glob("wandb/offline-run-*/*.wandb")):
        for data in messages(path):
            record = Record()
            record.ParseFromString(data)
            kind = record.WhichOneof("record_type")
            if kind == "history":
                rows.append(_values(record.history.item))
            elif kind == "summary":
                summary |= _values(record.summary.update)
            elif kind == "run":
                config |= _values(record.run.config.update)
    return rows, summary, config


def _values(items: Any) -> dict[str, Any]:
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}
