"""Runs that are killed, interrupted or find damaged files end with the numbers of an unbroken run, bit for bit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from experiments.common.checkpoint import CURRENT, PREVIOUS
from experiments.common.claims import CLAIM
from experiments.common.errors import UserError
from experiments.common.records import RECORD, claim, run_name
from experiments.mt10 import loop
from experiments.mt10 import train as trainer
from experiments.mt10.learner import Learner
from experiments.mt10.policy import POLICY
from tests.mt10.runs import configured, numbers, records, run, run_one, small

#: Nash-MTL holds weights between its solutions, UW parameters and their optimiser, the others a generator or history.
CASES = {
    "nash_mtl": ["method=nash_mtl", "method.update_weights_every=3"],
    "uw": ["method=uw"],
    "dwa": ["method=dwa", "method.window=3"],
    "pcgrad": ["method=pcgrad", "sac.sampling=mixed"],
    "graddrop": ["method=graddrop", "agent=care"],
    "seeds": ["method=nash_mtl", "run.seeds_together=2", "trainer.initial_updates=9"],
    "encoder": ["agent=mtl_sac_te", "sac.temperature_in_aggregation=true", "method=cagrad"],
}
SHORT = ["trainer.steps=60", "trainer.evaluate_every=25"]


class Killed(BaseException):
    """Stands for SIGKILL: nothing in the trainer may catch it and tidy up."""


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """Each case's numbers without a break, and without a checkpoint between evaluations."""
    return {
        name: [
            numbers(record)
            for record in run(small(tmp_path_factory.mktemp(name), *SHORT, *overrides, "run.checkpoint_every=0"))
        ]
        for name, overrides in CASES.items()
    }


def kill_at_update(monkeypatch: pytest.MonkeyPatch, n: int) -> None:
    """Have the process stop dead as it makes its ``n``-th update."""
    original, calls = Learner.update, 0

    def update(self: Learner, batch: Any) -> dict[str, Any]:
        nonlocal calls
        calls += 1
        if calls == n:
            raise Killed
        return original(self, batch)

    monkeypatch.setattr(Learner, "update", update)


@pytest.mark.parametrize("case", CASES)
def test_killed_between_two_checkpoints(
    case: str, tmp_path: Path, unbroken: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = small(tmp_path, *SHORT, *CASES[case], "run.checkpoint_every=7")
    for n in (6, 9, 11):  # in the warm-up's updates, in mid-episode, and behind an evaluation
        with monkeypatch.context() as patch:
            kill_at_update(patch, n)
            with pytest.raises(Killed):
                run(arguments)
    assert [numbers(record) for record in run(arguments)] == unbroken[case]
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {RECORD, f"{CLAIM}4", POLICY}


@pytest.mark.parametrize(
    ("module", "name", "n"),
    [
        ("experiments.mt10.loop", "save_checkpoint", 3),
        ("experiments.mt10.loop", "write_record", 1),
        ("experiments.mt10.loop", "write_record", 3),
        ("experiments.mt10.loop", "write_record", 5),  # the last, finished one
        ("experiments.mt10.loop", "save_policy", 1),
        ("experiments.mt10.loop", "remove_checkpoints", 1),
    ],
)
def test_killed_while_writing(
    module: str, name: str, n: int, tmp_path: Path, unbroken: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = small(tmp_path, *SHORT, *CASES["nash_mtl"], "run.checkpoint_every=10")
    original, calls = getattr(sys.modules[module], name), 0

    def dies(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == n:
            raise Killed
        return original(*args)

    with monkeypatch.context() as patch:
        patch.setattr(sys.modules[module], name, dies)
        with pytest.raises(Killed):
            run(arguments)
    assert [numbers(record) for record in run(arguments)] == unbroken["nash_mtl"]


@pytest.mark.parametrize("n", [1, 2])
def test_killed_between_the_last_records_of_two_seeds(
    n: int, tmp_path: Path, unbroken: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = small(tmp_path, *SHORT, *CASES["seeds"])
    original, ends = loop.Training._end, 0

    def end(self: Any, index: int, status: str, **fields: Any) -> None:
        nonlocal ends
        ends += status == "finished"
        if ends == n:
            raise Killed
        original(self, index, status, **fields)

    with monkeypatch.context() as patch:
        patch.setattr(loop.Training, "_end", end)
        with pytest.raises(Killed):
            run(arguments)
    assert sorted(record["status"] for record in records(tmp_path)) == ["finished"] * (n - 1) + ["running"] * (3 - n)
    assert [numbers(record) for record in run(arguments)] == unbroken["seeds"]


@pytest.fixture
def sigint_as_in_a_terminal() -> Iterator[None]:
    """Tests in the background of a script begin with it ignored."""
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous)


@pytest.mark.usefixtures("sigint_as_in_a_terminal")
@pytest.mark.parametrize(("number", "step"), [(signal.SIGTERM, 3), (signal.SIGINT, 40), (signal.SIGTERM, 60)])
def test_interrupted(
    number: signal.Signals,
    step: int,
    tmp_path: Path,
    unbroken: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = small(tmp_path, *SHORT, *CASES["nash_mtl"], "run.checkpoint_every=0")
    original = loop.Training._collect

    def collect(self: loop.Training) -> None:
        original(self)
        if self.progress.step == step:
            signal.raise_signal(number)

    with monkeypatch.context() as patch:
        patch.setattr(loop.Training, "_collect", collect)
        with pytest.raises(SystemExit) as stop:
            run(arguments)
    assert stop.value.code == 128 + number
    (record,) = records(tmp_path)
    assert record["status"] == "interrupted" and "interrupted, saved in" in capsys.readouterr().err
    assert [entry["step"] for entry in record["epochs"]] == [s for s in (25, 50) if s < step]
    assert [numbers(record) for record in run(arguments)] == unbroken["nash_mtl"]


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[list[str], Path]:
    """A run's command line and its folder after a kill, with two checkpoints."""
    arguments = small(tmp_path, *SHORT, *CASES["nash_mtl"], "run.checkpoint_every=10")
    with monkeypatch.context() as patch:
        kill_at_update(patch, 25)
        with pytest.raises(Killed):
            run(arguments)
    (folder,) = [path.parent for path in tmp_path.rglob(PREVIOUS)]
    return arguments, folder


@pytest.mark.parametrize("damaged", [[CURRENT], [CURRENT, PREVIOUS]])
def test_damaged_checkpoints(
    damaged: list[str], broken: tuple[list[str], Path], unbroken: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, folder = broken
    for name in damaged:
        (folder / name).write_bytes((folder / name).read_bytes()[:1000])
    assert [numbers(record) for record in run(arguments)] == unbroken["nash_mtl"]
    warnings = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning:")]
    assert len(warnings) == len(damaged) and "falling back to the one before" in warnings[0]


def test_a_checkpoint_that_does_not_fit_is_named(broken: tuple[list[str], Path]) -> None:
    arguments, folder = broken
    state = torch.load(folder / CURRENT, weights_only=True)
    state["learner"]["critic"]["methods"] = [{"momentum": 0.9}]
    torch.save(state, folder / CURRENT)
    with pytest.raises(
        UserError, match=r"checkpoint in .* another version or other seeds .*momentum.*delete the folder"
    ):
        run(arguments)


def test_seeds_that_another_process_holds_are_left_to_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from dataclasses import asdict, replace

    config = configured(small(tmp_path, "seed=3", "run.seeds_together=2"))
    held = tmp_path / run_name(asdict(replace(config, seed=4)))
    with claim(held) as claimed:
        assert claimed
        trainer.train(config)
    assert "is being run by another process, skipped" in capsys.readouterr().out and not records(tmp_path)


def test_the_command_itself_is_killed_and_goes_on(tmp_path: Path, unbroken: dict[str, Any]) -> None:
    """The one test that pays for a fresh interpreter: what a machine that fails leaves behind."""
    root = Path(__file__).resolve().parents[2]
    arguments = small(tmp_path, *SHORT, *CASES["nash_mtl"], "run.checkpoint_every=1")
    process = subprocess.Popen(
        [sys.executable, "-m", "experiments.mt10.train", *arguments],
        cwd=root,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    deadline = time.monotonic() + 90
    while not list(tmp_path.rglob(CURRENT)) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.kill()
    assert process.wait(30) in (-signal.SIGKILL, 0)
    assert numbers(run_one(arguments)) == unbroken["nash_mtl"][0]
