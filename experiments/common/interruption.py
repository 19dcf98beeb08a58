"""Signals that ask a run to leave: seen between steps and between the batches of an evaluation, so that it can save
itself first. A second signal changes nothing: what is being saved is saved."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from experiments.common import parallel

T = TypeVar("T")

#: Ctrl-C, what schedulers send before the end, and a terminal that is closed.
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
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
    previous = {
        number: signal.signal(number, lambda number, _: received.append(number))
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
