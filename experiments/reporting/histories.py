"""From the epochs of a method's runs to curves over training, one a seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.common.metrics import Metric, delta_m
from experiments.reporting.aggregate import MethodRow

Entry = Mapping[str, Any]  # of a record's ``epochs``
Quantity = Callable[[Entry], float | None]


class Curves(NamedTuple):
    """``values[s, e]``: seed s after ``epochs[e]`` epochs, counted from 1."""

    epochs: np.ndarray  # [E], int
    values: np.ndarray  # [S, E], float

    @property
    def mean(self) -> np.ndarray:
        return self.values.mean(axis=0)


def curves_of(histories: Sequence[Sequence[Entry]], quantity: Quantity) -> Curves | None:
    """One quantity over the epochs that all of ``histories`` (one a seed) have; ``None`` if one lacks it."""
    length = min(map(len, histories), default=0)
    values = [[quantity(entry) for entry in history[:length]] for history in histories]
    if length == 0 or any(value is None for history in values for value in history):
        return None
    return Curves(np.arange(1, length + 1), np.array(values, dtype=float))


def histories_of(row: MethodRow) -> list[list[dict[str, Any]]]:
    """The epochs of every run of a row, by seed; read from the disk now."""
    return [run.epochs() for run in sorted(row.runs, key=lambda run: run.record["seed"])]


def delta_m_on_test(metrics: Sequence[Metric], reference: Sequence[float]) -> Quantity:
    """Δm of an epoch's test metrics against ``reference``, whatever the run itself was measured against."""
    directions = [metric.higher_is_better for metric in metrics]

    def quantity(entry: Entry) -> float | None:
        test = entry.get("test") or {}
        if any(metric.name not in test for metric in metrics):
            return None
        return delta_m([test[metric.name] for metric in metrics], reference, directions)

    return quantity
