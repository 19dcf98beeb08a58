"""Two tasks at many points at once: closed forms of the methods' weights from Gramians ``[P, 2, 2]``.

A method's own ``weights`` takes one Gramian and costs up to a millisecond of Python; a figure needs two million. For
two tasks each has a closed form, vectorised over the points here and held to the method's own weights by
``tests/toy/test_pairs.py``. Where the closed form would lose digits (next to a Pareto-stationary point) or the
method has a rule of its own (a zero gradient), the points concerned go through the method itself.

Each function returns weights ``[P, 2]`` with the method's default options.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from methods import GramianWeighting, get_method
from methods.cagrad import _SMALLEST_LENGTH

Array = NDArray[np.float64]

#: 1 + cos of the angle between two gradients up to which they count as opposing, 1 − cos as parallel.
_ALIGNED = 1e-9
#: 1 + cos up to which the exact solver finds no solution, ever; between the two it may or may not.
_STATIONARY = 1e-12
#: ‖g₁ − g₂‖² / (‖g₁‖² + ‖g₂‖²) up to which the gradients count as equal.
_EQUAL = 1e-7
_CAGRAD_C = 0.4


def mgda(gramians: Array) -> Array:
    """Twice the weights of the shortest convex combination."""
    weights = 2.0 * _shortest(gramians)
    return _by_the_method("mgda", gramians, weights, _equal(gramians))


def pcgrad(gramians: Array) -> Array:
    """Where the gradients conflict, each loses its part along the other: wᵢ = 1 − ⟨g₁, g₂⟩ / ‖gᵢ‖²."""
    conflict = np.minimum(gramians[:, 0, 1], 0.0)[:, None]
    squares = _squares(gramians)
    return 1.0 - np.divide(conflict, squares, out=np.zeros_like(squares), where=squares > 0)


def imtl_g(gramians: Array) -> Array:
    """Inversely proportional to the gradients' lengths, of sum one."""
    lengths = np.sqrt(_squares(gramians))
    weights = lengths[:, ::-1] / np.maximum(lengths.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    return _by_the_method("imtl_g", gramians, weights, _opposing(gramians) | _parallel(gramians))


def nash_mtl(gramians: Array) -> Array:
    """αᵢ = 1 / (‖gᵢ‖ √(1 + cos)): the sum of the normalised gradients, at length √2 (before any clipping).

    Where the gradients oppose each other to rounding, no α exists, and the method takes twice the shortest
    convex combination.
    """
    lengths = np.sqrt(np.maximum(_squares(gramians), np.finfo(np.float64).tiny))
    above = 1.0 + gramians[:, 0, 1] / (lengths[:, 0] * lengths[:, 1])  # 1 + cos
    weights = 1.0 / (lengths * np.sqrt(np.maximum(above, _ALIGNED))[:, None])
    special = _opposing(gramians)
    if special.any():
        stationary = (above <= _STATIONARY) & (gramians[:, 0, 1] < 0.0)
        weights[stationary] = 2.0 * _shortest(gramians[stationary])
        special &= ~stationary
    return _by_the_method("nash_mtl", gramians, weights, special)


def cagrad(gramians: Array) -> Array:
    """From the stationary point of ⟨g_w, g₀⟩ + c‖g₀‖‖g_w‖ along the segment w = (x, 1 − x).

    With a = ⟨g₁ − g₂, g₀⟩, s = c‖g₀‖ and ‖g_w‖² = A(x − x₀)² + det M / A, x₀ the shortest combination, the
    derivative a + sA(x − x₀)/‖g_w‖ vanishes at x − x₀ = −a √det M / (A √(s²A − a²)), if s²A > a²; else the
    function is monotone.
    """
    m11, m12, m22 = gramians[:, 0, 0], gramians[:, 0, 1], gramians[:, 1, 1]
    curvature = m11 + m22 - 2.0 * m12  # A
    slope = 0.5 * (m11 - m22)  # a
    radius = _CAGRAD_C * 0.5 * np.sqrt(np.maximum(m11 + m22 + 2.0 * m12, 0.0))  # s
    determinant = np.maximum(m11 * m22 - m12 * m12, 0.0)
    rest = radius * radius * curvature - slope * slope
    tiny = np.finfo(np.float64).tiny
    interior = rest > 1e-9 * slope * slope
    shift = slope * np.sqrt(determinant / np.where(interior, np.maximum(rest, tiny), 1.0))
    inner = (m22 - m12 - shift) / np.maximum(curvature, tiny)
    inner = np.where(interior, inner, np.where(slope > 0.0, 0.0, 1.0)).clip(0.0, 1.0)
    length = np.sqrt(np.maximum(inner**2 * m11 + (1 - inner) ** 2 * m22 + 2 * inner * (1 - inner) * m12, tiny))
    multiplier = radius / length
    weights = 0.5 + multiplier[:, None] * np.stack([inner, 1.0 - inner], axis=1)
    # Where no combination is as long as the cap on the multiplier asks for, the method takes the cap; within a
    # factor e of it, its search may end at either.
    cap = radius / (_SMALLEST_LENGTH * np.sqrt(np.maximum(np.minimum(m11, m22), tiny)))
    capped = multiplier > cap
    if capped.any():
        weights[capped] = _at_multiplier(gramians[capped], cap[capped])
    near_cap = (multiplier < 2.75 * cap) & (cap < 2.75 * multiplier)
    special = _equal(gramians) | (rest > 0.0) & ~interior | near_cap | (np.minimum(m11, m22) <= 0.0)
    return _by_the_method("cagrad", gramians, 2.0 / (1.0 + _CAGRAD_C**2) * weights, special)


def _at_multiplier(gramians: Array, multiplier: Array) -> Array:
    """CAGrad's weights ½ + ρw with ρ given: w is the shortest combination of the gradients gᵢ + g₀/ρ."""
    shift = (1.0 / multiplier)[:, None, None]
    cross = shift * gramians.mean(axis=2, keepdims=True)
    mean_square = gramians.mean(axis=(1, 2))[:, None, None]
    shifted = gramians + cross + cross.transpose(0, 2, 1) + shift**2 * mean_square
    return 0.5 + multiplier[:, None] * _shortest(shifted)


#: The methods whose weights come from the Gramian alone.
FROM_GRAMIAN: dict[str, Callable[[Array], Array]] = {
    "mgda": mgda,
    "pcgrad": pcgrad,
    "cagrad": cagrad,
    "imtl_g": imtl_g,
    "nash_mtl": nash_mtl,
}


def gramians_of(gradients: Array) -> Array:
    """Gramians ``[P, 2, 2]`` of task gradients ``[P, 2 tasks, d]``."""
    return gradients @ gradients.transpose(0, 2, 1)


def _squares(gramians: Array) -> Array:
    """Squared lengths of the gradients, ``[P, 2]``."""
    return np.diagonal(gramians, axis1=1, axis2=2)


def _shortest(gramians: Array) -> Array:
    """Weights ``[P, 2]`` of sum one of the shortest convex combination."""
    m11, m12, m22 = gramians[:, 0, 0], gramians[:, 0, 1], gramians[:, 1, 1]
    curvature = np.maximum(m11 + m22 - 2.0 * m12, np.finfo(np.float64).tiny)
    first = ((m22 - m12) / curvature).clip(0.0, 1.0)
    return np.stack([first, 1.0 - first], axis=1)


def _equal(gramians: Array) -> NDArray[np.bool_]:
    """Points ``[P]`` where the two gradients are nearly the same vector, or both zero."""
    m11, m12, m22 = gramians[:, 0, 0], gramians[:, 0, 1], gramians[:, 1, 1]
    return m11 + m22 - 2.0 * m12 <= _EQUAL * (m11 + m22)


def _opposing(gramians: Array) -> NDArray[np.bool_]:
    """Points ``[P]`` where the gradients nearly have opposite directions, or one is zero."""
    return gramians[:, 0, 1] <= (_ALIGNED - 1.0) * np.sqrt(gramians[:, 0, 0] * gramians[:, 1, 1])


def _parallel(gramians: Array) -> NDArray[np.bool_]:
    """Points ``[P]`` where the gradients nearly have one direction."""
    return gramians[:, 0, 1] >= (1.0 - _ALIGNED) * np.sqrt(gramians[:, 0, 0] * gramians[:, 1, 1])


def _by_the_method(key: str, gramians: Array, weights: Array, points: NDArray[np.bool_]) -> Array:
    """``weights`` with those at ``points`` replaced by the method's own."""
    if not points.any():
        return weights
    method = get_method(key, n_tasks=2)
    assert isinstance(method, GramianWeighting)
    for p in np.flatnonzero(points & np.isfinite(gramians).all(axis=(1, 2))):
        weights[p] = method.weights(torch.from_numpy(gramians[p])).numpy()
    return weights
