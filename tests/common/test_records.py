"""Records, checkpoints and files: whole or not there, no number that JSON does not know."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest
import torch

from experiments.common.checkpoint import CURRENT, PREVIOUS, load_checkpoint, remove_checkpoints, save_checkpoint
from experiments.common.errors import UserError
from experiments.common.files import atomic_write, sha256, write_json
from experiments.common.records import (
    RECORD,
    begin_record,
    find_records,
    protocol_digest,
    read_record,
    run_name,
    write_record,
)
from tests.common.made_up import config, record, write

CPU = torch.device("cpu")


# --- files --------------------------------------------------------------------------------------------------


def test_a_writer_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with atomic_write(path) as file:
        file.write(b"old")

    def fail() -> None:
        with atomic_write(path) as file:
            file.write(b"new, but only ha")
            raise RuntimeError("half-way")

    with pytest.raises(RuntimeError, match="half-way"):
        fail()
    assert path.read_bytes() == b"old" and [p.name for p in tmp_path.iterdir()] == ["file"]


def test_the_file_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    with atomic_write(path) as file:
        file.write(b"first half, ")
        file.flush()
        assert not path.exists()
        (temporary,) = path.parent.iterdir()
        assert temporary.name.startswith(".") and temporary.suffix == ".tmp"
    assert path.read_bytes() == b"first half, " and list(path.parent.iterdir()) == [path]


def test_files_have_the_permissions_of_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_json(tmp_path / "a.json", {})
    finally:
        os.umask(before)
    assert (tmp_path / "a.json").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_json_refuses_what_it_does_not_know(tmp_path: Path, value: float) -> None:
    write_json(tmp_path / "a.json", {"x": 1.0})
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"x": value})
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": 1.0}
    assert len(list(tmp_path.iterdir())) == 1


def test_checksum(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


# --- identity -----------------------------------------------------------------------------------------------


def test_a_runs_name_depends_on_what_changes_its_numbers() -> None:
    name = run_name(config())
    assert name.startswith("ls-seed0-") and name == run_name(config())
    assert name == run_name(config(run__root="elsewhere", logger={"name": "wandb"}, data__root="elsewhere"))
    fused, plain = (run_name(config(optimizer={"lr": 0.1, "fused": fused})) for fused in (True, False))
    assert fused == plain == run_name(config(optimizer={"lr": 0.1})), "as before there was such a setting"
    different = [
        config(seed=1),
        config(optimizer={"lr": 0.2}),
        config(trainer__epochs=11),
        config(model__dim=64),
        config(data__source="x"),
    ]
    different += [config(method={"name": "ls", "task_weights": [1]}), config(report__reference="ours")]
    assert len({name, *map(run_name, different)}) == len(different) + 1
    assert run_name(config(method={"name": "stl", "main_task": 0})).startswith("stl-task0-seed0-")


def test_the_protocol_leaves_method_and_seed_free() -> None:
    protocol = protocol_digest(config())
    assert protocol == protocol_digest(config(seed=5, method={"name": "si"}))
    assert protocol != protocol_digest(config(trainer__epochs=11))


# --- begun and gone on with ---------------------------------------------------------------------------------


def test_a_run_that_goes_on_keeps_its_start_and_says_where_it_has_been(tmp_path: Path) -> None:
    cpu, data = torch.device("cpu"), {"source": "x", "sizes": (1, 2)}
    first = begin_record(tmp_path, config(), cpu, data, {"mu": 1.0})
    assert first["earlier_environments"] == [] and first["reference"] == {"mu": 1.0}
    before = {**first, "started": "2020-01-01T00:00:00+00:00"}
    write_record(tmp_path, before)
    again = begin_record(tmp_path, config(), cpu, data, {"mu": 1.0})
    assert again == before, "the same machine, versions and commit"
    elsewhere = {**first["environment"], "commit": "another"}
    write_record(tmp_path, {**before, "environment": elsewhere})
    again = begin_record(tmp_path, config(), cpu, data)
    assert again["environment"] == first["environment"] and again["earlier_environments"] == [elsewhere]


def test_a_run_does_not_go_on_with_other_data(tmp_path: Path) -> None:
    cpu = torch.device("cpu")
    write_record(tmp_path, begin_record(tmp_path, config(), cpu, {"source": "x", "sha256": "a"}))
    with pytest.raises(UserError, match=r"began with other data \(sha256 differs\); bring that back, or delete"):
        begin_record(tmp_path, config(), cpu, {"source": "x", "sha256": "b"})


# --- records ------------------------------------------------------------------------------------------------


def test_temporary_files_and_strangers_are_not_records(tmp_path: Path) -> None:
    path = write(tmp_path, record(None, status="running"))
    (path.parent / f".{RECORD}.abc.tmp").write_text("{")
    (path.parent / "checkpoint.pt").write_bytes(b"")
    (tmp_path / "qm9" / "empty").mkdir()
    write(tmp_path, {**record(None, status="running"), "benchmark": "mt10", "name": "other"})
    assert [folder for folder, _ in find_records(tmp_path, "qm9")] == [path.parent]
    assert list(find_records(tmp_path / "nowhere", "qm9")) == []
    assert read_record(tmp_path / "qm9" / "empty") is None


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"format": 99, "benchmark": "qm9"}', "\xff\xfe"])
def test_a_damaged_record_is_named_with_its_remedy(tmp_path: Path, content: str) -> None:
    (tmp_path / RECORD).write_bytes(content.encode("latin-1"))
    with pytest.raises(UserError, match=str(tmp_path / RECORD)) as caught:
        read_record(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seed": "zero"}, "'seed' is missing or not a int"),
        ({"status": None}, "'status' is missing or not a str"),
        ({"method": {}}, "'method' has no name"),
        ({"epochs": {}}, "its epochs are missing"),
        ({"results": None}, "it is finished but has no results"),
        ({"results": {"metrics": {"mu": "low"}}}, "the result mu is 'low', not a finite number"),
        ({"results": {"metrics": {"mu": math.nan}}}, "NaN is not a number that a record may hold"),
        ({"wall_seconds": math.inf}, "Infinity is not a number that a record may hold"),
    ],
)
def test_a_record_that_was_edited_is_named_with_what_is_wrong(
    changes: dict[str, object], said: str, tmp_path: Path
) -> None:
    (tmp_path / RECORD).write_text(json.dumps({**record({"mu": 1.0}), **changes}))
    with pytest.raises(UserError, match=f"{tmp_path / RECORD} is not .*delete its folder and run again") as caught:
        read_record(tmp_path)
    assert said in str(caught.value)


def test_a_record_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / RECORD).mkdir()
    with pytest.raises(UserError, match=r"cannot read .*; make it readable or delete its folder"):
        read_record(tmp_path)


# --- checkpoints --------------------------------------------------------------------------------------------


def test_the_last_but_one_checkpoint_is_kept(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path) is None
    for n in range(3):
        save_checkpoint(tmp_path, {"n": n, "tensor": torch.full((3,), float(n))})
    state = load_checkpoint(tmp_path)
    assert state is not None and state["n"] == 2 and torch.equal(state["tensor"], torch.full((3,), 2.0))
    (tmp_path / CURRENT).unlink()
    state = load_checkpoint(tmp_path)
    assert state is not None and state["n"] == 1
    remove_checkpoints(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("keep", [0, 10, 500, -1])
def test_a_truncated_checkpoint_is_reported_and_passed_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], keep: int
) -> None:
    for n in range(2):
        save_checkpoint(tmp_path, {"n": n, "tensor": torch.zeros(1000)})
    (tmp_path / CURRENT).write_bytes((tmp_path / CURRENT).read_bytes()[:keep])
    state = load_checkpoint(tmp_path)
    assert state is not None and state["n"] == 0
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith(f"warning: {tmp_path / CURRENT} is damaged") and line.endswith("the one before.")


def test_a_lone_damaged_checkpoint_means_starting_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / PREVIOUS).write_bytes(b"no checkpoint")
    assert load_checkpoint(tmp_path) is None
    assert capsys.readouterr().err.strip().endswith("starting anew.")


def test_what_cannot_be_saved_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, {"n": 0})
    folder = tmp_path / "file"
    folder.write_text("")
    with pytest.raises(UserError, match=r"cannot write .*; free space or choose another run\.root"):
        save_checkpoint(folder, {"n": 1})
    assert load_checkpoint(tmp_path) == {"n": 0}


def test_a_flipped_bit_in_a_checkpoint_is_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for n in range(2):
        save_checkpoint(tmp_path, {"n": n, "tensor": torch.zeros(1000)})
    content = bytearray((tmp_path / CURRENT).read_bytes())
    content[content.index(bytes(2000)) + 1000] ^= 1  # within the tensor's zeros
    (tmp_path / CURRENT).write_bytes(content)
    state = load_checkpoint(tmp_path)
    assert state is not None and state["n"] == 0 and "damaged" in capsys.readouterr().err
