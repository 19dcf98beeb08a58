"""The environments divided among worker processes: the interface of :class:`Batch`, and the same numbers.

Actions, observations and rewards lie in shared memory; a step is announced and answered by semaphores, so that
nothing is copied through pipes. All random numbers stay in the parent: a worker does as it is told. The memory is
anonymous (its file is unlinked as soon as it is open), so nothing is left behind, however the processes end.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import types
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from experiments.common.errors import UserError
from experiments.mt10 import worker_process
from experiments.mt10.batch import Exchange, Recipe, State
from experiments.mt10.worker_process import CLOSE, GET_STATES, RESET, SET_STATES, STEP, Line, acquire, exchange_over

_SPIN = 2e-3  # seconds of watching before sleeping, where every worker has a core: about one update of a learner
_ALIVE_CHECK = 0.5  # seconds between looks at whether the workers still live
_FEWEST_CORES = 4  # for worker processes that nobody has asked for
_CLOSE = 5.0  # seconds a worker has to end by itself


class WorkerBatch:
    """The recipes' environments in ``n_workers`` processes (at most one an environment), neighbours together."""

    def __init__(self, recipes: Sequence[Recipe], n_workers: int) -> None:
        n = len(recipes)
        context = multiprocessing.get_context("spawn")  # a fork of a process that uses CUDA or threads is not safe
        arrays = {
            name: context.RawArray(dtype, int(np.prod(shape))) for name, (shape, dtype) in Exchange.layout(n).items()
        }
        self.exchange = exchange_over(arrays, n)
        bounds = np.array_split(np.arange(n), min(n_workers, n))
        self._command, self._failed = context.RawValue("i", STEP), context.RawArray("i", len(bounds))
        self._done = context.Semaphore(0)
        self._spin = _SPIN if available_cores() > len(bounds) else 0.0
        self._lines: list[Line] = []
        self._processes: list[Any] = []
        self._recipes = list(recipes)
        self._closer = weakref.finalize(self, _close, self._processes, self._lines, self._command)
        for index, rows in enumerate(bounds):
            ours, theirs = context.Pipe()
            first, last = int(rows[0]), int(rows[-1]) + 1
            shared = (arrays, self._command, self._failed, context.Semaphore(0), self._done)
            line = Line(index, n, first, last, *shared, theirs, self._spin)
            process = context.Process(
                target=worker_process.main, args=(line, self._recipes[first:last]), daemon=True, name=f"mt10-{index}"
            )
            with _main_module_hidden():
                process.start()
            theirs.close()
            line.pipe = ours
            self._lines.append(line)
            self._processes.append(process)
        for line in self._lines:
            self._receive(line)

    def reset(self) -> None:
        self._all(RESET)

    def step(self) -> None:
        self._all(STEP)

    def get_states(self) -> list[State]:
        self._announce(GET_STATES)
        return [state for line in self._lines for state in self._receive(line)]

    def set_states(self, states: Sequence[State], steps: int) -> None:
        self._announce(SET_STATES)
        for line in self._lines:
            line.pipe.send((list(states[line.first : line.last]), steps))
        for line in self._lines:
            self._receive(line)

    def close(self) -> None:
        """End the workers; one that does not end by itself is terminated."""
        self._closer()

    def _all(self, command: int) -> None:
        self._announce(command)
        for _ in self._lines:
            while not acquire(self._done, self._spin, _ALIVE_CHECK):
                self._check_alive()
        if any(self._failed):
            for line in self._lines:
                if self._failed[line.index]:
                    self._receive(line)

    def _announce(self, command: int) -> None:
        if not self._closer.alive:
            raise UserError("these environments are closed; make new ones.")
        self._command.value = command
        for line in self._lines:
            line.go.release()

    def _receive(self, line: Line) -> Any:
        """What the worker answers; raises if it failed or has ended."""
        try:
            while not line.pipe.poll(_ALIVE_CHECK):
                self._check_alive()
            kind, value = line.pipe.recv()
        except (EOFError, ConnectionError):
            self._processes[line.index].join(_CLOSE)
            self._check_alive()
            raise
        if kind in ("user error", "defect"):
            self.close()
            error = UserError if kind == "user error" else RuntimeError
            raise error(f"environment worker {line.index} ({self._contents(line)}) failed: {value}")
        return value

    def _check_alive(self) -> None:
        for line, process in zip(self._lines, self._processes, strict=True):
            if process.exitcode is not None and not self._failed[line.index]:
                self.close()
                raise UserError(
                    f"environment worker {line.index} ({self._contents(line)}) ended with exit code "
                    f"{process.exitcode}; was it killed for want of memory? Use fewer workers, or workers=0."
                )

    def _contents(self, line: Line) -> str:
        recipes = self._recipes[line.first : line.last]
        names = [f"{recipe.task} of seed {recipe.seed}" for recipe in recipes]
        return ", ".join(names[:2]) + (f" and {len(names) - 2} more" if len(names) > 2 else "")


def automatic_workers(on_gpu: bool, n_environments: int) -> int:
    """How many processes step the environments where nobody has said: one core stays for this process.

    On a GPU, that is: updates on a CPU want the cores themselves. And with four cores at least.
    """
    cores = available_cores()
    return min(n_environments, cores - 1) if on_gpu and cores >= _FEWEST_CORES else 0


def available_cores() -> int:
    """The CPU cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _close(processes: list[Any], lines: list[Line], command: Any) -> None:
    command.value = CLOSE
    for line in lines:
        line.go.release()
    for process in processes:
        process.join(_CLOSE)
        if process.exitcode is None:
            process.kill()
            process.join()
    for line in lines:
        line.pipe.close()


@contextmanager
def _main_module_hidden() -> Iterator[None]:
    """Start processes that do not import this program's main module: workers need none of it, torch least of all."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
