"""Each trainer's runs killed at random moments end with an unbroken run's numbers; signals end them within seconds.

``KILLED_RUNS`` sets the number of runs; ``python -m reliability.kills`` is the same with 20.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from experiments.common.checkpoint import CURRENT
from experiments.common.files import write_json
from reliability import kills
from reliability.faults import raise_signal_in_evaluation
from reliability.runs import finish, numbers, read_records, start
from reliability.trainers import TRAINERS
from tests.common.made_up import all_metrics, record, write

RUNS = int(os.environ.get("KILLED_RUNS", "2"))
every_trainer = pytest.mark.parametrize("name", list(TRAINERS))


#: What unbroken runs give, by trainer and method: made once.
UNBROKEN: dict[str, dict[str, Any]] = {name: {} for name in TRAINERS}


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@every_trainer
def test_killed_at_random_moments(name: str, work: Path) -> None:
    outcomes = kills.check_kills(TRAINERS[name], RUNS, 0, work / name, unbroken=UNBROKEN[name])
    assert all(outcome.landed for outcome in outcomes), "every run was killed"
    assert not any(outcome.faults for outcome in outcomes), [outcome.faults for outcome in outcomes]


@every_trainer
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_gone_within_seconds_of_a_signal(name: str, number: signal.Signals, work: Path) -> None:
    (outcome,) = kills.check_kills(TRAINERS[name], 1, 1, work / name, number, UNBROKEN[name])
    assert outcome.landed and not outcome.faults, outcome.faults
    assert max(outcome.seconds) < 5


@every_trainer
@pytest.mark.parametrize(("number", "n", "again"), [(signal.SIGTERM, 1, True), (signal.SIGINT, 3, False)])
def test_a_signal_during_an_evaluation(
    name: str, number: signal.Signals, n: int, again: bool, work: Path, tmp_path: Path
) -> None:
    """The evaluation is broken off before its next batch and repeated by the resumed run, whose numbers are the
    unbroken one's; a second signal while the first is served loses nothing."""
    trainer, method = TRAINERS[name], "rlw"  # which draws random numbers
    arguments = [*trainer.tiny, *trainer.data(work / name), *trainer.methods[method]]
    if method not in UNBROKEN[name]:
        (work / name).mkdir(exist_ok=True)
        UNBROKEN[name][method] = kills.unbroken_run(trainer, arguments, work / name, method)
    arguments += [f"run.root={tmp_path / 'runs'}", "run.checkpoint_every=0"]
    log = tmp_path / "log"
    broken = start(
        trainer.module, arguments, log, raise_signal_in_evaluation, trainer.evaluation, n, number, again, cwd=work
    )
    assert finish(broken) == 128 + number, log.read_text()
    assert "interrupted, saved in" in log.read_text() and "Traceback" not in log.read_text()
    (record,) = read_records(tmp_path / "runs")
    assert record["status"] == "interrupted"
    assert finish(start(trainer.module, arguments, log, cwd=work)) == 0, log.read_text()
    assert kills.faults(tmp_path / "runs", UNBROKEN[name][method][0]) == []


def test_faults_are_seen(tmp_path: Path) -> None:
    """The check itself, on made-up records: other numbers, a doubled epoch, files left behind, two records."""
    entry = record(all_metrics(1.0)) | {"epochs": [{"epoch": 0, "seconds": 1.0}, {"epoch": 1, "seconds": 2.0}]}
    expected = numbers(entry)
    path = write(tmp_path, entry | {"wall_seconds": 1.0})
    assert kills.faults(tmp_path, expected) == []
    (path.parent / ".record.json.x.tmp").touch()
    (path.parent / CURRENT).touch()
    assert kills.faults(tmp_path, expected) == [".record.json.x.tmp, checkpoint.pt left behind"]
    assert kills._where(tmp_path) == "writing a record"
    (path.parent / ".record.json.x.tmp").unlink()
    (path.parent / CURRENT).unlink()
    write_json(path, entry | {"epochs": [entry["epochs"][0], *entry["epochs"]]})
    assert kills.faults(tmp_path, expected) == [
        "the record's epochs are [0, 0, 1]",
        "the numbers are not the unbroken run's: epochs",
    ]
    write(tmp_path, entry, "another")
    assert kills.faults(tmp_path, expected) == ["2 records instead of one"]
