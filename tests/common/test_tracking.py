"""What the trackers write, read back: W&B's offline files, TensorBoard's event files, CSV; made-up numbers."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.common.tracking import NoTracker, Trackers, flat_metrics, open_tracker, pixels
from tests.common.made_up import record
from tests.common.wandb_files import logged

ENTRY = {
    "learning_rate": 0.01,
    "seconds": 5.0,
    "train_seconds": 4.0,
    "steps": 8,
    "samples": 80,
    "train_losses": {"mu": 1.0},
    "weights": {"mu": 0.5},
    "smallest_eigenvalue": 0.1,
    "largest_eigenvalue": 2.0,
    "smallest_cosine": -0.2,
    "solver_statuses": {"solved": 8},
    "test": {"mu": 3.0, "delta_m": 7.0},
}
FLAT = {
    "learning_rate": 0.01,
    "speed/epoch_seconds": 5.0,
    "speed/steps_per_second": 2.0,
    "speed/samples_per_second": 20.0,
    "train/loss/mu": 1.0,
    "weights/mu": 0.5,
    "gramian/smallest_eigenvalue": 0.1,
    "gramian/largest_eigenvalue": 2.0,
    "gramian/smallest_cosine": -0.2,
    "solver/solved": 8,
    "test/mu": 3.0,
    "test/delta_m": 7.0,
}
RESULTS = {"epoch": 1, "delta_m": 7.0, "metrics": {"mu": 3.0, "alpha": 2.5}}
GREY = np.linspace(0.0, 1.0, 12).reshape(3, 4)
COLOUR = np.arange(36, dtype=np.uint8).reshape(3, 4, 3)
SETTINGS = {"also": [], "project": "p", "entity": None, "mode": "offline", "timeout_seconds": 20.0}
SECRET = "fedcba9876" * 4


def track(name: str, folder: Path, also: tuple[str, ...] = ()) -> None:
    """Two epochs with pictures and results, through the tracker of this name."""
    tracker = open_tracker({**SETTINGS, "name": name, "also": also}, folder, record(None, status="running"))
    for epoch in (0, 1):
        tracker.log(flat_metrics(ENTRY) | {"test/mu": 3.0 + epoch}, epoch)
        tracker.log_pictures(lambda: {"grey": GREY, "colour": COLOUR}, epoch)
    tracker.finish(RESULTS)


def test_an_epochs_entry_has_the_documented_keys() -> None:
    assert flat_metrics(ENTRY) == FLAT
    short = {key: ENTRY[key] for key in ("learning_rate", "seconds", "train_losses")}
    assert flat_metrics({**short, "weights": None, "smallest_eigenvalue": None}).keys() == {
        "learning_rate",
        "speed/epoch_seconds",
        "train/loss/mu",
    }


def test_wandb_files_hold_numbers_pictures_table_and_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_API_KEY", SECRET)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    track("wandb", tmp_path)
    rows, summary, config = logged(tmp_path)
    for epoch, row in enumerate(rows):
        assert FLAT | {"epoch": epoch, "test/mu": 3.0 + epoch} == {
            k: v for k, v in row.items() if k in {*FLAT, "epoch"}
        }
        assert row["pictures/colour/_type"] == "image-file" and row["pictures/grey/width"] == 4
    assert len(rows) == 2
    (table,) = tmp_path.rglob("*.table.json")
    content = json.loads(table.read_text())
    assert dict(zip(content["columns"], content["data"][0], strict=True)) == {
        **{"method": "ls", "seed": 0, "mu": 3.0, "alpha": 2.5},
        **{"epoch": 1, "delta_m": 7.0},
    }
    assert summary["result/mu"] == 3.0 and summary["result/delta_m"] == 7.0
    assert config["trainer"] == {"epochs": 10, "batch_size": 60} and config["provenance"]["synthetic"] is True
    assert len(list(tmp_path.rglob("*.png"))) == 4, "two pictures in both epochs"
    assert not any(SECRET.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_runs_of_one_process_are_logged_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As MT10's seeds are that one process trains together."""
    pytest.importorskip("wandb")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    settings = {**SETTINGS, "name": "wandb"}
    both = [open_tracker(settings, tmp_path / str(seed), record(None, seed=seed)) for seed in (0, 1)]
    for epoch in (0, 1):
        for seed, tracker in enumerate(both):
            tracker.log({"test/mu": 10.0 * seed + epoch}, epoch)
    for tracker in both:
        tracker.finish(RESULTS)
    for seed in (0, 1):
        rows, _, config = logged(tmp_path / str(seed))
        assert [row["test/mu"] for row in rows] == [10.0 * seed, 10.0 * seed + 1] and config["seed"] == seed


@pytest.mark.parametrize("variable", ["offline", "disabled"])
def test_wandb_mode_decides_where_the_settings_do_not(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", variable)
    asked = []
    monkeypatch.setattr(wandb, "login", lambda **_: asked.append("account"))
    monkeypatch.setitem(SETTINGS, "mode", None)
    track("wandb", tmp_path)
    printed = capsys.readouterr()
    assert not asked and "account" not in printed.out + printed.err
    assert len(list(tmp_path.rglob("offline-run-*"))) == (variable == "offline")
    monkeypatch.setitem(SETTINGS, "mode", "offline")
    track("wandb", tmp_path / "told")
    assert len(list((tmp_path / "told").rglob("offline-run-*"))) == 1, "a setting comes before the variable"


def test_an_unknown_wandb_mode_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from experiments.common.errors import UserError

    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "sometimes")
    with pytest.raises(UserError, match="WANDB_MODE is 'sometimes'; set it to online, offline or disabled"):
        track("wandb", tmp_path)


def test_tensorboard_files_hold_numbers_pictures_and_table(tmp_path: Path) -> None:
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    track("tensorboard", tmp_path)
    track("tensorboard", tmp_path)  # a second writer, as after a resumption: what it repeats replaces the first's
    events = accumulators.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    for key, value in FLAT.items():
        found = [(event.step, event.value) for event in events.Scalars(key)]
        assert found == [(e, pytest.approx(value + (e if key == "test/mu" else 0))) for e in (0, 1)], key
    assert [(event.step, event.value) for event in events.Scalars("result/mu")] == [(1, 3.0)]
    assert [(image.step, image.width, image.height) for image in events.Images("pictures/grey")] == [
        (0, 4, 3),
        (1, 4, 3),
    ]
    texts = {
        key: events.Tensors(f"{key}/text_summary")[0].tensor_proto.string_val[0]
        for key in ("results", "configuration")
    }
    assert b"| mu | alpha | epoch | delta_m |" in texts["results"] and b"| 3 | 2.5 | 1 | 7 |" in texts["results"]
    assert b'"batch_size": 60' in texts["configuration"]


@pytest.mark.parametrize("results", [{"status": "interrupted"}, {"metrics": {"mu": 3.0}, "epoch": 0}])
def test_tensorboards_curves_survive_a_session_without_an_epoch(tmp_path: Path, results: dict[str, Any]) -> None:
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    track("tensorboard", tmp_path)
    again = open_tracker({**SETTINGS, "name": "tensorboard"}, tmp_path, record(None, status="running"))
    again.finish(results)
    events = accumulators.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("test/mu")] == [0, 1]


def test_csv_files_hold_numbers_pictures_and_results(tmp_path: Path) -> None:
    from PIL import Image

    track("csv", tmp_path)
    with open(tmp_path / "metrics.csv", newline="") as file:
        rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
    assert rows == [FLAT | {"epoch": float(e), "test/mu": 3.0 + e} for e in (0, 1)]
    with open(tmp_path / "results.csv", newline="") as file:
        assert list(csv.DictReader(file)) == [{"mu": "3.0", "alpha": "2.5", "epoch": "1", "delta_m": "7.0"}]
    with Image.open(tmp_path / "pictures" / "colour" / "1.png") as image:
        assert np.array_equal(np.asarray(image), COLOUR)


def test_a_resumed_csv_goes_on_and_replaces_what_it_repeats(tmp_path: Path) -> None:
    settings = {**SETTINGS, "name": "csv"}
    for epochs in ((0, 1), (1, 2)):
        tracker = open_tracker(settings, tmp_path, record(None, status="running"))
        for epoch in epochs:
            tracker.log({"loss": 10.0 * epochs[0] + epoch, **({"late": 1.0} if epoch == 2 else {})}, epoch)
    assert (tmp_path / "metrics.csv").read_text() == "epoch,loss,late\n0,0.0,\n1,11.0,\n2,12.0,1.0\n"


def test_several_trackers_take_the_same_run(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    track("csv", tmp_path, also=("tensorboard", "csv"))
    assert (tmp_path / "metrics.csv").exists() and list((tmp_path / "tensorboard").iterdir())


def test_a_tracker_that_fails_is_named_once_and_the_others_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    class Failing(NoTracker):
        title = "the first"

        def log(self, values: dict[str, float], epoch: int) -> None:
            raise OSError("disk full")

    class Counting(NoTracker):
        epochs: list[int] = []  # noqa: RUF012

        def log(self, values: dict[str, float], epoch: int) -> None:
            self.epochs.append(epoch)

    tracker = Trackers([Failing(), Counting()])
    for epoch in range(3):
        tracker.log({}, epoch)
    assert Counting.epochs == [0, 1, 2]
    assert (
        capsys.readouterr().err == "warning: the first has failed (disk full); this run is no longer logged there.\n"
    )


@pytest.mark.parametrize("shape", [(3,), (2, 2, 4), (1, 2, 2, 3)])
def test_a_picture_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected \[H, W\] or \[H, W, 3\]"):
        pixels(np.zeros(shape))


def test_a_picture_may_be_a_file(tmp_path: Path) -> None:
    from PIL import Image

    Image.fromarray(COLOUR).save(tmp_path / "a.png")
    assert np.array_equal(pixels(tmp_path / "a.png"), COLOUR)
    assert pixels(GREY).shape == (3, 4, 3) and pixels(GREY)[2, 3].tolist() == [255, 255, 255]


def test_a_missing_tensorboard_names_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from experiments.common.errors import UserError

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    settings: dict[str, Any] = {**SETTINGS, "name": "tensorboard"}
    with pytest.raises(UserError, match="pip install tensorboard, or use logger=csv"):
        open_tracker(settings, tmp_path, record(None, status="running"))


@pytest.mark.parametrize("content", [b"a,b\n1,2\n", bytes(range(256)), b"epoch,x\n0,1\none,", None])
def test_a_tracker_that_cannot_be_opened_is_left_out(
    content: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is None:
        (tmp_path / "metrics.csv").mkdir()
    else:
        (tmp_path / "metrics.csv").write_bytes(content)
    tracker = open_tracker({**SETTINGS, "name": "csv", "also": ()}, tmp_path, record(None, status="running"))
    tracker.log(FLAT, 0)
    tracker.finish(RESULTS)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: logger csv cannot be used (") and line.endswith("this run is not logged there.")
