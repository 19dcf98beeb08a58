"""Every row of the table of bad input: status 1, one line naming the thing and the remedy, nothing half-written."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

import pytest

from reliability.trainers import TRAINERS
from tests.reliability.bad_input import TABLE
from tests.reliability.bad_rows import Row
from tests.reliability.bad_settings import EVERY_TRAINER, SUPERVISED

MODULES = {
    **{name: trainer.module for name, trainer in TRAINERS.items()},
    "report": "experiments.report",
    "figures": "experiments.figures",
    "prepare_nyuv2": "experiments.nyuv2.prepare",
    "prepare_cityscapes": "experiments.cityscapes.prepare",
    "status": "experiments.status",
    "select": "experiments.select",
    "log_baselines": "experiments.log_baselines",
    "check_published": "experiments.check_published",
    "play": "experiments.mt10.play",
    "show": "experiments.cityscapes.show",
}
#: What a refused command may leave: the claim of a run folder that it did not get to use.
HARMLESS = {".claim-1"}
#: By the environment: every common row with every trainer, instead of a third of them with all but the first.
ALL = bool(os.environ.get("EVERY_ROW"))


def chosen(command: str) -> list[Row]:
    """The command's rows; the schema of the common settings is one, so that not every trainer need take them all."""
    place = list(MODULES).index(command)
    common = [] if ALL or command not in TRAINERS or place == 0 else [*EVERY_TRAINER, *SUPERVISED]
    if command == "mt10" and common:
        common = EVERY_TRAINER
    return [row for i, row in enumerate(TABLE[command]) if i >= len(common) or i % 3 == place % 3]


ROWS = [
    pytest.param(command, row, id=f"{command}: {' '.join(row[0])}") for command in TABLE for row in chosen(command)
]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the trainers' data is made, once."""
    return tmp_path_factory.mktemp("work")


def key_of(override: str) -> str:
    return override.split("=")[0].lstrip("+~")


def command_line(command: str, arguments: list[str], folder: Path, work: Path) -> list[str]:
    """The row's arguments, for a trainer behind those of a tiny run that they do not replace."""
    given = [argument.replace("{folder}", str(folder)) for argument in arguments]
    if command not in TRAINERS:
        return given
    trainer = TRAINERS[command]
    keys = {key_of(argument) for argument in given}
    tiny = [*trainer.tiny, *trainer.data(work), f"run.root={folder / 'runs'}"]
    return [*(argument for argument in tiny if key_of(argument) not in keys), *given]


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(("command", "row"), ROWS)
def test_bad_input_is_one_line(
    command: str,
    row: Row,
    work: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments, named, remedy, *make = row
    if make:
        make[0](tmp_path)
    line = command_line(command, arguments, tmp_path, work)
    monkeypatch.chdir(work)
    for variable in ("NYUV2_ROOT", "CITYSCAPES_ROOT"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(sys, "argv", [command, *line])
    before = files(tmp_path) | files(work)
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(MODULES[command]).main()
    said = capsys.readouterr().err
    assert ended.value.code == 1, said
    (error,) = said.strip().splitlines()
    assert error.startswith("error: ")
    for text in (named, remedy):
        assert text.replace("{folder}", str(tmp_path)) in error, error
    left = {path.name for path in (files(tmp_path) | files(work)) - before}
    assert left <= HARMLESS, f"left behind: {left}"


def test_the_table_has_every_kind_of_row() -> None:
    assert len(ROWS) >= 60 and len({parameter.id for parameter in ROWS}) > 150
    for command, rows in TABLE.items():
        assert len(rows) >= (10 if command != "check_published" else 3), command
