"""The words around a result table: its heading, what its columns mean, and how far it compares to published rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.common.metrics import Metric
from experiments.common.published import PAPER, Published, PublishedGroup, find_published
from experiments.common.settings import setting
from experiments.reporting.aggregate import STL, Protocol

_SPLITS = ("train", "validation", "test")
_LISTED = 5  # run names in a remark before "and N more"


def heading(title: str, protocol: Protocol | None) -> str:
    """Benchmark, data, preset and length of a table in one line."""
    if protocol is None:
        return f"{title} · published rows alone"
    config = protocol.config
    parts = [title, data_in_words(protocol), f"preset {config.get('preset', 'none')}"]
    if (epochs := setting(config, "trainer.epochs")) is not None:
        parts.append(_count(epochs, "epoch"))
    return " · ".join(filter(None, parts))


def described(protocol: Protocol) -> dict[str, str]:
    """Preset, kind of data and seeds, as columns of a CSV file: rows of several files can then be told apart."""
    return {
        "preset": str(protocol.config.get("preset", "")),
        "data": data_in_words(protocol),
        "seed_list": " ".join(map(str, protocol.seeds)),
    }


def data_in_words(protocol: Protocol) -> str:
    """The kind of the data with the sizes of its splits and of its pictures; empty for a benchmark without data."""
    data = protocol.data
    sizes = [f"{_number(data[split])} {split}" for split in _SPLITS if split in data]
    if "size" in data:
        sizes.append(f"{'×'.join(map(str, data['size']))} pixels")
    return " ".join(filter(None, [data_kind(protocol), f"({', '.join(sizes)})" if sizes else ""]))


def data_kind(protocol: Protocol) -> str:
    """Whether the runs saw the real data, a part of them, or synthetic data; rows of one kind alone share a table.

    The splits are measured against the published ones, or where nobody has published any against the whole. Empty
    for a benchmark without data of its own, such as a simulator.
    """
    if protocol.data.get("synthetic"):
        return "SYNTHETIC data"
    if not any(split in protocol.data for split in _SPLITS):
        return ""
    published = find_published(protocol.config.get("benchmark", ""))
    whole = published.protocols[PAPER].get("data", {}) if published else {}
    if not whole:
        limits = protocol.config.get("data", {})
        return "SUBSET of the real data" if any(limits.get(split) for split in _SPLITS) else "real data"
    sizes = {split: protocol.data.get(split) for split in whole}
    if sizes == whole:
        return "real data"
    same_number = sum(size or 0 for size in sizes.values()) == sum(whole.values())
    return "real data, split into other sizes" if same_number else "SUBSET of the real data"


def own_notes(protocol: Protocol, metrics: Sequence[Metric], reference: str | None) -> list[str]:
    """What the columns of our rows are; ``reference`` describes the single-task values of Δm, if there are any."""
    units: dict[str, list[str]] = {}
    for metric in metrics:
        units.setdefault(metric.unit, []).append(metric.name)
    listed = "; ".join(f"{', '.join(names)} in {unit}" for unit, names in units.items() if unit)
    competing = len(protocol.ranked)
    variants = sum(row.key != STL for row in protocol.rows) - competing
    beside = ", variants with other options are not ranked" if variants else ""
    ranks = f"MR: rank among our {competing} methods without STL{beside}, averaged over the metrics, ties averaged. "
    against = f"Δm against {reference}" if reference else "No Δm yet: it needs single-task runs (method=stl)"
    notes = [
        f"Test values of {_chosen(protocol)}, mean ± sample standard deviation over seeds."
        + (f" Units: {listed}." if listed else ""),
        f"{ranks if competing > 1 else ''}{against}.",
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
    """The protocol's digest and data, which of its runs are left out, and whether the others share a commit."""
    chosen = "; epochs chosen by Δm against our own single tasks" if _by_our_reference(protocol) else ""
    source = f", data from {source}" if (source := protocol.data.get("source")) else ""
    remarks = [f"Protocol {protocol.name}{source}{chosen}."]
    if protocol.incomplete:
        remarks.append(f"Single-task sets that are not complete and not used: {'; '.join(protocol.incomplete)}.")
    if others := [f"{run.record['name']} ({reason})" for run, reason in protocol.left_out if not run.finished]:
        more = f" and {len(others) - _LISTED} more, see sources.json" if len(others) > _LISTED else ""
        remarks.append(f"Left out: {', '.join(others[:_LISTED])}{more}.")
    commits = {(run.record.get("environment") or {}).get("commit") for run in protocol.used}
    if len(commits) > 1:
        remarks.append(f"The runs come from {len(commits)} commits, see sources.json.")
    return remarks


def _by_our_reference(protocol: Protocol) -> bool:
    return setting(protocol.config, "report.reference") == "ours" and _chosen(protocol).startswith("the epoch")


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
        same = [name for name, _, _ in _settings(protocol, paper)]
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
    """How the runs differ from a published protocol, the number of seeds aside.

    A setting that the data file states and the records do not is a difference too: nothing agrees unseen.
    """
    differences = []
    data = protocol.data
    if data.get("synthetic"):
        differences.append("synthetic data")
    else:
        differences += _data_differences(data, published.get("source"))
    if (preset := protocol.config.get("preset")) not in (None, "paper"):
        differences.append(f"preset {preset}")
    for name, ours, theirs in _settings(protocol, published):
        allowed = theirs if isinstance(theirs, list) else [theirs]
        if any(value not in allowed for value in ours):
            shown = " or ".join(_number(value) for value in allowed if value is not None)
            differences.append(f"{name} {' and '.join(map(_number, ours))} (published {shown})")
    return differences


def _data_differences(data: Mapping[str, Any], source: Mapping[str, str] | None) -> list[str]:
    """Whether the data were made as the published; ``source`` names theirs and says what any other means."""
    differences = []
    if source is not None and data.get("source") != source["name"]:
        differences.append(f"data from {data.get('source', 'an unknown source')} (published {source['name']})")
        if "otherwise" in source:
            differences.append(source["otherwise"])
    if "method" in (data.get("normals") or {}):
        differences.append("normals fitted to depth (published precomputed)")
    return differences


def _settings(protocol: Protocol, published: Mapping[str, Any]) -> list[tuple[str, list[Any], Any]]:
    """Name, our values and the published one (or a list of them) of all that the data file states of a protocol."""
    compared = [
        (_in_words(path), protocol.values_of(path), value) for path, value in published.get("settings", {}).items()
    ]
    sizes = published.get("data", {})
    return compared + [(f"{split} examples", [protocol.data.get(split)], value) for split, value in sizes.items()]


def _in_words(path: str) -> str:
    """``model.edge_hidden`` as ``model edge hidden``."""
    path = {"optimizer.lr": "learning rate", "optimizer.method_lr": "methods' learning rate"}.get(path, path)
    path = path.replace("data.", "image ") if path in ("data.height", "data.width") else path
    return path.removeprefix("trainer.").removeprefix("data.").replace(".", " ").replace("_", " ")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _number(value: Any) -> str:
    if value is None:
        return "not recorded"
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:,}" if isinstance(value, int) else str(value)
