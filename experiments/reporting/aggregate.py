"""From run records to the rows of a table: runs of one protocol on the same data, methods, seeds.

Runs share a table only if their protocol digest and their data's provenance agree. Single-task runs never
use the Δm reference that was set for training, so they serve every protocol that differs in nothing else.
"""

from __future__ import annotations

import functools
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import OmegaConf

from experiments.common.errors import UserError
from experiments.common.names import METHOD_NAMES as NAMES
from experiments.common.records import check_record, damaged, digest, protocol_digest, read_record
from experiments.common.settings import setting
from experiments.common.summaries import read_summary, record_paths

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "method"

STL = "stl"
#: What tells data sets apart; the split's seed does not.
_PROVENANCE = ("source", "synthetic", "train", "validation", "test")


class Run(NamedTuple):
    """A record, without its epochs, and the file that it was read from."""

    path: Path
    record: dict[str, Any]

    def epochs(self) -> list[dict[str, Any]]:
        """The record's epochs, read now; raises :class:`UserError` if the record is damaged or gone."""
        record = read_record(self.path.parent)
        if record is None:
            raise damaged(self.path, "its epochs are missing")
        epochs: list[dict[str, Any]] = record["epochs"]
        return epochs

    @property
    def method(self) -> str:
        return self.record["method"]["name"]

    @property
    def finished(self) -> bool:
        return self.record["status"] == "finished"


@dataclass(frozen=True)
class MethodRow:
    """A method with its options: ``values[seed][metric]``, test values of each run's chosen epoch, and its runs."""

    key: str
    label: str
    values: dict[int, dict[str, float]]
    runs: tuple[Run, ...] = ()

    @property
    def is_variant(self) -> bool:
        """Whether some option is not the method's default."""
        return self.label != NAMES.get(self.key, self.key)


@dataclass(frozen=True)
class Protocol:
    """Finished runs that may share a table. ``name`` is the digest, extended where one digest has several data sets.

    ``left_out`` pairs runs of the protocol with the reason why they are not in ``rows``; ``incomplete`` says of
    single-task sets which metrics lack a run.
    """

    name: str
    digest: str
    config: dict[str, Any]
    data: dict[str, Any]
    rows: tuple[MethodRow, ...]
    used: tuple[Run, ...]
    left_out: tuple[tuple[Run, str], ...]
    incomplete: tuple[str, ...]

    @property
    def ranked(self) -> tuple[MethodRow, ...]:
        """One row a method, without STL: that with its default options, or its only one. Variants are no rivals."""
        count = Counter(row.key for row in self.rows)
        return tuple(row for row in self.rows if row.key != STL and (count[row.key] == 1 or not row.is_variant))

    @property
    def stl(self) -> MethodRow | None:
        """The single-task row with the most seeds, if any set is complete."""
        rows = [row for row in self.rows if row.key == STL]
        return max(rows, key=lambda row: len(row.values), default=None)

    def values_of(self, path: str) -> list[Any]:
        """A setting's values in the runs that are used, sorted: one, but where it was chosen for each method."""
        chosen = [run.record.get("chosen") or {} for run in self.used]
        values = {value.get(path, setting(self.config, path)) for value in chosen} or {setting(self.config, path)}
        return sorted(values, key=lambda value: (value is None, value))

    @property
    def seeds(self) -> list[int]:
        return sorted({seed for row in self.rows for seed in row.values})


def existing_root(root: str, may_be_missing: str | None = "runs") -> Path:
    """The folder of the runs; raises :class:`UserError` where it is none, but for the default before any run."""
    if root != may_be_missing and not Path(root).is_dir():
        raise UserError(f"{root} is not a folder; give root=FOLDER, where the runs are.")
    return Path(root)


def load_runs(root: Path, benchmark: str) -> list[Run]:
    """All records of a benchmark below ``root``, by path; raises :class:`UserError` for a damaged one."""
    runs = []
    for path in record_paths(root):
        try:
            record = read_summary(path.parent)
        except UserError:
            if _is_of_another(path, benchmark):
                continue
            raise
        if record is None or record["benchmark"] not in (benchmark, None):
            continue
        check_record(path, record)
        runs.append(Run(path, record))
    return runs


def _is_of_another(path: Path, benchmark: str) -> bool:
    """Whether what is left of a damaged record says that it is of another benchmark."""
    try:
        with open(path, "rb") as file:
            named = re.search(rb'"benchmark": "(\w+)"', file.read(1 << 14))
    except OSError:
        return False
    return named is not None and named[1].decode() != benchmark


def protocols(runs: Sequence[Run], metrics: Sequence[str]) -> list[Protocol]:
    """Finished runs grouped by protocol and data, in the order of the protocols' digests.

    ``metrics``: names of the benchmark's metrics. Raises :class:`UserError` for a record that lacks one.
    """
    finished: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        if run.finished:
            finished.setdefault((run.record["protocol"], _data_digest(run)), []).append(run)
    _share_single_tasks(finished)
    data_sets = Counter(protocol for protocol, _ in finished)
    unfinished: dict[str, list[Run]] = {}
    for run in runs:
        if not run.finished:
            unfinished.setdefault(run.record["protocol"], []).append(run)
    return [
        _protocol(protocol, data if data_sets[protocol] > 1 else "", group, unfinished.get(protocol, []), metrics)
        for (protocol, data), group in sorted(finished.items())
    ]


def option_labels(methods: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Display names of method configurations, keyed by :func:`method_id`: ``Nash-MTL (update_weights_every=5)``.

    An option shows if it differs from ``configs/method/<name>.yaml``, or, where that does not say, from what
    most of the given configurations of the method have. A configuration without it has the default.
    """
    methods = [{key: value for key, value in method.items() if key != "main_task"} for method in methods]
    labels = {}
    for name in {method["name"] for method in methods}:
        same = [method for method in methods if method["name"] == name]
        defaults = _common_options(same) | default_options(name)
        for method in same:
            shown = [
                f"{key}={value if isinstance(value, str) else json.dumps(value)}"
                for key, value in method.items()
                if key != "name" and value != defaults.get(key)
            ]
            labels[method_id(method)] = NAMES.get(name, name) + (f" ({', '.join(shown)})" if shown else "")
    return labels


def method_id(method: dict[str, Any]) -> str:
    """Equal for the runs of one row, but for options that are written out in one and left to default in another."""
    return json.dumps({key: value for key, value in method.items() if key != "main_task"}, sort_keys=True)


def _protocol(digest_: str, data: str, runs: list[Run], unfinished: list[Run], metrics: Sequence[str]) -> Protocol:
    labels = option_labels(run.record["method"] for run in runs)
    left_out = [(run, run.record["status"]) for run in unfinished]
    kept: dict[tuple[str, Any, int], Run] = {}
    for run in sorted(runs, key=lambda run: (str(run.record.get("finished")), str(run.path))):
        method = run.record["method"]
        slot = (labels[method_id(method)], method.get("main_task"), run.record["seed"])
        if slot in kept:
            left_out.append((kept[slot], f"the same run finished later in {run.path.parent}"))
        kept[slot] = run
    by_label: dict[str, list[Run]] = {}
    for (label, _, _), run in kept.items():
        by_label.setdefault(label, []).append(run)

    rows, incomplete, used = [], [], []
    for label, group in by_label.items():
        key = group[0].method
        values, missing = _single_task_values(group, metrics) if key == STL else (_values(group, metrics), {})
        incomplete += [f"{label} seed {seed} lacks {', '.join(names)}" for seed, names in sorted(missing.items())]
        whole = [run for run in group if run.record["seed"] not in missing]
        left_out += [
            (run, "its set of single-task runs is incomplete") for run in group if run.record["seed"] in missing
        ]
        used += whole
        if values:
            rows.append(MethodRow(key, label, dict(sorted(values.items())), tuple(whole)))
    order = list(NAMES)
    rows.sort(key=lambda row: (order.index(row.key) if row.key in order else len(order), row.key, row.label))
    # A record of a method other than STL is the better witness: STL may have come from a sister protocol.
    witness = min(runs, key=lambda run: run.method == STL).record
    return Protocol(
        name=f"{digest_}-{data}" if data else digest_,
        digest=digest_,
        config=witness["config"],
        data=witness["data"],
        rows=tuple(rows),
        used=tuple(sorted(used, key=lambda run: str(run.path))),
        left_out=tuple(left_out),
        incomplete=tuple(incomplete),
    )


def _values(runs: list[Run], metrics: Sequence[str]) -> dict[int, dict[str, float]]:
    values = {}
    for run in runs:
        found = run.record["results"]["metrics"]
        if missing := [name for name in metrics if name not in found]:
            raise damaged(run.path, f"its results lack {', '.join(missing)}")
        values[run.record["seed"]] = {name: float(found[name]) for name in metrics}
    return values


def _single_task_values(
    runs: list[Run], metrics: Sequence[str]
) -> tuple[dict[int, dict[str, float]], dict[int, list[str]]]:
    """Complete rows by seed, and the metrics without a run of the seeds that are not complete."""
    found: dict[int, dict[str, float]] = {}
    for run in runs:
        row = found.setdefault(run.record["seed"], {})
        own = {name: value for name, value in run.record["results"]["metrics"].items() if name in metrics}
        if both := sorted(set(own) & set(row)):
            raise damaged(run.path, f"another single-task run of its seed reports {', '.join(both)} as well")
        row.update(own)
    missing = {seed: [name for name in metrics if name not in row] for seed, row in found.items()}
    complete = {seed: {m: float(row[m]) for m in metrics} for seed, row in found.items() if not missing[seed]}
    return complete, {seed: names for seed, names in missing.items() if names}


def _share_single_tasks(groups: dict[tuple[str, str], list[Run]]) -> None:
    """Add single-task runs to the groups that differ in the Δm reference only; drop groups that are then repeated."""
    families: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for key, runs in groups.items():
        config = {name: value for name, value in runs[0].record["config"].items() if name != "report"}
        families.setdefault((protocol_digest(config), key[1]), []).append(key)
    for keys in families.values():
        single = [run for key in keys for run in groups[key] if run.method == STL]
        with_methods = [key for key in keys if any(run.method != STL for run in groups[key])]
        if not single or len(keys) == 1:
            continue
        for key in keys:
            if key in with_methods or (not with_methods and key == keys[0]):
                groups[key] = [run for run in groups[key] if run.method != STL] + single
            else:
                del groups[key]


def _common_options(methods: list[dict[str, Any]]) -> dict[str, Any]:
    """The most frequent value of each option; the first seen among equals."""
    names = dict.fromkeys(key for method in methods for key in method)
    common = {}
    for name in names:
        texts = Counter(json.dumps(method[name]) for method in methods if name in method)
        common[name] = json.loads(texts.most_common(1)[0][0])
    return common


@functools.cache
def default_options(name: str) -> dict[str, Any]:
    """The options of ``configs/method/<name>.yaml``, its name among them; empty where there is no such file."""
    path = CONFIGS / f"{name}.yaml"
    if not path.is_file():
        return {}
    options: Any = OmegaConf.to_container(OmegaConf.load(path))
    # An interpolation or a value that must be given is no default to compare with.
    return {k: v for k, v in options.items() if not (isinstance(v, str) and ("${" in v or v == "???"))}


def _data_digest(run: Run) -> str:
    return digest({name: run.record["data"].get(name) for name in _PROVENANCE})
