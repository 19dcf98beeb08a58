"""Conflict-averse gradient (CAGrad): the best worst-case improvement in a ball around the mean gradient."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.optimize import brentq

from methods.arrays import Matrix, Vector
from methods.gradient_method import GramianWeighting
from methods.min_norm import min_norm_weights

#: At a Pareto-stationary point the inner optimum has g_w = 0 and no finite multiplier; the search ends where g_w
#: is this much shorter than the shortest gradient.
_SMALLEST_LENGTH = 1e-5


class CAGrad(GramianWeighting):
    """CAGrad, Liu et al., NeurIPS 2021, eq. (4) and Algorithm 1.

    The direction d maximises minᵢ ⟨gᵢ, d⟩ subject to ‖d − g₀‖ <= c‖g₀‖, g₀ the mean gradient. By duality
    d = g₀ + (c‖g₀‖ / ‖g_w‖) g_w, where w minimises ⟨g_w, g₀⟩ + c‖g₀‖‖g_w‖ over the simplex, g_w = Σ wᵢ gᵢ.

    The inner problem is solved to its optimum: with the multiplier ρ = c‖g₀‖ / ‖g_w‖ fixed it is MGDA's
    problem for the gradients gᵢ + g₀/ρ, and ρ‖g_w(ρ)‖ = c‖g₀‖ is one monotone scalar equation.

    ``c`` = 0.4 (the CAGrad paper's choice for supervised learning, also the Nash-MTL paper's). ``rescale``
    divides the direction by 1 + c²; the result is multiplied by K, so that c = 0 is linear scalarisation;
    both are CAGrad's released code. Heads take their plain gradients there (``weight_heads=False``).

    Raises ``ValueError`` if c is not in [0, 1).
    """

    def __init__(
        self, n_tasks: int, *, c: float = 0.4, rescale: bool = True, weight_heads: bool = False, **options: Any
    ) -> None:
        super().__init__(n_tasks, weight_heads=weight_heads, **options)
        if not 0.0 <= c < 1.0:
            raise ValueError(f"c is {c}; CAGrad converges to stationary points of the mean loss for 0 <= c < 1.")
        self.c = c
        self.rescale = rescale

    def solve(self, gramian: Matrix) -> tuple[Vector, dict[str, Any]]:
        multiplier, inner = inner_solution(gramian, self.c)
        weights = 1.0 / self.n_tasks + multiplier * inner
        scale = self.n_tasks / (1.0 + self.c**2) if self.rescale else self.n_tasks
        return scale * weights, {}


def inner_solution(gramian: Matrix, c: float) -> tuple[float, Vector]:
    """The multiplier ρ and the simplex weights w ``[K]`` with d = g₀ + ρ g_w, for a Gramian ``[K, K]``."""
    n = len(gramian)
    scale = np.trace(gramian)
    mean_products = gramian.mean(axis=1)  # ⟨gᵢ, g₀⟩
    mean_squared = mean_products.mean()  # ‖g₀‖²
    if c == 0.0 or mean_squared <= np.finfo(np.float64).eps * scale:
        return 0.0, np.full(n, 1.0 / n)
    radius = c * math.sqrt(mean_squared)

    def weights_at(multiplier: float) -> Vector:
        shift = 1.0 / multiplier
        cross = shift * mean_products
        return min_norm_weights(gramian + cross[:, None] + cross[None, :] + shift**2 * mean_squared)

    def excess(log_multiplier: float) -> float:
        multiplier = math.exp(log_multiplier)
        w = weights_at(multiplier)
        return multiplier * math.sqrt(max(float(w @ gramian @ w), 0.0)) / radius - 1.0

    # ‖g_w‖ is at most the longest gradient, so that the multiplier is at least the radius over that length.
    lengths = np.sqrt(np.diag(gramian))
    low = math.log(radius / float(lengths.max())) - 1e-9
    limit = math.log(radius / (_SMALLEST_LENGTH * float(lengths[lengths > 0].min())))
    high = min(low + 1.0, limit)
    while (short := excess(high) < 0.0) and high < limit:
        high = min(high + 1.0, limit)
    root: float = high if short else brentq(excess, low, high, xtol=1e-13, rtol=1e-13)
    multiplier = math.exp(root)
    return multiplier, weights_at(multiplier)
