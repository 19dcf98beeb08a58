"""Linear scalarisation (LS): minimise a fixed weighted sum of the losses."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, from_numpy

from methods.arrays import one_per_task
from methods.base import LossWeighting


class LinearScalarization(LossWeighting):
    """LS: minimise Σᵢ wᵢ Lᵢ with fixed weights, all one by default.

    ``task_weights``: K non-negative numbers. Raises ``ValueError`` if there are not K finite ones.

    >>> import torch
    >>> LinearScalarization(n_tasks=2).objective(torch.tensor([1.0, 3.0]))[0]
    tensor(4.)
    """

    def __init__(self, n_tasks: int, *, task_weights: Sequence[float] | None = None) -> None:
        super().__init__(n_tasks)
        self.task_weights = from_numpy(one_per_task("task_weights", task_weights, n_tasks, default=1.0))

    def objective(self, losses: Tensor) -> tuple[Tensor, Tensor]:
        weights = self.task_weights.to(losses)
        return (losses * weights).sum(), weights
