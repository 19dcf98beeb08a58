"""The words around a result table: its heading, what its columns mean, and how far it compares to published rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.common.aggregate import STL, Protocol
from experiments.common.benchmark import Metric
from experiments.common.published import PAPER, Published, PublishedGroup

_LISTED = 5  # run names in a remark before "and N more"


def heading(title: str, protocol: Protocol | None) -> str:
    """Benchmark, preset, length, data and protocol of a table in one line."""
    if protocol is None:
        return f"{title} · published rows alone"
    config, data = protocol.config, protocol.data
    parts = [title, data_kind(protocol), f"preset {config.get('preset', 'none')}"]
    if (epochs := setting(config, "trainer.epochs")) is not None:
        parts.append(_count(epochs, "epoch"))
    sizes = [f"{_number(data[split])} {split}" for split in ("train", "validation", "test") if split in data]
    parts.append(f"data {data.get('source', 'of unknown source')}" + (f" ({', '.join(sizes)})" if sizes else ""))
    if setting(config, "report.reference") == "ours":
        parts.append("epochs chosen by Δm against our STL")
    return " · ".join([*filter(None, parts), f"protocol {protocol.name}"])


def data_kind(protocol: Protocol) -> str:
    """Whether the runs saw the real data, a part of them, or synthetic data; rows of one kind alone share a table.

    Empty for a benchmark without data of its own, such as a simulator.
    """
    if protocol.data.get("synthetic"):
        return "SYNTHETIC data"
    if "train" not in protocol.config.get("data", {}):
        return ""
    return "real data" if protocol.config["data"]["train"] is None else "SUBSET of the real data"


def own_notes(protocol: Protocol, metrics: Sequence[Metric], reference: str) -> list[str]:
    """What the columns of our rows are; ``reference`` describes the single-task values of Δm."""
    units: dict[str, list[str]] = {}
    for metric in metrics:
        units.setdefault(metric.unit, []).append(metric.name)
    listed = "; ".join(f"{', '.join(names)} in {unit}" for unit, names in units.items() if unit)
    competing = sum(row.key != STL for row in protocol.rows)
    ranks = f"MR: rank among our {competing} methods without STL, averaged over the metrics, ties averaged. "
    notes = [
        f"Test values of {_chosen(protocol)}, mean ± sample standard deviation over seeds."
        + (f" Units: {listed}." if listed else ""),
        f"{ranks if competing > 1 else ''}Δm against {reference}.",
    ]
    if protocol.data.get("synthetic"):
        notes.append("The data are synthetic: the values say nothing about the real benchmark.")
    return notes


def _chosen(protocol: Protocol) -> str:
    """Which epochs' values a run reports: see ``experiments.common.selection``."""
    last = setting(protocol.config, "trainer.last_epochs")
    if last is None:
        return "the epoch that was best on validation"
    return "the last epoch" if last == 1 else f"the last {last} epochs' mean"


def own_remarks(protocol: Protocol) -> list[str]:
    """Which runs of the protocol are not in the table, and whether those that are share a commit."""
    remarks = []
    if protocol.incomplete:
        remarks.append(f"Single-task sets that are not complete and not used: {'; '.join(protocol.incomplete)}.")
    if others := [f"{run.record['name']} ({reason})" for run, reason in protocol.left_out if not run.finished]:
        more = f" and {len(others) - _LISTED} more, see sources.json" if len(others) > _LISTED else ""
        remarks.append(f"Left out: {', '.join(others[:_LISTED])}{more}.")
    commits = {(run.record.get("environment") or {}).get("commit") for run in protocol.used}
    if len(commits) > 1:
        remarks.append(f"The runs come from {len(commits)} commits, see sources.json.")
    return remarks


def published_notes(published: Published, protocol: Protocol | None) -> list[str]:
    """What the published rows' columns are, and what in our runs is not as published."""
    as_printed = (
        "Published values and Δm are as printed, Δm against the single-task row of their own table; "
        "their MR is recomputed among the published rows that share that row."
    )
    if protocol is None:
        return [as_printed]
    paper = published.protocols[PAPER]
    counts = sorted({len(row.values) for row in protocol.rows})
    seeds = ""
    if counts and counts != [paper.get("seeds")]:
        number = f"{counts[0]} to {counts[-1]} seeds" if len(counts) > 1 else _count(counts[0], "seed")
        seeds = f"{number} (published {paper.get('seeds')})"
    differences = protocol_differences(protocol, paper)
    if differences:
        comparison = (
            f"Ours differs from the published protocol: {', '.join([*differences, *filter(None, [seeds])])}. "
            "The published rows are there for orientation, not for comparison."
        )
    else:
        same = [name for name, ours, _ in _settings(protocol, paper) if ours is not None]
        but = f", but has {seeds}" if seeds else ""
        comparison = f"Ours agrees with the published protocol in {', '.join(same) or 'its preset'}{but}."
    return [as_printed, comparison]


def origins(published: Published, groups: Sequence[PublishedGroup]) -> list[str]:
    """Source and protocol of the published rows, a sentence for each pair."""
    methods: dict[tuple[str, str], list[str]] = {}
    for group in groups:
        for row in group.rows:
            methods.setdefault((row.source, row.protocol), []).append(row.method)
    return [
        f"Published {', '.join(names)}: {published.cite(source)}; {published.protocols[protocol]['note']}."
        for (source, protocol), names in methods.items()
    ]


def protocol_differences(protocol: Protocol, published: Mapping[str, Any]) -> list[str]:
    """How the runs differ from a published protocol, the number of seeds aside; unknown settings are passed over."""
    differences = []
    if protocol.data.get("synthetic"):
        differences.append("synthetic data")
    if (preset := protocol.config.get("preset")) not in (None, "paper"):
        differences.append(f"preset {preset}")
    for name, ours, theirs in _settings(protocol, published):
        if ours is not None and ours != theirs:
            differences.append(f"{name} {_number(ours)} (published {_number(theirs)})")
    return differences


def setting(config: Mapping[str, Any], path: str) -> Any:
    """``config["trainer"]["epochs"]`` for ``trainer.epochs``, or ``None`` where there is no such key."""
    value: Any = config
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _settings(protocol: Protocol, published: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Name, ours and the published value of everything that the data file states of a protocol."""
    compared = [
        (path.replace("trainer.", "").replace(".", " ").replace("_", " "), setting(protocol.config, path), value)
        for path, value in published.get("settings", {}).items()
    ]
    sizes = published.get("data", {})
    return compared + [(f"{split} examples", protocol.data.get(split), value) for split, value in sizes.items()]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
