"""Table 4 (success), success by task, and Table 5 (success and run time) from the records of MT10 runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import sqrt
from statistics import fmean, stdev
from typing import Any, cast

from experiments.common.published import PAPER, Published
from experiments.common.settings import setting
from experiments.mt10.metrics import SUCCESS
from experiments.mt10.rows import PLAIN, SHARED, MT10Protocol, MT10Row
from experiments.reporting.benchmark import TableRequest
from experiments.reporting.result_notes import origins
from experiments.reporting.tables import Cell, Column, Row, Section, Table

_SEM = "sem"


def success_table(protocol: MT10Protocol, published: Published | None = None, *, later: bool = False) -> Table:
    """The paper's Table 4: success of every row, mean ± standard error of the mean over seeds."""
    columns = (
        _column("best", "success, best evaluation"),
        _column("last", "last evaluation"),
        _column("mean_of_last_10", "mean of the last 10"),
    )
    rows = [_row(row, [_success_at(name) for name in ("best", "last", "mean_of_last_10")]) for row in protocol.rows]
    sections, notes, remarks = [Section(_ours(protocol), tuple(rows))], [*_notes(protocol)], _remarks(protocol)
    if published is not None and not _same_tasks(protocol, published):
        theirs, ours = published.protocols[PAPER]["tasks"], len(protocol.data["tasks"])
        notes.append(f"The published rows are of {theirs} tasks: none stand beside a mean over {ours}.")
    elif published is not None:
        groups = [group for group in published.groups.values() if later or not group.later]
        for index, group in enumerate(groups):
            printed = [_published_single_tasks(published, len(columns))] if index == 0 else []
            for row in group.rows:
                spread = None if row.spread is None else row.spread[0]
                seeds = published.protocols[row.protocol].get("seeds")
                extra = {"key": row.key or "", "source": row.source, "protocol": row.protocol}
                cells = (Cell(row.values[0], spread, std_digits=3), *[Cell()] * (len(columns) - 1))
                printed.append(Row(row.method, cells, n=seeds, extra=extra))
            sections.append(Section(f"published: {group.title}", tuple(printed)))
        notes += _comparison(protocol, published)
        remarks += origins(published, groups)
    return Table(
        title=f"{_heading(protocol)}",
        label=f"tab:mt10-{protocol.name}",
        columns=columns,
        sections=tuple(sections),
        notes=tuple(notes),
        remarks=tuple(remarks),
    )


def task_table(protocol: MT10Protocol) -> Table:
    """Success by task at the last evaluation: no selection."""
    tasks = protocol.data["tasks"]
    columns = tuple(_column(f"{SUCCESS}/{task}", task, latex=rf"\text{{{task}}}") for task in tasks)
    rows = [_row(row, [_last(f"{SUCCESS}/{task}") for task in tasks]) for row in protocol.rows]
    return Table(
        title=f"{_heading(protocol)} · by task",
        label=f"tab:mt10-tasks-{protocol.name}",
        columns=columns,
        sections=(Section(_ours(protocol), tuple(rows)),),
        notes=("Success at the last evaluation, mean ± standard error of the mean over seeds.", _episodes(protocol)),
    )


def run_time_table(protocol: MT10Protocol, published: Published | None = None) -> Table:
    """The paper's Table 5: success and run time against the interval of the weights' update, on the shared agent."""
    shown = [row for row in protocol.rows if row.agent == SHARED]
    plain = [row for row in shown if row.method["name"] == PLAIN]
    base = fmean(_seconds(plain[0])) if plain else None
    columns = (
        _column("best", "success, best evaluation"),
        Column("seconds", "seconds an episode", r"\text{seconds}", 3, spread=_SEM),
        Column("relative", "relative to MTL SAC", r"\times", 2, spread=_SEM),
    )
    rows = []
    for row in shown:
        seconds = _seconds(row)
        relative = Cell(fmean(seconds) / base) if base else Cell()
        cells = (_over_seeds([_success_at("best")(result) for result in row.outcomes()]), _over_seeds(seconds))
        rows.append(Row(row.label, (*cells, relative), n=len(row.runs), extra=_extra(row)))
    sections = [Section(_ours(protocol), tuple(rows))]
    horizon = protocol.data["horizon"]
    notes = [
        f"Run time: collection and one update a step over an episode of {horizon} vector steps, without evaluation "
        "and warm-up, divided by the number of seeds that one process trains. Compare rows of one machine only: "
        f"{_devices(protocol)}.",
        _episodes(protocol),
    ]
    beside = published if published is not None and _same_tasks(protocol, published) else None
    if beside is not None and (printed := published_run_times(beside)) is not None:
        sections.append(printed)
        notes.append("Published run times are as printed; their unit is not stated.")
    return Table(
        title=f"{_heading(protocol)} · run time",
        label=f"tab:mt10-run-time-{protocol.name}",
        columns=columns,
        sections=tuple(sections),
        notes=tuple(notes),
    )


def published_run_times(published: Published) -> Section | None:
    """The printed Table 5 with the success of Table 4, relative to plain MTL SAC; ``None`` if it is not there."""
    if published.runtime is None:
        return None
    seconds = published.runtime["values"]
    success = {row.method: row for row in published.groups[PAPER].rows}
    rows = []
    for name, value in seconds.items():
        row = success.get(name) or success.get(name.replace("-SAC", " SAC"))
        cell = Cell() if row is None else Cell(row.values[0], row.spread[0] if row.spread else None, std_digits=3)
        rows.append(Row(name, (cell, Cell(value, digits=1), Cell(value / seconds["MTL-SAC"]))))
    return Section(f"published: {published.cite(published.runtime['source'])}", tuple(rows))


def _column(key: str, title: str, latex: str | None = None) -> Column:
    return Column(key, title, latex or rf"\text{{{title}}}", 2, higher_is_better=True, spread=_SEM)


def _row(row: MT10Row, values: Sequence[Callable[[dict[str, Any]], float]]) -> Row:
    cells = tuple(_over_seeds([value(results) for results in row.outcomes()]) for value in values)
    return Row(row.label, cells, n=len(row.runs), competes=row.competes, extra=_extra(row))


def _extra(row: MT10Row) -> dict[str, str]:
    protocol = row.runs[0].record["protocol"]
    return {"agent": row.agent, "key": row.method["name"], "source": "ours", "protocol": protocol}


def _success_at(name: str) -> Callable[[dict[str, Any]], float]:
    return lambda results: results[name][SUCCESS]


def _last(name: str) -> Callable[[dict[str, Any]], float]:
    return lambda results: results["last"][name]


def _seconds(row: MT10Row) -> list[float]:
    return [results["seconds_per_episode"] for results in row.outcomes()]


def _over_seeds(values: Sequence[float]) -> Cell:
    """Mean and standard error of the mean, as the paper prints them."""
    return Cell(fmean(values), stdev(values) / sqrt(len(values)) if len(values) > 1 else None, std_digits=3)


def _published_single_tasks(published: Published, width: int) -> Row:
    entry = published.references[PAPER]
    cells = (Cell(entry["values"][0], entry["spread"][0], std_digits=3), *[Cell()] * (width - 1))
    extra = {"key": "stl", "source": entry["source"], "protocol": PAPER}
    return Row(entry["note"], cells, n=published.protocols[PAPER].get("seeds"), competes=False, extra=extra)


def _ours(protocol: MT10Protocol) -> str:
    seeds = sorted({run.record["seed"] for run in protocol.used})
    return f"ours, {'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}"


def _heading(protocol: MT10Protocol) -> str:
    data = protocol.data
    steps = setting(protocol.config, "trainer.steps")
    tasks = f"{len(data['tasks'])} tasks" if len(data["tasks"]) > 1 else f"task {data['tasks'][0]}"
    made_of = f"preset {protocol.config.get('preset', 'none')} · profile {data['profile']} · {tasks}"
    return f"MT10 · {made_of} · {steps:,} steps · protocol {protocol.name}"


def _episodes(protocol: MT10Protocol) -> str:
    episodes = setting(protocol.config, "trainer.evaluation_episodes")
    number = "1 episode" if episodes == 1 else f"{episodes} episodes"
    return f"Success: at any step of an episode, {number} a task and evaluation, deterministic policy."


def _notes(protocol: MT10Protocol) -> list[str]:
    every = setting(protocol.config, "trainer.evaluate_every")
    return [
        "Mean ± standard error of the mean over seeds. " + _episodes(protocol),
        f"Best: each seed's best of the evaluations made every {every:,} steps, as the paper chooses, which is the "
        "maximum of noisy numbers; the last evaluation and the mean of the last ten involve no choice.",
        f"Profile {protocol.data['profile']}: {protocol.data['differs']}",
    ]


def _same_tasks(protocol: MT10Protocol, published: Published) -> bool:
    return len(protocol.data["tasks"]) == published.protocols[PAPER]["tasks"]


def _comparison(protocol: MT10Protocol, published: Published) -> list[str]:
    theirs = published.protocols[PAPER]
    counts = sorted({len(row.runs) for row in protocol.rows})
    seeds = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else f"{counts[0]}"
    settings = [(path, setting(protocol.config, path), value) for path, value in theirs["settings"].items()]
    others = [
        f"{path.partition('.')[2].replace('_', ' ')} {value} (published {printed})"
        for path, value, printed in settings
        if path != "trainer.steps" and value not in (None, printed)
    ]
    steps = f"{setting(protocol.config, 'trainer.steps'):,} steps"
    ours = ", ".join([steps, f"{seeds} seed{'' if seeds == '1' else 's'} a row", *others])
    return [
        f"Published: {theirs['note']}, on the simulator and environments of 2021. Ours: {ours}. "
        "The published rows are there for orientation, not for comparison."
    ]


def _remarks(protocol: MT10Protocol) -> list[str]:
    remarks = []
    if unfinished := [f"{run.record['name']} ({reason})" for run, reason in protocol.left_out]:
        more = f" and {len(unfinished) - 5} more" if len(unfinished) > 5 else ""
        remarks.append(f"Left out: {', '.join(unfinished[:5])}{more}.")
    return remarks


def _devices(protocol: MT10Protocol) -> str:
    places = [run.record.get("environment") or {} for run in protocol.used]
    devices = {place.get("cpu") if place.get("device") == "cpu" else place.get("device") for place in places}
    return f"these are from {', '.join(sorted(map(str, devices)))}"


def _request_published(request: TableRequest) -> Published | None:
    """The published rows that were asked for; none beside the control problem, which is not MT10."""
    synthetic = request.protocol is not None and request.protocol.data.get("synthetic")
    return None if synthetic else request.shown


def _results(request: TableRequest) -> Table:
    return success_table(_runs(request), _request_published(request), later=request.later)


def _tasks(request: TableRequest) -> Table:
    return task_table(_runs(request))


def _update_interval(request: TableRequest) -> Table | None:
    """``None`` without a run of Nash-MTL on the shared agent."""
    protocol = _runs(request)
    if not any(row.method["name"] == "nash_mtl" and row.agent == SHARED for row in protocol.rows):
        return None
    return run_time_table(protocol, _request_published(request))


def _runs(request: TableRequest) -> MT10Protocol:
    return cast(MT10Protocol, request.protocol)  # what mt10_protocols groups


#: The tables of one protocol, the paper's Tables 4 and 5 among them.
MT10_VIEWS = {"results": _results, "tasks": _tasks, "update_interval": _update_interval}
