"""The paper's kind of table from one protocol's runs: test metrics, mean rank (MR) and Δm, beside published rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, stdev
from typing import Any, NamedTuple

from experiments.common.errors import UserError
from experiments.common.metrics import Metric, delta_m, mean_rank
from experiments.common.published import PAPER, Published, PublishedGroup, decimals
from experiments.reporting.aggregate import STL, Protocol
from experiments.reporting.benchmark import TableRequest
from experiments.reporting.result_notes import (
    described,
    heading,
    origins,
    own_notes,
    own_remarks,
    protocol_differences,
    published_notes,
)
from experiments.reporting.tables import Cell, Column, Row, Section, Table

MEAN_RANK, DELTA_M = "MR", "delta_m"


class Reference(NamedTuple):
    """Single-task values, in the order of the metrics, and a description of them for the notes."""

    values: tuple[float, ...]
    description: str


def reference_of(protocol: Protocol, metrics: Sequence[Metric], name: str, published: Published | None) -> Reference:
    """The values that Δm is measured against: ``published`` (the paper's), ``ours``, or a named published row.

    ``ours`` is the mean of the protocol's complete single-task rows. Raises :class:`UserError` if there is none.
    ``auto`` is ours where such rows exist and the protocol is not the published one, since errors of shorter
    training against the paper's single-task values say nothing; else published. Without published results
    (``None``) it is ours.
    """
    if name == "auto":
        comparable = published is not None and not protocol_differences(protocol, published.protocols[PAPER])
        name = "ours" if published is None or (protocol.stl is not None and not comparable) else "published"
    if name == "ours":
        row = protocol.stl
        if row is None:
            lacking = f" ({'; '.join(protocol.incomplete)})" if protocol.incomplete else ""
            raise UserError(
                f"report.reference=ours needs a single-task run of every task in one seed, and protocol "
                f"{protocol.name} has no such set{lacking}; run method=stl with its settings, "
                f"{'' if published is None else 'use report.reference=published, '}or choose another protocol=DIGEST."
            )
        values = tuple(fmean(seed[metric.name] for seed in row.values.values()) for metric in metrics)
        seeds = len(row.values)
        return Reference(values, f"our own single-task runs (mean of {seeds} seed{'s' if seeds > 1 else ''})")
    key = PAPER if name == "published" else name
    if published is None or key not in published.references:
        known = ", ".join(
            ["auto", *(["published"] if published else []), "ours", *(published.references if published else ())]
        )
        raise UserError(f"report.reference {name!r} is unknown; choose one of {known}.")
    by_name = dict(zip(published.metrics, published.reference(key), strict=True))
    entry = published.references[key]
    description = f"published single-task values ({published.cite(entry['source'])}: {entry['note']})"
    return Reference(tuple(by_name[metric.name] for metric in metrics), description)


def known_reference(request: TableRequest, protocol: Protocol) -> Reference | None:
    """As :func:`reference_of`; ``None`` where nothing was asked for and there are no single-task values yet."""
    if request.reference == "auto" and request.published is None and protocol.stl is None:
        return None
    return reference_of(protocol, request.benchmark.metrics, request.reference, request.published)


def result_table(request: TableRequest) -> Table:
    """The metrics, MR and Δm of one protocol's methods above the published rows; these alone without a protocol.

    Raises :class:`UserError` if there is no such reference as asked for.
    """
    benchmark, protocol = request.benchmark, request.protocol
    metrics, published = benchmark.metrics, request.shown
    columns = (
        *(Column(m.name, m.name, m.latex, m.digits, m.higher_is_better) for m in metrics),
        Column(MEAN_RANK, "MR", r"\text{MR}", 2),
        Column(DELTA_M, "Δm%", r"\Delta_m\%", benchmark.delta_m_digits),
    )
    sections, notes, remarks = [], [], []
    if protocol is not None:
        reference = known_reference(request, protocol)
        sections.append(_own_section(protocol, metrics, reference))
        notes += own_notes(protocol, metrics, None if reference is None else reference.description)
        remarks += own_remarks(protocol)
    if published is not None:
        groups = [group for group in published.groups.values() if request.later or not group.later]
        sections += _published_sections(published, groups, metrics)
        notes += published_notes(published, protocol)
        remarks += origins(published, groups)
    return Table(
        title=heading(benchmark.title, protocol),
        label=f"tab:{benchmark.title.lower()}-{protocol.name if protocol else 'published'}",
        columns=columns,
        sections=tuple(sections),
        notes=tuple(notes),
        remarks=tuple(remarks),
    )


def _own_section(protocol: Protocol, metrics: Sequence[Metric], reference: Reference | None) -> Section:
    directions = [metric.higher_is_better for metric in metrics]
    values = {  # by row: [seeds][metrics]
        row.label: [[seed[metric.name] for metric in metrics] for seed in row.values.values()]
        for row in protocol.rows
    }
    means = {row.label: [fmean(column) for column in zip(*values[row.label], strict=True)] for row in protocol.rows}
    ranks = _ranks({row.label: means[row.label] for row in protocol.ranked}, directions)
    rows = []
    for row in protocol.rows:
        seeds_of_row = values[row.label]
        deltas = [delta_m(seed, reference.values, directions) for seed in seeds_of_row] if reference else []
        cells = (
            *(over_seeds(row.values, column) for column in zip(*values[row.label], strict=True)),
            Cell(ranks.get(row.label)),
            over_seeds(row.values, deltas) if deltas else Cell(),
        )
        extra = {"key": row.key, "source": "ours", "protocol": protocol.name, **described(protocol)}
        rows.append(Row(row.label, cells, n=len(row.values), competes=row.key != STL, extra=extra))
    seeds = ", ".join(map(str, protocol.seeds))
    return Section(f"ours, {'seed' if len(protocol.seeds) == 1 else 'seeds'} {seeds}", tuple(rows))


def _published_sections(
    published: Published, groups: Sequence[PublishedGroup], metrics: Sequence[Metric]
) -> list[Section]:
    directions = [metric.higher_is_better for metric in metrics]
    order = [published.metrics.index(metric.name) for metric in metrics]
    sections = []
    references_shown: set[str] = set()
    for group in groups:
        pool = {
            (other.title, row.method): [row.values[i] for i in order]
            for other in groups
            if other.ranked and other.reference == group.reference
            for row in other.rows
        }
        ranks = _ranks(pool, directions) if group.ranked else {}
        rows = []
        if group.reference not in references_shown:
            references_shown.add(group.reference)
            rows.append(_published_single_tasks(published, group, order))
        for row in group.rows:
            spread = row.spread or (None,) * len(row.values)
            cells = (
                *(printed(row.values[i], spread[i]) for i in order),
                Cell(ranks.get((group.title, row.method))),
                printed(row.delta_m, row.delta_m_spread),
            )
            extra = {"key": row.key or "", "source": row.source, "protocol": row.protocol}
            rows.append(Row(row.method, cells, n=published.protocols[row.protocol].get("seeds"), extra=extra))
        sections.append(Section(f"published: {group.title}", tuple(rows)))
    return sections


def _published_single_tasks(published: Published, group: PublishedGroup, order: Sequence[int]) -> Row:
    entry = published.references[group.reference]
    has_delta_m = any(row.delta_m is not None for row in group.rows)
    spread = entry.get("spread") or (None,) * len(entry["values"])
    values = (printed(entry["values"][i], spread[i]) for i in order)
    cells = (*values, Cell(), Cell(0.0) if has_delta_m else Cell())
    extra = {"key": STL, "source": entry["source"], "protocol": group.rows[0].protocol}
    return Row("STL", cells, competes=False, extra=extra)


def _ranks(table: Mapping[Any, Sequence[float]], directions: Sequence[bool]) -> dict[Any, float]:
    """Mean ranks by key; none with fewer than two rows, where a rank says nothing."""
    if len(table) < 2:
        return {}
    return dict(zip(table, mean_rank(list(table.values()), directions), strict=True))


def over_seeds(seeds: Iterable[int], values: Sequence[float]) -> Cell:
    """Mean and sample standard deviation of one value a seed."""
    return Cell(
        fmean(values), stdev(values) if len(values) > 1 else None, seeds=tuple(zip(seeds, values, strict=True))
    )


def printed(value: float | None, spread: float | None = None) -> Cell:
    """A published value and spread with no more digits than the data file has: none are made up."""
    if value is None:
        return Cell()
    return Cell(value, spread, digits=decimals(value), std_digits=None if spread is None else decimals(spread))
