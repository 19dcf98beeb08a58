"""Settings of the commands: what is given arrives with its type, what is wrong is named in one sentence."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from omegaconf import MISSING

from experiments.common.errors import UserError
from experiments.common.options import parse_options

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Inner:
    later: bool = False


@dataclass
class Example:
    benchmark: str = MISSING
    digest: str | None = None
    number: int = 1
    formats: list[str] = field(default_factory=lambda: ["png"])
    methods: list[str] | None = None
    inner: Inner = field(default_factory=Inner)


CHOICES = {"benchmark": ["qm9", "nyuv2"], "formats": ["png", "svg"]}


def parse(*arguments: str) -> Example:
    return parse_options(Example, arguments, choices=CHOICES, description="What it does.")


def test_values_arrive_with_their_type() -> None:
    assert parse("benchmark=qm9") == Example("qm9")
    assert parse("benchmark=qm9", "number=3", "formats=[svg,png]", "methods=[ls]", "inner.later=true") == Example(
        "qm9", None, 3, ["svg", "png"], ["ls"], Inner(True)
    )


def test_a_list_needs_no_brackets() -> None:
    assert parse("benchmark=qm9", "formats=svg,png", "methods=ls") == Example("qm9", None, 1, ["svg", "png"], ["ls"])


def test_text_stays_as_it_was_written() -> None:
    assert parse("benchmark=qm9", "digest=1234e567").digest == "1234e567"
    assert parse("benchmark=qm9", "digest=00123456").digest == "00123456"
    assert parse("benchmark=qm9", "digest=a=b").digest == "a=b"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "benchmark is missing; give benchmark=VALUE with one of qm9, nyuv2"),
        (
            ["qm9"],
            "'qm9' is not key=value; the settings are benchmark, digest, number, formats, methods, inner.later",
        ),
        (["=qm9"], "is not key=value"),
        (["benchmark=mnist"], "benchmark=mnist cannot be used; choose from qm9, nyuv2"),
        (["benchmark=qm9", "number=two"], "'number=two' cannot be used .*two"),
        (["benchmark=qm9", "nmber=2"], "'nmber=2' cannot be used .nmber is unknown.; the settings are benchmark"),
        (["benchmark=qm9", "inner=x"], "'inner=x' cannot be used"),
        (["benchmark=qm9", "inner.later=perhaps"], "'inner.later=perhaps' cannot be used"),
        (["benchmark=qm9", "digest.x=1"], "'digest.x=1' cannot be used"),
        (["benchmark=qm9", "formats=[gif]"], "formats=gif cannot be used; choose from png, svg"),
        (["benchmark=qm9", "formats=[png"], "'formats=\\[png' cannot be used"),
    ],
)
def test_what_is_wrong_is_named(arguments: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        parse(*arguments)
    assert "\n" not in str(error.value)


def test_help_is_the_description(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        parse("--help")
    assert not end.value.code
    assert capsys.readouterr().out == "What it does.\n"


def test_a_reader_that_has_seen_enough_ends_a_command_silently() -> None:
    script = "from experiments.common.errors import exits_cleanly\nexits_cleanly(lambda: print('line\\n' * 100000))()"
    command = subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert command.stdout is not None and command.stderr is not None
    assert command.stdout.readline() == "line\n"
    command.stdout.close()
    assert command.stderr.read() == "" and command.wait(timeout=30) == 128 + signal.SIGPIPE
    command.stderr.close()


def test_a_terminal_without_the_letters_gets_others() -> None:
    script = "from experiments.common.errors import exits_cleanly\nexits_cleanly(lambda: print('\u0394m'))()"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    said = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (said.returncode, said.stdout, said.stderr) == (0, "?m\n", "")
