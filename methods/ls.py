"""Linear scalarisation (LS): minimise a fixed weighted sum of the losses."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from methods.base import LossWeighting


class LinearScalarization(LossWeighting):
    """LS: minimise Σᵢ wᵢ Lᵢ with fixed weights, all one by default.

    ``task_weights``: K non-negative numbers. Raises ``ValueError`` if there are not K finite ones.

    >>> LinearScalarization(n_tasks=2).objective(torch.tensor([1.0, 3.0]))[0]
    tensor(4.)
    """

    def __init__(self, n_tasks: int, *, task_weights: Sequence[float] | None = None) -> None:
        super().__init__(n_tasks)
        if task_weights is None:
            task_weights = [1.0] * n_tasks
        try:
            valid = len(task_weights) == n_tasks and all(0 <= weight < math.inf for weight in task_weights)
        except TypeError:  # no list, or not of numbers
            valid = False
        if not valid:
            raise ValueError(f"task_weights is {task_weights!r}; give {n_tasks} non-negative numbers.")
        self.task_weights = torch.tensor(task_weights, dtype=torch.float64)

    def objective(self, losses: Tensor) -> tuple[Tensor, Tensor]:
        weights = self.task_weights.to(losses)
        return (losses * weights).sum(), weights
