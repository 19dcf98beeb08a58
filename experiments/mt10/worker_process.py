"""What runs in a worker process: a part of the environments, stepped whenever the parent says so.

Nothing here imports torch: a worker starts in a second or two and stays small.
"""

from __future__ import annotations

import multiprocessing
import signal
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.common.errors import UserError
from experiments.mt10.batch import Batch, Exchange, Recipe

STEP, RESET, GET_STATES, SET_STATES, CLOSE = range(5)
_PARENT_CHECK = 5.0  # seconds between looks at whether the parent still lives
_GRACE = 30  # seconds that a worker stays after SIGTERM, for the parent's last checkpoint


@dataclass
class Line:
    """How parent and worker talk; made in the parent, passed on at the start of the process.

    ``arrays``: the shared memory behind :class:`Exchange`, of all ``n`` environments, of which the worker has rows
    ``first`` … ``last`` − 1. ``command``: what to do next; ``go`` is released when it is written. ``failed``: one
    flag per worker. ``done``: shared by all workers, released after a step or reset. ``pipe``: for what is rare or
    has no fixed size: readiness, states, the text of an error. ``spin``: see :func:`acquire`.
    """

    index: int
    n: int
    first: int
    last: int
    arrays: dict[str, Any]
    command: Any
    failed: Any
    go: Any
    done: Any
    pipe: Any
    spin: float


def exchange_over(arrays: dict[str, Any], n: int) -> Exchange:
    """:class:`Exchange` for ``n`` environments over shared memory."""
    return Exchange(
        **{
            name: np.frombuffer(arrays[name], dtype=dtype).reshape(shape)
            for name, (shape, dtype) in Exchange.layout(n).items()
        }
    )


def acquire(semaphore: Any, spin: float, timeout: float) -> bool:
    """Take the semaphore: watch it for ``spin`` seconds, which answers in microseconds, then sleep on it."""
    if spin:
        until = time.perf_counter() + spin
        while time.perf_counter() < until:
            if semaphore.acquire(False):
                return True
    return bool(semaphore.acquire(True, timeout))


def main(line: Line, recipes: Sequence[Recipe]) -> None:
    """Serve until told to close, until the parent is gone, or until something fails."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group: the parent decides
    for number in (signal.SIGTERM, signal.SIGHUP):  # as do a scheduler's end and a closed terminal; but not for ever
        signal.signal(number, lambda *_: signal.alarm(_GRACE))
    try:
        batch = Batch(recipes, exchange_over(line.arrays, line.n).rows(line.first, line.last))
        line.pipe.send(("ready", None))
        _serve(line, batch)
    except (EOFError, BrokenPipeError):
        return  # the parent is gone
    except UserError as error:
        _fail(line, "user error", str(error))
    except Exception:
        _fail(line, "defect", traceback.format_exc())


def _serve(line: Line, batch: Batch) -> None:
    parent = multiprocessing.parent_process()
    while True:
        while not acquire(line.go, line.spin, _PARENT_CHECK):
            if parent is not None and not parent.is_alive():
                return
        command = line.command.value
        if command == STEP:
            batch.step()
            line.done.release()
        elif command == RESET:
            batch.reset()
            line.done.release()
        elif command == GET_STATES:
            line.pipe.send(("states", batch.get_states()))
        elif command == SET_STATES:
            batch.set_states(*line.pipe.recv())
            line.pipe.send(("ready", None))
        else:
            batch.close()
            return


def _fail(line: Line, kind: str, text: str) -> None:
    line.failed[line.index] = 1
    line.pipe.send((kind, text[-8000:]))  # less than a pipe holds, so that it cannot block
    line.done.release()
