"""Full and read-only disks, damaged checkpoints and caches, and two sweeps over one folder, for every trainer.

Where a small disk cannot be mounted (not root), a limit on the size of files stands in for the full one, and the
tests of the read-only one are skipped.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from experiments.common.checkpoint import CURRENT, PREVIOUS, load_checkpoint, save_checkpoint
from experiments.nyuv2.scene_set import NYUV2
from experiments.scenes.rendered import rendered_frames
from reliability.disks import fill, make_read_only, make_room, small_disk
from reliability.faults import kill_at_the_nth, limit_file_size
from reliability.kills import faults
from reliability.runs import finish, leftovers, numbers, read_records, start
from reliability.trainers import TRAINERS

every_trainer = pytest.mark.parametrize("name", list(TRAINERS))


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the trainers' data is made, once."""
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def unbroken(work: Path) -> dict[str, tuple[dict[str, Any], int]]:
    """By trainer: the numbers of an unbroken run, and the bytes of its checkpoint."""
    found = {}
    for name in TRAINERS:
        root = work / f"unbroken-{name}"
        status, _ = carry_out(name, work, root, root.with_suffix(".log"), kill_at_the_nth, "torch", "save", 3)
        assert status == -9
        size = next(root.rglob(CURRENT)).stat().st_size
        status, said = carry_out(name, work, root, root.with_suffix(".log"))
        assert status == 0, said
        found[name] = numbers(read_records(root)[0]), size
    return found


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", 1 << 23) as mounted:
        if not mounted:
            pytest.skip("a disk cannot be mounted here")
        yield tmp_path / "disk"


def carry_out(name: str, work: Path, root: Path, log: Path, *before: Any) -> tuple[int | None, str]:
    """Run a trainer with LS into ``root``; returns its status and what it said on standard error or output."""
    trainer = TRAINERS[name]
    arguments = [*trainer.tiny, *trainer.data(work), "method=ls", f"run.root={root}"]
    status = finish(start(trainer.module, arguments, log, *before, cwd=work))
    return status, log.read_text()


def error_line(said: str) -> str:
    """The one line of an error among what was said."""
    assert "Traceback" not in said
    (line,) = [line for line in said.splitlines() if line.startswith("error: ")]
    return line


@every_trainer
@pytest.mark.parametrize("checkpoints", [0.0, 1.5])
def test_a_full_disk(name: str, checkpoints: float, work: Path, unbroken: Any, disk: Path, tmp_path: Path) -> None:
    """With room for so many checkpoints: one line, nothing half-written; with more room the run goes on."""
    expected, size = unbroken[name]
    fill(disk, int(checkpoints * size))
    status, said = carry_out(name, work, disk / "runs", tmp_path / "log")
    assert status == 1
    line = error_line(said)
    assert "No space left on device" in line and "free space or choose" in line and str(disk / "runs") in line
    assert leftovers(disk / "runs") <= {CURRENT, PREVIOUS}
    make_room(disk)
    assert carry_out(name, work, disk / "runs", tmp_path / "log")[0] == 0
    assert faults(disk / "runs", expected) == []


@every_trainer
def test_a_file_that_may_not_grow(name: str, work: Path, unbroken: Any, tmp_path: Path) -> None:
    """What stands in for the full disk where none can be mounted."""
    expected, size = unbroken[name]
    status, said = carry_out(name, work, tmp_path / "runs", tmp_path / "log", limit_file_size, size // 2)
    assert status == 1
    assert "File too large" in error_line(said) and "free space or choose" in error_line(said)
    assert not leftovers(tmp_path / "runs")
    assert carry_out(name, work, tmp_path / "runs", tmp_path / "log")[0] == 0
    assert faults(tmp_path / "runs", expected) == []


@every_trainer
def test_a_read_only_disk(name: str, work: Path, disk: Path, tmp_path: Path) -> None:
    make_read_only(disk)
    status, said = carry_out(name, work, disk / "runs", tmp_path / "log")
    assert status == 1
    assert "Read-only file system" in error_line(said) and "choose another run.root" in error_line(said)


@every_trainer
def test_a_truncated_checkpoint(name: str, work: Path, unbroken: Any, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    assert carry_out(name, work, root, tmp_path / "log", kill_at_the_nth, "torch", "save", 5)[0] == -9
    (path,) = root.rglob(CURRENT)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    status, said = carry_out(name, work, root, tmp_path / "log")
    assert status == 0
    (line,) = [line for line in said.splitlines() if line.startswith("warning: ")]
    assert str(path) in line and line.endswith("falling back to the one before.")
    assert faults(root, unbroken[name][0]) == []


@pytest.mark.parametrize("seed", range(40))
def test_a_checkpoint_damaged_anywhere(seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Cut at any length or with any bit turned: the state itself, or the one before it with a warning."""
    draw = random.Random(seed)
    states = [{"step": k, "model": {"weight": torch.arange(50.0) + k}} for k in range(2)]
    for state in states:
        save_checkpoint(tmp_path, state)
    content = bytearray((tmp_path / CURRENT).read_bytes())
    if seed % 2:
        del content[draw.randrange(len(content)) :]
    else:
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    (tmp_path / CURRENT).write_bytes(content)
    state, said = load_checkpoint(tmp_path), capsys.readouterr().err
    assert state is not None
    expected = states[state["step"]]
    assert torch.equal(state["model"]["weight"], expected["model"]["weight"])
    assert ("falling back to the one before" in said) == (state["step"] == 0)
    assert not seed % 2 or state["step"] == 0, "a truncated one is never taken"


@pytest.mark.parametrize("damage", ["truncated", "missing", "contents"])
def test_a_damaged_cache_of_rooms(damage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def rooms() -> Any:
        return rendered_frames(replace(NYUV2.rendering, root=tmp_path), NYUV2.parts, 1, 1, (16, 16))

    whole = rooms().image.clone()
    assert "warning" not in capsys.readouterr().err
    (folder,) = [path for path in tmp_path.iterdir() if path.is_dir() and not path.name.startswith(".")]
    image = folder / "image.npy"
    if damage == "truncated":
        image.write_bytes(image.read_bytes()[:-10])
    elif damage == "missing":
        image.unlink()
    else:
        (folder / "contents.json").write_text("{")
    assert torch.equal(rooms().image, whole)
    assert f"warning: {folder} is damaged or of another version; it is made again." in capsys.readouterr().err
    rooms()
    assert "warning" not in capsys.readouterr().err


@every_trainer
def test_two_sweeps_over_one_folder(name: str, work: Path, tmp_path: Path) -> None:
    """Every run is carried out by one of them, once, and its numbers are those of a sweep on its own."""
    trainer = TRAINERS[name]
    given = ["--multirun", *trainer.tiny, *trainer.data(work), "method=ls,uw,rlw", "seed=0"]

    def sweep(root: Path, log: Path) -> Any:
        return start(trainer.module, [*given, f"run.root={root}"], log, cwd=work)

    together = [sweep(tmp_path / "both", tmp_path / f"log{i}") for i in range(2)]
    assert [finish(process) for process in together] == [0, 0]
    said = [(tmp_path / f"log{i}").read_text() for i in range(2)]
    skipped = sum(text.count(", skipped.") for text in said)
    assert skipped == 3, "of six jobs three are skipped"
    assert finish(sweep(tmp_path / "alone", tmp_path / "log")) == 0
    both, alone = ([numbers(r) for r in read_records(tmp_path / root)] for root in ("both", "alone"))
    assert both == alone and len(both) == 3
    assert not leftovers(tmp_path / "both")
