"""The runs that a search chose, as those of one protocol: each method with its own learning rate, say."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from experiments.common.errors import UserError
from experiments.common.records import protocol_digest
from experiments.common.settings import setting, without_setting
from experiments.reporting.aggregate import NAMES, STL, MethodRow, Protocol, Run
from experiments.reporting.tables import Row, Table

_REMEDY = "make it with `python -m experiments.select out=FILE` or a sweep=learning_rate"


@dataclass(frozen=True)
class Search:
    """The content of a ``search.json``: the setting, the split it was chosen by, and the names of the chosen runs.

    ``candidates``: the values that were compared. ``undecided``: methods without a choice, each with the reason.
    """

    over: str
    split: str
    names: frozenset[str]
    candidates: tuple[Any, ...]
    undecided: tuple[str, ...]


def read_search(path: Path) -> Search:
    """Raises :class:`UserError` for a file that is missing or is not a search's choice, or one that chose nothing."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        names, candidates, undecided = set(), set(), []
        for choice in content["choices"]:
            candidates |= {candidate["value"] for candidate in choice["candidates"]}
            if choice["value"] is None:
                undecided.append(f"{_name(choice['method'])} ({choice['note']})")
            for candidate in choice["candidates"]:
                if choice["value"] is not None and candidate["value"] == choice["value"]:
                    names |= set(candidate["runs"])
        search = Search(
            str(content["over"]), str(content["split"]), frozenset(names), tuple(sorted(candidates)), tuple(undecided)
        )
    except OSError as error:
        raise UserError(f"choice={path} cannot be read ({error.strerror}); {_REMEDY}.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"choice={path} is not the choice of a search ({error}); {_REMEDY}.") from error
    if not names:
        raise UserError(f"choice={path} chose nothing: {'; '.join(undecided) or 'it is empty'}.")
    return search


def chosen_runs(runs: Sequence[Run], search: Search) -> list[Run]:
    """The chosen runs with a protocol that leaves the searched setting out; what it was is in ``record["chosen"]``.

    Raises :class:`UserError` if one of them is not among ``runs``.
    """
    found = [_regrouped(run, search) for run in runs if run.record["name"] in search.names]
    missing = sorted(search.names - {run.record["name"] for run in found})
    if missing:
        raise UserError(
            f"{len(missing)} of the {len(search.names)} chosen runs are not below root, {missing[0]} for one; "
            "give the root=FOLDER that the search was made in."
        )
    return found


def unchosen_runs(runs: Sequence[Run], search: Search) -> list[tuple[Run, str]]:
    """The other runs of the searched setting's values, each with the reason why it is not in the table."""
    return [
        (_regrouped(run, search), f"{search.over}={setting(run.record['config'], search.over)} was not chosen")
        for run in runs
        if run.record["name"] not in search.names and setting(run.record["config"], search.over) in search.candidates
    ]


def note_of(protocol: Protocol, search: Search) -> str:
    """Which value each row has and by what it was chosen, in a sentence or two."""
    rows = [(row, values_of_row(row, search.over)) for row in protocol.rows]
    listed = [f"{row.label} {text}" for row, text in rows]
    compared = ", ".join(map(_text, search.candidates))
    text = f"{search.over} was chosen by {search.split} for each method from {compared}: {'; '.join(listed)}."
    if search.split == "test":
        text += " A choice by the test split flatters the chosen: this has to be told."
    return text + (f" No choice for {', '.join(search.undecided)}." if search.undecided else "")


def with_choice(table: Table, protocol: Protocol, search: Search) -> Table:
    """The table with a note on the choice and, in the CSV, each row's value under the setting's name."""
    values = {row.label: values_of_row(row, search.over) for row in protocol.rows}
    sections = [
        replace(section, rows=tuple(_with_value(row, search.over, values) for row in section.rows))
        for section in table.sections
    ]
    return replace(table, sections=tuple(sections), notes=(*table.notes, note_of(protocol, search)))


def with_left_out(protocol: Protocol, runs: Sequence[tuple[Run, str]]) -> Protocol:
    """The protocol with those of the runs that were not chosen among what it leaves out."""
    own = [(run, reason) for run, reason in runs if run.record["protocol"] == protocol.digest]
    return replace(protocol, left_out=(*protocol.left_out, *own))


def _with_value(row: Row, over: str, values: Mapping[str, str]) -> Row:
    own = row.extra.get("source") == "ours" and row.label in values
    return replace(row, extra={**row.extra, over: values[row.label]}) if own else row


def values_of_row(row: MethodRow, over: str) -> str:
    """The chosen value of a row; of single tasks each task's, where they differ."""
    values = {_task(run): run.record["chosen"][over] for run in row.runs if "chosen" in run.record}
    if row.runs[0].method == STL and len(set(values.values())) > 1:
        return ", ".join(f"{task} {_text(value)}" for task, value in values.items())
    return ", ".join(
        f"{value:g}" if isinstance(value, float) else str(value) for value in sorted(set(values.values()))
    )


def _regrouped(run: Run, search: Search) -> Run:
    config = run.record["config"]
    without = without_setting(config, search.over)
    chosen = {"chosen": {search.over: setting(config, search.over)}, "protocol": protocol_digest(without)}
    return run._replace(record={**run.record, **chosen, "config": without})


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _task(run: Run) -> str:
    """The metrics of a single-task run; of another its method."""
    return "/".join(run.record["results"]["metrics"]) if run.method == STL else run.method


def _name(method: Mapping[str, Any]) -> str:
    task = method.get("main_task")
    return NAMES.get(method["name"], method["name"]) + ("" if task is None else f" task {task}")
