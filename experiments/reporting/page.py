"""The report as one HTML file that needs no network: sortable tables, seeds on hovering, pictures, light and dark."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from experiments.reporting.aggregate import NAMES, Protocol, Run
from experiments.reporting.tables import Cell, Column, Row, Section, Table, marks

_FOLDER = Path(__file__).with_name("page")
_COMMIT_DIGITS = 10


@dataclass(frozen=True)
class PagePicture:
    """The same picture for a light and a dark page, as SVG text."""

    caption: str
    light: str
    dark: str


@dataclass(frozen=True)
class PagePart:
    """One table with what belongs to it; ``protocol`` is ``None`` where it has published rows alone."""

    anchor: str
    table: Table
    protocol: Protocol | None
    pictures: Sequence[PagePicture] = ()
    list_records: bool = True


def make_page(title: str, lead: str, parts: Sequence[PagePart]) -> str:
    """The page's text; ``lead`` is the sentence below the title."""
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(title=title, lead=lead, parts=[_part(part) for part in parts])


def _part(part: PagePart) -> dict[str, Any]:
    protocol, table = part.protocol, part.table
    return {
        "anchor": part.anchor,
        "table": table,
        "warning": _warning(protocol),
        "sections": [_section(section, table.columns) for section in table.sections],
        "pictures": [
            {"caption": picture.caption, "light": _encoded(picture.light), "dark": _encoded(picture.dark)}
            for picture in part.pictures
        ],
        "records": _records(protocol) if protocol and part.list_records else [],
    }


def _warning(protocol: Protocol | None) -> str:
    if protocol is not None and protocol.data.get("synthetic"):
        return "Synthetic data: these values say nothing about the real benchmark."
    return ""


def _section(section: Section, columns: Sequence[Column]) -> dict[str, Any]:
    places = [marks(section.rows, index, column) for index, column in enumerate(columns)]
    return {
        "title": section.title,
        "own": any(row.extra.get("source") == "ours" for row in section.rows),
        "rows": [
            {
                "label": row.label,
                "n": row.n,
                "cells": [_cell(*one, row) for one in zip(row.cells, columns, places, strict=True)],
            }
            for row in section.rows
        ],
    }


def _cell(cell: Cell, column: Column, places: dict[float, str], row: Row) -> dict[str, Any]:
    text = cell.text(column)
    return {
        "value": cell.mean,
        "text": text,
        "std": cell.std_text(column),
        "place": places.get(float(text)) if row.competes and cell.mean is not None else None,
        "hint": _hint(row.label, cell, column),
    }


def _hint(label: str, cell: Cell, column: Column) -> str | None:
    """Every seed's value and the spread, a line each; ``None`` where there is nothing beyond what is printed."""
    if not cell.seeds:
        return None
    lines = [f"{label}, {column.title}", *(f"seed {seed}: {value:.6g}" for seed, value in cell.seeds)]
    if cell.std is not None:
        lines.append(f"mean {cell.mean:.6g} ± {cell.std:.3g}")
    return "\n".join(lines)


def _records(protocol: Protocol) -> list[dict[str, Any]]:
    used = [(run, "yes") for run in protocol.used]
    return [_record(run, state) for run, state in [*used, *((run, f"no: {why}") for run, why in protocol.left_out)]]


def _record(run: Run, state: str) -> dict[str, Any]:
    record = run.record
    environment, data = record.get("environment") or {}, record["data"]
    commit = str(environment.get("commit") or "unknown")[:_COMMIT_DIGITS]
    changed = " and changes" if environment.get("uncommitted_changes") else ""
    source = f"{data.get('source', 'unknown')}{' (SYNTHETIC)' if data.get('synthetic') else ''}"
    cells = [
        record["name"],
        state,
        commit + changed,
        environment.get("device", "unknown"),
        source,
        record.get("finished") or "–",
    ]
    return {"method": NAMES.get(run.method, run.method), "cells": cells}


def _encoded(svg: str) -> str:
    return base64.b64encode(svg.encode()).decode()
