"""What surrounds a run: its trackers' files, its log, its folder, its place, its environment, its neighbours.

The code behind it is one for all trainers but MT10, so that QM9 and MT10 stand for them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from experiments.common.checkpoint import CURRENT
from reliability.disks import fill, make_room, small_disk
from reliability.faults import kill_at_the_nth
from reliability.kills import faults
from reliability.runs import finish, numbers, read_records, start
from reliability.trainers import TRAINERS

both_loops = pytest.mark.parametrize("name", ["qm9", "mt10"])


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the trainers' data is made, once."""
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def unbroken(work: Path) -> dict[str, dict[str, Any]]:
    """By trainer: the numbers of an unbroken run."""
    found = {}
    for name in ("qm9", "mt10"):
        root = work / f"unbroken-{name}"
        status, said = carry_out(name, work, root.with_suffix(".log"), f"run.root={root}")
        assert status == 0, said
        found[name] = numbers(read_records(root)[0])
    return found


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", 1 << 23) as mounted:
        if not mounted:
            pytest.skip("a disk cannot be mounted here")
        yield tmp_path / "disk"


def begin(name: str, work: Path, log: Path, *more: str, before: tuple[Any, ...] = ()) -> Any:
    trainer = TRAINERS[name]
    flags = [argument for argument in more if argument.startswith("--")]
    arguments = [*flags, *trainer.tiny, *trainer.data(work), "method=ls", *(a for a in more if a not in flags)]
    return start(trainer.module, arguments, log, *before, cwd=work)


def carry_out(name: str, work: Path, log: Path, *more: str, before: tuple[Any, ...] = ()) -> tuple[int | None, str]:
    """Run a trainer with LS; returns its status and what it said since ``log`` was begun."""
    status = finish(begin(name, work, log, *more, before=before))
    return status, log.read_text() if log.is_file() else ""


def break_off(name: str, work: Path, log: Path, *more: str) -> None:
    """Kill a run as it writes its fifth checkpoint."""
    assert carry_out(name, work, log, *more, before=(kill_at_the_nth, "torch", "save", 5))[0] == -9


def errors(said: str) -> list[str]:
    assert "Traceback" not in said, said
    return [line for line in said.splitlines() if line.startswith("error: ")]


# --- trackers and logs --------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"epoch,x\n0,1\none,", None])
def test_a_damaged_table_of_the_csv_tracker_ends_no_run(
    content: bytes | None, work: Path, unbroken: dict[str, Any], tmp_path: Path
) -> None:
    given = (f"run.root={tmp_path / 'runs'}", "logger=csv", "logger.name=csv")
    break_off("qm9", work, tmp_path / "log", *given)
    (table,) = (tmp_path / "runs").rglob("metrics.csv")
    table.unlink()
    if content is None:
        table.mkdir()
    else:
        table.write_bytes(content)
    status, said = carry_out("qm9", work, tmp_path / "log", *given)
    assert status == 0 and not errors(said)
    assert numbers(read_records(tmp_path / "runs")[0]) == unbroken["qm9"]


@pytest.mark.parametrize("logger", ["csv", "tensorboard"])
def test_a_disk_that_fills_up_under_a_tracker(
    logger: str, work: Path, unbroken: dict[str, Any], disk: Path, tmp_path: Path
) -> None:
    given = (f"run.root={disk / 'runs'}", f"logger.name={logger}")
    break_off("qm9", work, tmp_path / "log", *given)
    fill(disk, 0)
    status, said = carry_out("qm9", work, tmp_path / "log", *given)
    assert status == 1 and len(errors(said)) == 1 and "No space left on device; free space" in errors(said)[0]
    make_room(disk)
    assert carry_out("qm9", work, tmp_path / "log", *given)[0] == 0
    (record,) = read_records(disk / "runs")
    assert numbers(record) == unbroken["qm9"]


@both_loops
def test_a_log_on_a_full_disk_ends_no_run(name: str, work: Path, unbroken: dict[str, Any], tmp_path: Path) -> None:
    given = (f"run.root={tmp_path / 'runs'}", "run.progress=true")
    assert carry_out(name, work, Path("/dev/full"), *given)[0] == 0
    assert faults(tmp_path / "runs", unbroken[name]) == []


# --- places -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["ä b", "link", "a=b,c", "${x}"])
def test_a_folder_of_any_name(place: str, work: Path, unbroken: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / place
    if place == "link":
        (tmp_path / "real").mkdir()
        folder.symlink_to(tmp_path / "real")
    else:
        folder.mkdir()
    root = str(folder).replace("$", "\\$")
    for more in ((), ("--multirun", "seed=0,1")):
        status, said = carry_out("qm9", work, tmp_path / "log", f"run.root='{root}'", *more)
        assert status == 0, said
    first, second = sorted(read_records(folder), key=lambda record: record["seed"])
    assert numbers(first) == unbroken["qm9"] and second["status"] == "finished"


@pytest.mark.parametrize("multirun", [False, True])
@pytest.mark.parametrize("place", ["file/runs", "dangling", "x" * 300, "full/runs"])
def test_a_place_that_cannot_be(place: str, multirun: bool, work: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with small_disk(tmp_path / "full", 1 << 16) as mounted:
        if place.startswith("full"):
            if not mounted:
                pytest.skip("a disk cannot be mounted here")
            fill(tmp_path / "full", 0)
        more = ("--multirun", "seed=0,1") if multirun else ()
        status, said = carry_out("qm9", work, tmp_path / "log", f"run.root={tmp_path / place}", *more)
        assert status == 1 and errors(said)
        for line in errors(said):
            assert "choose another run.root" in line
            assert str(tmp_path / place) in line or (multirun and "run.root: No space left" in line)
        assert not read_records(tmp_path)


def test_data_that_is_there_may_be_read_only(
    work: Path, unbroken: dict[str, Any], disk: Path, tmp_path: Path
) -> None:
    from reliability.disks import make_read_only

    (override,) = TRAINERS["qm9"].data(work)
    shutil.copytree(override.partition("=")[2], disk / "data")
    make_read_only(disk)
    given = (f"run.root={tmp_path / 'runs'}", f"data.root={disk / 'data'}")
    status, said = carry_out("qm9", work, tmp_path / "log", *given)
    assert status == 0, said
    (record,) = read_records(tmp_path / "runs")
    assert numbers(record)["epochs"] == unbroken["qm9"]["epochs"]


def without_home() -> None:
    os.environ["HOME"] = "/dev/null/home"
    for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "MPLCONFIGDIR"):
        os.environ.pop(name, None)


@both_loops
def test_no_home(name: str, work: Path, unbroken: dict[str, Any], tmp_path: Path) -> None:
    status, said = carry_out(name, work, tmp_path / "log", f"run.root={tmp_path / 'runs'}", before=(without_home,))
    assert status == 0 and not errors(said)
    assert faults(tmp_path / "runs", unbroken[name]) == []


# --- neighbours ---------------------------------------------------------------------------------------------


@both_loops
def test_two_that_resume_one_broken_run_at_once(
    name: str, work: Path, unbroken: dict[str, Any], tmp_path: Path
) -> None:
    given = f"run.root={tmp_path / 'runs'}"
    break_off(name, work, tmp_path / "log", given)
    logs = [tmp_path / f"log{i}" for i in range(3)]
    together = [begin(name, work, log, given) for log in logs]
    assert [finish(process) for process in together] == [0, 0, 0]
    assert sum(log.read_text().count(", skipped.") for log in logs) == 2
    assert faults(tmp_path / "runs", unbroken[name]) == []


@both_loops
def test_a_checkpoint_of_another_run_is_refused(name: str, work: Path, tmp_path: Path) -> None:
    """Its shapes fit, its numbers would be taken for this run's."""
    for seed in (0, 1):
        break_off(name, work, tmp_path / "log", f"run.root={tmp_path / str(seed)}", f"seed={seed}")
    (ours,), (theirs,) = ((tmp_path / str(seed)).rglob(CURRENT) for seed in (0, 1))
    shutil.copyfile(theirs, ours)
    status, said = carry_out(name, work, tmp_path / "new-log", f"run.root={tmp_path / '0'}", "seed=0")
    assert status == 1
    (line,) = errors(said)
    assert "checkpoint in" in line and "delete the folder" in line and ("it is of" in line or "seeds" in line)


@both_loops
def test_a_damaged_record_in_a_runs_folder_is_named(name: str, work: Path, tmp_path: Path) -> None:
    given = f"run.root={tmp_path / 'runs'}"
    break_off(name, work, tmp_path / "log", given)
    (record,) = (tmp_path / "runs").rglob("record.json")
    record.write_text('{"format": 1, "benchmark": NaN}')
    status, said = carry_out(name, work, tmp_path / "log", given)
    assert status == 1
    (line,) = errors(said)
    assert str(record) in line and "delete its folder" in line
    assert "NaN" in record.read_text()
