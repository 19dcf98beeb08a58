"""Hydra commands in the tests' own process."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest


def outcome(
    main: Callable[[], Any], arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of a command."""
    monkeypatch.setattr(sys, "argv", ["train", *arguments])
    status = 0
    capsys.readouterr()
    try:
        main()
    except SystemExit as stop:
        status = int(stop.code or 0)
    out, err = capsys.readouterr()
    return status, out, err
