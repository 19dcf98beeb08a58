"""Memory, open files and logs stay as they are over many steps; ``python -m reliability.long_runs`` takes 50,000."""

from __future__ import annotations

import io
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from experiments.common import progress
from experiments.common.progress import ProgressDisplay
from methods import METHODS
from reliability.long_runs import loop_growth, method_growth

STEPS = 400


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small matrices on a busy machine wait for each other's threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("key", list(METHODS))
def test_a_methods_memory_is_flat(key: str) -> None:
    growth = method_growth(key, STEPS)
    assert growth.flat, growth


def test_the_training_loops_memory_and_files_are_flat(tmp_path: Path) -> None:
    growth, said = loop_growth(1000, tmp_path)
    assert growth.flat, growth
    assert 1 <= len(said.splitlines()) <= 2 + growth.seconds / 30


@pytest.mark.parametrize("kept", ["graphs", "files"])
def test_what_grows_is_seen(kept: str, tmp_path: Path) -> None:
    store: list[Any] = []

    def backward(losses: Any, **_: Any) -> None:
        losses[0].backward()
        store.append(losses if kept == "graphs" else open(tmp_path / "file", "w"))  # noqa: SIM115

    growth = method_growth("ls", STEPS, backward)
    assert not growth.flat
    for file in store if kept == "files" else []:
        file.close()


def test_what_is_set_up_once_is_no_growth() -> None:
    steps = itertools.count(1)
    kept: list[list[int]] = []

    def backward(losses: Any, **_: Any) -> None:
        losses[0].backward()
        if next(steps) == STEPS // 2:
            kept.extend([] for _ in range(10_000))

    growth = method_growth("ls", STEPS, backward)
    assert growth.objects > 9_000 and growth.flat


class Clock:
    """A second a look."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


@pytest.mark.parametrize(("steps", "most"), [(100, 5), (3_600, 60), (200_000, 420)])
def test_a_log_is_bounded_and_honest(
    steps: int, most: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Steps of a second each, into a file: whole lines without carriage returns, the true count, ever fewer."""
    monkeypatch.setattr(progress.time, "monotonic", Clock())
    display = ProgressDisplay("run", steps + 10, 10, enabled=True)
    for _ in range(steps):
        display.step()
        display.show("loss 1")
    display.close()
    said = capsys.readouterr().err
    lines = said.splitlines()
    assert "\r" not in said and "\x1b" not in said and said.endswith("\n")
    assert 2 <= len(lines) <= most
    counts = [int(line.split()[2].split("/")[0]) for line in lines]
    assert counts == sorted(counts) and counts[-1] == steps + 10
    assert all(f"/{steps + 10}, loss 1, " in line and line.endswith(" left") for line in lines)
    assert lines[-1].endswith(", 00:00 left")


def test_a_terminal_gets_a_bar_and_silence_means_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for enabled in (True, False):
        monkeypatch.setattr(sys, "stderr", terminal := Terminal())
        display = ProgressDisplay("run", 3, 0, enabled)
        display.step()
        display.close()
        assert ("\r" in terminal.getvalue()) == enabled and bool(terminal.getvalue()) == enabled
