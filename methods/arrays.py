"""What the solvers work on: small float64 arrays on the CPU."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.floating[Any]]
Matrix = NDArray[np.floating[Any]]


def one_per_task(
    name: str, given: Sequence[float] | None, n_tasks: int, *, default: float, negative: bool = False
) -> Vector:
    """An option's K numbers as an array, ``default`` for each if it is ``None``.

    Raises ``ValueError`` if there are not K finite ones, of at least 0 unless they may be ``negative``.
    """
    if given is None:
        given = [default] * n_tasks
    try:
        valid = len(given) == n_tasks and all(math.isfinite(value) and (negative or value >= 0) for value in given)
    except TypeError:  # no list, or not of numbers
        valid = False
    if not valid:
        raise ValueError(f"{name} is {given!r}; give {n_tasks} {'finite' if negative else 'non-negative'} numbers.")
    return np.array(given, dtype=np.float64)
