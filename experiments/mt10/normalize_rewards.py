"""Running reward normalisation of the paper's runs: r / (√v + 1e-8), v an exponential moving variance.

As in ``mtenv`` (after ``garage``): the mean and then the variance move by 1e-3 towards each reward, the mean is not
subtracted, and each environment has its own. Meta-World's wrapper of the same purpose updates twice a step; here it
is once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

RATE = 1e-3
EPSILON = 1e-8


class RewardNormalizer:
    """Statistics of every environment, ``[S, K]``; they begin at mean 0 and variance 1."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self.mean = np.zeros(shape)
        self.variance = np.ones(shape)

    def __call__(self, rewards: np.ndarray) -> np.ndarray:
        """Take in one step's rewards ``[S, K]`` and return them normalised."""
        self.mean += RATE * (rewards - self.mean)
        self.variance += RATE * ((rewards - self.mean) ** 2 - self.variance)
        return rewards / (np.sqrt(self.variance) + EPSILON)

    def state_dict(self) -> dict[str, Any]:
        return {"mean": torch.from_numpy(self.mean.copy()), "variance": torch.from_numpy(self.variance.copy())}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.mean[:] = state["mean"].numpy()
        self.variance[:] = state["variance"].numpy()
