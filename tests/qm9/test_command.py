"""The command line: multirun, and what is missing or damaged around it; bad input has a table of its own."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from experiments.common.records import RECORD
from experiments.qm9 import build
from experiments.qm9.molecules import Molecules, load_molecules
from tests.qm9.runs import command, records, small
from tests.qm9.samples import DAMAGE


def test_an_unwritable_folder_is_named(
    qm9_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    (tmp_path / "runs").write_text("a file stands where the folder should be")
    status, _, err = command(small(qm9_root, tmp_path / "runs"), monkeypatch, capsys)
    assert status == 1
    assert err.startswith(f"error: cannot write in {tmp_path / 'runs'}") and "choose another run.root" in err


def test_a_missing_package_names_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "qm9pack" else find(name, *a))
    status, _, err = command(small(tmp_path / "empty", tmp_path / "runs"), monkeypatch, capsys)
    assert status == 1
    (line,) = err.strip().splitlines()
    assert line.startswith("error: the package qm9pack") and "pip install -r requirements.txt" in line
    assert not list(tmp_path.rglob(RECORD))


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_cache_is_built_again(
    store: Molecules, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, damage: Any
) -> None:
    from experiments.qm9.molecules import save_molecules

    path = tmp_path / "data" / "qm9_qm9pack.npz"
    save_molecules(store, path)
    damage(path)
    monkeypatch.setitem(build.BUILDERS, "qm9pack", lambda root: store)
    arguments = small(tmp_path / "data", tmp_path / "runs", "method=ls", "trainer.epochs=1", "data.train=6")
    status, _, err = command(arguments, monkeypatch, capsys)
    assert status == 0
    (line,) = err.strip().splitlines()
    assert line.startswith(f"warning: {path}") and line.endswith("it is built again")
    assert len(load_molecules(path)) == len(store)
    (record,) = records(tmp_path / "runs")
    assert record["status"] == "finished"


def test_multirun_runs_all_and_skips_them_the_second_time(
    qm9_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    arguments = ["-m", *small(qm9_root, tmp_path / "runs", "method=ls,cagrad", "seed=3", "trainer.epochs=1")]
    assert command(arguments, monkeypatch, capsys)[0] == 0
    first = records(tmp_path / "runs")
    pairs = sorted((record["method"]["name"], record["seed"]) for record in first)
    assert pairs == [("cagrad", 3), ("ls", 3)]
    assert all(record["status"] == "finished" for record in first)
    status, out, _ = command(arguments, monkeypatch, capsys)
    assert status == 0 and out.count("is finished, skipped") == 2
    assert records(tmp_path / "runs") == first


def test_a_multirun_goes_on_after_a_bad_run_and_still_fails(
    qm9_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    arguments = [
        "-m",
        *small(qm9_root, tmp_path / "runs", "method=ls", "seed=0", "data.train=1,12", "trainer.epochs=1"),
    ]
    status, _, err = command(arguments, monkeypatch, capsys)
    assert status == 1 and err.strip().splitlines() == [
        line for line in err.splitlines() if "data.train is 1" in line
    ]
    (record,) = records(tmp_path / "runs")
    assert record["status"] == "finished" and record["data"]["train"] == 12


def test_a_defect_of_ours_keeps_its_traceback(
    qm9_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    from experiments.qm9 import train as trainer

    def defect(*args: Any) -> None:
        raise ValueError("a defect")

    monkeypatch.setattr(trainer, "load_data", defect)
    with pytest.raises(ValueError, match="a defect"):
        command(small(qm9_root, tmp_path / "runs"), monkeypatch, capsys)


def test_ctrl_c_before_the_first_step_is_one_line(
    qm9_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    from experiments.qm9 import train as trainer

    def interrupted(*args: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(trainer, "load_data", interrupted)
    status, _, err = command(small(qm9_root, tmp_path / "runs"), monkeypatch, capsys)
    assert status == 130 and err.startswith("error: interrupted") and len(err.strip().splitlines()) == 1
