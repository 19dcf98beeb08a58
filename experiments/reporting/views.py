"""The tables that every benchmark can have: all metrics, their summary, run time, and the update interval."""

from __future__ import annotations

import re
from dataclasses import replace
from statistics import fmean

from experiments.common.errors import UserError
from experiments.common.settings import setting
from experiments.reporting.aggregate import MethodRow, Run
from experiments.reporting.benchmark import TableRequest, View
from experiments.reporting.result_notes import heading, own_remarks
from experiments.reporting.result_tables import DELTA_M, MEAN_RANK, over_seeds, printed, result_table
from experiments.reporting.tables import Cell, Column, Row, Section, Table, filled_columns, keep_columns

_NASH, _NASH_NAME = "nash_mtl", "Nash-MTL"  # the papers append the interval to the name
_NO_TIME = Cell()


def results(request: TableRequest) -> Table:
    """Every metric, MR and Δm; no MR where there is one metric alone, whose ranks say no more than it does."""
    table = result_table(request)
    kept = {column.key for column in table.columns} if request.protocol else filled_columns(table)
    return keep_columns(table, kept - ({MEAN_RANK} if len(request.benchmark.metrics) == 1 else set()))


def summary(request: TableRequest) -> Table:
    """MR and Δm alone."""
    return keep_columns(result_table(request), (MEAN_RANK, DELTA_M))


def run_time(request: TableRequest) -> Table:
    """Wall time of an epoch and its ratio to LS, with a section for every machine."""
    benchmark, protocol, published = request.benchmark, request.protocol, request.shown
    columns = (
        Column("minutes", "minutes an epoch", r"\text{minutes an epoch}", 2),
        Column("relative", "× LS", r"\times\,\text{LS}", 1),
    )
    sections, notes, remarks = [], [], []
    if protocol is not None:
        for machine in sorted({machine_of(run) for row in protocol.rows for run in row.runs}):
            own = {row.label: minutes_of(row, machine) for row in protocol.rows}
            sections.append(_timed(f"ours on {machine}", own, "ours"))
        notes += [
            "Wall time of a run, evaluation included, over its epochs; mean ± sample standard deviation over seeds. "
            "STL's is that of one task's run.",
        ]
        remarks += own_remarks(protocol)
    if published is not None and published.runtime is not None:
        source, unit = published.runtime["source"], published.runtime["unit"]
        times = {name: printed(value) for name, value in published.runtime["values"].items()}
        sections.append(_timed(f"published: {published.cite(source)}, {unit}", times, source))
        notes.append("Published times are of another machine: what compares is the ratio to LS.")
    return Table(
        title=f"{heading(benchmark.title, protocol)} · run time",
        label=f"tab:{benchmark.title.lower()}-time-{protocol.name if protocol else 'published'}",
        columns=columns,
        sections=tuple(sections),
        notes=tuple(notes),
        remarks=tuple(remarks),
    )


def update_interval(request: TableRequest) -> Table:
    """Nash-MTL's results and run time by the number of steps after which its weights are computed anew."""
    table, published, protocol = result_table(request), request.shown, request.protocol
    runtime = published.runtime if published is not None else None
    rows_by_label = {row.label: row for row in protocol.rows} if protocol else {}
    sections = []
    for section in table.sections:
        rows = []
        for row in section.rows:
            own = rows_by_label.get(row.label) if row.extra.get("source") == "ours" else None
            if own is not None and own.key == _NASH:
                interval = int(own.runs[0].record["method"].get("update_weights_every", 1))
                time = minutes_of(own)
            elif own is None and row.label.startswith(_NASH_NAME):
                number = re.search(r"\d+", row.label)
                interval = int(number[0]) if number else 1
                time = printed(runtime["values"].get(row.label)) if runtime else _NO_TIME
            else:
                continue
            rows.append(replace(row, cells=(Cell(interval, digits=0), *row.cells, time)))
        if rows:
            sections.append(replace(section, rows=tuple(sorted(rows, key=lambda row: row.cells[0].mean or 0))))
    units = ["ours in minutes an epoch"] if protocol else []
    units += [f"published in {runtime['unit']}"] if runtime else []
    machines = sorted({machine_of(run) for row in rows_by_label.values() for run in row.runs})
    notes = [f"Time: {', '.join(units)}."] if units else []
    notes += [f"Ours ran on {'; '.join(machines)}."] if machines else []
    wider = replace(
        table,
        title=f"{table.title} · update interval",
        label=f"{table.label}-interval",
        columns=(
            Column("update_weights_every", "updated every", r"\text{updated every}", 0),
            *table.columns,
            Column("time", "time", r"\text{time}", 2),
        ),
        sections=tuple(sections),
        notes=(*table.notes, *notes),
    )
    return keep_columns(wider, filled_columns(wider) - {MEAN_RANK})


USUAL_VIEWS: dict[str, View] = {
    "results": results,
    "summary": summary,
    "run_time": run_time,
    "update_interval": update_interval,
}


def view_of(request: TableRequest, name: str) -> View:
    """A benchmark's own view or the usual one of that name; of published rows alone the usual one.

    Raises :class:`UserError` if there is neither.
    """
    own = request.benchmark.views if request.protocol is not None else {}
    views = {**USUAL_VIEWS, **own}
    if name not in views:
        raise UserError(f"view {name!r} is unknown to {request.benchmark.title}; choose from {', '.join(views)}.")
    return views[name]


def machine_of(run: Run) -> str:
    """Where a run was carried out, in words: times of different machines never share a section."""
    environment = run.record.get("environment") or {}
    device = environment.get("device", "an unknown device")
    if device != "cpu":
        return str(device)
    threads = environment.get("threads")
    return f"{environment.get('cpu', 'a CPU')}, {threads} thread{'' if threads == 1 else 's'}"


def minutes_of(row: MethodRow, machine: str | None = None) -> Cell:
    """Wall minutes of an epoch over the seeds of a row that ran on ``machine`` (default: any)."""
    minutes: dict[int, list[float]] = {}
    for run in row.runs:
        epochs = setting(run.record["config"], "trainer.epochs")
        seconds = run.record.get("wall_seconds")
        if epochs and seconds and machine in (None, machine_of(run)):
            minutes.setdefault(run.record["seed"], []).append(seconds / epochs / 60)
    return over_seeds(minutes, [fmean(values) for values in minutes.values()]) if minutes else _NO_TIME


def _timed(title: str, times: dict[str, Cell], source: str) -> Section:
    plain = times.get("LS", _NO_TIME).mean
    rows = []
    for label, time in times.items():
        if time.mean is not None:
            ratio = Cell(time.mean / plain) if plain else Cell()
            rows.append(Row(label, (time, ratio), n=len(time.seeds) or None, extra={"source": source}))
    return Section(title, tuple(rows))
