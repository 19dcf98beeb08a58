"""Looking at a run: a picture for each test frame, curves, pictures with a tracker, and clear errors."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from PIL import Image

from experiments.cityscapes.show import main as show_cityscapes
from experiments.common.checkpoint import NETWORK
from experiments.common.config import CONFIGS
from experiments.common.records import RECORD
from experiments.nyuv2.config import checked
from experiments.nyuv2.scene_set import NYUV2
from experiments.nyuv2.show import main as show_nyuv2
from experiments.nyuv2.train import train
from experiments.scenes.frames import Batch
from experiments.scenes.pictures import class_colours, curves_picture, frame_picture

SMALL = [
    *("preset=quick", "data.source=rooms", "data.height=32", "data.width=64", "data.train=4", "data.test=3"),
    *("model.width=0.05", "trainer.epochs=2", "trainer.batch_size=2", "method=ls", "run.progress=false"),
]


@pytest.fixture(autouse=True)
def own_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path_factory.getbasetemp())  # the rooms are rendered once for all tests


def trained(root: Path, *overrides: str) -> Path:
    """The folder of a finished run."""
    with initialize_config_dir(str(CONFIGS / "nyuv2"), version_base="1.3"):
        config = compose("train", [*SMALL, f"run.root={root}", *overrides])
    return root / train(checked(config))["name"]


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.getbasetemp())
        return trained(tmp_path_factory.mktemp("shown"))


@pytest.fixture
def run(once: Path, tmp_path: Path) -> Path:
    """A copy to harm."""
    return Path(shutil.copytree(once, tmp_path / once.name))


def show(monkeypatch: pytest.MonkeyPatch, *arguments: str, command: object = show_nyuv2) -> None:
    monkeypatch.setattr(sys, "argv", ["show", *arguments])
    command()  # type: ignore[operator]


def test_a_picture_for_each_test_frame(run: Path, monkeypatch: pytest.MonkeyPatch, capsys: object) -> None:
    assert not list(run.glob("checkpoint*.pt")), "only the network is kept"
    show(monkeypatch, f"run={run}")
    names = sorted(path.name for path in (run / "pictures").iterdir())
    assert names == ["0005.png", "0006.png", "0007.png", "curves.png"]
    for name in names:
        pixels = np.asarray(Image.open(run / "pictures" / name).convert("RGB"))
        assert pixels.shape[0] > 200 and len(np.unique(pixels.reshape(-1, 3), axis=0)) > 20, name


def test_some_frames_elsewhere(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    show(monkeypatch, f"run={run}", "count=2", f"out={tmp_path / 'deep' / 'er'}")
    assert sorted(p.name for p in (tmp_path / "deep" / "er").iterdir()) == ["0005.png", "0007.png", "curves.png"]
    assert not (run / "pictures").exists()


def test_a_single_task_has_its_own_column(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = trained(tmp_path, "method=stl", "method.main_task=2", "trainer.epochs=1")
    show(monkeypatch, f"run={folder}", "count=1")
    assert (folder / "pictures" / "0005.png").is_file()


def test_a_run_may_keep_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: object) -> None:
    folder = trained(tmp_path, "run.keep_network=false", "trainer.epochs=1")
    assert not (folder / NETWORK).exists()
    with pytest.raises(SystemExit):
        show(monkeypatch, f"run={folder}")


def a_frame() -> tuple[Batch, dict[str, torch.Tensor]]:
    """A frame and its perfect predictions; half of it unknown."""
    label = torch.arange(13).repeat_interleave(4).expand(1, 32, 52).clone()
    depth = torch.linspace(1, 5, 52).expand(1, 1, 32, 52).clone()
    normal = torch.eye(3)[2].view(1, 3, 1, 1).expand(1, 3, 32, 52).clone()
    predictions = {
        "segmentation": torch.nn.functional.one_hot(label, 13).movedim(-1, 1).float(),
        "depth": depth.clone(),
        "normals": normal.clone(),
    }
    label[:, :16], depth[:, :, :16], normal[:, :, :16] = -1, 0, 0
    return Batch(torch.rand(1, 3, 32, 52), label, depth, normal), predictions


def panels(batch: Batch, predictions: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    """What each panel shows, by its title."""
    figure = frame_picture(NYUV2, batch, predictions, "7")
    return {ax.get_title(): ax.images[0].get_array() for ax in figure.axes if ax.images}


def test_panels_show_truth_prediction_and_error() -> None:
    batch, predictions = a_frame()
    found = panels(batch, predictions)
    assert {"frame 7", "labels", "wrong (orange); 100.0 % right", "error; mean 0 m", "angle; mean 0.0°"} <= set(found)
    np.testing.assert_allclose(found["labels"][20, 50], class_colours(13)[12])
    np.testing.assert_allclose(found["labels"][3, 50], 0)  # unknown is black
    assert found["error; mean 0 m"].mask[:16].all() and not found["error; mean 0 m"].mask[16:].any()
    np.testing.assert_allclose(found["normals"][20, 5], [0.5, 0.5, 1.0])

    predictions["depth"] += 0.5
    predictions["segmentation"] = predictions["segmentation"].roll(1, dims=1)
    predictions["normals"] = torch.eye(3)[0].view(1, 3, 1, 1).expand(1, 3, 32, 52)
    worse = panels(batch, predictions)
    assert {"wrong (orange); 0.0 % right", "error; mean 0.5 m", "angle; mean 90.0°"} <= set(worse)


def test_a_frame_of_which_nothing_is_known() -> None:
    batch, predictions = a_frame()
    empty = Batch(batch.image, torch.full_like(batch.label, -1), batch.depth * 0, torch.zeros(1, 3, 32, 52))
    assert "error; mean none known" in panels(empty, predictions)


def test_classes_have_colours_of_their_own() -> None:
    assert len(set(class_colours(13))) == 13


def test_curves_are_the_records(once: Path) -> None:
    record = json.loads((once / RECORD).read_text())
    axes = curves_picture(NYUV2, record).axes
    assert [ax.get_title() for ax in axes[:3]] == ["segmentation", "depth", "normals"]
    for ax, task in zip(axes[:3], NYUV2.tasks, strict=True):
        np.testing.assert_allclose(ax.lines[0].get_ydata(), [e["train_losses"][task] for e in record["epochs"]])
    np.testing.assert_allclose(axes[4].lines[0].get_ydata(), [e["test"]["AbsErr"] for e in record["epochs"]])


def change(run: Path, **fields: object) -> None:
    path = run / RECORD
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        ("no record", "has no record.json; give run=FOLDER"),
        ("unfinished", "is not finished (interrupted); repeat its command first"),
        ("no network", "network.pt is missing"),
        ("damaged network", "network.pt cannot be used"),
        ("other configuration", "is of another version"),
        (
            "other data",
            "was trained on another store, but what is found here is rendered rooms; give root=",
        ),
        ("count=0", "count is 0; expected at least 1"),
        ("counts=2", "the settings are run, out, count, root, device"),
        ("device=gpu", "run.device 'gpu' cannot be used"),
        ("out=file/below", "choose another out"),
    ],
)
def test_errors_are_one_line(
    harm: str, said: str, run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [f"run={run}"]
    if harm == "no record":
        (run / RECORD).unlink()
    elif harm == "unfinished":
        change(run, status="interrupted")
    elif harm == "no network":
        (run / NETWORK).unlink()
    elif harm == "damaged network":
        (run / NETWORK).write_bytes(b"")
    elif harm == "other configuration":
        change(run, config={"model": {"depth": 3}})
    elif harm == "other data":
        change(run, data={"source": "another store"})
    elif harm.startswith("out"):
        (run / "file").touch()
        arguments.append(f"out={run}/file/below")
    else:
        arguments.append(harm)
    with pytest.raises(SystemExit) as status:
        show(monkeypatch, *arguments)
    assert status.value.code == 1
    (line,) = [text for text in capsys.readouterr().err.splitlines() if text.startswith("error: ")]
    assert said in line


def test_a_run_of_another_benchmark(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        show(monkeypatch, f"run={run}", command=show_cityscapes)
    assert "is a run of nyuv2, not of cityscapes; use python -m experiments.nyuv2.show" in capsys.readouterr().err


def test_pictures_reach_wandb_offline(tmp_path: Path) -> None:
    wandb = pytest.importorskip("wandb")
    folder = trained(tmp_path, "logger=wandb", "logger.mode=offline")
    wandb.teardown()
    (files,) = folder.glob("wandb/offline-run-*/files")
    logged = sorted(files.glob("media/images/pictures/*.png"))
    assert [path.name[:4] for path in logged] == ["0005", "0006", "0007"]
    assert all(np.asarray(Image.open(path)).std() > 10 for path in logged)
    (history,) = files.parent.glob("*.wandb")
    assert logged[0].name.encode() in history.read_bytes()
