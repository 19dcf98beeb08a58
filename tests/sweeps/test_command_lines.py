"""Command lines of sweeps that would do something else than they say: refused with the remedy, or put right."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from experiments.reporting.run_states import run_states
from tests.sweeps.runs import records, sweep

QUICK = ("method=ls", "seed=0", "trainer.epochs=1")


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_the_flag_may_stand_anywhere(
    waves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    arguments = ["method=ls", "seed=0,1", "trainer.epochs=1"]
    arguments.insert(place, "-m" if place % 2 else "--multirun")
    assert sweep(monkeypatch, *arguments, f"run.root={tmp_path}") == 0
    assert [seed for _, seed, _ in records(tmp_path)] == [0, 1]


@pytest.mark.parametrize(
    "override",
    ["hydra/launcher=local", "hydra/launcher=slurm", "hydra/sweeper=optuna", "sweep=learning_rate", "sweep=optuna"],
)
def test_what_only_a_sweep_reads_is_refused_without_the_flag(
    waves: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    override: str,
) -> None:
    for package in ("hydra_joblib_launcher", "hydra_submitit_launcher", "hydra_optuna_sweeper"):
        pytest.importorskip(f"hydra_plugins.{package}")
    assert sweep(monkeypatch, *QUICK, override, f"run.root={tmp_path}") == 1
    assert capsys.readouterr().err == f"error: {override} has no effect without -m; write -m before the settings.\n"
    assert not records(tmp_path)


@pytest.mark.parametrize("override", ["method=cagrad,ls", "seed=0,1", "method=choice(ls,uw)", "seed=range(0,3)"])
def test_a_search_by_optuna_refuses_what_it_would_drop(
    waves: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    override: str,
) -> None:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    arguments = ["-m", "sweep=optuna", override, "hydra.sweeper.n_trials=2", f"run.root={tmp_path / 'runs'}"]
    assert sweep(monkeypatch, *arguments) == 1
    said = f"error: {override}: a search by Optuna takes one value; give one command for each.\n"
    assert capsys.readouterr().err == said and not (tmp_path / "runs").exists()


def test_a_search_by_optuna_takes_lists_of_what_it_searches(
    waves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    searched = ["sweep=optuna", "optimizer.lr=0.1,0.2", "hydra.sweeper.n_trials=1"]
    assert sweep(monkeypatch, "-m", *QUICK, *searched, f"run.root={tmp_path}") == 0
    ((_, _, lr),) = records(tmp_path)
    assert lr in (0.1, 0.2)


def test_a_choice_that_cannot_be_made_is_an_error_of_the_command(
    waves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["-m", *QUICK, "optimizer.lr=0.1,0.2", f"run.root={tmp_path}"]
    (tmp_path / "search.json").mkdir()
    (tmp_path / "search.json" / "in the way").touch()
    assert sweep(monkeypatch, *arguments) == 1
    assert f"error: cannot write {tmp_path / 'search.json'}" in capsys.readouterr().err
    shutil.rmtree(tmp_path / "search.json")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "record.json").write_text("{")
    assert sweep(monkeypatch, *arguments) == 1
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith(f"error: {tmp_path / 'other' / 'record.json'} is not a run record")
    shutil.rmtree(tmp_path / "other")
    assert sweep(monkeypatch, *arguments) == 0 and json.loads((tmp_path / "search.json").read_text())["choices"]


def test_settings_that_name_no_other_run_are_in_neither_plan_nor_choice(
    waves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["-m", "method=ls,uw", "seed=0", "trainer.epochs=1", "optimizer.lr=0.1,0.2", f"run.root={tmp_path}"]
    assert sweep(monkeypatch, *arguments) == 0
    (tmp_path / "search.json").unlink()
    capsys.readouterr()
    assert sweep(monkeypatch, *arguments, "optimizer.fused=true", "run.checkpoint_every=7", "logger=csv") == 0
    assert capsys.readouterr().out.count("is finished, skipped") == 4
    assert [run.state for run in run_states(tmp_path)] == ["finished"] * 4, "none waits for good"
    assert len(json.loads((tmp_path / "search.json").read_text())["choices"]) == 2
    assert len(list((tmp_path / "sweeps").glob("*.json"))) == 1, "the same plan"
