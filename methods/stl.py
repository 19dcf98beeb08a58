"""Single-task learning (STL): train on one task alone, the reference that Δm is measured against."""

from __future__ import annotations

import torch
from torch import Tensor

from methods.base import LossWeighting


class SingleTask(LossWeighting):
    """STL: minimise the loss of task ``main_task`` (from 0) only.

    The other heads get a gradient of zero and stay as they are. Raises ``ValueError`` if there is no such task.
    """

    def __init__(self, n_tasks: int, *, main_task: int) -> None:
        super().__init__(n_tasks)
        if not 0 <= main_task < n_tasks:
            raise ValueError(f"main_task is {main_task}; with {n_tasks} tasks give a number from 0 to {n_tasks - 1}.")
        self.main_task = main_task

    def objective(self, losses: Tensor) -> tuple[Tensor, Tensor]:
        weights = torch.zeros_like(losses)
        weights[self.main_task] = 1.0
        return losses[self.main_task], weights
