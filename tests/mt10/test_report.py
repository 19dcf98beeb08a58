"""Tables and curves on made-up records: every number is worked out from the values that the test wrote."""

from __future__ import annotations

import csv
from math import sqrt
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest

from experiments.benchmarks import BENCHMARKS
from experiments.common.errors import UserError
from experiments.common.published import load_published
from experiments.common.records import read_record, write_record
from experiments.mt10.curves import curve, draw_curves
from experiments.mt10.metrics import outcome
from experiments.mt10.rows import mt10_protocols
from experiments.mt10.tables import published_run_times
from experiments.report import main
from experiments.reporting.aggregate import load_runs
from experiments.reporting.benchmark import TableRequest
from tests.mt10.made_up import record, write

LS = {"name": "ls", "task_weights": None}
#: Successes of the first two tasks at three evaluations, by seed.
SEEDS = {0: [[0.0, 0.2], [1.0, 0.8], [1.0, 0.2]], 1: [[0.0, 0.0], [0.4, 0.0], [1.0, 1.0]]}
BEST, LAST = {0: 0.9, 1: 1.0}, {0: 0.6, 1: 1.0}


def nash(every: int) -> dict[str, Any]:
    return {"name": "nash_mtl", "update_weights_every": every, "max_norm": 1.0}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Four rows of one protocol, and what must not be among them."""
    root = tmp_path / "runs"
    for seed, successes in SEEDS.items():
        write(root, record("mtl_sac", LS, successes, seed=seed, seconds=2.0 + 2 * seed))
        write(root, record("stl_sac", LS, successes[::-1], seed=seed))
    write(root, record("mtl_sac", nash(1), SEEDS[0], seconds=9.0))
    write(root, record("mtl_sac", nash(50), SEEDS[1], seconds=3.3))
    write(root, record("care", LS, SEEDS[0], status="interrupted"))
    return root


def report(root: Path, *arguments: str) -> Path:
    out = root.parent / "report"
    main(["benchmark=mt10", f"root={root}", f"out={out}", *arguments])
    return out / "mt10"


def rows(folder: Path, suffix: str = "") -> dict[tuple[str, str], dict[str, str]]:
    """The rows of a CSV file by section (its first word) and label."""
    paths = [path for path in folder.glob(f"*{suffix}.csv") if path.stem != "runs"]
    (path,) = [path for path in paths if suffix or "-" not in path.stem]
    with open(path, newline="") as file:
        return {
            (row["section"].partition(",")[0].partition(":")[0], row["method"]): row for row in csv.DictReader(file)
        }


def test_means_and_standard_errors_over_seeds(root: Path) -> None:
    row = rows(report(root))["ours", "MTL SAC"]
    assert row["seeds"] == "2"
    for key, values in (("best", BEST), ("last", LAST)):
        assert float(row[key]) == pytest.approx(fmean(values.values()))
        assert float(row[f"{key}_sem"]) == pytest.approx(stdev(values.values()) / sqrt(2))
    means = [fmean(fmean(test) for test in seed) for seed in SEEDS.values()]
    assert float(row["mean_of_last_10"]) == pytest.approx(fmean(means))


def test_rows_stand_in_the_papers_order_beside_its_own(root: Path) -> None:
    found = rows(report(root))
    ours = [label for section, label in found if section == "ours"]
    assert ours == ["STL SAC", "MTL SAC", "Nash-MTL", "Nash-MTL (every 50)"]
    published = {label: row for (section, label), row in found.items() if section == "published"}
    assert float(published["Nash-MTL"]["best"]) == 0.91 and float(published["STL SAC"]["best_sem"]) == 0.032
    assert published["CAGrad"]["last"] == "" and published["CAGrad"]["seeds"] == "10"
    assert "FAMO" not in published
    assert ("published", "FAMO") in rows(report(root, "report.later=true"))
    assert not any(section == "published" for section, _ in rows(report(root, "report.published=false")))


def test_success_by_task_is_the_last_evaluations(root: Path) -> None:
    row = rows(report(root), "-tasks")["ours", "MTL SAC"]
    assert float(row["success/reach"]) == 1.0 and float(row["success/push"]) == pytest.approx(0.6)
    assert float(row["success/push_sem"]) == pytest.approx(stdev([0.2, 1.0]) / sqrt(2))


def test_run_time_against_the_interval(root: Path) -> None:
    found = rows(report(root), "-update_interval")
    assert ("ours", "STL SAC") not in found, "it is not the shared agent"
    assert float(found["ours", "MTL SAC"]["seconds"]) == 3.0
    assert float(found["ours", "Nash-MTL"]["relative"]) == 3.0
    assert float(found["ours", "Nash-MTL (every 50)"]["relative"]) == pytest.approx(1.1)
    printed = found["published", "Nash-MTL"]
    assert float(printed["seconds"]) == 40.7 and float(printed["relative"]) == pytest.approx(40.7 / 7.3)


def test_published_run_times_have_their_rows_success() -> None:
    section = published_run_times(load_published("mt10"))
    assert section is not None
    by_name = {row.label: row.cells[0].mean for row in section.rows}
    assert by_name["MTL-SAC"] == 0.49 and by_name["Nash-MTL-50"] == 0.85 and by_name["Nash-MTL-100"] == 0.87


def test_files_and_what_was_left_out(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = report(root)
    out = capsys.readouterr().out
    for path in root.rglob("record.json"):
        if "care" in path.parent.name:
            assert f"Left out: {path.parent.name} (interrupted)" in out
    assert "profile mt10-fixed" in out and "orientation, not for comparison" in out and "made up." in out
    assert any(path.name.endswith("curves.png") for path in folder.iterdir()) and (folder / "index.html").exists()
    names = {path.name.partition(".")[0].partition("-")[2] + path.suffix for path in folder.iterdir()}
    assert {"tasks.md", "update_interval.tex", ".csv"} <= names


def test_the_same_seed_twice_counts_once(root: Path) -> None:
    again = record("mtl_sac", LS, [[0.0, 0.0]], seed=0) | {"finished": "2000-01-01T02:00:00+00:00"}
    write(root, again, "again")
    (protocol,) = mt10_protocols(load_runs(root, "mt10"))
    (row,) = [row for row in protocol.rows if row.label == "MTL SAC"]
    assert [run.record["results"]["best"]["success"] for run in row.runs] == [0.0, 1.0]
    assert any("finished later" in reason for _, reason in protocol.left_out)


def test_protocols_have_tables_of_their_own(root: Path) -> None:
    write(root, record("mtl_sac", LS, SEEDS[0], profile="mt10-plus"))
    found = mt10_protocols(load_runs(root, "mt10"))
    assert len(found) == 2
    assert len(list(report(root).glob("*-tasks.md"))) == 2
    assert len(list(report(root).glob("*-update_interval.md"))) == 1, "no run time without Nash-MTL"


def test_other_tasks_have_no_published_rows_beside_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for method in (LS, nash(1)):
        write(tmp_path / "runs", record("mtl_sac", method, SEEDS[0], n_tasks=2))
    folder = report(tmp_path / "runs")
    for suffix in ("", "-update_interval"):
        assert {section for section, _ in rows(folder, suffix)} == {"ours"}
    assert "The published rows are of 10 tasks: none stand beside a mean over 2." in capsys.readouterr().out


def test_the_control_problem_has_no_published_rows_beside_it(root: Path) -> None:
    (protocol,) = mt10_protocols(load_runs(root, "mt10"))
    protocol.data["synthetic"] = True
    request = TableRequest(BENCHMARKS["mt10"], protocol, load_published("mt10"))
    for view in BENCHMARKS["mt10"].views.values():
        table = view(request)
        assert table is not None and len(table.sections) == 1


def test_curves_take_the_evaluations_that_all_seeds_have(root: Path) -> None:
    (protocol,) = mt10_protocols(load_runs(root, "mt10"))
    (row,) = [row for row in protocol.rows if row.label == "MTL SAC"]
    second = read_record(row.runs[1].path.parent)
    assert second is not None
    write_record(row.runs[1].path.parent, {**second, "epochs": second["epochs"][1:]})
    steps, means, errors = curve(row)
    assert steps == [2000, 3000]
    assert means == pytest.approx([fmean([0.9, 0.2]), fmean([0.6, 1.0])])
    assert errors == pytest.approx([stdev([0.9, 0.2]) / sqrt(2), stdev([0.6, 1.0]) / sqrt(2)])
    (axis,) = draw_curves(protocol).axes
    assert [line.get_label() for line in axis.lines] == [row.label for row in protocol.rows]
    assert list(axis.lines[1].get_ydata()) == means


def test_the_first_of_equal_evaluations_is_the_best() -> None:
    entries = [{"step": step, "test": {"success": value}} for step, value in ((1, 0.2), (2, 0.5), (3, 0.5), (4, 0.4))]
    found = outcome(entries)
    assert found["best"] == {"step": 2, "success": 0.5} and found["last"] == {"step": 4, "success": 0.4}
    assert found["mean_of_last_10"] == {"success": 0.4} and found["epoch"] == 1


def test_without_runs_the_remedy_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        report(tmp_path / "nothing")


def test_an_unknown_protocol_is_named(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises((SystemExit, UserError)):
        report(root, "protocol=deadbeef")
    assert "deadbeef" in capsys.readouterr().err
