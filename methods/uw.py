"""Uncertainty weighting (UW): learned log-variances weigh the losses."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from typing_extensions import Self

from methods.base import LossWeighting


class UncertaintyWeighting(LossWeighting):
    """UW, Kendall et al., CVPR 2018, eq. (7): minimise Σᵢ ½ (exp(−sᵢ) Lᵢ + sᵢ) over the network and s = log σ².

    The regression form for every task, from s = 0, as in the Nash-MTL paper's released code. Give
    :meth:`parameters` to the optimiser; that code uses a learning rate of 0.025 for them. The weights
    returned are ½ exp(−sᵢ).
    """

    def __init__(self, n_tasks: int) -> None:
        super().__init__(n_tasks)
        self.log_variance = Parameter(torch.zeros(n_tasks))

    def objective(self, losses: Tensor) -> tuple[Tensor, Tensor]:
        log_variance = self.log_variance
        if log_variance.device != losses.device:
            raise ValueError(
                f"the losses are on {losses.device}, uncertainty weighting's parameters on {log_variance.device}; "
                "call .to(device) on the method before giving its parameters to the optimiser."
            )
        weights = 0.5 * torch.exp(-log_variance)
        return (weights * losses + 0.5 * log_variance).sum(), weights

    def to(self, device: torch.device | str) -> Self:
        self.log_variance.data = self.log_variance.data.to(device)
        return self

    def parameters(self) -> list[Parameter]:
        return [self.log_variance]

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "log_variance": self.log_variance.detach().clone()}

    def _restore(self, state: dict[str, Any]) -> None:
        super()._restore(state)
        self.log_variance.data.copy_(state["log_variance"])
