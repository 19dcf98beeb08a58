"""Published results, one data file a benchmark: ``experiments/published/<benchmark>.json``.

Numbers have the digits that were printed (0.340), which a change of a file must keep.

A file holds facts only: the metrics in order, single-task reference rows, and groups of rows with their values,
the mean rank (MR) and Δm that were printed, source and protocol. ``rank_sets`` name the rows that a printed MR
ranks (``group/method``) and how ties were counted. Where a printed figure does not follow from the printed values,
the row's ``known_difference`` gives the one that does.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from experiments.common.errors import UserError

FOLDER = Path(__file__).resolve().parents[1] / "published"
#: The reference row and the protocol of the Nash-MTL paper itself, in every file.
PAPER = "paper"


class Printed(float):
    """A number with the ``digits`` after the decimal point that were printed: 0.340 has three."""

    digits: int

    def __new__(cls, text: str) -> Printed:
        number = super().__new__(cls, text)
        number.digits = len(text.partition(".")[2]) if "e" not in text.lower() else 0
        return number


def decimals(value: float) -> int:
    """Digits after the decimal point, as printed where that is known."""
    return value.digits if isinstance(value, Printed) else len(repr(float(value)).partition(".")[2])


def half_unit(value: float) -> float:
    """Half a unit of the last printed digit: how far off a rounded number may be."""
    return 0.5 * 10.0 ** -decimals(value)


@dataclass(frozen=True)
class PublishedRow:
    """One printed row. ``values`` are in the order of the file's metrics; ``None`` is not printed."""

    method: str
    values: tuple[float, ...]
    mean_rank: float | None
    delta_m: float | None
    source: str
    protocol: str
    key: str | None = None  # in methods.METHODS
    spread: tuple[float, ...] | None = None  # of the values, as printed
    delta_m_spread: float | None = None
    rank_set: str | None = None
    known_difference: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class PublishedGroup:
    """Rows that may share a table: measured against the same single-task reference."""

    title: str
    reference: str
    later: bool  # methods or settings that came after the Nash-MTL paper
    ranked: bool  # printed with as many digits as the other groups, so that ranks among them have a meaning
    rows: tuple[PublishedRow, ...]


@dataclass(frozen=True)
class Published:
    """The content of one data file."""

    benchmark: str
    title: str
    metrics: tuple[str, ...]
    higher_is_better: tuple[bool, ...]
    references: Mapping[str, Mapping[str, Any]]
    protocols: Mapping[str, Mapping[str, Any]]
    rank_sets: Mapping[str, Mapping[str, Any]]
    groups: Mapping[str, PublishedGroup]
    sources: Mapping[str, Mapping[str, Any]]
    runtime: Mapping[str, Any] | None = None  # values by the printed name of the method, with unit and source

    def reference(self, name: str = PAPER) -> tuple[float, ...]:
        """A single-task row, in the order of ``metrics``."""
        return tuple(self.references[name]["values"])

    def only(self, methods: Collection[str]) -> Published:
        """With the rows of these methods alone, by key."""
        groups = {
            name: replace(group, rows=tuple(row for row in group.rows if row.key in methods))
            for name, group in self.groups.items()
        }
        return replace(self, groups={name: group for name, group in groups.items() if group.rows})

    def cite(self, source: str) -> str:
        """A source in a few words: authors, venue, arXiv number."""
        entry = self.sources[source]
        arxiv = f", arXiv {entry['arxiv']}" if entry["arxiv"] else ""
        return f"{entry['authors']}, {entry['venue']}{arxiv}"


@functools.cache
def load_published(benchmark: str) -> Published:
    """The published results of a benchmark; raises :class:`UserError` if there is no such file."""
    path = FOLDER / f"{benchmark}.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_float=Printed)
    except FileNotFoundError:
        known = ", ".join(sorted(file.stem for file in FOLDER.glob("*.json")))
        raise UserError(f"there are no published results for {benchmark!r}; there are for {known}.") from None
    return Published(
        benchmark=content["benchmark"],
        title=content["title"],
        metrics=tuple(metric["name"] for metric in content["metrics"]),
        higher_is_better=tuple(metric["higher_is_better"] for metric in content["metrics"]),
        references=content["references"],
        protocols=content["protocols"],
        rank_sets=content["rank_sets"],
        groups={name: _group(group) for name, group in content["groups"].items()},
        sources=content["sources"],
        runtime=content.get("runtime"),
    )


def find_published(benchmark: str) -> Published | None:
    """The same, or ``None`` for a benchmark that has no such file."""
    return load_published(benchmark) if (FOLDER / f"{benchmark}.json").exists() else None


def published_reference(benchmark: str, metrics: Sequence[str] | None = None) -> list[float]:
    """The paper's single-task values, in the order of ``metrics`` (names) or else of the file.

    Raises :class:`UserError` for a benchmark without published results.
    """
    published = load_published(benchmark)
    values = dict(zip(published.metrics, published.reference(), strict=True))
    return [values[name] for name in (metrics or published.metrics)]


def _group(group: dict[str, Any]) -> PublishedGroup:
    rows = []
    for row in group["rows"]:
        spread = row.get("spread")
        values = {**row, "values": tuple(row["values"]), "spread": None if spread is None else tuple(spread)}
        rows.append(PublishedRow(**values))
    return PublishedGroup(**{**group, "rows": tuple(rows)})
