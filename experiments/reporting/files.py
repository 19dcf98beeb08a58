"""The report's files: tables in three formats, pictures, the list of records, and the page."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from experiments.common.files import atomic_write, write_json
from experiments.common.style import darkened, paper_style, save_figure, svg_text
from experiments.reporting.aggregate import Protocol, Run
from experiments.reporting.benchmark import Picture
from experiments.reporting.page import PagePart, PagePicture, make_page
from experiments.reporting.tables import Table, to_csv, to_latex, to_markdown

_LEAD = (
    "Click a column's head to sort by it. Hover over one of our values, or tap it, for every seed's and their "
    "spread. Tables are separate where the protocol or the data differ."
)


@dataclass(frozen=True)
class DrawnPicture:
    """A picture as it goes into files and, for a light and a dark page, as SVG text."""

    name: str
    figure: Figure
    page: PagePicture


@dataclass(frozen=True)
class Part:
    """One table of a protocol and its pictures; without a protocol the published rows alone.

    ``first`` of a protocol's tables: its files have the protocol's name, those of others the view's as well.
    """

    table: Table
    protocol: Protocol | None
    view: str = "results"
    first: bool = True
    pictures: Sequence[DrawnPicture] = ()

    @property
    def name(self) -> str:
        name = self.protocol.name if self.protocol else "published"
        return name if self.first else f"{name}-{self.view}"


def draw_for_paper_and_page(
    draw: Callable[[], Iterable[Picture]], tell: Callable[[str], None] = lambda name: None
) -> list[DrawnPicture]:
    """The pictures that ``draw`` makes, each drawn once: a dark page's differs in its colours alone.

    ``tell`` gets the name of every picture when it is there.
    """
    pictures = []
    with paper_style():
        for picture in draw():
            text = svg_text(picture.figure)
            page = PagePicture(picture.caption, text, darkened(text))
            pictures.append(DrawnPicture(picture.name, picture.figure, page))
            tell(picture.name)
    return pictures


def write_report(
    folder: Path, title: str, parts: Sequence[Part], tell: Callable[[str], None] = lambda line: None
) -> None:
    """Write every part's files, ``runs.csv``, ``sources.json`` and ``index.html``, telling what takes time."""
    for part in parts:
        table = part.table
        for suffix, text in (("md", to_markdown(table)), ("tex", to_latex(table)), ("csv", to_csv(table))):
            _write(folder / f"{part.name}.{suffix}", text)
        for picture in part.pictures:
            tell(f"writing {part.name}-{picture.name}")
            save_figure(picture.figure, folder / f"{part.name}-{picture.name}")
    write_json(
        folder / "sources.json",
        {part.protocol.name: sources(part.protocol) for part in parts if part.protocol},
    )
    _write(folder / "runs.csv", runs_as_csv([part.protocol for part in parts if part.protocol and part.first]))
    page = [
        PagePart(part.name, part.table, part.protocol, [one.page for one in part.pictures], part.first)
        for part in parts
    ]
    _write(folder / "index.html", make_page(title, _LEAD, page))


def sources(protocol: Protocol) -> dict[str, Any]:
    """Which records went into a protocol's table and which did not."""
    return {
        "config": protocol.config,
        "used": [_source(run) for run in protocol.used],
        "left_out": [{**_source(run), "reason": reason} for run, reason in protocol.left_out],
    }


def runs_as_csv(protocols: Sequence[Protocol]) -> str:
    """Every run of the tables and metric of it in a line of its own, so that files can be put one after another."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    fields = ["benchmark", "protocol", "preset", "data", "synthetic", "run", "method", "options", "seed"]
    writer.writerow([*fields, "metric", "value"])
    for protocol in protocols:
        for run in protocol.used:
            record = run.record
            options = {name: value for name, value in record["method"].items() if name != "name"}
            data = record["data"]
            known = [record["benchmark"], protocol.name, record["config"].get("preset"), data.get("source")]
            known += [data.get("synthetic"), record["name"], run.method, json.dumps(options), record["seed"]]
            writer.writerows([*known, *metric] for metric in record["results"]["metrics"].items())
    return text.getvalue()


def _source(run: Run) -> dict[str, Any]:
    environment = run.record.get("environment") or {}
    return {
        "record": str(run.path),
        "name": run.record["name"],
        "status": run.record["status"],
        "commit": environment.get("commit"),
        "uncommitted_changes": environment.get("uncommitted_changes"),
        "device": environment.get("device"),
        "data": run.record["data"],
    }


def _write(path: Path, text: str) -> None:
    with atomic_write(path) as file:
        file.write(text.encode())
