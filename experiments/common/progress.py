"""What a run says: lines, and how far it is, by a bar on a terminal or a line now and then in a log file."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress

from tqdm import tqdm

#: Between lines: a twentieth of the time so far, within these bounds. An hour is some 60 lines, a week a thousand.
_SHORTEST_PAUSE, _LONGEST_PAUSE = 30.0, 600.0


def tell(line: str, *, aside: bool = False) -> None:
    """Print a line for whoever watches, on standard error if ``aside``.

    A terminal that is gone or a log on a full disk is no reason to end a run: then the line is lost.
    """
    with suppress(OSError):
        print(line, file=sys.stderr if aside else sys.stdout, flush=True)


def give_up_what_cannot_be_written() -> None:
    """For a process's end: what a full log or a closed pipe has not taken would fail the interpreter's last flush."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class ProgressDisplay:
    """Steps done of the whole run with loss, Δm (or another score) and the time left, on standard error."""

    def __init__(self, name: str, total_steps: int, done: int, enabled: bool) -> None:
        terminal = sys.stderr.isatty()
        self.name, self.total, self.done, self.first = name, total_steps, done, done
        self.started = self.last_line = time.monotonic()
        self.lines = enabled and not terminal
        self.status = ""
        self.bar = tqdm(
            total=total_steps,
            initial=done,
            desc=name,
            unit="step",
            dynamic_ncols=True,
            disable=not (enabled and terminal),
        )

    def step(self) -> None:
        self.done += 1
        with suppress(OSError):  # a terminal that is gone, a log on a full disk: no reason to end a run
            self.bar.update()
        if self.lines and time.monotonic() - self.last_line >= self._pause():
            self._print_line()

    def _pause(self) -> float:
        so_far = self.last_line - self.started
        return min(max(0.05 * so_far, _SHORTEST_PAUSE), _LONGEST_PAUSE)

    def show(self, status: str) -> None:
        """Text beside the bar, such as the last epoch's loss and Δm."""
        self.status = status
        self.bar.set_postfix_str(status, refresh=False)

    def close(self) -> None:
        with suppress(OSError):
            self.bar.close()
        if self.lines:
            self._print_line()

    def _print_line(self) -> None:
        self.last_line = time.monotonic()
        speed = (self.done - self.first) / max(self.last_line - self.started, 1e-9)
        left = tqdm.format_interval((self.total - self.done) / speed) if speed > 0 else "?"
        status = f", {self.status}" if self.status else ""
        tell(f"{self.name}: step {self.done}/{self.total}{status}, {left} left", aside=True)
