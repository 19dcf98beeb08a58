"""The NYUv2 trainer on a handful of rendered rooms: every method, single tasks, records, resumption."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir

from experiments.common import engine
from experiments.common.config import CONFIGS
from experiments.common.metrics import delta_m
from experiments.common.published import published_reference
from experiments.common.records import run_name
from experiments.nyuv2.config import checked
from experiments.nyuv2.metrics import METRICS
from experiments.nyuv2.train import train
from experiments.scenes.config import SceneConfig
from experiments.scenes.problem import SceneProblem
from methods import METHODS

SMALL = [
    *("preset=quick", "data.source=rooms", "data.height=32", "data.width=64", "data.train=4", "data.test=2"),
    *("model.width=0.05", "trainer.epochs=2", "trainer.batch_size=2"),
    *("run.progress=false", "run.checkpoint_every=1"),
]


@pytest.fixture(autouse=True)
def own_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path_factory.getbasetemp())  # the rooms are rendered once for all tests


def configured(*overrides: str) -> SceneConfig:
    with initialize_config_dir(str(CONFIGS / "nyuv2"), version_base="1.3"):
        return checked(compose("train", list(overrides)))


def run(tmp_path: Path, *overrides: str) -> dict[str, Any]:
    return train(configured(*SMALL, f"run.root={tmp_path}", *overrides))


def test_without_data_a_run_is_of_rendered_rooms_and_has_their_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same command with real data later is another run, not one that is finished already."""
    monkeypatch.delenv("NYUV2_ROOT", raising=False)
    settings = [entry for entry in SMALL if not entry.startswith("data.source")]
    without = configured(*settings)
    assert without.data.source == "rooms"
    monkeypatch.setenv("NYUV2_ROOT", str(tmp_path))
    assert run_name(asdict(configured(*settings))) != run_name(asdict(without))


@pytest.mark.parametrize("path", sorted((CONFIGS / "nyuv2" / "preset").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_preset_can_be_run(path: Path) -> None:
    config = configured(f"preset={path.stem}")
    assert config.preset == path.stem
    assert config.trainer.last_epochs <= config.trainer.epochs


@pytest.mark.parametrize("method", [key for key in METHODS if key != "stl"])
def test_every_method_trains_and_its_record_says_synthetic(method: str, tmp_path: Path) -> None:
    record = run(tmp_path, f"method={method}")
    assert record["status"] == "finished"
    assert record["data"]["synthetic"] is True
    metrics = record["results"]["metrics"]
    assert list(metrics) == [metric.name for metric in METRICS]
    directions = [metric.higher_is_better for metric in METRICS]
    expected = delta_m(list(metrics.values()), published_reference("nyuv2"), directions)
    assert record["results"]["delta_m"] == pytest.approx(expected)
    assert metrics == pytest.approx({k: v for k, v in record["epochs"][-1]["test"].items() if k != "delta_m"})


def test_single_tasks_are_three_runs_with_the_metrics_of_their_task(tmp_path: Path) -> None:
    run(tmp_path, "method=stl")
    records = [json.loads(path.read_text()) for path in sorted(tmp_path.rglob("record.json"))]
    names = [list(record["results"]["metrics"]) for record in records]
    assert [name for some in names for name in some] == [metric.name for metric in METRICS]


def test_the_reported_row_is_the_mean_of_the_last_epochs(tmp_path: Path) -> None:
    record = run(tmp_path, "method=ls", "trainer.last_epochs=2")
    tests = [epoch["test"] for epoch in record["epochs"]]
    for name, value in record["results"]["metrics"].items():
        assert value == pytest.approx((tests[0][name] + tests[1][name]) / 2)


@pytest.mark.parametrize("method", ["nash_mtl", "rlw", "famo"])
def test_a_broken_run_resumes_to_the_same_numbers(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unbroken = run(tmp_path / "unbroken", f"method={method}")
    original, calls = SceneProblem.losses, 0

    def losses(self: SceneProblem, handle: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == (7 if method == "famo" else 4):  # FAMO asks twice a step
            raise InterruptedError
        return original(self, handle)

    monkeypatch.setattr(SceneProblem, "losses", losses)
    with pytest.raises(InterruptedError):
        run(tmp_path / "broken", f"method={method}")
    monkeypatch.setattr(SceneProblem, "losses", original)
    torch.manual_seed(123)  # whatever the new process does before it resumes
    resumed = run(tmp_path / "broken", f"method={method}")
    times = {"seconds": 0, "train_seconds": 0}
    for epoch, same in zip(unbroken["epochs"], resumed["epochs"], strict=True):
        assert {**epoch, **times} == {**same, **times}


@pytest.mark.parametrize("model", ["mtan", "segnet"])
def test_both_networks(model: str, tmp_path: Path) -> None:
    assert run(tmp_path, f"model={model}", "trainer.epochs=1")["status"] == "finished"


def test_checkpoints_keep_their_distance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    monkeypatch.setattr(engine, "save_checkpoint", lambda folder, state: written.append(state["progress"]["epoch"]))
    run(tmp_path / "all", "method=ls")
    assert written == [0, 1, 1, 2]  # after the first of two steps, and after each of two epochs
    written.clear()
    run(tmp_path / "few", "method=ls", "run.checkpoint_seconds=1000")
    assert written == []


def test_a_signal_writes_a_checkpoint_at_any_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = ["method=nash_mtl", "run.checkpoint_seconds=1000"]
    unbroken = run(tmp_path / "unbroken", *settings)
    original, calls = SceneProblem.losses, 0

    def losses(self: SceneProblem, handle: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            os.kill(os.getpid(), signal.SIGTERM)  # as timeout does
        return original(self, handle)

    monkeypatch.setattr(SceneProblem, "losses", losses)
    with pytest.raises(SystemExit) as status:
        run(tmp_path / "stopped", *settings)
    assert status.value.code == 128 + signal.SIGTERM
    resumed = run(tmp_path / "stopped", *settings)
    assert calls == 4, "the steps before the signal are not made again"
    times = {"seconds": 0, "train_seconds": 0}
    assert [{**epoch, **times} for epoch in resumed["epochs"]] == [{**epoch, **times} for epoch in unbroken["epochs"]]
