"""Gradient steps along the Nash bargaining direction, with the step size of Theorem 5.4, Navon et al., ICML 2022.

For K losses that are L-smooth, θ ← θ − μ·Gα with GᵀGα = 1/α and μ = minᵢ 1 / (L K αᵢ). As ‖Gα‖² = K and
⟨gᵢ, Gα⟩ = 1/αᵢ, smoothness bounds every loss after the step:

    ℓᵢ(θ − μGα) <= ℓᵢ(θ) − μ/αᵢ + ½ L K μ² <= ℓᵢ(θ) − μ / (2αᵢ),

so that all of them fall, by the stated amount at least. The iterates approach Pareto stationarity, the certificate of
which is the shortest convex combination of the task gradients: its length goes to zero. Where the losses are convex
the limit is Pareto optimal (Theorem 5.5).

Two problems with a known L, over θ in R^d: quadratic bowls (convex) and Gaussian wells (not convex).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from methods.bargaining import solve_bargaining
from methods.min_norm import min_norm_weights

Array = NDArray[np.float64]


class SmoothProblem(NamedTuple):
    """``losses_and_gradients``: from θ ``[d]`` to losses ``[K]`` and gradients ``[K, d]``; ``smoothness``: L."""

    losses_and_gradients: Callable[[Array], tuple[Array, Array]]
    smoothness: float


class Descent(NamedTuple):
    """A run of T steps: ``points`` ``[T + 1, d]``, ``losses`` ``[T + 1, K]``; of each step the decrease that the
    theorem promises, ``promised`` ``[T, K]``; ``certificate`` ``[T + 1]``, lengths of the shortest combination."""

    points: Array
    losses: Array
    promised: Array
    certificate: Array


def bowls(centres: Array, curvatures: Array) -> SmoothProblem:
    """ℓᵢ = ½ (θ − cᵢ)ᵀ Aᵢ (θ − cᵢ) with ``centres`` ``[K, d]`` and ``curvatures`` Aᵢ ``[K, d, d]``, positive
    definite; L is their largest eigenvalue."""

    def losses_and_gradients(theta: Array) -> tuple[Array, Array]:
        offset = theta - centres
        gradients = np.einsum("kij,kj->ki", curvatures, offset)
        return 0.5 * (offset * gradients).sum(axis=1), gradients

    return SmoothProblem(losses_and_gradients, float(np.linalg.eigvalsh(curvatures).max()))


def wells(centres: Array, widths: Array) -> SmoothProblem:
    """ℓᵢ = 1 − exp(−‖θ − cᵢ‖² / (2σᵢ²)) with ``centres`` ``[K, d]`` and ``widths`` σ ``[K]``; not convex outside
    ‖θ − cᵢ‖ <= σᵢ. The Hessian's eigenvalues are at most 1/σᵢ² and at least −2e^(−3/2)/σᵢ²: L = 1/min σᵢ²."""

    def losses_and_gradients(theta: Array) -> tuple[Array, Array]:
        offset = (theta - centres) / widths[:, None]
        depth = np.exp(-0.5 * (offset * offset).sum(axis=1))
        return 1.0 - depth, offset * (depth / widths)[:, None]

    return SmoothProblem(losses_and_gradients, float(1.0 / widths.min() ** 2))


def descend(problem: SmoothProblem, start: Array, steps: int, tolerance: float = 1e-6) -> Descent:
    """At most ``steps`` steps from ``start`` ``[d]``, until the certificate falls below ``tolerance`` of its first
    value or no bargaining solution exists to rounding."""
    theta = np.asarray(start, dtype=np.float64)
    points, all_losses, promised, certificate = [], [], [], []
    for step in range(steps + 1):
        losses, gradients = problem.losses_and_gradients(theta)
        gramian = gradients @ gradients.T
        points.append(theta)
        all_losses.append(losses)
        certificate.append(shortest_combination(gradients))
        if step == steps or certificate[-1] <= tolerance * certificate[0]:
            break
        solution = solve_bargaining(gramian)
        if solution.status != "solved":
            break
        size = 1.0 / (problem.smoothness * len(losses) * solution.weights.max())
        promised.append(0.5 * size / solution.weights)
        theta = theta - size * (solution.weights @ gradients)
    return Descent(*map(np.array, (points, all_losses, promised, certificate)))


def shortest_combination(gradients: Array) -> float:
    """Length of the shortest convex combination of gradients ``[K, d]``: zero at a Pareto-stationary point."""
    return float(np.linalg.norm(min_norm_weights(gradients @ gradients.T) @ gradients))
