"""Training runs: they learn, they repeat themselves exactly, and their records say what happened."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from experiments.common.errors import UserError
from experiments.common.metrics import delta_m
from experiments.common.published import published_reference
from experiments.common.records import find_records, read_record, write_record
from experiments.qm9.metrics import METRICS
from methods import METHODS, GradientMethod
from tests.qm9.runs import numbers, records, run, small

NAMES = [metric.name for metric in METRICS]


def refuse_constant(text: str) -> float:
    raise AssertionError(f"{text} is not JSON")


@pytest.mark.parametrize("method", ["ls", "nash_mtl"])
def test_the_loss_falls(qm9_root: Path, tmp_path: Path, method: str) -> None:
    overrides = ["trainer.epochs=12", "data.train=48", "model.dim=16", "optimizer.lr=0.003", f"method={method}"]
    epochs = run(small(qm9_root, tmp_path, *overrides))["epochs"]
    loss = [sum(epoch["train_losses"].values()) for epoch in epochs]
    assert loss[-1] < 0.7 * loss[0], loss
    assert epochs[-1]["validation"]["delta_m"] < epochs[0]["validation"]["delta_m"]


def test_the_same_seed_repeats_every_number(qm9_root: Path, tmp_path: Path) -> None:
    first, again, other = (
        run(small(qm9_root, tmp_path / name, "method=rlw", f"seed={seed}"))
        for name, seed in (("a", 3), ("b", 3), ("c", 4))
    )
    assert numbers(first) == numbers(again)
    assert first["name"] == again["name"] != other["name"]
    assert first["epochs"][0]["train_losses"] != other["epochs"][0]["train_losses"]
    assert first["epochs"][0]["weights"] != other["epochs"][0]["weights"], "RLW draws from the run's seed"
    assert first["protocol"] == other["protocol"]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains(qm9_root: Path, tmp_path: Path, method: str) -> None:
    overrides = [f"method={method}", "trainer.epochs=1", "data.train=12"]
    if method == "stl":
        overrides.append("method.main_task=4")
    record = run(small(qm9_root, tmp_path, *overrides))
    assert record["status"] == "finished" and record["method"]["name"] == method
    (epoch,) = record["epochs"]
    values = [*epoch["train_losses"].values(), *epoch["validation"].values(), *epoch["test"].values()]
    assert len(epoch["train_losses"]) == 11 and all(math.isfinite(value) for value in values)
    if method == "graddrop":
        assert epoch["weights"] is None
    else:
        assert list(epoch["weights"]) == NAMES and all(map(math.isfinite, epoch["weights"].values()))
    assert (epoch["smallest_eigenvalue"] is not None) == issubclass(METHODS[method], GradientMethod)
    if method in ("nash_mtl", "fairgrad"):
        assert sum(epoch["solver_statuses"].values()) == 2


def test_the_record_adds_up(qm9_root: Path, tmp_path: Path) -> None:
    run(small(qm9_root, tmp_path, "method=dwa", "trainer.epochs=3"))
    ((folder, record),) = find_records(tmp_path, "qm9")
    assert json.loads((folder / "record.json").read_text(), parse_constant=refuse_constant) == record
    reference, lower = published_reference("qm9"), [False] * 11
    for epoch in record["epochs"]:
        for split in ("validation", "test"):
            errors = [epoch[split][name] for name in NAMES]
            assert epoch[split]["delta_m"] == pytest.approx(delta_m(errors, reference, lower), rel=1e-12)
    validation = [epoch["validation"]["delta_m"] for epoch in record["epochs"]]
    best = validation.index(min(validation))
    test = record["epochs"][best]["test"]
    assert record["best_epoch"] == record["results"]["epoch"] == best
    assert record["results"]["metrics"] == {name: test[name] for name in NAMES}
    assert record["results"]["delta_m"] == test["delta_m"]
    assert record["wall_seconds"] == pytest.approx(sum(epoch["seconds"] for epoch in record["epochs"]))
    assert [epoch["epoch"] for epoch in record["epochs"]] == [0, 1, 2]
    assert not list(folder.glob("checkpoint*")), "a finished run needs no checkpoint"


def test_selection_is_by_validation_not_by_the_last_epoch(
    qm9_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from experiments.qm9.train import QM9Problem

    scores = iter([3.0, 1.0, 2.0])
    monkeypatch.setattr(QM9Problem, "score", lambda self, validation: next(scores))
    record = run(small(qm9_root, tmp_path, "method=ls", "trainer.epochs=3"))
    assert record["best_epoch"] == 1 and record["results"]["epoch"] == 1
    assert record["results"]["delta_m"] == record["epochs"][1]["test"]["delta_m"]


def test_the_learning_rate_follows_the_plateau_of_the_score(
    qm9_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from experiments.qm9.train import QM9Problem

    monkeypatch.setattr(QM9Problem, "score", lambda self, validation: 1.0)
    overrides = ["method=uw", "trainer.epochs=4", "schedule.patience=0", "schedule.factor=0.5", "data.train=12"]
    record = run(small(qm9_root, tmp_path, *overrides))
    assert [epoch["learning_rate"] for epoch in record["epochs"]] == [0.003, 0.003, 0.0015, 0.00075]


def test_single_tasks_are_eleven_runs_that_serve_as_reference(qm9_root: Path, tmp_path: Path) -> None:
    short = ["trainer.epochs=1", "data.train=12"]
    ours = small(qm9_root, tmp_path, *short, "method=ls", "report.reference=ours")
    with pytest.raises(UserError, match=r"report\.reference=ours needs finished STL runs .* run method=stl first"):
        run(ours)
    assert not records(tmp_path)

    # The reference itself is asked for here, which single-task runs neither have nor need.
    run(small(qm9_root, tmp_path, *short, "method=stl", "report.reference=ours"))
    single = records(tmp_path)
    assert sorted(record["method"]["main_task"] for record in single) == list(range(11))
    for record in single:
        name = NAMES[record["method"]["main_task"]]
        (epoch,) = record["epochs"]
        assert list(record["results"]["metrics"]) == [name] and record["results"]["delta_m"] is None
        assert epoch["weights"] == {task: float(task == name) for task in NAMES}
        assert epoch["score"] == epoch["validation"][name]

    with pytest.raises(UserError, match="run method=stl first"):  # another protocol does not count
        run([*ours, "model.dim=4"])
    record = run(ours)
    reference = {k: v for single_run in single for k, v in single_run["results"]["metrics"].items()}
    errors = [record["results"]["metrics"][name] for name in NAMES]
    expected = delta_m(errors, [reference[name] for name in NAMES], [False] * 11)
    assert record["results"]["delta_m"] == pytest.approx(expected, rel=1e-12)
    assert record["reference"] == reference and all(one["reference"] is None for one in single)

    # A run that is resumed keeps the reference that it began with, whatever single-task runs have come since.
    folder = next(tmp_path.glob("ls-*"))
    write_record(folder, {**record, "status": "interrupted", "epochs": [], "results": None})
    run(small(qm9_root, tmp_path, *short, "method=stl", "seed=0", "report.reference=ours", "method.main_task=0"))
    other = read_record(next(tmp_path.glob("stl-task0-*"))) or {}
    write_record(
        next(tmp_path.glob("stl-task0-*")), {**other, "results": {**other["results"], "metrics": {"mu": 1e3}}}
    )
    assert run(ours)["reference"] == reference


def test_the_reference_network_trains_to_the_same_numbers(qm9_root: Path, tmp_path: Path) -> None:
    overrides = ["method=nash_mtl", "data.train=12"]
    dense, reference = (
        run(small(qm9_root, tmp_path, *overrides, f"model.network={network}")) for network in ("dense", "reference")
    )
    for ours, theirs in zip(dense["epochs"], reference["epochs"], strict=True):
        for split in ("train_losses", "validation", "test"):
            assert ours[split] == pytest.approx(theirs[split], rel=1e-3), split


@pytest.mark.parametrize("groups", ["exact", "1", "4", "100"])
def test_padding_does_not_change_what_is_trained(qm9_root: Path, tmp_path: Path, groups: str) -> None:
    overrides = ["method=ls", "data.train=12"]
    usual, other = (
        run(small(qm9_root, tmp_path / name, *overrides, f"trainer.groups={name}")) for name in ("auto", groups)
    )
    for ours, theirs in zip(usual["epochs"], other["epochs"], strict=True):
        assert ours["test"] == pytest.approx(theirs["test"], rel=1e-3)


def test_a_finished_run_is_left_alone(qm9_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = small(qm9_root, tmp_path, "method=si", "data.train=12")
    run(arguments)
    ((folder, record),) = find_records(tmp_path, "qm9")
    before = (folder / "record.json").stat()
    (folder / "checkpoint.pt").write_bytes(b"left over by a kill after the record was written")
    assert run([*arguments, "run.checkpoint_every=7", "logger=none"]) == record, "how a run is done is not what it is"
    after = (folder / "record.json").stat()
    assert (before.st_mtime_ns, before.st_ino) == (after.st_mtime_ns, after.st_ino)
    assert "is finished, skipped" in capsys.readouterr().out
    assert not (folder / "checkpoint.pt").exists()


def test_initial_weights_do_not_depend_on_what_ran_before(qm9_root: Path, tmp_path: Path) -> None:
    torch.manual_seed(123)
    first = run(small(qm9_root, tmp_path / "a", "method=ls", "trainer.epochs=1"))
    torch.rand(17)
    assert numbers(run(small(qm9_root, tmp_path / "b", "method=ls", "trainer.epochs=1"))) == numbers(first)
