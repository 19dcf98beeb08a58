"""The Cityscapes trainer on a handful of rendered streets: tasks, columns, protocol, the report's caption."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir

from experiments.cityscapes.config import checked
from experiments.cityscapes.metrics import METRICS
from experiments.cityscapes.scene_set import CITYSCAPES
from experiments.cityscapes.train import train
from experiments.common.config import CONFIGS
from experiments.common.errors import UserError
from experiments.common.metrics import delta_m
from experiments.common.published import published_reference
from experiments.report import main as report
from experiments.scenes.config import SceneConfig
from experiments.scenes.problem import network_of
from methods import METHODS

SMALL = [
    *("preset=quick", "data.source=streets", "data.height=32", "data.width=64", "data.train=4", "data.test=2"),
    *("model.width=0.05", "trainer.epochs=2", "trainer.batch_size=2", "run.progress=false"),
]


@pytest.fixture(autouse=True)
def own_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path_factory.getbasetemp())  # the streets are rendered once for all tests


def configured(*overrides: str) -> SceneConfig:
    with initialize_config_dir(str(CONFIGS / "cityscapes"), version_base="1.3"):
        return checked(compose("train", list(overrides)))


def run(tmp_path: Path, *overrides: str) -> dict[str, Any]:
    return train(configured(*SMALL, f"run.root={tmp_path}", *overrides))


@pytest.mark.parametrize("method", [key for key in METHODS if key != "stl"])
def test_every_method_trains_two_tasks(method: str, tmp_path: Path) -> None:
    record = run(tmp_path, f"method={method}", "trainer.epochs=1")
    assert record["status"] == "finished" and record["benchmark"] == "cityscapes"
    assert record["data"]["synthetic"] is True and record["data"]["source"] == "rendered streets"
    assert list(record["epochs"][0]["train_losses"]) == ["segmentation", "depth"]
    metrics = record["results"]["metrics"]
    assert list(metrics) == [metric.name for metric in METRICS]
    directions = [metric.higher_is_better for metric in METRICS]
    expected = delta_m(list(metrics.values()), published_reference("cityscapes"), directions)
    assert record["results"]["delta_m"] == pytest.approx(expected)


def test_single_tasks_and_the_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path / "runs", "method=stl")
    run(tmp_path / "runs", "method=ls")
    records = [json.loads(path.read_text()) for path in sorted(tmp_path.rglob("record.json"))]
    single = [record for record in records if record["method"]["name"] == "stl"]
    assert [list(record["results"]["metrics"]) for record in single] == [["mIoU", "PixAcc"], ["AbsErr", "RelErr"]]
    said = capsys.readouterr().out
    assert said.startswith(
        "No Cityscapes data found (data.root, CITYSCAPES_ROOT, data/cityscapes): training on RENDERED"
    )
    report(["benchmark=cityscapes", f"root={tmp_path / 'runs'}", f"out={tmp_path / 'report'}"])
    out = capsys.readouterr().out
    assert "SYNTHETIC" in out.splitlines()[0] and "| Nash-MTL" in out


def test_mtan(tmp_path: Path) -> None:
    assert run(tmp_path, "model=mtan", "trainer.epochs=1", "method=nash_mtl")["status"] == "finished"


def test_the_paper_preset_is_the_paper() -> None:
    config = configured("preset=paper")
    assert (config.data.height, config.data.width) == CITYSCAPES.size == (128, 256)
    assert (config.model.network, config.model.width) == ("mtan", 1.0)
    assert (config.trainer.epochs, config.trainer.batch_size, config.trainer.last_epochs) == (200, 8, 10)
    assert (config.optimizer.lr, config.schedule.step, config.schedule.factor) == (1e-4, 100, 0.5)
    assert list(network_of(CITYSCAPES, configured("preset=quick")).heads) == ["segmentation", "depth"]


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["data.source=rooms"], "data.source is 'rooms'; expected auto or store or streets"),
        (["method=stl", "method.main_task=2"], r"null or 0 to 1 \(segmentation, depth\)"),
        (["data.height=48"], "multiple of 32"),
    ],
)
def test_bad_settings(overrides: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        configured(*SMALL, *overrides)
