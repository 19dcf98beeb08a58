"""Settings of the commands: what is given arrives with its type, what is wrong is named in one sentence."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from omegaconf import MISSING

from experiments.common.errors import UserError
from experiments.common.options import parse_options, setting_names


@dataclass
class Inner:
    later: bool = False


@dataclass
class Example:
    benchmark: str = MISSING
    digest: str | None = None
    number: int = 1
    formats: list[str] = field(default_factory=lambda: ["png"])
    inner: Inner = field(default_factory=Inner)


CHOICES = {"benchmark": ["qm9", "nyuv2"], "formats": ["png", "svg"]}


def parse(*arguments: str) -> Example:
    return parse_options(Example, arguments, choices=CHOICES, description="What it does.")


def test_values_arrive_with_their_type() -> None:
    assert parse("benchmark=qm9") == Example("qm9")
    assert parse("benchmark=qm9", "number=3", "formats=[svg,png]", "inner.later=true") == Example(
        "qm9", None, 3, ["svg", "png"], Inner(True)
    )


def test_text_stays_as_it_was_written() -> None:
    assert parse("benchmark=qm9", "digest=1234e567").digest == "1234e567"
    assert parse("benchmark=qm9", "digest=00123456").digest == "00123456"
    assert parse("benchmark=qm9", "digest=a=b").digest == "a=b"


def test_the_names_of_all_settings() -> None:
    assert list(setting_names(Example)) == ["benchmark", "digest", "number", "formats", "inner.later"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "benchmark is missing; give benchmark=VALUE with one of qm9, nyuv2"),
        (["qm9"], "'qm9' is not key=value; the settings are benchmark, digest, number, formats, inner.later"),
        (["=qm9"], "is not key=value"),
        (["benchmark=mnist"], "benchmark=mnist cannot be used; choose from qm9, nyuv2"),
        (["benchmark=qm9", "number=two"], "'number=two' cannot be used .*two"),
        (["benchmark=qm9", "nmber=2"], "'nmber=2' cannot be used .nmber is unknown.; the settings are benchmark"),
        (["benchmark=qm9", "inner=x"], "'inner=x' cannot be used"),
        (["benchmark=qm9", "inner.later=perhaps"], "'inner.later=perhaps' cannot be used"),
        (["benchmark=qm9", "digest.x=1"], "'digest.x=1' cannot be used"),
        (["benchmark=qm9", "formats=[gif]"], "formats=gif cannot be used; choose from png, svg"),
        (["benchmark=qm9", "formats=png"], "'formats=png' cannot be used"),
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
