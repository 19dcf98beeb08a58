"""The report's files and errors, on made-up records."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.common.errors import UserError
from experiments.common.files import write_json
from experiments.report import main, make_parts, read_options
from experiments.reporting.aggregate import load_runs, protocols
from experiments.reporting.tables import Cell, Column, Row, Section, Table, marks, to_latex
from tests.common.made_up import NAMES, all_metrics, record, report, rows, write, write_single_tasks


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "runs"


# --- files


def test_markdown_columns_are_aligned(root: Path) -> None:
    write(root, record(all_metrics(123.456), method={"name": "nash_mtl", "update_weights_every": 5}))
    (path,) = report(root).glob("*.md")
    lines = [line for line in path.read_text().splitlines() if line.startswith("|")]
    assert len({len(line) for line in lines}) == 1
    cells = [[match.start() for match in re.finditer(r"\|", line)] for line in lines if "**" not in line]
    assert all(places == cells[0] for places in cells)


def test_latex_is_balanced_with_the_best_bold_and_the_second_underlined(root: Path) -> None:
    for name, value in (("ls", 3.0), ("si", 2.0), ("dwa", 1.0), ("uw", 1.0)):
        write(root, record(all_metrics(value), method={"name": name, "some_option": "50%"}))
    write(root, record(all_metrics(4.0), method={"name": "ls", "some_option": "a&b_c"}))
    write_single_tasks(root, 0, all_metrics(0.1))
    (path,) = report(root, "report.published=false").glob("*.tex")
    text = path.read_text()
    assert text.count("{") - text.count("\\{") == text.count("}") - text.count("\\}")
    assert re.findall(r"\\begin{(\w+\*?)}", text) == list(reversed(re.findall(r"\\end{(\w+\*?)}", text)))
    assert (text.count(r"\toprule"), text.count(r"\bottomrule")) == (1, 1)
    assert not re.search(r"[^\x00-\x7f]", text[text.index(r"\begin") :]), "characters that LaTeX does not know"

    body = text[text.index(r"\midrule") : text.index(r"\bottomrule")].splitlines()
    table = {line.split(" & ")[0]: line for line in body if " & " in line}
    assert {len(re.findall(r"(?<!\\)&", line)) for line in table.values()} == {len(NAMES) + 3}
    assert r"LS (some\_option=a\&b\_c)" in table
    for tied in ("DWA", "UW"):
        assert table[tied].count(r"\textbf{") == len(NAMES) + 2  # the metrics, MR and Δm
    assert table["SI"].count(r"\underline{") == len(NAMES) + 2
    assert not re.search("textbf|underline", table["STL"] + table["LS"])


def test_latex_of_negative_numbers_and_higher_is_better() -> None:
    cells = [Row(name, (Cell(value),)) for name, value in (("a", -1.5), ("b", 2.0), ("c", None))]
    table = Table("t", "tab:t", (Column("x", "x", "x", 1, higher_is_better=True),), (Section("s", tuple(cells)),))
    text = to_latex(table)
    assert r"a & \underline{$-1.5$} & --" in text
    assert r"b & \textbf{2.0}" in text
    assert r"c & -- & --" in text
    assert r"\uparrow" in text
    with pytest.raises(ValueError, match="2 cells for 1 columns"):
        Table("t", "tab:t", table.columns, (Section("s", (Row("a", (Cell(), Cell())),)),))


def test_csv_gives_back_the_unrounded_numbers(root: Path) -> None:
    values = {name: 1 / (index + 3) for index, name in enumerate(NAMES)}
    write(root, record(values))
    row = rows(report(root))["ours", "LS"]
    assert {name: float(row[name]) for name in NAMES} == values


def test_runs_of_several_reports_can_be_put_together(root: Path) -> None:
    """One line a run and metric, which says whose it is."""
    write(root, record(all_metrics(1.5), method={"name": "nash_mtl", "update_weights_every": 5}))
    write(root, record(all_metrics(2.5), seed=1, trainer__epochs=20))
    folder = report(root)
    with open(folder / "runs.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 2 * len(NAMES)
    first = next(line for line in lines if line["method"] == "nash_mtl")
    assert (first["metric"], float(first["value"]), first["seed"]) == ("mu", 1.5, "0")
    assert json.loads(first["options"]) == {"update_weights_every": 5}
    assert first["synthetic"] == "True" and first["preset"] == "quick" and first["benchmark"] == "qm9"
    assert len({line["protocol"] for line in lines}) == 2
    (row,) = (row for (source, _), row in rows(folder, first["protocol"]).items() if source == "ours")
    assert (row["preset"], row["seed_list"]) == ("quick", "0") and row["data"].startswith("SYNTHETIC data (60 train")


def test_nothing_is_marked_that_says_nothing() -> None:
    """A second place that most rows share, zeros where higher is better, a value that all have."""
    column = Column("success", "success", "s", 2, higher_is_better=True)

    def marked(*values: float) -> dict[float, str]:
        return marks([Row(str(place), (Cell(value),)) for place, value in enumerate(values)], 0, column)

    assert marked(1.0, 0.5, 0.2) == {1.0: "best", 0.5: "second"}
    assert marked(1.0, 0.5, 0.5) == {1.0: "best", 0.5: "second"}
    assert marked(1.0, 0.5, 0.5, 0.5) == {1.0: "best"}
    assert marked(0.4, 0.0, 0.0) == {0.4: "best"}
    assert marked(0.0, 0.0, 0.0) == {} == marked(1.0)
    assert marked(1.0, 1.0, 1.0) == {}


def test_sources_name_the_records(root: Path) -> None:
    path = write(root, record(all_metrics(1.0)))
    (entry,) = json.loads((report(root) / "sources.json").read_text()).values()
    (source,) = entry["used"]
    assert source["record"] == str(path)
    assert (source["commit"], source["status"], source["data"]["source"]) == ("0" * 40, "finished", "made-up")


# --- errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "benchmark is missing: benchmark=KEY with one of .*, or table=NUMBER from 1 to 7"),
        (["benchmark=qm9", "table=1"], "benchmark and table are both given, give one of them"),
        (["table=8"], "table=8 cannot be used; choose from 1, 2"),
        (["benchmark=mnist"], "benchmark=mnist cannot be used; choose from .*qm9"),
        (["benchmark=qm9", "rot=runs"], "'rot=runs' cannot be used .*the settings are benchmark, table, root"),
        (["benchmark=qm9", "report.reference.x=1"], "cannot be used"),
        (["benchmark=qm9", "report.later=perhaps"], "'report.later=perhaps' cannot be used .*perhaps"),
        (["benchmark=qm9", "report=yes"], "cannot be used"),
        (["qm9"], "'qm9' is not key=value"),
    ],
)
def test_wrong_settings_are_named(arguments: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_options(arguments)


def test_a_digest_that_looks_like_a_number_stays_text() -> None:
    assert read_options(["benchmark=qm9", "protocol=1234e567"]).protocol == "1234e567"
    assert read_options(["benchmark=qm9", "protocol=00123456"]).protocol == "00123456"


def error_of(root: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as exit_:
        report(root, *arguments)
    assert exit_.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_no_finished_runs(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root.mkdir(exist_ok=True)
    assert "python -m experiments.qm9.train" in error_of(root, capsys)
    write(root, record(None, status="running"))
    assert "(1 that are not finished)" in error_of(root, capsys)


def test_wrong_protocol_and_reference(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entry = record(all_metrics(1.0))
    write(root, entry)
    assert f"those that have are {entry['protocol']}" in error_of(root, capsys, "protocol=abc")
    assert "choose one of auto, published, ours, paper, code" in error_of(root, capsys, "report.reference=theirs")
    write_single_tasks(root, 0, {"mu": 1.0})
    message = error_of(root, capsys, "report.reference=ours")
    assert "STL seed 0 lacks alpha, HOMO" in message
    assert "report.reference=published" in message


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({"seed": "zero"}, "'seed' is missing or not a int"),
        ({"benchmark": None}, "'benchmark' is missing"),
        ({"method": {}}, "'method' has no name"),
        ({"results": None}, "has no results"),
        ({"results": {"metrics": {"mu": "low"}}}, "the result mu is 'low', not a finite number"),
        ({"results": {"metrics": {"mu": 1.0}}}, "its results lack alpha"),
        ({"format": 99}, "unknown record format"),
    ],
)
def test_a_damaged_record_is_named(
    root: Path, capsys: pytest.CaptureFixture[str], damage: dict[str, object], message: str
) -> None:
    path = write(root, record(all_metrics(1.0)))
    write_json(path, {**json.loads(path.read_text()), **damage})
    line = error_of(root, capsys)
    assert message in line
    assert str(path) in line


def test_a_truncated_record_is_named(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(root, record(all_metrics(1.0)))
    path.write_text(path.read_text()[:100])
    assert str(path) in error_of(root, capsys)


def test_two_single_task_runs_of_one_metric_are_refused(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for task in (0, 1):
        write(root, record({"mu": 1.0}, method={"name": "stl", "main_task": task}))
    assert "reports mu as well" in error_of(root, capsys)


def test_an_output_folder_that_cannot_be_written(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(root, record(all_metrics(1.0)))
    blocked = root.parent / "blocked"
    blocked.write_text("a file")
    assert "choose another out" in error_of(root, capsys, f"out={blocked}")


def test_the_command_prints_the_table_and_fails_with_one_line(root: Path) -> None:
    write(root, record(all_metrics(1.0)))
    command = [sys.executable, "-m", "experiments.report", "benchmark=qm9", f"out={root.parent / 'report'}"]
    command.append("pictures=false")
    good = subprocess.run([*command, f"root={root}"], capture_output=True, text=True)
    assert good.returncode == 0, good.stderr
    assert "| LS" in good.stdout
    bad = subprocess.run([*command, f"root={root / 'nowhere'}"], capture_output=True, text=True)
    assert bad.returncode == 1
    assert bad.stderr.startswith("error: ")
    assert len(bad.stderr.splitlines()) == 1


def test_help_says_the_settings(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "report.reference=auto" in capsys.readouterr().out


def test_tables_can_be_made_without_writing(root: Path) -> None:
    write(root, record(all_metrics(1.0)))
    runs = load_runs(root, "qm9")
    (part,) = make_parts(read_options(["benchmark=qm9"]), runs)
    assert part.protocol == protocols(runs, NAMES)[0]
    assert [section.title for section in part.table.sections] == [
        "ours, seed 0",
        "published: Navon et al., ICML 2022",
    ]
