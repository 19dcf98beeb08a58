"""Random loss weighting (RLW): new random weights at every step."""

from __future__ import annotations

import torch
from torch import Tensor

from methods.base import LossWeighting


class RandomLossWeighting(LossWeighting):
    """RLW, Lin et al., TMLR 2022: w = softmax(z), z standard normal, drawn anew at every step.

    The weights sum to one, as in the Nash-MTL paper's released code. They are drawn from a generator of the
    method's own (``seed``), which is part of its state.
    """

    def __init__(self, n_tasks: int, *, seed: int = 0) -> None:
        super().__init__(n_tasks)
        self.generator = torch.Generator().manual_seed(seed)

    def objective(self, losses: Tensor) -> tuple[Tensor, Tensor]:
        draw = torch.randn(self.n_tasks, generator=self.generator, dtype=torch.float64)
        weights = draw.softmax(dim=0).to(losses)
        return (losses * weights).sum(), weights
