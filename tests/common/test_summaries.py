"""Summaries are the records without their epochs, however the record is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from experiments.common import summaries
from experiments.common.errors import UserError
from experiments.common.files import write_json
from experiments.common.summaries import read_summaries, read_summary, record_paths
from tests.common.made_up import all_metrics, record, with_epochs, write


def whole(entry: dict[str, Any]) -> dict[str, Any]:
    last = entry["epochs"][-1] if entry["epochs"] else {}
    done = {key: last[key] for key in ("epoch", "step") if key in last}
    return {**{key: value for key, value in entry.items() if key != "epochs"}, "done": done}


@pytest.mark.parametrize("count", [0, 1, 3, 300])  # 300: longer than what is read of it
def test_a_summary_is_the_record_without_its_epochs(tmp_path: Path, count: int) -> None:
    entry = with_epochs(record(all_metrics(1.0)), count)
    path = write(tmp_path, entry)
    assert (path.stat().st_size > 4 * summaries._BLOCK) == (count == 300)
    assert read_summary(path.parent) == whole(entry)


def test_a_summary_says_where_the_last_epoch_stands(tmp_path: Path) -> None:
    entry = with_epochs(record(all_metrics(1.0)), 300)
    for epoch in entry["epochs"]:
        epoch["step"] = 50 * epoch["epoch"]
    summary = read_summary(write(tmp_path, entry).parent)
    assert summary is not None and summary["done"] == {"epoch": 299, "step": 50 * 299}


def test_most_of_a_long_record_is_not_read(tmp_path: Path) -> None:
    path = write(tmp_path, with_epochs(record(all_metrics(1.0)), 300))
    text = bytearray(path.read_bytes())
    text[len(text) // 2] = 0xFF  # no UTF-8, so reading it would fail
    path.write_bytes(text)
    summary = read_summary(path.parent)
    assert summary is not None and summary["results"]["metrics"]["mu"] == 1.0


@pytest.mark.parametrize("indent", [None, 1, 4])
def test_a_record_in_another_layout_is_read_as_well(tmp_path: Path, indent: int | None) -> None:
    entry = with_epochs(record(all_metrics(1.0)), 5)
    path = write(tmp_path, entry)
    path.write_text(json.dumps(entry, indent=indent))
    assert read_summary(path.parent) == whole(entry)


def test_text_that_looks_like_the_epochs_end_is_not_taken_for_it(tmp_path: Path) -> None:
    entry = with_epochs(record(all_metrics(1.0)), 2)
    entry["epochs"][0]["note"] = '\n  ],\n  "best_epoch"'
    entry["data"]["note"] = '\n  "epochs": [\n'
    path = write(tmp_path, entry)
    assert read_summary(path.parent) == whole(entry)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 99, "benchmark": "qm9"}'])
def test_a_damaged_record_is_named(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, record(all_metrics(1.0)))
    path.write_text(text)
    with pytest.raises(UserError, match=str(path)):
        read_summary(path.parent)


def test_a_record_that_was_cut_off_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, with_epochs(record(all_metrics(1.0)), 300))
    path.write_text(path.read_text()[: -summaries._BLOCK * 2])
    with pytest.raises(UserError, match="not a run record"):
        read_summary(path.parent)


def test_records_are_found_in_order_and_by_benchmark(tmp_path: Path) -> None:
    paths = [write(tmp_path, record(all_metrics(1.0), seed=seed), f"run{seed}") for seed in (2, 0, 1)]
    other = write(tmp_path, record({"mIoU": 0.5}, benchmark="nyuv2"))
    (tmp_path / "qm9" / "empty").mkdir()
    assert record_paths(tmp_path) == sorted([*paths, other])
    assert [path for path, _ in read_summaries(tmp_path, "qm9")] == sorted(paths)
    assert len(list(read_summaries(tmp_path))) == 4
    assert read_summary(tmp_path / "qm9" / "empty") is None
    assert record_paths(tmp_path / "nowhere") == []
    write_json(tmp_path / "qm9" / "other.json", {})
    assert len(record_paths(tmp_path)) == 4
