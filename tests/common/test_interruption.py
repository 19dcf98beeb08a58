"""Signals while a run is under way: noted, looked at, and none of them lost or taken that is not meant for it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from experiments.common import interruption as interruption_module
from experiments.common.interruption import Interrupted, interruption, uninterrupted


@pytest.fixture(autouse=True)
def signals_as_in_a_terminal() -> Iterator[None]:
    """Tests under nohup or in the background of a script begin with signals ignored, and so would their processes."""
    defaults = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}
    previous = {number: signal.signal(number, handler) for number, handler in defaults.items()}
    yield
    for number, handler in previous.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_evaluation_ends_before_the_batch_after_the_signal(number: signal.Signals) -> None:
    before, seen = signal.getsignal(number), []

    def evaluate(signal_at: int | None) -> None:
        for batch in uninterrupted(range(10)):
            seen.append(batch)
            if batch == signal_at:
                signal.raise_signal(number)

    with interruption() as received:
        evaluate(None)
        assert seen == list(range(10))
        seen.clear()
        with pytest.raises(Interrupted, match=number.name) as caught:
            evaluate(4)
    assert caught.value.number == number and received == [number] and seen == [0, 1, 2, 3, 4]
    assert signal.getsignal(number) is before


def test_a_second_press_of_ctrl_c_leaves_at_once_and_an_echo_of_the_first_does_not(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with interruption() as received:
        signal.raise_signal(signal.SIGINT)
        assert "press Ctrl-C again to leave at once" in capfd.readouterr().err
        signal.raise_signal(signal.SIGINT)
        assert received == [signal.SIGINT] * 2, "passed on twice by a terminal"
        monkeypatch.setattr(interruption_module, "_ONE_PRESS", 0.0)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_an_evaluation_outside_a_run_is_left_alone() -> None:
    with interruption():
        signal.raise_signal(signal.SIGTERM)
    assert list(uninterrupted(range(3))) == [0, 1, 2]


def test_what_the_process_was_started_to_ignore_stays_ignored() -> None:
    """A job under nohup, or in the background of a script."""
    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interruption() as received:
            signal.raise_signal(signal.SIGHUP)
            assert received == []
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, previous)


def test_outside_the_main_thread_nothing_is_taken() -> None:
    found = []

    def run() -> None:
        with interruption() as received:
            found.append((received, list(uninterrupted(range(3)))))

    thread = threading.Thread(target=run)
    with interruption():
        signal.raise_signal(signal.SIGTERM)
        thread.start()
        thread.join()
    assert found == [([], [0, 1, 2])]


OF_TWO = """
import signal
from experiments.common import parallel
from experiments.common.interruption import Interrupted, interruption, uninterrupted
parallel.start()
with interruption():
    assert list(uninterrupted(range(2 + parallel.rank()))) == list(range(2 + parallel.rank()))
    seen = []
    try:
        for batch in uninterrupted(range(3 + parallel.rank())):
            seen.append(batch)
            if parallel.rank() == 1 and batch == 1:
                signal.raise_signal(signal.SIGINT)
    except Interrupted as interrupted:
        print(seen, interrupted.number)
"""


def test_of_two_processes_all_leave_or_none() -> None:
    """They have different numbers of batches, and one of them gets the signal."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", OF_TWO],
            cwd=Path(__file__).resolve().parents[2],
            env={**os.environ, **place, "RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    said = [process.communicate(timeout=120) for process in processes]
    assert [out for out, _ in said] == ["[0, 1, 2] 15\n", "[0, 1] 15\n"], said
