"""The shortest vector in the convex hull of the task gradients, exactly, from their Gramian.

Minimise wᵀMw over the simplex (Désidéri, 2012). Used by MGDA, inside CAGrad, and as the certificate of
Pareto stationarity: the task gradients have a vanishing convex combination exactly if the minimum is zero.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls

from methods.arrays import Matrix, Vector


def min_norm_weights(gramian: Matrix) -> Vector:
    """The minimiser w ``[K]`` of wᵀMw subject to w >= 0 and sum(w) = 1, for a Gramian M ``[K, K]`` (float64).

    The problem is a non-negative least-squares problem in disguise: with M = LᵀL, minimising
    ‖Lv‖² + (1ᵀv − 1)² over v >= 0 and normalising v gives w, since the best scale of a direction costs
    a monotone function of its length. Gradients are scaled to unit length first, so that their scales do
    not cost accuracy; the active set found is then solved once more as a linear system.

    A zero gradient is itself the shortest vector: all weight goes to the tasks whose gradient is zero.
    """
    squared_lengths = np.diag(gramian)
    if (zero := squared_lengths <= 0.0).any():
        return zero / zero.sum()
    length = np.sqrt(squared_lengths)
    cosines = gramian / np.outer(length, length)
    inverse_length = length.min() / length  # the constraint in unit-length coordinates, largest entry one
    scaled = _non_negative_least_squares(cosines, inverse_length)
    scaled = _polish(cosines, inverse_length, scaled)
    weights = scaled * inverse_length
    return weights / weights.sum()


def _non_negative_least_squares(cosines: Matrix, constraint: Vector) -> Vector:
    values, vectors = np.linalg.eigh(cosines)
    root = np.sqrt(values.clip(min=0.0))[:, None] * vectors.T  # [K, K], rootᵀ root = cosines
    system = np.vstack([root, constraint])
    right = np.append(np.zeros(len(cosines)), 1.0)
    solution, _ = nnls(system, right, maxiter=30 * len(cosines))
    return solution


def _polish(cosines: Matrix, constraint: Vector, scaled: Vector) -> Vector:
    """Solve the optimality conditions C v = ν·constraint on the active set; kept if no worse than ``scaled``."""
    active = np.flatnonzero(scaled > 0)
    if len(active) == 0:
        return constraint
    solution, *_ = np.linalg.lstsq(cosines[np.ix_(active, active)], constraint[active], rcond=None)
    if not (solution > 0).all():
        return scaled
    candidate = np.zeros_like(scaled)
    candidate[active] = solution

    def length(v: Vector) -> float:
        v = v / (constraint @ v)
        return float(v @ cosines @ v)

    return candidate if length(candidate) <= length(scaled) else scaled
