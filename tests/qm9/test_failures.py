"""Runs that diverge, and services that fail beside them."""

from __future__ import annotations

import json
import math
import socket
from pathlib import Path
from typing import Any

import pytest
import torch

from experiments.common import tracking
from experiments.common.engine import Run
from experiments.common.errors import UserError
from experiments.qm9 import train as trainer
from experiments.qm9.metrics import METRICS
from tests.common.wandb_files import logged
from tests.qm9.runs import command, numbers, records, run, run_folder, small

NAMES = [metric.name for metric in METRICS]
GRAMIAN = ("smallest_eigenvalue", "largest_eigenvalue", "smallest_cosine")
METHODS = ["ls", "nash_mtl", "mgda", "graddrop", "uw"]


@pytest.fixture
def parameters_after(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """The parameters of every run that ends while the test lasts."""
    kept: list[torch.Tensor] = []
    original = Run.train

    def keeping(self: Run) -> dict[str, Any]:
        try:
            return original(self)
        finally:
            kept.extend(parameter.detach() for parameter in self.problem.model.parameters())

    monkeypatch.setattr(Run, "train", keeping)
    return kept


@pytest.mark.parametrize("method", METHODS)
def test_a_target_that_is_not_a_number_ends_the_run(
    qm9_root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
    parameters_after: list[torch.Tensor],
    method: str,
) -> None:
    original = trainer.load_data

    def with_a_hole(*args: Any) -> Any:
        data = original(*args)
        batches = trainer.training_order(data.splits["train"], 6, 0, 1)
        data.dense.targets[batches[2][0], 3] = math.nan  # first seen in the third step of one of the epochs
        monkeypatch.setattr(trainer, "training_order", lambda indices, size, seed, epoch: batches)
        return data

    monkeypatch.setattr(trainer, "load_data", with_a_hole)
    status, _, err = command(small(qm9_root, tmp_path, f"method={method}"), monkeypatch, capsys)
    assert status == 1
    (line,) = err.strip().splitlines()
    assert line.startswith(f"error: run {method}-seed0-") and "LUMO nan" in line
    assert "failed in epoch 1/2, step 3/4:" in line and "A lower optimizer.lr may help." in line
    (record,) = records(tmp_path)
    assert record["status"] == "failed" and "LUMO" in record["error"] and record["results"] is None
    assert record["finished"] is not None and record["epochs"] == []
    assert parameters_after and all(bool(parameter.isfinite().all()) for parameter in parameters_after)


@pytest.mark.parametrize(
    ("method", "batch_size"),
    [
        *((method, 6) for method in [*METHODS, "si", "dwa", "cagrad", "imtl_g", "pcgrad"]),
        *((method, 24) for method in ("ls", "nash_mtl")),  # one step an epoch: the evaluation sees it first
    ],
)
def test_an_absurd_learning_rate_ends_the_run_in_one_line(
    qm9_root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
    parameters_after: list[torch.Tensor],
    method: str,
    batch_size: int,
) -> None:
    overrides = [f"method={method}", "optimizer.lr=1e36", f"trainer.batch_size={batch_size}"]
    status, _, err = command(small(qm9_root, tmp_path, *overrides), monkeypatch, capsys)
    assert status == 1
    (line,) = err.strip().splitlines()
    assert line.startswith(f"error: run {method}-seed0-") and "failed in epoch 1/2" in line
    assert any(name in line for name in NAMES) or "gradient" in line, line
    (path,) = tmp_path.rglob("record.json")
    record = json.loads(path.read_text(), parse_constant=lambda text: pytest.fail(f"{text} in a record"))
    assert record["status"] == "failed"
    assert not any(bool(parameter.isnan().any()) for parameter in parameters_after)


def test_a_failed_run_fails_in_the_same_way_again(
    qm9_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    arguments = small(qm9_root, tmp_path, "method=ls", "optimizer.lr=1e36", "run.checkpoint_every=1")
    first, second = (command(arguments, monkeypatch, capsys) for _ in range(2))
    assert first == second and first[0] == 1


# --- tracking -----------------------------------------------------------------------------------------------


class FailingRun:
    """A W&B run whose service has gone."""

    def __init__(self) -> None:
        self.calls = 0
        self.summary = {}

    def log(self, values: dict[str, float], step: int) -> None:
        self.calls += 1
        raise BrokenPipeError("the service has gone")

    def finish(self, exit_code: int) -> None:
        self.calls += 1
        raise BrokenPipeError("the service has gone")


def test_a_tracker_that_fails_does_not_stop_the_run(
    qm9_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    wandb = pytest.importorskip("wandb")
    failing = FailingRun()
    monkeypatch.setattr(wandb, "init", lambda **options: failing)
    expected = numbers(run(small(qm9_root, tmp_path / "a", "method=ls")))
    found = run(small(qm9_root, tmp_path / "b", "method=ls", "logger=wandb", "logger.mode=offline"))
    assert numbers(found) == expected
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line == "warning: W&B has failed (the service has gone); this run is no longer logged there."
    assert failing.calls == 1, "it is not asked again"


def test_a_missing_wandb_names_its_remedy(
    qm9_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "wandb", None)
    status, _, err = command(small(qm9_root, tmp_path, "logger=wandb"), monkeypatch, capsys)
    assert status == 1 and "pip install wandb, or use logger=none." in err and len(err.strip().splitlines()) == 1


@pytest.fixture
def closed_port(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """The address of a W&B service that is not there, and an account of one's own for it."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    monkeypatch.setenv("WANDB_BASE_URL", address)
    monkeypatch.setenv("WANDB_API_KEY", "0123456789" * 4)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))  # no account of the person who runs the tests
    return address


def test_an_unreachable_service_is_logged_offline_with_the_documented_keys(
    qm9_root: Path, tmp_path: Path, closed_port: str, capsys: Any
) -> None:
    pytest.importorskip("wandb")
    overrides = ["logger=wandb", "logger.mode=online", "logger.timeout_seconds=2", "method=nash_mtl"]
    record = run(small(qm9_root, tmp_path / "runs", *overrides))
    err = capsys.readouterr().err
    assert "warning: W&B cannot be reached" in err and "logging offline in" in err and "Traceback" not in err

    folder = run_folder(tmp_path / "runs")
    rows, summary, config = logged(folder)
    assert [row["epoch"] for row in rows] == [0, 1]
    assert rows[-1]["results/_type"] == "table-file"
    for row, epoch in zip(rows, record["epochs"], strict=True):
        expected = {
            **{f"train/loss/{name}": value for name, value in epoch["train_losses"].items()},
            **{f"weights/{name}": value for name, value in epoch["weights"].items()},
            **{f"{split}/{name}": value for split in ("validation", "test") for name, value in epoch[split].items()},
            **{f"gramian/{name}": epoch[name] for name in GRAMIAN},
            **{f"solver/{status}": count for status, count in epoch["solver_statuses"].items()},
            "learning_rate": epoch["learning_rate"],
            "speed/epoch_seconds": epoch["seconds"],
            "speed/steps_per_second": 4 / epoch["train_seconds"],
            "speed/samples_per_second": 24 / epoch["train_seconds"],
            "epoch": epoch["epoch"],
        }
        kept = {key: value for key, value in row.items() if not key.startswith(("_", "results/"))}
        assert kept == pytest.approx(expected)
        assert {"validation/delta_m", "test/mu", "train/loss/cv", "weights/U0"} <= row.keys()
        assert row["gramian/smallest_eigenvalue"] < row["gramian/largest_eigenvalue"]
        assert -1 <= row["gramian/smallest_cosine"] <= 1
    assert summary["result/delta_m"] == pytest.approx(record["results"]["delta_m"])
    assert summary["result/mu"] == pytest.approx(record["results"]["metrics"]["mu"])
    assert config["provenance"] == record["data"] and config["protocol"] == record["protocol"]
    assert config["seed"] == 0 and config["method"]["name"] == "nash_mtl"
    written = [path.read_bytes() for path in (tmp_path / "runs").rglob("*") if path.is_file()]
    assert not any(b"0123456789" * 4 in content for content in written), "a key is never written down"


def test_no_account_means_offline(
    qm9_root: Path, tmp_path: Path, closed_port: str, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    wandb = pytest.importorskip("wandb")
    monkeypatch.delenv("WANDB_API_KEY")
    monkeypatch.setattr(wandb, "login", lambda **_: False)
    run(small(qm9_root, tmp_path / "runs", "logger=wandb", "method=ls"))
    rows, _, _ = logged(run_folder(tmp_path / "runs"))
    printed = capsys.readouterr()
    assert len(rows) == 2 and "warning" not in printed.err
    assert "There is no W&B account on this machine (wandb login); logging offline in" in printed.out


def test_a_loss_of_zero_ends_an_si_run_with_one_line_that_names_the_task(
    qm9_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = trainer.QM9Problem.losses

    def with_a_zero(self: Any, indices: Any) -> Any:
        values, representation = losses(self, indices)
        return values * values.new_tensor([1.0] * 10 + [0.0]), representation

    monkeypatch.setattr(trainer.QM9Problem, "losses", with_a_zero)
    with pytest.raises(UserError, match=r"failed in epoch 1/2, step 1/\d+: .*10") as caught:
        run(small(qm9_root, tmp_path, "method=si"))
    assert "lower optimizer.lr" not in str(caught.value)
    (record,) = records(tmp_path)
    assert record["status"] == "failed" and "10" in record["error"]


def test_none_logs_nothing(tmp_path: Path) -> None:
    tracker = tracking.open_tracker({"name": "none"}, tmp_path, {})
    tracker.log({"a": 1.0}, 0)
    tracker.finish({})
    assert isinstance(tracker, tracking.NoTracker) and not list(tmp_path.iterdir())


def test_errors_of_the_user_are_no_tracebacks_in_the_library(qm9_root: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="failed in epoch 1/2"):
        run(small(qm9_root, tmp_path, "method=ls", "optimizer.lr=1e36"))
