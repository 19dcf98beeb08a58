"""FairGrad: α-fair allocation of the improvement among the tasks."""

from __future__ import annotations

import math
from typing import Any

from methods.arrays import Matrix, Vector
from methods.fair_allocation import solve_fair_allocation
from methods.gradient_method import GramianWeighting


class FairGrad(GramianWeighting):
    """FairGrad, Ban and Ji, ICML 2024, Algorithm 1.

    The direction Gw, with GᵀGw = w^(−1/α) and w > 0, maximises Σᵢ ⟨gᵢ, d⟩^(1−α) / (1−α) over a ball, up to its
    length: α → 0 is linear scalarisation, α = 1 proportional fairness, which is Nash-MTL's solution, α → ∞ the
    largest smallest improvement. Every task improves, ⟨gᵢ, Gw⟩ = wᵢ^(−1/α). For α ≠ 1 the direction depends on the
    scales of the losses.

    Options:

    * ``alpha`` = 2.0: the released script's for QM9.
    * ``max_norm`` = 1.0: clip the shared gradient to this norm, as in the released code, which multiplies it by K
      first.
    * ``weight_heads`` = False: heads take their plain gradients, as there.

    The equation is solved exactly (:func:`methods.fair_allocation.solve_fair_allocation`); the released code leaves
    it to ``scipy.optimize.least_squares``. The diagnostics of a step hold ``status``, ``residual`` and
    ``iterations``. Without a solution the step is handled as Nash-MTL's: a task with a zero gradient sits out, at a
    Pareto-stationary point the weights are those of the vanishing convex combination.

    Raises ``ValueError`` if alpha is not positive and finite.
    """

    def __init__(
        self, n_tasks: int, *, alpha: float = 2.0, max_norm: float = 1.0, weight_heads: bool = False, **options: Any
    ) -> None:
        super().__init__(n_tasks, weight_heads=weight_heads, max_norm=max_norm, **options)
        if not 0.0 < alpha < math.inf:
            raise ValueError(f"alpha is {alpha}; FairGrad needs a positive, finite number.")
        self.alpha = alpha

    def solve(self, gramian: Matrix) -> tuple[Vector, dict[str, Any]]:
        solution = solve_fair_allocation(gramian, self.alpha)
        diagnostics = {"status": solution.status, "residual": solution.residual, "iterations": solution.iterations}
        return solution.weights, diagnostics
