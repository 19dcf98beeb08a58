"""Result tables, pictures and a page from run records: ``python -m experiments.report benchmark=qm9``.

Settings, each as key=value; either benchmark or table is required:

  benchmark=qm9               which benchmark
  table=6                     a table of the paper by its number, 1 to 7: its benchmark and its columns
  root=runs                   where the run records are
  out=report                  where the files go: <out>/<benchmark> or <out>/table_<number>, in it for every protocol
                              <protocol>.md, .tex, .csv, its pictures, and for all sources.json and index.html
  protocol=<digest>           only this protocol
  choice=FILE                 the runs that a search chose (search.json, or what experiments.select wrote) and no
                              others, in one table although their learning rates differ
  methods=[nash_mtl,ls]       only these methods, beside STL; ranks are among them (without it a table of the paper
                              has no runs of the methods that came after it)
  pictures=true               draw learning curves, changes against STL, intervals over seeds and ranks
  report.reference=auto       single-task values that Δm is measured against: published, ours, another reference
                              row of experiments/published/<benchmark>.json, or auto: ours where our single-task
                              runs are complete and the protocol is not the published one, else published
  report.published=true       show the published rows below ours
  report.later=false          and those of later methods

Every protocol, and every kind of data, has a table of its own; runs that are not finished are listed, not used. A
table of the paper whose benchmark has no finished runs shows the published rows and the command that would make ours.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from experiments.benchmarks import BENCHMARKS
from experiments.common.errors import UserError, exits_cleanly
from experiments.common.files import output_folder
from experiments.common.names import PAPER_METHODS
from experiments.common.options import parse_options
from experiments.common.progress import tell
from experiments.common.published import find_published
from experiments.paper.tables import PAPER_TABLES, benchmark_of
from experiments.reporting.aggregate import STL, Protocol, Run, existing_root, load_runs, protocols
from experiments.reporting.benchmark import TableRequest
from experiments.reporting.chosen import chosen_runs, read_search, unchosen_runs, with_choice, with_left_out
from experiments.reporting.files import DrawnPicture, Part, draw_for_paper_and_page, write_report
from experiments.reporting.pictures import draw_pictures, material_of
from experiments.reporting.result_tables import known_reference
from experiments.reporting.tables import to_markdown
from experiments.reporting.views import view_of
from methods import METHODS


@dataclass
class TableOptions:
    reference: str = "auto"
    published: bool = True
    later: bool = False


@dataclass
class ReportOptions:
    benchmark: str | None = None
    table: int | None = None
    root: str = "runs"
    out: str = "report"
    protocol: str | None = None
    choice: str | None = None
    methods: list[str] | None = None
    pictures: bool = True
    report: TableOptions = field(default_factory=TableOptions)

    @property
    def key(self) -> str:
        """The benchmark, named or that of the table."""
        return PAPER_TABLES[self.table].benchmark if self.table is not None else str(self.benchmark)

    @property
    def views(self) -> tuple[str, ...]:
        """The tables that are made of every protocol."""
        return (PAPER_TABLES[self.table].view,) if self.table is not None else benchmark_of(self.key).tables


def read_options(arguments: Sequence[str] | None = None) -> ReportOptions:
    """``key=value`` arguments as options; raises :class:`UserError` for unknown keys and values that do not fit."""
    choices: dict[str, Iterable[Any]] = {"benchmark": BENCHMARKS, "table": PAPER_TABLES, "methods": METHODS}
    options = parse_options(ReportOptions, arguments, choices=choices, description=__doc__)
    if (options.benchmark is None) == (options.table is None):
        both = "benchmark and table are both given, give one of them"
        given = "benchmark is missing" if options.benchmark is None else both
        raise UserError(f"{given}: benchmark=KEY with one of {', '.join(BENCHMARKS)}, or table=NUMBER from 1 to 7.")
    if options.methods is not None and not options.methods:
        raise UserError(f"methods is empty; choose from {', '.join(METHODS)}, or leave it out for all.")
    return options


def make_parts(options: ReportOptions, runs: Sequence[Run]) -> list[Part]:
    """The tables of every protocol with finished runs; raises :class:`UserError` where there is none.

    A table of the paper without finished runs is made of the published rows alone, and its protocol is ``None``.
    """
    published = find_published(options.key)
    benchmark = benchmark_of(options.key)
    search = None if options.choice is None else read_search(Path(options.choice))
    left_out = [] if search is None else unchosen_runs(runs, search)
    if search is not None:
        runs = chosen_runs(runs, search)
    if options.table is not None and options.methods is None:  # of the paper
        runs = [run for run in runs if run.method not in METHODS or run.method in PAPER_METHODS]
    if options.methods is not None:
        runs = [run for run in runs if run.method in (*options.methods, STL)]
        published = published and published.only(options.methods)
    group = benchmark.group or partial(protocols, metrics=[metric.name for metric in benchmark.metrics])
    found: Sequence[Protocol] = group(runs)
    if not found and (options.table is None or options.protocol is not None):
        raise UserError(f"{_no_runs(options, runs)} or give root=FOLDER.")
    if options.protocol is not None:
        available = ", ".join(protocol.name for protocol in found)
        found = [protocol for protocol in found if options.protocol in (protocol.name, protocol.digest)]
        if not found:
            raise UserError(f"protocol {options.protocol!r} has no finished runs; those that have are {available}.")
    if search is not None:
        found = [with_left_out(protocol, left_out) for protocol in found]
    wanted = options.report.reference, options.report.published, options.report.later
    parts = []
    every: Sequence[Protocol | None] = found or [None]
    for protocol in every:
        request = TableRequest(benchmark, protocol, published, *wanted)
        tables = {view: table for view in options.views if (table := view_of(request, view)(request)) is not None}
        if search is not None and protocol is not None:
            tables = {view: with_choice(table, protocol, search) for view, table in tables.items()}
        parts += [Part(table, protocol, view, first=view == options.views[0]) for view, table in tables.items()]
    if not parts:
        raise UserError(f"{options.root} has no finished {benchmark.title} runs that table={options.table} shows.")
    return parts


def drawn(options: ReportOptions, part: Part, tell: Callable[[str], None] = lambda line: None) -> list[DrawnPicture]:
    """A part's pictures; none where they are not wanted, are of another matter, or one metric alone has no Δm."""
    benchmark = benchmark_of(options.key)
    protocol = part.protocol
    if protocol is None or not options.pictures or not part.first or part.view not in ("results", "summary"):
        return []

    def told(name: str) -> None:
        tell(f"drew {part.name}-{name}")

    if benchmark.pictures is not None:
        return draw_for_paper_and_page(partial(benchmark.pictures, protocol), told)
    if len(benchmark.metrics) < 2:
        return []
    request = TableRequest(benchmark, protocol, find_published(options.key), options.report.reference)
    reference = known_reference(request, protocol)
    if reference is None:
        return []
    return draw_for_paper_and_page(partial(draw_pictures, material_of(benchmark, protocol, reference)), told)


def title_of(options: ReportOptions) -> str:
    """The page's heading."""
    if options.table is None:
        return f"{benchmark_of(options.key).title}: results"
    return f"Table {options.table}. {PAPER_TABLES[options.table].content}"


def _no_runs(options: ReportOptions, runs: Sequence[Run]) -> str:
    benchmark = benchmark_of(options.key)
    unfinished = f" ({len(runs)} that are not finished)" if runs else ""
    command = f"python -m experiments.{options.key}.train -m method=nash_mtl seed=0,1,2"
    make = f"; make some with `{command}`" if benchmark.trainable else ""
    return f"{options.root} has no finished {benchmark.title} runs{unfinished}{make}"


@exits_cleanly
def main(arguments: Sequence[str] | None = None) -> None:
    options = read_options(arguments)
    runs = load_runs(existing_root(options.root), options.key)
    parts = make_parts(options, runs)
    folder = Path(options.out) / (options.key if options.table is None else f"table_{options.table}")
    tell_aside = partial(tell, aside=True)  # of what takes its time, apart from the tables
    with output_folder(folder):  # before the pictures, which take their time
        parts = [replace(part, pictures=drawn(options, part, tell_aside)) for part in parts]
        write_report(folder, title_of(options), parts, tell_aside)
    for part in parts:
        print(to_markdown(part.table))
    if parts[0].protocol is None:
        print(f"{_no_runs(options, runs)}.")
    elif options.protocol is None and options.choice is None:
        covered = {part.protocol.digest for part in parts if part.protocol}
        others = Counter(run.record["protocol"] for run in runs if run.record["protocol"] not in covered)
        for protocol, count in others.items():
            print(f"Protocol {protocol} has no finished runs yet ({count} not finished).")
    print(f"Markdown, LaTeX, CSV, pictures, the list of records and index.html are in {folder}.")


if __name__ == "__main__":
    main()
