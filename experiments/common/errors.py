"""Errors that are the user's to mend: one clear line and a non-zero exit, no traceback."""

from __future__ import annotations

import functools
import io
import signal
import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from experiments.common.progress import give_up_what_cannot_be_written

P = ParamSpec("P")
T = TypeVar("T")


class UserError(Exception):
    """A wrong setting, missing or damaged data, a diverged run.

    The message is one sentence or two: what was given, what was expected, what to do.
    """


class Diverged(UserError):
    """A loss, gradient or metric became NaN or infinite: the run has failed, the search for a better one goes on."""


def exits_cleanly(main: Callable[P, T]) -> Callable[P, T]:
    """Make a command print ``error: <message>`` and exit with status 1 on a :class:`UserError`.

    A reader of its output that has seen enough (``| head``) ends it silently, as shells expect. Any other exception
    is a defect of ours and keeps its traceback.
    """

    @functools.wraps(main)
    def command(*args: P.args, **kwargs: P.kwargs) -> T:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")  # a terminal that cannot show a Δ
        try:
            result = main(*args, **kwargs)
            sys.stdout.flush()
            return result
        except BrokenPipeError:
            give_up_what_cannot_be_written()
            raise SystemExit(128 + signal.SIGPIPE) from None
        except UserError as error:
            print(f"error: {error}", file=sys.stderr, flush=True)
            raise SystemExit(1) from None

    return command
