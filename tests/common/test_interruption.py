"""Signals while a run is under way: noted, looked at, and none of them lost or taken that is not meant for it."""

from __future__ import annotations

import signal
import threading

import pytest

from experiments.common.interruption import Interrupted, interruption, uninterrupted


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
