"""Dynamic weight average (DWA): more weight to the losses that fall more slowly."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from methods.base import LossWeighting


class DynamicWeightAverage(LossWeighting):
    """DWA, Liu et al. (MTAN), CVPR 2019, eq. (7).

    wᵢ(t) = K·exp(rᵢ(t−1)/T) / Σⱼ exp(rⱼ(t−1)/T), with rᵢ(t−1) = Lᵢ(t−1)/Lᵢ(t−2) the ratio of the mean losses of
    the last two windows; until two windows are complete all weights are equal.

    ``temperature`` T = 2 (both papers). ``window``: the number of steps whose losses are averaged. The
    DWA paper averages over epochs; the Nash-MTL paper's released code over 25 steps, sliding, from
    a buffer that begins with ones, which distorts its first 50 steps. Here the windows follow one another,
    25 steps each by default, and nothing precedes the first. ``normalise`` = True divides the weights by K, so that
    they have mean 1/K, as in the released code.

    Raises ``ValueError`` if temperature or window is not positive.
    """

    def __init__(self, n_tasks: int, *, temperature: float = 2.0, window: int = 25, normalise: bool = True) -> None:
        super().__init__(n_tasks)
        if not temperature > 0 or window < 1:
            raise ValueError(f"temperature ({temperature}) must be positive and window ({window}) at least 1.")
        self.temperature = temperature
        self.window = window
        self.normalise = normalise
        self.running_sum = torch.zeros(n_tasks, dtype=torch.float64)
        self.steps_in_window = 0
        self.averages = torch.zeros(0, n_tasks, dtype=torch.float64)  # of the last two complete windows

    def objective(self, losses: Tensor) -> tuple[Tensor, Tensor]:
        weights = self._weights().to(losses)
        self._observe(losses.detach())
        return (losses * weights).sum(), weights

    def _weights(self) -> Tensor:
        scale = 1.0 if self.normalise else float(self.n_tasks)
        if len(self.averages) < 2:
            return torch.full((self.n_tasks,), scale / self.n_tasks, dtype=torch.float64)
        ratio = self.averages[1] / self.averages[0]
        ratio = ratio.nan_to_num(nan=1.0, posinf=1.0, neginf=1.0)  # a loss that was exactly zero has no rate
        return scale * (ratio / self.temperature).softmax(dim=0)

    def _observe(self, losses: Tensor) -> None:
        self.running_sum = self.running_sum.to(losses.device) + losses.double()
        self.steps_in_window += 1
        if self.steps_in_window == self.window:
            average = self.running_sum[None] / self.window
            self.averages = torch.cat([self.averages.to(average.device), average])[-2:]
            self.running_sum = torch.zeros_like(self.running_sum)
            self.steps_in_window = 0

    def state_dict(self) -> dict[str, Any]:
        return {
            **super().state_dict(),
            "running_sum": self.running_sum.clone(),
            "steps_in_window": self.steps_in_window,
            "averages": self.averages.clone(),
        }

    def _restore(self, state: dict[str, Any]) -> None:
        super()._restore(state)
        self.running_sum = state["running_sum"].clone()
        self.steps_in_window = int(state["steps_in_window"])
        self.averages = state["averages"].clone()
