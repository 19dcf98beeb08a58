"""Aligned-MTL: the principal components of the task gradients brought to one length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from methods.arrays import Matrix, Vector, one_per_task
from methods.gradient_method import GramianWeighting

SCALE_MODES = ("min", "median", "rmse")


class AlignedMTL(GramianWeighting):
    """Aligned-MTL, Senushkin et al., CVPR 2023, Algorithm 1.

    With GᵀG = VΛVᵀ the gradients G are replaced by the nearest matrix whose singular values are all alike,
    Ĝ = σ GVΛ^(−1/2)Vᵀ (a Procrustes problem), and summed: the direction is Gw with w = σ VΛ^(−1/2)Vᵀ1, whose entries
    may be negative. Components with a zero eigenvalue are left out.

    Options:

    * ``scale_mode`` = ``"min"`` (the paper's): σ is the smallest singular value; ``"median"``: the (lower) median
      one; ``"rmse"``: their root mean square. Both others are the released code's.
    * ``task_weights``: K preferences in place of the vector 1, which is the released code's.
    * ``tolerance`` = 1.2e-7: eigenvalues up to K times this times the largest count as zero. The released code has
      float32's precision here, in which its Gramian is made; ours is exact to 1e-16, but a component that much
      shorter than the longest would make ``"min"`` a step of next to no length.
    * ``weight_heads`` = False: heads take their plain gradients, as released.
    * ``gradients`` = ``"shared"``; ``"representation"`` is the paper's Aligned-MTL-UB.

    The diagnostics hold ``rank``, the number of components that are left. A task whose gradient is zero has no part
    in any of them; its weight, which moves its head alone, is its preference.

    Raises ``ValueError`` for an unknown scale mode, weights that are not K finite numbers of at least 0, and a
    tolerance outside [0, 1).

    >>> import torch
    >>> method = AlignedMTL(n_tasks=2)
    >>> method.weights(torch.tensor([[4.0, 0.0], [0.0, 1.0]]))  # orthogonal gradients: all as long as the shortest
    tensor([0.5000, 1.0000], dtype=torch.float64)
    """

    def __init__(
        self,
        n_tasks: int,
        *,
        scale_mode: str = "min",
        task_weights: Sequence[float] | None = None,
        tolerance: float = 1.2e-7,
        weight_heads: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(n_tasks, weight_heads=weight_heads, **options)
        if scale_mode not in SCALE_MODES:
            raise ValueError(f"scale_mode is {scale_mode!r}; choose one of {', '.join(SCALE_MODES)}.")
        if not 0.0 <= tolerance < 1.0:
            raise ValueError(f"tolerance is {tolerance}; give a number of at least 0 and below 1.")
        self.scale_mode = scale_mode
        self.tolerance = tolerance
        self.preferences = one_per_task("task_weights", task_weights, n_tasks, default=1.0)

    def solve(self, gramian: Matrix) -> tuple[Vector, dict[str, Any]]:
        largest = np.abs(gramian).max()
        if not largest > 0.0:
            return self.preferences.copy(), {"rank": 0}
        values, vectors = np.linalg.eigh(gramian / largest)  # ascending; the weights do not depend on the scale
        kept = values > self.tolerance * len(gramian) * values[-1]
        values, vectors = values[kept], vectors[:, kept]
        scale = {
            "min": values[0],
            "median": values[(len(values) - 1) // 2],
            "rmse": values.mean(),
        }[self.scale_mode]
        weights = vectors @ (np.sqrt(scale / values) * (vectors.T @ self.preferences))
        return np.where(np.diag(gramian) > 0.0, weights, self.preferences), {"rank": len(values)}
