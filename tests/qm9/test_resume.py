"""Runs that are killed, interrupted or find damaged files end with the numbers of an unbroken run, bit for bit."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from experiments.common.checkpoint import CURRENT, PREVIOUS
from experiments.common.claims import CLAIM
from experiments.common.errors import UserError
from experiments.common.records import RECORD, claim, read_record
from reliability.faults import kill_at_the_nth, raise_signal_in_step
from tests.qm9.runs import configured, finish, numbers, run, run_folder, small, start

#: What is killed at random moments, with every method that has something to restore, is in tests/reliability.
METHOD = ["method=nash_mtl", "method.update_weights_every=3"]
#: 3 epochs of 4 steps, so restless that the validation error rises and the learning rate is lowered.
LENGTH = ["trainer.epochs=3", "run.checkpoint_every=1"]
LENGTH += ["optimizer.lr=0.05", "schedule.patience=0", "schedule.factor=0.5"]


@pytest.fixture(scope="session")
def unbroken(qm9_root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The numbers without a break, and without a checkpoint within the epochs."""
    root = tmp_path_factory.mktemp("unbroken")
    found = numbers(run(small(qm9_root, root, *METHOD, *LENGTH, "run.checkpoint_every=0")))
    rates = {epoch["learning_rate"] for epoch in found["epochs"]}
    assert len(rates) > 1, "a schedule that is not restored would show"
    return found


def only_whole_files(root: Path) -> bool:
    """Whether the folder of a run that was begun twice holds its record and nothing half written."""
    names = {path.name for path in run_folder(root).iterdir()}
    return names - {"network.pt"} == {RECORD, f"{CLAIM}2"}


# Which call a kill waits for: the n-th checkpoint half written, its rename, its successor's, a record's rename.
KILLS = [
    ("torch", "save", 1),
    ("torch", "save", 6),
    ("os", "replace", 1),
    ("os", "replace", 2),
    ("os", "replace", 7),
    ("os", "replace", 12),
    ("os", "fsync", 5),
    ("experiments.common.records", "write_json", 2),
    ("experiments.common.engine", "remove_checkpoints", 1),
]


@pytest.mark.parametrize(("module", "name", "n"), KILLS)
def test_killed_while_writing(
    qm9_root: Path, tmp_path: Path, unbroken: dict[str, Any], module: str, name: str, n: int
) -> None:
    arguments = small(qm9_root, tmp_path / "runs", *METHOD, *LENGTH)
    log = tmp_path / "log"
    assert finish(start(arguments, log, kill_at_the_nth, module, name, n)) == -signal.SIGKILL
    assert numbers(run(arguments)) == unbroken
    assert only_whole_files(tmp_path / "runs")


@pytest.mark.parametrize(
    ("number", "step"), [(signal.SIGTERM, 1), (signal.SIGTERM, 4), (signal.SIGTERM, 6), (signal.SIGINT, 6)]
)
def test_interrupted(
    qm9_root: Path, tmp_path: Path, unbroken: dict[str, Any], number: signal.Signals, step: int
) -> None:
    arguments = small(qm9_root, tmp_path / "runs", *METHOD, *LENGTH, "run.checkpoint_every=0")
    log = tmp_path / "log"
    assert (
        finish(start(arguments, log, raise_signal_in_step, "experiments.qm9.train", "QM9Problem", step, number))
        == 128 + number
    )
    folder = run_folder(tmp_path / "runs")
    record = read_record(folder)
    assert record is not None and record["status"] == "interrupted" and record["results"] is None
    assert len(record["epochs"]) == (step - 1) // 4
    assert "interrupted, saved in" in log.read_text() and "Traceback" not in log.read_text()
    assert numbers(run(arguments)) == unbroken


def test_a_signal_after_the_last_step_ends_the_sweep_but_not_the_run(
    qm9_root: Path, tmp_path: Path, unbroken: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from experiments.qm9.train import QM9Problem

    original = QM9Problem.score

    def score(self: Any, validation: dict[str, float]) -> float:
        nonlocal calls
        calls += 1
        if calls == 3:
            signal.raise_signal(signal.SIGTERM)
        return original(self, validation)

    calls = 0
    monkeypatch.setattr(QM9Problem, "score", score)
    with pytest.raises(SystemExit) as stop:
        run(small(qm9_root, tmp_path, *METHOD, *LENGTH))
    assert stop.value.code == 128 + signal.SIGTERM
    record = read_record(run_folder(tmp_path))
    assert record is not None and record["status"] == "finished" and numbers(record) == unbroken


def test_signal_handlers_are_put_back(qm9_root: Path, tmp_path: Path) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    run(small(qm9_root, tmp_path, "method=ls", "trainer.epochs=1"))
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.fixture
def broken(qm9_root: Path, tmp_path: Path) -> tuple[list[str], Path]:
    """A run's command line and its folder after a kill in its second epoch, with two checkpoints."""
    arguments = small(qm9_root, tmp_path / "runs", *METHOD, *LENGTH)
    finish(start(arguments, tmp_path / "log", kill_at_the_nth, "torch", "save", 7))
    folder = run_folder(tmp_path / "runs")
    assert (folder / CURRENT).exists() and (folder / PREVIOUS).exists()
    return arguments, folder


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_two_damaged_checkpoints(
    broken: tuple[list[str], Path], unbroken: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, folder = broken
    for name in (CURRENT, PREVIOUS):
        truncate(folder / name)
    assert numbers(run(arguments)) == unbroken
    first, second = capsys.readouterr().err.strip().splitlines()
    assert first.startswith("warning:") and str(folder / CURRENT) in first
    assert "falling back to the one before" in first
    assert str(folder / PREVIOUS) in second and second.endswith("starting anew.")


def test_a_checkpoint_that_does_not_fit_is_named(broken: tuple[list[str], Path]) -> None:
    import torch

    arguments, folder = broken
    state = torch.load(folder / CURRENT, weights_only=True)
    state["method"] = {"momentum": 0.9}
    torch.save(state, folder / CURRENT)
    with pytest.raises(
        UserError, match=r"checkpoint in .* is of another run or version \(.*momentum.*\); delete the folder"
    ):
        run(arguments)


def test_a_run_held_by_another_process_is_skipped(
    qm9_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from experiments.common.records import run_name
    from experiments.qm9 import train as trainer

    arguments = small(qm9_root, tmp_path / "runs", "method=ls", "data.train=12", "trainer.epochs=40")
    process = start(arguments, tmp_path / "log")
    config = configured(arguments)
    from dataclasses import asdict

    folder = tmp_path / "runs" / run_name(asdict(config))
    while read_record(folder) is None and process.is_alive():
        time.sleep(0.02)
    seen = trainer.train(config)
    assert "is being run by another process, skipped" in capsys.readouterr().out
    assert seen["status"] == "running"
    assert finish(process) == 0
    record = read_record(folder)
    assert record is not None and record["status"] == "finished" and len(record["epochs"]) == 40
    with claim(folder) as claimed:
        assert claimed


def test_the_command_itself_leaves_on_sigterm_and_goes_on(
    qm9_root: Path, tmp_path: Path, unbroken: dict[str, Any]
) -> None:
    """The one test that pays for a fresh interpreter: what a batch system starts and stops."""
    root = Path(__file__).resolve().parents[2]
    endless = [*METHOD, *LENGTH, "trainer.epochs=100000"]
    command = [sys.executable, "-m", "experiments.qm9.train", *small(qm9_root, tmp_path / "runs", *endless)]
    process = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60

    def trained() -> bool:
        """Whether the record has an epoch; it is there from the run's start."""
        return any(json.loads(path.read_text())["epochs"] for path in tmp_path.glob(f"runs/*/{RECORD}"))

    while not trained() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    process.terminate()
    out, err = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM, err
    assert "Traceback" not in err and "interrupted, saved in" in err and not out
    record = read_record(run_folder(tmp_path / "runs"))
    assert record is not None and record["status"] == "interrupted"
    assert record["epochs"][0]["train_losses"] == unbroken["epochs"][0]["train_losses"]
