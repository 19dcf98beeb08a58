"""Projecting conflicting gradients (PCGrad): subtract from each gradient its component against the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from methods.arrays import Matrix, Vector
from methods.gradient_method import GramianWeighting


class PCGrad(GramianWeighting):
    """PCGrad, Yu et al., NeurIPS 2020, Algorithm 1.

    Each gᵢ is projected in turn, in a random order of the other tasks j, on the normal plane of gⱼ wherever the
    two conflict (⟨gᵢ, gⱼ⟩ < 0); the shared gradient is the sum of the results. A projected gradient
    stays a combination of the task gradients, whose inner products the Gramian holds, so that the whole
    procedure needs K×K numbers only, and ends in weights.

    The order is drawn from a generator of the method's own (``seed``). :meth:`solve` draws an order;
    :func:`projected_weights` takes one. Heads take their plain gradients (``weight_heads=False``), as in the
    Nash-MTL paper's released code; a task is not projected on itself, as in the PCGrad paper.
    """

    generator: torch.Generator

    def __init__(self, n_tasks: int, *, seed: int = 0, weight_heads: bool = False, **options: Any) -> None:
        super().__init__(n_tasks, weight_heads=weight_heads, **options)
        self.generator = torch.Generator().manual_seed(seed)

    def draw_orders(self) -> list[list[int]]:
        """For each task, a random order of all tasks."""
        return [torch.randperm(self.n_tasks, generator=self.generator).tolist() for _ in range(self.n_tasks)]

    def solve(self, gramian: Matrix) -> tuple[Vector, dict[str, Any]]:
        return projected_weights(gramian, self.draw_orders()), {}


def projected_weights(gramian: Matrix, orders: Sequence[Sequence[int]]) -> Vector:
    """PCGrad's weights ``[K]`` for a Gramian ``[K, K]`` when task i meets the others in the order ``orders[i]``."""
    coefficients = np.eye(len(gramian))  # row i: the projected gᵢ as a combination of the task gradients
    for i, order in enumerate(orders):
        for j in order:
            product = coefficients[i] @ gramian[:, j]
            if j != i and product < 0.0 < gramian[j, j]:  # the square of a tiny gⱼ can be zero when it is not
                coefficients[i, j] -= product / gramian[j, j]
    return coefficients.sum(axis=0)
