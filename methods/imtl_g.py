"""Impartial multi-task learning, gradient balance (IMTL-G): equal projections on all task gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from methods.arrays import Matrix, Vector
from methods.gradient_method import GramianWeighting


class IMTLG(GramianWeighting):
    """IMTL-G, Liu et al., ICLR 2021, eqs. (3)-(5).

    Weights w with sum one such that ⟨Σⱼ wⱼ gⱼ, gᵢ/‖gᵢ‖⟩ is the same for all tasks: Mw = t·√diag(M). Weights
    may be negative. Linearly dependent gradients take the solution of least norm.

    ``gradients="representation"`` (default) is what the Nash-MTL paper ran and IMTL-G's own paper does for speed,
    ``"shared"`` the Nash-MTL authors' released code.

    Where the projections can only be equal at zero, as of gradients that oppose each other exactly, the combination
    vanishes: of two such tasks the weights are inversely proportional to the gradients' lengths. Where no weights of
    sum one do that either, or a gradient is zero, all weights are 1/K and the diagnostics say ``solved=False``.
    The projections may also be equal and negative, and the step then raises every loss: ``projection`` in the
    diagnostics, in units of the shortest gradient's length, says so by its sign.
    Raises ``ValueError`` if the representation is wanted and not given.
    """

    def __init__(
        self, n_tasks: int, *, gradients: str = "representation", weight_heads: bool = True, **options: Any
    ) -> None:
        super().__init__(n_tasks, gradients=gradients, weight_heads=weight_heads, **options)

    def solve(self, gramian: Matrix) -> tuple[Vector, dict[str, Any]]:
        solution = equal_projection_weights(gramian)
        if solution is None:
            return np.full(self.n_tasks, 1.0 / self.n_tasks), {"solved": False}
        length = np.sqrt(np.diag(gramian))
        return solution, {"solved": True, "projection": float((gramian @ solution / length).mean() / length.min())}


def equal_projection_weights(gramian: Matrix) -> Vector | None:
    """The weights ``[K]``, or ``None`` where there are none of sum one."""
    length = np.sqrt(np.diag(gramian))
    if not (length > 0).all():
        return None
    cosines = gramian / np.outer(length, length)
    scaled, *_ = np.linalg.lstsq(cosines, np.ones(len(cosines)), rcond=1e-13)
    if np.abs(cosines @ scaled - 1.0).max() > 1e-6:
        # The projections can only be equal at zero, to rounding: where the normalised gradients combine to nothing.
        values, vectors = np.linalg.eigh(cosines)
        null = vectors[:, values < 1e-8 * values[-1]]
        scaled = null @ null.sum(axis=0)  # the nearest to equal weights
    weights = scaled * (length.min() / length)
    total = weights.sum()
    if abs(total) <= 1e-12 * np.abs(weights).max():
        return None  # the weights cannot be made to sum to one
    return weights / total
