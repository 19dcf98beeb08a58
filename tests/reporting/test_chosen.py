"""The table of a search over learning rates: made-up records, each method with the value that validation chose."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from experiments.common.errors import UserError
from experiments.reporting.chosen import read_search
from experiments.select import main as select
from tests.common.made_up import NAMES, all_metrics, record, report, rows, with_epochs, write

#: Validation score, and test error of every metric, by method and learning rate: the best on test is not chosen.
SCORES = {
    ("ls", 1e-3): (10.0, 5.0),
    ("ls", 1e-4): (20.0, 4.0),
    ("nash_mtl", 1e-3): (30.0, 3.0),
    ("nash_mtl", 1e-4): (5.0, 2.0),
}


def searched(values: dict[str, float], score: float, **changes: Any) -> dict[str, Any]:
    entry = with_epochs(record(values, **changes), 4)
    for epoch in entry["epochs"]:
        epoch |= {"validation": {"delta_m": score}, "score": score}
    return entry


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "runs"
    for (method, rate), (score, error) in SCORES.items():
        for seed in range(2):
            changes = {"seed": seed, "method": {"name": method}, "optimizer__lr": rate}
            write(root, searched(all_metrics(error + seed), score, **changes))
    for task, name in enumerate(NAMES):
        for rate, score in ((1e-3, 1.0 + task % 2), (1e-4, 1.5)):  # every other task does better with the smaller
            method = {"name": "stl", "main_task": task}
            write(root, searched({name: 1.0}, score, method=method, optimizer__lr=rate))
    select(["benchmark=qm9", f"root={root}", f"out={tmp_path / 'search.json'}"])
    return root


def test_every_method_has_its_chosen_learning_rate_in_one_table(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = report(root, f"choice={root.parent / 'search.json'}")
    found = rows(folder)  # one CSV file
    ours = {method: row for (source, method), row in found.items() if source == "ours"}
    assert {method: row["optimizer.lr"] for method, row in ours.items() if method != "STL"} == {
        "LS": "0.001",
        "Nash-MTL": "0.0001",
    }
    assert (float(ours["LS"]["mu"]), float(ours["Nash-MTL"]["mu"])) == (5.5, 2.5)
    assert (float(ours["LS"]["MR"]), float(ours["Nash-MTL"]["MR"])) == (2.0, 1.0)
    assert "mu 0.001, alpha 0.0001" in ours["STL"]["optimizer.lr"]
    assert float(ours["LS"]["delta_m"]) == pytest.approx(450.0)  # against our own single tasks, which are complete
    printed = capsys.readouterr().out
    assert "optimizer.lr was chosen by validation for each method from 0.0001, 0.001: STL mu 0.001" in printed
    assert "LS 0.001; Nash-MTL 0.0001" in printed
    assert "has no finished runs yet" not in printed
    (entry,) = json.loads((folder / "sources.json").read_text()).values()
    assert len(entry["used"]) == 4 + len(NAMES)
    assert {one["reason"] for one in entry["left_out"]} == {
        "optimizer.lr=0.001 was not chosen",
        "optimizer.lr=0.0001 was not chosen",
    }


def test_without_the_choice_learning_rates_never_share_a_table(root: Path) -> None:
    assert len(list(report(root).glob("*.tex"))) == 2


def test_methods_of_a_choice_can_be_left_out(root: Path) -> None:
    found = rows(report(root, f"choice={root.parent / 'search.json'}", "methods=[nash_mtl]"))
    assert {method for source, method in found if source == "ours"} == {"STL", "Nash-MTL"}


def test_a_choice_by_the_test_split_is_told(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = root.parent / "search.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "split": "test"}))
    report(root, f"choice={path}")
    assert "A choice by the test split flatters the chosen" in capsys.readouterr().out


def test_a_choice_that_cannot_be_used_is_named(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = root.parent / "search.json"
    content = json.loads(path.read_text())
    for damage, message in (
        ("{", "is not the choice of a search"),
        (json.dumps({"over": "optimizer.lr"}), "is not the choice of a search"),
        (json.dumps({**content, "choices": []}), "chose nothing"),
    ):
        path.write_text(damage)
        with pytest.raises(UserError, match=message):
            read_search(path)
    with pytest.raises(UserError, match="cannot be read"):
        read_search(root.parent / "nowhere.json")
    path.write_text(json.dumps(content))
    (root / "qm9" / "nothing").mkdir()
    with pytest.raises(SystemExit):
        report(root / "qm9" / "nothing", f"choice={path}")
    assert "give the root=FOLDER that the search was made in" in capsys.readouterr().err
