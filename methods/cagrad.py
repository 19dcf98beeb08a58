"""Conflict-averse gradient (CAGrad): the best worst-case improvement in a ball around the mean gradient."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from methods.arrays import Matrix, Vector
from methods.gradient_method import GramianWeighting
from methods.min_norm import min_norm_weights

#: At a Pareto-stationary point the inner optimum has g_w = 0 and no finite multiplier; the search ends where g_w
#: is this much shorter than the shortest gradient. The direction is then within about as much of the optimum, while
#: a Gramian in float64 resolves lengths down to 1e-8 only: the square root of its rounding.
_SMALLEST_LENGTH = 1e-5
#: For the closed form: the smallest eigenvalue of the cosines, and what a condition must hold by, relatively.
_INDEPENDENT = 1e-6
_MARGIN = 1e-11


class CAGrad(GramianWeighting):
    """CAGrad, Liu et al., NeurIPS 2021, eq. (4) and Algorithm 1.

    The direction d maximises minᵢ ⟨gᵢ, d⟩ subject to ‖d − g₀‖ <= c‖g₀‖, g₀ the mean gradient. By duality
    d = g₀ + (c‖g₀‖ / ‖g_w‖) g_w, where w minimises ⟨g_w, g₀⟩ + c‖g₀‖‖g_w‖ over the simplex, g_w = Σ wᵢ gᵢ.

    The inner problem is solved to its optimum: with the multiplier ρ = c‖g₀‖ / ‖g_w‖ fixed it is MGDA's
    problem for the gradients gᵢ + g₀/ρ, and ρ‖g_w(ρ)‖ = c‖g₀‖ is one monotone scalar equation. Once the tasks of
    positive weight are known the optimum has a closed form; each step of the search tries those that it has found.

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
        active = np.flatnonzero(w > 0.0)
        if (support := tuple(active.tolist())) not in tried:
            tried.add(support)
            found = _optimum_on(gramian, mean_products, radius, active)
            if found is not None and low <= math.log(found[0]) <= limit:
                raise _Found(*found)
        return multiplier * math.sqrt(max(float(w @ gramian @ w), 0.0)) / radius - 1.0

    # ‖g_w‖ is at most the longest gradient, so that the multiplier is at least the radius over that length.
    lengths = np.sqrt(np.diag(gramian))
    tried: set[tuple[int, ...]] = set()
    low = math.log(radius / float(lengths.max())) - 1e-9
    limit = math.log(radius / (_SMALLEST_LENGTH * float(lengths[lengths > 0].min())))
    high = min(low + 1.0, limit)
    try:
        while (short := excess(high) < 0.0) and high < limit:
            high = min(high + 1.0, limit)
        root: float = high if short else brentq(excess, low, high, xtol=1e-13, rtol=1e-13)
    except _Found as found:
        return found.multiplier, found.weights
    multiplier = math.exp(root)
    return multiplier, weights_at(multiplier)


class _Found(Exception):
    """Ends a search from within."""

    def __init__(self, multiplier: float, weights: Vector) -> None:
        super().__init__()
        self.multiplier, self.weights = multiplier, weights


def _optimum_on(
    gramian: Matrix, mean_products: Vector, radius: float, active: NDArray[np.intp]
) -> tuple[float, Vector] | None:
    """The multiplier and the weights if exactly the ``active`` tasks have positive ones, else ``None``.

    With b = ``mean_products`` and ν for Σ wᵢ = 1 the optimality conditions on the active tasks are b + ρMw = ν1, so
    that w = M⁻¹(ν1 − b)/ρ, and ρ‖g_w‖ = ``radius`` is a quadratic equation in ν. Where rounding could have a say, of
    nearly dependent gradients or a condition that only just holds, the answer is ``None`` as well.
    """
    length = np.sqrt(np.diag(gramian)[active])
    if not (length > 0.0).all():
        return None
    cosines = gramian[np.ix_(active, active)] / np.outer(length, length)
    values, vectors = np.linalg.eigh(cosines)
    if not values[0] > _INDEPENDENT:
        return None
    products = mean_products[active]
    right = np.stack([1.0 / length, products / length], axis=1)
    ones, means = (vectors @ ((vectors.T @ right) / values[:, None]) / length[:, None]).T  # M⁻¹1 and M⁻¹b
    a, b, e = ones.sum(), means.sum(), products @ means
    discriminant = b * b - a * (e - radius * radius)
    if not discriminant > _MARGIN * b * b:
        return None
    root = math.sqrt(discriminant)
    level = (b + root) / a  # ν
    scaled = level * ones - means  # ρw, of sum `root`
    weights = np.zeros(len(gramian))
    weights[active] = scaled / root
    gain = mean_products + gramian @ (root * weights)  # ⟨gᵢ, d⟩, which is ν for the active tasks
    size = radius * np.sqrt(np.diag(gramian)) + np.abs(level)
    if (scaled <= _MARGIN * np.abs(scaled).max()).any() or (gain < level - _MARGIN * size).any():
        return None
    return root, weights
