"""What surrounds a run: its trackers' files, its log, its folder, its place, its environment, its neighbours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reliability.disks import fill
from reliability.faults import kill_at_the_nth
from reliability.runs import finish, numbers, read_records, start
from reliability.trainers import TRAINERS

every_trainer = pytest.mark.parametrize("name", list(TRAINERS))


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the trainers' data is made, once."""
    return tmp_path_factory.mktemp("work")


def given(name: str, work: Path, *more: str) -> list[str]:
    trainer = TRAINERS[name]
    return [*trainer.tiny, *trainer.data(work), "method=ls", *more]


def carry_out(name: str, work: Path, log: Path, *more: str, before: tuple[Any, ...] = ()) -> tuple[int | None, str]:
    """Run a trainer with LS; returns its status and what it said since ``log`` was begun."""
    status = finish(start(TRAINERS[name].module, given(name, work, *more), log, *before, cwd=work))
    return status, log.read_text()


@pytest.fixture(scope="module")
def unbroken(work: Path) -> dict[str, dict[str, Any]]:
    """By trainer: the numbers of an unbroken run."""
    found = {}
    for name in TRAINERS:
        root = work / f"unbroken-{name}"
        status, said = carry_out(name, work, root.with_suffix(".log"), f"run.root={root}")
        assert status == 0, said
        found[name] = numbers(read_records(root)[0])
    return found


def errors(said: str) -> list[str]:
    assert "Traceback" not in said, said
    return [line for line in said.splitlines() if line.startswith("error: ")]


# --- trackers -----------------------------------------------------------------------------------------------


def use_up_the_disk(disk: str) -> None:
    fill(Path(disk), 0)


@pytest.mark.parametrize("harm", ["cut off", "no table", "a folder", "bytes"])
def test_a_damaged_table_of_a_csv_tracker_does_not_end_a_run(
    harm: str, work: Path, unbroken: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    root, log = tmp_path / "runs", tmp_path / "log"
    more = [f"run.root={root}", "logger=csv", "logger.name=csv"]
    assert carry_out("qm9", work, log, *more, before=(kill_at_the_nth, "torch", "save", 6))[0] == -9
    (table,) = root.rglob("metrics.csv")
    if harm == "cut off":
        table.write_text(table.read_text()[:-20])
    elif harm == "no table":
        table.write_text("a,b\n1,2\n")
    elif harm == "a folder":
        table.unlink()
        table.mkdir()
    else:
        table.write_bytes(bytes(range(256)))
    status, said = carry_out("qm9", work, log, *more)
    assert status == 0 and not errors(said)
    (record,) = read_records(root)
    assert numbers(record) == unbroken["qm9"]
