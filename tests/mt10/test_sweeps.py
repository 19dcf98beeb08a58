"""Searches for SAC's learning rate, launchers and the status of a sweep, by the other benchmarks' command lines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from experiments.common.search import choose
from experiments.mt10.metrics import outcome
from experiments.mt10.sweep import ROWS, RowSweepFiles
from experiments.reporting.run_states import run_states
from experiments.select import main as select
from tests.mt10.runs import command, records, small

ROOT = Path(__file__).resolve().parents[2]
SHORT = ["trainer.steps=40", "trainer.evaluate_every=20"]


def failures(record: dict[str, Any]) -> float:
    """What a search minimises, from the evaluations themselves."""
    last = [entry["test"]["success"] for entry in record["epochs"][-10:]]
    return 1.0 - sum(last) / len(last)


def by_rate(root: Path) -> dict[float, dict[str, Any]]:
    return {record["config"]["sac"]["lr"]: record for record in records(root)}


def test_the_score_is_the_failures_of_the_last_ten_evaluations() -> None:
    entries = [{"step": step, "test": {"success": success}} for step, success in enumerate([1.0, 0.0, *[0.5] * 9])]
    score = outcome(entries)["search_score"]
    assert score["value"] == pytest.approx(1.0 - 4.5 / 10) and score["name"] == "failures in the last 10 evaluations"


def test_one_command_searches_the_learning_rate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    arguments = ["-m", *small(tmp_path, "sweep=learning_rate", "row=mtl_sac,cagrad", "seed=0")]
    status, out, err = command(arguments, monkeypatch, capsys)
    assert status == 0, err
    found = records(tmp_path)
    assert {(r["method"]["name"], r["config"]["sac"]["lr"]) for r in found} == {
        (method, lr) for method in ("ls", "cagrad") for lr in (1e-3, 3e-4, 1e-4)
    }
    written = json.loads((tmp_path / "search.json").read_text())
    assert written["over"] == "sac.lr" and len(written["choices"]) == 2
    for choice in written["choices"]:
        own = {r["config"]["sac"]["lr"]: failures(r) for r in found if r["method"] == choice["method"]}
        assert {c["value"]: c["score"] for c in choice["candidates"]} == pytest.approx(own)
        assert choice["value"] == min(sorted(own), key=own.__getitem__) and choice["agent"] == "mtl_sac"
    assert "mtl_sac ls: sac.lr=" in out and "by failures in the last 10 evaluations" in out
    select(["benchmark=mt10", f"root={tmp_path}"])
    assert capsys.readouterr().out.strip() == out.split("\nThe choice is in")[0].strip()


def test_another_setting_is_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    arguments = small(tmp_path, *SHORT, "row=mtl_sac", "seed=0", "search.over=sac.gamma", "sac.gamma=0.8,0.9")
    status, out, _ = command(["-m", *arguments], monkeypatch, capsys)
    assert status == 0 and "mtl_sac ls: sac.gamma=0." in out
    assert json.loads((tmp_path / "search.json").read_text())["over"] == "sac.gamma"


def test_fewer_failures_win() -> None:
    def run(lr: float, success: float) -> dict[str, Any]:
        entries = [{"step": 1, "test": {"success": success}}]
        return {
            **{"name": f"lr{lr}", "status": "finished", "seed": 0, "method": {"name": "ls"}},
            **{"config": {"agent": {"name": "care"}, "sac": {"lr": lr}}, "results": outcome(entries)},
        }

    (choice,) = choose([run(0.1, 0.2), run(0.01, 0.9), run(0.001, 0.5)], "sac.lr", "test")
    assert choice.value == 0.01 and choice.agent == "care"


def test_a_search_by_optuna_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    arguments = ["-m", *small(tmp_path, *SHORT, "sweep=optuna", "row=mtl_sac", "run.seeds_together=2")]
    assert command([*arguments, "hydra.sweeper.n_trials=1"], monkeypatch, capsys)[0] == 0
    first = {record["name"]: record for record in records(tmp_path)}
    status, out, _ = command([*arguments, "hydra.sweeper.n_trials=2"], monkeypatch, capsys)
    assert status == 0 and out.count("is finished, skipped") == 2, "both seeds of the first trial"
    found = {record["name"]: record for record in records(tmp_path)}
    assert len(found) == 4 and first.items() <= found.items()
    means: dict[float, list[float]] = {}
    for record in found.values():
        means.setdefault(record["config"]["sac"]["lr"], []).append(failures(record) / 2)
    best = f"best_value: {min(sum(values) for values in means.values())}"
    assert best in (tmp_path / "optimization_results.yaml").read_text()


def test_a_search_goes_on_after_a_run_that_diverges(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    arguments = small(tmp_path, "sweep=optuna", "row=mtl_sac", "sac.lr=choice(1e36,1e-3)", "hydra.sweeper.n_trials=4")
    status, _, err = command(["-m", *arguments], monkeypatch, capsys)
    assert status == 0 and "warning: run mtl_sac-ls-seed0-" in err
    assert {lr: record["status"] for lr, record in by_rate(tmp_path).items()} == {1e36: "failed", 1e-3: "finished"}
    (choice,) = json.loads((tmp_path / "search.json").read_text())["choices"]
    assert choice["value"] == 1e-3 and len(choice["candidates"][1]["failed"]) == 1


def test_validation_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    arguments = small(tmp_path, "sweep=optuna", "search.split=validation", "hydra.sweeper.n_trials=1")
    status, _, err = command(["-m", *arguments], monkeypatch, capsys)
    assert status == 1 and "mt10 has no validation split" in err and not records(tmp_path)


def test_a_launcher_makes_the_runs_of_a_plain_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """In a process of its own, whose workers find rows and schema again."""
    pytest.importorskip("joblib")
    arguments = [*SHORT, "row=care,nash_mtl_50", "seed=0"]
    launched = small(tmp_path / "launched", *arguments, "hydra/launcher=local", "hydra.launcher.n_jobs=2")
    done = subprocess.run(
        [sys.executable, "-m", "experiments.mt10.train", "-m", *launched],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        text=True,
        capture_output=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert command(["-m", *small(tmp_path / "plain", *arguments)], monkeypatch, capsys)[0] == 0
    numbers = [
        {r["name"]: [entry["test"] for entry in r["epochs"]] for r in records(tmp_path / place)}
        for place in ("launched", "plain")
    ]
    assert numbers[0] == numbers[1] and len(numbers[0]) == 2


def test_the_status_knows_which_rows_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    rows = ["nash_mtl", "nash_mtl_50", "mtl_sac", "care"]
    assert command(["-m", *small(tmp_path, *SHORT, f"row={','.join(rows)}", "seed=0")], monkeypatch, capsys)[0] == 0
    assert [run.state for run in run_states(tmp_path)] == ["finished"] * 4
    for record in records(tmp_path):
        if record["method"].get("update_weights_every", 1) == 1:
            continue
        (tmp_path / record["name"] / "record.json").unlink()
    (waiting,) = [run for run in run_states(tmp_path) if run.state == "waiting"]
    assert "agent=mtl_sac method=nash_mtl method.update_weights_every=50" in waiting.name


def test_a_plan_has_rows_by_agent_method_and_options() -> None:
    planned = RowSweepFiles().planned([["row=cagrad", "seed=1"], ["row=none", "agent=care"], ["row=stl_sac"]])
    assert planned == [
        ["agent=mtl_sac", "method=cagrad", "method.c=0.9", "seed=1"],
        ["agent=care"],
        ["agent=stl_sac", "method=ls"],
    ]
    parts = [tuple(run) for run in RowSweepFiles().planned([[f"row={row}"] for row in ROWS])]
    assert len(set(parts)) == len(ROWS), "no two rows look alike"
