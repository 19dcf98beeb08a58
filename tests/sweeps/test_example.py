"""The benchmark that the documentation adds does all that its page promises."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sweeps import runs
from tests.sweeps.runs import records, sweep


def test_the_pages_benchmark_trains_is_recorded_and_skipped(
    waves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["-m", "method=cagrad,nash_mtl", "seed=1", "trainer.epochs=60", f"run.root={tmp_path}"]
    monkeypatch.setattr(runs, "QUIET", ("run.device=cpu", "run.threads=1"))
    assert sweep(monkeypatch, *arguments) == 0
    found = records(tmp_path)
    for record in found.values():
        first, last = record["epochs"][0], record["epochs"][-1]
        assert record["status"] == "finished" and record["data"]["synthetic"] is True
        assert last["train_losses"]["sine"] < 0.5 * first["train_losses"]["sine"]
        assert last["samples"] == 64 and last["steps"] == 4
    assert "% against its reference" in capsys.readouterr().out
    assert sweep(monkeypatch, *arguments) == 0 and capsys.readouterr().out.count("is finished, skipped") == 2
    assert records(tmp_path) == found


def test_its_single_tasks_are_a_run_each(waves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sweep(monkeypatch, "method=stl", f"run.root={tmp_path}") == 0
    names = sorted(path.name.rpartition("-")[0] for path in tmp_path.glob("stl-*"))
    assert names == ["stl-task0-seed0", "stl-task1-seed0"]


@pytest.mark.parametrize("methods", [("stl", "ls", "cagrad"), ("ls", "cagrad")])
def test_its_report_needs_no_published_rows(
    methods: tuple[str, ...], waves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor single-task runs, without which there is no Δm yet."""
    for method in methods:
        assert sweep(monkeypatch, f"method={method}", f"run.root={tmp_path / 'runs'}") == 0
    command = ["experiments.report", "benchmark=waves", f"root={tmp_path / 'runs'}", f"out={tmp_path / 'report'}"]
    report = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=waves,
        env=os.environ | {"PYTHONPATH": ""},
        capture_output=True,
        text=True,
    )
    assert report.returncode == 0, report.stderr
    lines = [line for line in report.stdout.splitlines() if line.startswith("| ")]
    assert [line.split("|")[1].strip() for line in lines[2:]] == [
        *(["STL"] if "stl" in methods else []),
        "LS",
        "CAGrad",
    ]
    of_ls = next(line for line in lines if line.startswith("| LS"))
    expected = "Δm against our own single-task runs" if "stl" in methods else "No Δm yet: it needs single-task runs"
    assert expected in report.stdout and ("–" in of_ls) == ("stl" not in methods)
    page = (tmp_path / "report" / "waves" / "index.html").read_text()
    assert "Waves (synthetic)" in page


def test_its_settings_are_checked(
    waves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep(monkeypatch, "trainer.epoch=3", f"run.root={tmp_path}") == 1
    assert "did you mean trainer.epochs?" in capsys.readouterr().err
