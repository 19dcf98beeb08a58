"""Signals that ask a run to leave: seen between steps and between the batches of an evaluation, so that it can save
itself first. A second Ctrl-C ends the run at once, with what was saved last; a second signal of another kind changes
nothing."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from experiments.common import parallel

T = TypeVar("T")

#: Ctrl-C, what schedulers send before the end, and a terminal that is closed.
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: Seconds within which a terminal and what runs in it may pass on the same Ctrl-C twice.
_ONE_PRESS = 1.0
#: The list of the loop that is under way in this thread.
_received: ContextVar[Sequence[int]] = ContextVar("received", default=())


class Interrupted(Exception):
    """A signal came in the midst of an evaluation, of which nothing is left but the time that it took."""

    def __init__(self, number: int) -> None:
        super().__init__(f"interrupted by {signal.Signals(number).name}")
        self.number = number


@contextmanager
def interruption() -> Iterator[list[int]]:
    """Turn SIGINT, SIGTERM and SIGHUP into an entry of the list, which the loop looks at between steps.

    A signal that the process was started to ignore (``nohup``, a shell's background job) stays ignored. Outside the
    main thread, where signals do not arrive, the list stays empty.
    """
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    first = 0.0

    def receive(number: int, _: object) -> None:
        nonlocal first
        if not received:
            first = time.monotonic()
            if number == signal.SIGINT:
                os.write(2, b"\nSaving and leaving after this step; press Ctrl-C again to leave at once.\n")
        elif number == signal.SIGINT and time.monotonic() - first > _ONE_PRESS:
            raise KeyboardInterrupt
        received.append(number)

    previous = {
        number: signal.signal(number, receive)
        for number in _SIGNALS
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    token = _received.set(received)
    try:
        yield received
    finally:
        _received.reset(token)
        for number, handler in previous.items():
            signal.signal(number, handler)


def uninterrupted(batches: Iterable[T]) -> Iterator[T]:
    """The batches (or steps) of an evaluation; raises :class:`Interrupted` instead of the next one after a signal.

    Of several processes each stops by itself, and at the end of their batches all raise or none does.
    """
    received = _received.get()
    for batch in batches:
        if received:
            break
        yield batch
    if signals := parallel.signals(received):
        raise Interrupted(signals[0])
