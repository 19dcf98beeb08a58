"""Searches for a learning rate, by grid and by Optuna: resumable, chosen by validation; rules on made-up records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from experiments.common.search import choose, describe
from experiments.common.sweeps import SweepFiles, choose_after_all
from experiments.select import main as select
from tests.common.made_up import record, write
from tests.sweeps.runs import records, sweep


def scored(lr: float, validation: float, test: float = 50.0, **changes: Any) -> dict[str, Any]:
    """A made-up record of this learning rate, validation score and test Δm."""
    method = changes.pop("method", {"name": "ls"})
    entry = record({"mu": 1.0}, optimizer={"lr": lr, "method_lr": 0.025}, method=method, **changes)
    if entry["status"] == "finished":
        entry["results"]["delta_m"] = test
        scores = [validation + 5, validation, validation + 1]
        entry["epochs"] = [{"epoch": n, "score": s, "validation": {"delta_m": s}} for n, s in enumerate(scores)]
        entry["best_epoch"] = 1
    return entry


def test_the_choice_is_by_validation_and_not_by_test() -> None:
    (choice,) = choose([scored(0.1, 20.0, test=1.0), scored(0.01, 10.0, test=99.0), scored(0.001, 30.0)])
    assert choice.value == 0.01 and choice.seeds == (0,)
    assert [(c.value, c.score, c.test_delta_m) for c in choice.candidates] == [
        (0.001, 30.0, 50.0),
        (0.01, 10.0, 99.0),
        (0.1, 20.0, 1.0),
    ]
    (choice,) = choose([scored(0.1, 20.0, test=1.0), scored(0.01, 10.0, test=99.0)], split="test")
    assert choice.value == 0.1


def test_values_are_compared_on_the_seeds_that_all_have() -> None:
    runs = [scored(0.1, 20.0, seed=0), scored(0.1, 20.0, seed=1), scored(0.01, 25.0, seed=0)]
    runs += [scored(0.01, 0.0, seed=1, status="running"), scored(0.01, 0.0, seed=2)]
    (choice,) = choose(runs)
    assert choice.seeds == (0,) and choice.value == 0.1
    assert choice.candidates[0].unfinished == (runs[3]["name"],)


def test_a_value_that_diverged_is_out_and_named() -> None:
    (choice,) = choose([scored(1.0, 0.0, status="failed"), scored(0.1, 20.0)])
    assert choice.value == 0.1 and choice.candidates[1].failed and choice.candidates[1].score is None


@pytest.mark.parametrize("values", [("newton", "ccp"), (True, False), ([1.0, 2.0], [2.0, 1.0])])
def test_any_setting_can_be_chosen(values: tuple[Any, Any]) -> None:
    runs = [scored(0.1, float(n), method={"name": "ls", "option": value}) for n, value in enumerate(values)]
    (choice,) = choose(runs, over="method.option")
    assert choice.value == (values[0] if not isinstance(values[0], list) else "[1.0, 2.0]")
    assert f"method.option={choice.value}" in describe([choice], "method.option")


def test_methods_and_their_options_are_chosen_for_apart_and_single_values_left_out() -> None:
    nash = {"name": "nash_mtl", "update_weights_every": 5}
    runs = [scored(lr, 10 * lr, method=method) for lr in (0.1, 0.2) for method in ({"name": "ls"}, nash)]
    runs += [scored(0.1, 1.0, method={"name": "si"}), scored(0.4, 0.0, trainer__epochs=99)]
    assert [(choice.method["name"], choice.value) for choice in choose(runs)] == [("ls", 0.1), ("nash_mtl", 0.1)]


def test_without_a_validation_split_nothing_is_chosen_and_the_note_says_so() -> None:
    runs = [scored(0.1, 20.0), scored(0.2, 30.0)]
    for run in runs:
        for epoch in run["epochs"]:
            del epoch["validation"]
    (choice,) = choose(runs)
    assert choice.value is None and choice.note == "no value has validation scores"


def test_the_select_command_writes_and_prints_the_choice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for run in (scored(0.1, 20.0), scored(0.01, 10.0)):
        write(tmp_path, run)
    select(["benchmark=qm9", f"root={tmp_path}", f"out={tmp_path / 'choice.json'}"])
    assert capsys.readouterr().out == "ls: optimizer.lr=0.01 by validation (0.01: 10.00, 0.1: 20.00; seed 0)\n"
    written = json.loads((tmp_path / "choice.json").read_text())
    assert written["over"] == "optimizer.lr" and written["choices"][0]["value"] == 0.01
    with pytest.raises(SystemExit):
        select(["benchmark=mt10", f"root={tmp_path}"])
    assert "no mt10 runs with several values of optimizer.lr" in capsys.readouterr().err


def test_one_command_is_the_papers_search(
    waves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own = ["trainer.epochs=2", f"run.root={tmp_path}"]
    assert sweep(monkeypatch, "method=ls", "seed=0", "optimizer.lr=0.05", *own) == 0, "a run that is not the search's"
    arguments = ["-m", "sweep=learning_rate", "method=ls,si", "seed=0", *own]
    assert sweep(monkeypatch, *arguments) == 0
    found = records(tmp_path)
    assert found.pop(("ls", 0, 0.05))["results"]["delta_m"] is not None
    assert found.keys() == {(method, 0, lr) for method in ("ls", "si") for lr in (1e-3, 5e-4, 1e-4)}
    written = json.loads((tmp_path / "search.json").read_text())
    for choice in written["choices"]:
        scores = {
            lr: min(e["score"] for e in r["epochs"])
            for (m, _, lr), r in found.items()
            if m == choice["method"]["name"]
        }
        assert choice["value"] == min(scores, key=scores.__getitem__)
        assert {c["value"]: c["score"] for c in choice["candidates"]} == pytest.approx(scores)
    assert "ls: optimizer.lr=" in capsys.readouterr().out


def test_a_single_value_in_the_place_of_the_searchs_is_told(
    waves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["-m", "sweep=learning_rate", "method=ls", "seed=0", "optimizer.lr=0.1", f"run.root={tmp_path}"]
    assert sweep(monkeypatch, *arguments) == 0
    assert "warning: optimizer.lr=0.1 replaces the values that the sweep would search" in capsys.readouterr().err


def test_a_search_by_optuna_goes_on_where_it_stopped(
    waves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    arguments = ["-m", "sweep=optuna", "method=ls", "seed=0", "trainer.epochs=1"]
    assert sweep(monkeypatch, *arguments, "hydra.sweeper.n_trials=2", f"run.root={tmp_path / 'a'}") == 0
    broken = records(tmp_path / "a")
    capsys.readouterr()
    assert sweep(monkeypatch, *arguments, "hydra.sweeper.n_trials=4", f"run.root={tmp_path / 'a'}") == 0
    assert capsys.readouterr().out.count("is finished, skipped") == 2
    assert sweep(monkeypatch, *arguments, "hydra.sweeper.n_trials=4", f"run.root={tmp_path / 'b'}") == 0
    resumed, unbroken = records(tmp_path / "a"), records(tmp_path / "b")
    assert len(broken) == 2 and broken.items() <= resumed.items() and resumed.keys() == unbroken.keys()
    best = min(resumed, key=lambda key: resumed[key]["epochs"][0]["validation"]["delta_m"])
    assert f"optimizer.lr: {best[2]}" in (tmp_path / "a" / "optimization_results.yaml").read_text()


def test_a_search_goes_on_after_a_run_that_diverges(
    waves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    arguments = [
        "-m",
        "sweep=optuna",
        "method=ls",
        "seed=0",
        "optimizer.lr=choice(1e36,1e-2)",
        f"run.root={tmp_path}",
    ]
    assert sweep(monkeypatch, *arguments, "hydra.sweeper.n_trials=4", "trainer.epochs=2") == 0
    assert "warning: run ls-seed0-" in capsys.readouterr().err
    (choice,) = json.loads((tmp_path / "search.json").read_text())["choices"]
    assert choice["value"] == 0.01 and len(choice["candidates"][1]["failed"]) == 1


def test_a_search_without_a_validation_split_says_so_at_once(
    waves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import importlib

    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    module = importlib.import_module("experiments.waves.train")
    monkeypatch.setattr(module.WavesConfig, "splits", ("test",))
    arguments = ["-m", "sweep=optuna", "method=ls", "seed=0", "hydra.sweeper.n_trials=1", f"run.root={tmp_path}"]
    assert sweep(monkeypatch, *arguments) == 1
    assert "waves has no validation split" in capsys.readouterr().err and not records(tmp_path)
    assert sweep(monkeypatch, *arguments, "search.split=test") == 0
    (record_,) = records(tmp_path).values()
    assert f"best_value: {record_['results']['delta_m']}" in (tmp_path / "optimization_results.yaml").read_text()


def test_after_an_error_a_benchmark_chooses_by_its_own_rules(tmp_path: Path) -> None:
    planned = []

    class Own(SweepFiles):
        def planned(self, runs: list[list[str]]) -> list[list[str]]:
            planned.append(runs)
            return runs

    overrides = ["method=ls", "optimizer.lr=0.1,0.2"]
    hydra = {"sweeper": {"_target_": "basic"}, "overrides": {"task": overrides}, "sweep": {"dir": str(tmp_path)}}
    search = {"over": "optimizer.lr", "split": "validation"}
    Own().on_multirun_start(OmegaConf.create({"benchmark": "qm9", "search": search, "hydra": hydra}))
    for calls in (2, 2):  # the plan's and the choice's; then there is no sweep left to choose for
        choose_after_all()
        assert planned == [[["method=ls", "optimizer.lr=0.1"], ["method=ls", "optimizer.lr=0.2"]]] * calls
