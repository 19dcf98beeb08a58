"""The paper's tables by number: published rows as printed, ours above them from made-up records."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experiments.benchmarks import BENCHMARKS
from experiments.common.published import load_published
from experiments.common.style import new_figure
from experiments.paper.tables import PAPER_TABLES, benchmark_of
from experiments.report import main
from experiments.reporting.aggregate import Run, load_runs, protocols
from experiments.reporting.benchmark import Picture, TableRequest
from experiments.reporting.tables import Cell, Column, Row, Section, Table
from experiments.reporting.views import USUAL_VIEWS, view_of
from tests.common.made_up import NAMES, all_metrics, record, write, write_single_tasks


def table(number: int, root: Path, *arguments: str) -> tuple[list[str], list[dict[str, str]]]:
    """Names and rows of the one CSV file of a table."""
    out = root.parent / "report"
    root.mkdir(exist_ok=True)
    main([f"table={number}", f"root={root}", f"out={out}", "pictures=false", *arguments])
    (path,) = (path for path in (out / f"table_{number}").glob("*.csv") if path.stem != "runs")
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    names = [name for name in rows[0] if not name.endswith("_std")]
    return names[names.index("seeds") + 1 :], rows


@pytest.mark.parametrize("number", PAPER_TABLES)
def test_without_runs_the_published_rows_are_shown(
    number: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, rows = table(number, tmp_path / "runs")
    methods = [row["method"] for row in rows]
    assert "Nash-MTL" in methods
    assert len(methods) == {1: 11, 2: 12, 3: 12, 4: 11, 5: 3, 6: 11, 7: 7}[number]
    printed = capsys.readouterr().out
    assert f"has no finished {benchmark_of(PAPER_TABLES[number].benchmark).title} runs" in printed
    if PAPER_TABLES[number].benchmark in BENCHMARKS:
        assert f"python -m experiments.{PAPER_TABLES[number].benchmark}.train" in printed
    for suffix in ("md", "tex", "csv"):
        assert (tmp_path / "report" / f"table_{number}" / f"published.{suffix}").is_file()


@pytest.mark.parametrize("number", [1, 6])
def test_later_methods_are_in_a_table_of_the_paper_where_they_are_named(number: int, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    for method, value in (("ls", 2.0), ("nash_mtl", 3.0), ("fairgrad", 1.0), ("a_new_one", 4.0)):
        write(root, record(all_metrics(value), method={"name": method}))

    def ours(*arguments: str) -> dict[str, str]:
        rows = table(number, root, "report.published=false", *arguments)[1]
        return {row["method"]: row["MR"] for row in rows if row["source"] == "ours"}

    assert ours() == {"LS": "1.0", "Nash-MTL": "2.0", "a_new_one": "3.0"}
    assert ours("methods=[ls,fairgrad]") == {"LS": "2.0", "FairGrad": "1.0"}


def test_every_table_is_of_a_benchmark_and_view_that_exist() -> None:
    assert list(PAPER_TABLES) == [1, 2, 3, 4, 5, 6, 7]
    for entry in PAPER_TABLES.values():
        assert load_published(entry.benchmark)
        request = TableRequest(benchmark_of(entry.benchmark), None, load_published(entry.benchmark))
        assert view_of(request, entry.view)
        assert entry.content


def test_a_protocol_that_has_no_runs_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        table(6, tmp_path / "runs", "protocol=12345678")
    assert "has no finished QM9 runs" in capsys.readouterr().err
    write(tmp_path / "runs", record(all_metrics(1.0)))
    with pytest.raises(SystemExit):
        table(6, tmp_path / "runs", "protocol=12345678")
    assert "protocol '12345678' has no finished runs" in capsys.readouterr().err


def test_columns_are_the_papers(tmp_path: Path) -> None:
    metrics = {name: [metric.name for metric in BENCHMARKS[name].metrics] for name in ("qm9", "nyuv2")}
    root = tmp_path / "runs"
    assert table(1, root)[0] == ["MR", "delta_m"]
    assert table(2, root)[0] == [*metrics["nyuv2"], "MR", "delta_m"]
    assert table(4, root)[0] == ["success"]
    assert table(5, root)[0] == ["update_weights_every", "success", "time"]
    assert table(6, root)[0] == [*metrics["qm9"], "MR", "delta_m"]
    assert table(7, root)[0] == ["minutes", "relative"]


def test_run_time_is_compared_with_ls_on_the_same_machine(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    seconds = {("ls", "cpu"): 600.0, ("nash_mtl", "cpu"): 1800.0, ("ls", "GPU"): 60.0, ("nash_mtl", "GPU"): 90.0}
    for (method, device), value in seconds.items():
        for seed in (0, 1) if device == "cpu" else (2,):
            entry = record(all_metrics(1.0), seed=seed, method={"name": method})
            entry["environment"] |= {"device": device, "cpu": "a CPU", "threads": 2}
            write(root, {**entry, "wall_seconds": value * (1 + seed % 2)})
    _, rows = table(7, root)
    own = {(row["section"], row["method"]): row for row in rows if row["source"] == "ours"}
    assert {section for section, _ in own} == {"ours on a CPU, 2 threads", "ours on GPU"}
    ls, nash = own["ours on a CPU, 2 threads", "LS"], own["ours on a CPU, 2 threads", "Nash-MTL"]
    assert (float(ls["minutes"]), float(nash["minutes"])) == (1.5, 4.5)  # over 10 epochs, seeds 1 and 2 times
    assert (float(nash["relative"]), ls["seeds"]) == (3.0, "2")
    assert float(own["ours on GPU", "Nash-MTL"]["relative"]) == pytest.approx(1.5)
    published = {row["method"]: float(row["relative"]) for row in rows if row["source"] == "nash"}
    assert published["Nash-MTL-50"] == pytest.approx(0.69 / 0.54)


def test_the_update_interval_orders_nash_mtl_alone(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    for interval, value in ((50, 3.0), (1, 1.0), (5, 2.0)):
        write(root, record(all_metrics(value), method={"name": "nash_mtl", "update_weights_every": interval}))
    write(root, record(all_metrics(9.0), method={"name": "ls"}))
    main(["table=6", f"root={root}", f"out={tmp_path}", "pictures=false"])  # the same runs make other tables
    benchmark = BENCHMARKS["qm9"]
    (protocol,) = protocols(load_runs(root, "qm9"), [metric.name for metric in benchmark.metrics])
    made = USUAL_VIEWS["update_interval"](TableRequest(benchmark, protocol, load_published("qm9")))
    own, published = made.sections
    assert [row.cells[0].mean for row in own.rows] == [1, 5, 50]
    assert [row.cells[1].mean for row in own.rows] == [1.0, 2.0, 3.0]
    assert [row.label for row in published.rows] == ["Nash-MTL"]
    assert "MR" not in [column.key for column in made.columns]


def test_single_tasks_are_the_reference_of_a_table_too(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    write_single_tasks(root, 0, all_metrics(1.0))
    write(root, record(all_metrics(1.5), method={"name": "ls"}))
    _, rows = table(1, root)
    ours = {row["method"]: row for row in rows if row["source"] == "ours"}
    assert float(ours["LS"]["delta_m"]) == pytest.approx(50.0)


def test_a_benchmark_may_bring_tables_and_a_grouping_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def by_seed(runs: Sequence[Run]) -> list[Any]:
        (protocol,) = protocols(runs, NAMES)
        return [replace(protocol, name="all-seeds")]

    def count(request: TableRequest) -> Table:
        assert request.protocol is not None
        row = Row("runs", (Cell(len(request.protocol.used)),), extra={"source": "ours"})
        return Table("A count", "tab:count", (Column("n", "n", "n", 0),), (Section("ours", (row,)),))

    def picture(protocol: Any) -> list[Picture]:
        assert protocol.name == "all-seeds"
        return [Picture("empty", "An empty picture.", new_figure(2, 2))]

    own = replace(
        BENCHMARKS["qm9"],
        views={"count": count, "nothing": lambda request: None},
        tables=("results", "count", "nothing"),
        group=by_seed,
        pictures=picture,
    )
    monkeypatch.setitem(BENCHMARKS, "qm9", own)
    for seed in range(3):
        write(tmp_path / "runs", record(all_metrics(1.0), seed=seed))
    main(["benchmark=qm9", f"root={tmp_path / 'runs'}", f"out={tmp_path}"])
    assert "## A count" in capsys.readouterr().out
    names = {path.name for path in (tmp_path / "qm9").iterdir()}
    assert {"all-seeds.csv", "all-seeds-count.csv", "index.html", "sources.json", "all-seeds-empty.png"} <= names
    page = (tmp_path / "qm9" / "index.html").read_text(encoding="utf-8")
    assert page.count("<details>") == 1 and 'id="all-seeds-count"' in page
