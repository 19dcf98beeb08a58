"""Multiple-gradient descent algorithm (MGDA): the shortest convex combination of the task gradients."""

from __future__ import annotations

from typing import Any

from methods.arrays import Matrix, Vector
from methods.gradient_method import GramianWeighting
from methods.min_norm import min_norm_weights


class MGDA(GramianWeighting):
    """MGDA, Désidéri, Comptes Rendus 2012; for deep networks Sener and Koltun, NeurIPS 2018, eq. (3).

    w = argmin ‖Σᵢ wᵢ gᵢ‖² over the simplex; the direction −Gw improves every task or, where Gw = 0, the point
    is Pareto stationary. The minimum is exact (an active-set method), not a few Frank–Wolfe steps.

    The weights returned and used are K·w: equal weights are then linear scalarisation's, as in the released
    code of the Nash-MTL paper. ``weight_heads=True`` and no clipping are that code's as well.

    >>> import torch
    >>> MGDA(n_tasks=2).weights(torch.tensor([[1.0, 0.0], [0.0, 4.0]]))  # wᵢ ∝ 1/‖gᵢ‖² when orthogonal
    tensor([1.6000, 0.4000], dtype=torch.float64)
    """

    def __init__(self, n_tasks: int, *, weight_heads: bool = True, **options: Any) -> None:
        super().__init__(n_tasks, weight_heads=weight_heads, **options)

    def solve(self, gramian: Matrix) -> tuple[Vector, dict[str, Any]]:
        return self.n_tasks * min_norm_weights(gramian), {}
