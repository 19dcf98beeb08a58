"""Result tables from run records: ``python -m experiments.report benchmark=qm9``.

Settings, each as key=value:

  benchmark=qm9               which benchmark (required)
  root=runs                   where the run records are
  out=report                  where the tables go: <out>/<benchmark>/<protocol>.md, .tex, .csv and sources.json
  protocol=<digest>           only this protocol
  report.reference=auto       single-task values that Δm is measured against: published, ours, another reference
                              row of experiments/published/<benchmark>.json, or auto: ours where our single-task
                              runs are complete and the protocol is not the published one, else published
  report.published=true       show the published rows below ours
  report.later=false          and those of later methods

Every protocol has a table of its own; runs that are not finished are listed, not used.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import MISSING

from experiments.common.aggregate import Protocol, Run, load_runs, protocols
from experiments.common.benchmark import Metric
from experiments.common.errors import UserError, exits_cleanly
from experiments.common.files import atomic_write, write_json
from experiments.common.options import parse_options
from experiments.common.published import load_published
from experiments.common.result_tables import reference_of, result_table
from experiments.common.tables import Table, to_csv, to_latex, to_markdown
from experiments.nyuv2.metrics import METRICS as NYUV2_METRICS
from experiments.qm9.metrics import METRICS as QM9_METRICS


class Benchmark(NamedTuple):
    """What the report needs of a benchmark; ``delta_m_digits``: of Δm, as the paper prints it."""

    title: str
    metrics: tuple[Metric, ...]
    delta_m_digits: int = 2


#: Benchmarks by the name that their records carry; a further one is one line.
BENCHMARKS = {
    "nyuv2": Benchmark(title="NYUv2", metrics=NYUV2_METRICS, delta_m_digits=2),
    "qm9": Benchmark(title="QM9", metrics=QM9_METRICS, delta_m_digits=1),
}


@dataclass
class TableOptions:
    reference: str = "auto"
    published: bool = True
    later: bool = False


@dataclass
class ReportOptions:
    benchmark: str = MISSING
    root: str = "runs"
    out: str = "report"
    protocol: str | None = None
    report: TableOptions = field(default_factory=TableOptions)


def read_options(arguments: Sequence[str] | None = None) -> ReportOptions:
    """``key=value`` arguments as options; raises :class:`UserError` for unknown keys and values that do not fit."""
    return parse_options(ReportOptions, arguments, choices={"benchmark": BENCHMARKS}, description=__doc__)


def make_tables(options: ReportOptions, runs: Sequence[Run]) -> list[tuple[Protocol, Table]]:
    """The table of every protocol with finished runs; raises :class:`UserError` where there is none."""
    benchmark = BENCHMARKS[options.benchmark]
    names = [metric.name for metric in benchmark.metrics]
    found = protocols(runs, names)
    if not found:
        raise UserError(
            f"{options.root} has no finished {benchmark.title} runs{_count_unfinished(runs)}; make some with "
            f"`python -m experiments.{options.benchmark}.train -m method=nash_mtl,ls seed=0,1,2` or give root=FOLDER."
        )
    if options.protocol is not None:
        available = ", ".join(protocol.name for protocol in found)
        found = [protocol for protocol in found if options.protocol in (protocol.name, protocol.digest)]
        if not found:
            raise UserError(f"protocol {options.protocol!r} has no finished runs; those that have are {available}.")
    choice = options.report
    published = load_published(options.benchmark) if choice.published or choice.reference != "ours" else None
    tables = []
    for protocol in found:
        reference = reference_of(protocol, benchmark.metrics, choice.reference, published)
        tables.append(
            (
                protocol,
                result_table(
                    title=benchmark.title,
                    metrics=benchmark.metrics,
                    delta_m_digits=benchmark.delta_m_digits,
                    protocol=protocol,
                    reference=reference,
                    published=published if choice.published else None,
                    later=choice.later,
                ),
            )
        )
    return tables


def write_tables(folder: Path, tables: Sequence[tuple[Protocol, Table]]) -> None:
    """Write each protocol's three files and one ``sources.json``; raises :class:`UserError` if they cannot be."""
    try:
        for protocol, table in tables:
            for suffix, text in (("md", to_markdown(table)), ("tex", to_latex(table)), ("csv", to_csv(table))):
                with atomic_write(folder / f"{protocol.name}.{suffix}") as file:
                    file.write(text.encode())
        write_json(folder / "sources.json", {protocol.name: sources(protocol) for protocol, _ in tables})
    except OSError as error:
        raise UserError(f"cannot write in {folder}: {error.strerror}; choose another out.") from error


def sources(protocol: Protocol) -> dict[str, Any]:
    """Which records went into a protocol's table and which did not."""
    return {
        "config": protocol.config,
        "used": [_source(run) for run in protocol.used],
        "left_out": [{**_source(run), "reason": reason} for run, reason in protocol.left_out],
    }


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


def _count_unfinished(runs: Sequence[Run]) -> str:
    return f" ({len(runs)} that are not finished)" if runs else ""


@exits_cleanly
def main(arguments: Sequence[str] | None = None) -> None:
    options = read_options(arguments)
    runs = load_runs(Path(options.root), options.benchmark)
    tables = make_tables(options, runs)
    folder = Path(options.out) / options.benchmark
    write_tables(folder, tables)
    for _, table in tables:
        print(to_markdown(table))
    covered = {protocol.digest for protocol, _ in tables}
    if options.protocol is None:
        others = Counter(run.record["protocol"] for run in runs if run.record["protocol"] not in covered)
        for protocol, count in others.items():
            print(f"Protocol {protocol} has no finished runs yet ({count} not finished).")
    print(f"Markdown, LaTeX, CSV and the list of records are in {folder}.")


if __name__ == "__main__":
    main()
