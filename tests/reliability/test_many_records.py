"""The script that times thousands of run folders, on a few."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.common.aggregate import load_runs
from reliability.many_records import main, timings, write_copies

TEMPLATE = Path(__file__).resolve().parents[2] / "results" / "qm9" / "quick"


def test_every_copy_is_a_run_of_its_own(tmp_path: Path) -> None:
    assert write_copies(TEMPLATE, tmp_path, 30) > 0
    runs = load_runs(tmp_path, "qm9")
    assert len(runs) == 30 and {run.record["seed"] for run in runs} == {0, 1}
    assert all(seconds > 0 for seconds in timings(tmp_path).values())


def test_a_template_without_records_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([f"template={tmp_path}", "runs=1"])
    assert f"error: {tmp_path} holds no records" in capsys.readouterr().err
