"""Claims: one holder at a time, on one machine or several, with locks or without, whoever dies or stands still."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from experiments.common import claims
from experiments.common.checkpoint import CURRENT
from experiments.common.claims import CLAIM, claim, is_held, wait_for_claim
from experiments.common.errors import UserError
from experiments.common.files import write_json
from experiments.common.records import RECORD

ROOT = Path(__file__).resolve().parents[2]

#: A process of the machine ``sys.argv[2]``, which has no locks; with an empty name it is this one, which has.
MACHINE = """
import errno, os, random, sys, time
from pathlib import Path
from experiments.common import claims
def no_locks(*_):
    raise OSError(errno.ENOSYS, "Function not implemented")
if sys.argv[2]:
    claims.fcntl.flock = no_locks
    claims._machine = lambda: {"host": sys.argv[2], "boot": ""}
claims.BEAT = 0.3
folder = Path(sys.argv[1])
"""

HOLD = f"""{MACHINE}
with claims.claim(folder) as claimed:
    print(claimed, flush=True)
    time.sleep(60)
"""

#: Claims the folder again and again, slow at random between looking and taking, until ``times`` claims were had; who
#: is in finds out whether somebody else is. One claim in three ends with its process, in the midst of it.
RACE = f"""{MACHINE}
draw, times = random.Random(int(sys.argv[3])), int(sys.argv[4])
def slow(original):
    def called(*arguments):
        time.sleep(draw.choice([0, 0, 0.003, 0.01]))
        return original(*arguments)
    return called
for name in ("open", "listdir", "write"):
    setattr(os, name, slow(getattr(os, name)))
while times:
    with claims.claim(folder) as claimed:
        if claimed:
            times -= 1
            inside = folder.parent / "inside"
            try:
                inside.touch(exist_ok=False)
            except FileExistsError:
                print("two at once", flush=True)
                os._exit(3)
            time.sleep(draw.choice([0, 0.01]))
            inside.unlink()
            if draw.random() < 1 / 3:
                os._exit(0)
    time.sleep(draw.choice([0, 0.01]))
"""


@contextmanager
def process(script: str, folder: Path, machine: str = "", *more: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", script, str(folder), machine, *more]
    running = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield running
    finally:
        running.kill()
        running.communicate()


def said(running: subprocess.Popen[str]) -> str:
    assert running.stdout is not None
    return running.stdout.readline()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sign of life every few tenths of a second."""
    monkeypatch.setattr(claims, "BEAT", 0.3)


def test_a_claim_excludes_others_until_its_process_dies(tmp_path: Path) -> None:
    with process(HOLD, tmp_path / "run") as holder:
        assert said(holder) == "True\n"
        assert is_held(tmp_path / "run")
        with claim(tmp_path / "run") as claimed:
            assert not claimed
        with claim(tmp_path / "another") as claimed:
            assert claimed
        holder.kill()
        holder.wait()
        assert holder.returncode == -signal.SIGKILL
    assert not is_held(tmp_path / "run")
    with claim(tmp_path / "run") as claimed:
        assert claimed
    with claim(tmp_path / "run") as claimed:
        assert claimed, "a claim ends with its block"
    assert not is_held(tmp_path / "run")
    assert [path.name for path in (tmp_path / "run").iterdir()] == [f"{CLAIM}3"], "one file, however often"


def test_a_claim_clears_what_a_killed_process_left_and_nothing_else(tmp_path: Path) -> None:
    for name in (RECORD, CURRENT, "notes.tmp", f".{RECORD}.x.tmp", ".checkpoint.new.y.tmp"):
        (tmp_path / name).write_text("{}")
    with claim(tmp_path):
        assert {path.name for path in tmp_path.iterdir()} == {RECORD, CURRENT, "notes.tmp", f"{CLAIM}1"}


def test_only_the_holder_clears(tmp_path: Path) -> None:
    with claim(tmp_path) as first:
        (tmp_path / ".being-written.tmp").write_text("")
        with claim(tmp_path) as second:
            assert first and not second
        assert (tmp_path / ".being-written.tmp").exists()


@pytest.mark.parametrize("machines", [[""], ["a", "b", "c", "d"], ["a", "b", ""]])
def test_never_two_at_once(machines: list[str], tmp_path: Path) -> None:
    """Eight processes on one machine with locks, on four without, on three of which one has locks of its own."""
    given = [(machines[i % len(machines)], str(i), "4") for i in range(8)]
    with ExitStack() as stack:
        running = [stack.enter_context(process(RACE, tmp_path / "run", *one)) for one in given]
        for one in running:
            out, err = one.communicate(timeout=120)
            assert one.returncode == 0, out + err
    assert len(list((tmp_path / "run").glob(f"{CLAIM}*"))) == 1


def test_one_that_was_slow_between_looking_and_taking_withdraws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has seen claim 1 free; until it takes claim 2, others have had that and are at claim 3."""
    with claim(tmp_path):
        pass
    open_, late = os.open, []

    def slow(path: Path, *arguments: int) -> int:
        if not late and str(path).endswith(f"{CLAIM}2"):
            late.append(path)
            with claim(tmp_path) as claimed:
                assert claimed
            stack.enter_context(claim(tmp_path))
            assert [path.name for path in tmp_path.iterdir()] == [f"{CLAIM}3"]
        return open_(path, *arguments)

    monkeypatch.setattr(claims.os, "open", slow)
    with ExitStack() as stack, claim(tmp_path) as claimed:
        assert late and not claimed
        assert [path.name for path in tmp_path.iterdir()] == [f"{CLAIM}3"]


def test_a_claim_that_another_machine_keeps_up_is_left_to_it(tmp_path: Path) -> None:
    with process(HOLD, tmp_path, "another") as holder:
        assert said(holder) == "True\n"
        with claim(tmp_path) as claimed:
            assert not claimed, "it shows signs of life"
        assert is_held(tmp_path)
        holder.kill()
        holder.wait()
        with claim(tmp_path) as claimed:
            assert claimed, "it no longer does"


def test_a_holder_on_this_machine_may_stand_still_as_long_as_it_likes(tmp_path: Path) -> None:
    with process(HOLD, tmp_path) as holder:
        assert said(holder) == "True\n"
        holder.send_signal(signal.SIGSTOP)
        os.utime(tmp_path / f"{CLAIM}1", (time.time() - 7200,) * 2)
        with claim(tmp_path) as claimed:
            assert not claimed
        assert is_held(tmp_path)


def test_a_holder_elsewhere_that_stood_still_too_long_gives_way(tmp_path: Path) -> None:
    """Where locks are not passed on: the claim goes to another machine, and the process that wakes up ends."""
    with process(HOLD, tmp_path, "another") as holder:
        assert said(holder) == "True\n"
        holder.send_signal(signal.SIGSTOP)
        with claim(tmp_path) as claimed:
            assert claimed
            holder.send_signal(signal.SIGCONT)
            _, err = holder.communicate(timeout=30)
            assert holder.returncode == 1 and "was taken over by another process while this one stood still" in err
            assert [path.name for path in tmp_path.iterdir()] == [f"{CLAIM}2"]


@pytest.mark.parametrize("again", [False, True])
def test_a_holder_whose_folder_is_deleted_ends(again: bool, tmp_path: Path) -> None:
    """Also where the folder is back at once, as another process's, or by a write of its own."""
    with process(HOLD, tmp_path / "run") as holder:
        assert said(holder) == "True\n"
        shutil.rmtree(tmp_path / "run")
        with claim(tmp_path / ("run" if again else "other")) as claimed:
            assert claimed
            _, err = holder.communicate(timeout=30)
            assert holder.returncode == 1 and "has been deleted while it was under way" in err


def test_a_copied_folder_is_free_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On another machine, with new dates: what was given back says so in its content too."""
    with claim(tmp_path / "run"):
        pass
    shutil.copytree(tmp_path / "run", tmp_path / "copy", copy_function=shutil.copyfile)
    monkeypatch.setattr(claims, "_machine", lambda: {"host": "another", "boot": ""})
    monkeypatch.setattr(claims, "BEAT", 1000.0)
    with claim(tmp_path / "copy") as claimed:
        assert claimed


def test_a_claim_without_a_sign_of_life_for_an_hour_is_not_watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the clock that dates the folder's files: this machine's may go wrong by hours."""
    path = tmp_path / f"{CLAIM}1"
    write_json(path, {"host": "another", "boot": "", "process": 1, "locked": True})
    monkeypatch.setattr(claims.time, "sleep", lambda _: os.utime(path))
    with monkeypatch.context() as patch:
        patch.setattr(claims.time, "time", lambda: 2e10)
        with claim(tmp_path) as claimed:
            assert not claimed, "it was watched and showed a sign of life"
    os.utime(path, (time.time() - 7200,) * 2)
    with claim(tmp_path) as claimed:
        assert claimed


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"host": 3}'])
def test_a_claim_that_cannot_be_read_goes_by_its_signs_of_life(content: str, tmp_path: Path) -> None:
    (tmp_path / f"{CLAIM}1").write_text(content)
    assert is_held(tmp_path)
    with claim(tmp_path) as claimed:
        assert claimed
    assert not is_held(tmp_path / "nowhere")


def test_a_disk_that_takes_no_claim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(claims.os, "write", full)
    monkeypatch.setattr(claims.os, "pwrite", full)
    message = r"cannot write in .*: No space left on device; free space or choose another run\.root"
    with pytest.raises(UserError, match=message), claim(tmp_path):
        pass
    monkeypatch.undo()
    monkeypatch.setattr(claims, "BEAT", 1000.0)
    with claim(tmp_path) as claimed:
        assert claimed, "what it left is free at once"


@pytest.mark.parametrize("locks", [True, False])
def test_who_waits_for_a_claim_gets_it_once_it_is_free(
    locks: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    if not locks:
        monkeypatch.setattr(claims.fcntl, "flock", no_locks)
        monkeypatch.setattr(claims, "BEAT", 0.5)
    inside: list[int] = []
    together: list[int] = []

    def enter(number: int) -> None:
        with wait_for_claim(tmp_path / "made", "data.root"):
            inside.append(number)
            time.sleep(0.1)
            together.append(len(inside))
            inside.remove(number)

    threads = [threading.Thread(target=enter, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == [1, 1, 1]


def test_a_place_that_takes_no_claim_is_named_with_its_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    message = r"cannot write in .*file.*: Not a directory; choose another data\.root"
    with pytest.raises(UserError, match=message), wait_for_claim(tmp_path / "file" / "made", "data.root"):
        pass
