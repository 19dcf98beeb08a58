"""Impartial multi-task learning, gradient balance (IMTL-G): equal projections on all task gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from methods.base import GramianWeighting, Step, checked_gramian
from methods.gradients import compute_task_gradients

_GRADIENTS = ("representation", "shared")


class IMTLG(GramianWeighting):
    """IMTL-G, Liu et al., ICLR 2021, eqs. (3)-(5).

    Weights w with sum one such that ⟨Σⱼ wⱼ gⱼ, gᵢ/‖gᵢ‖⟩ is the same for all tasks: Mw = t·√diag(M). Weights
    may be negative. Linearly dependent gradients take the solution of least norm.

    ``gradients="representation"`` (default, what the Nash-MTL paper ran and IMTL-G's own paper does for speed)
    balances the gradients of the representation and then makes one backward pass of Σ wᵢ Lᵢ;
    ``"shared"`` balances those of the shared parameters (the Nash-MTL authors' released code).

    Where the projections can only be equal at zero, as of gradients that oppose each other exactly, the combination
    vanishes: of two such tasks the weights are inversely proportional to the gradients' lengths. Where no weights of
    sum one do that either, or a gradient is zero, all weights are 1/K and the diagnostics say ``solved=False``.
    Raises ``ValueError`` if the representation is wanted and not given.
    """

    def __init__(
        self, n_tasks: int, *, gradients: str = "representation", weight_heads: bool = True, **options: Any
    ) -> None:
        super().__init__(n_tasks, weight_heads=weight_heads, **options)
        if gradients not in _GRADIENTS:
            raise ValueError(f"gradients is {gradients!r}; choose one of {', '.join(_GRADIENTS)}.")
        self.gradients = gradients
        self.needs_representation = gradients == "representation"

    def weights(self, gramian: Tensor) -> Tensor:
        return self.weights_and_diagnostics(gramian)[0]

    def weights_and_diagnostics(self, gramian: Tensor) -> tuple[Tensor, dict[str, Any]]:
        solution = equal_projection_weights(gramian.double().cpu().numpy())
        solved = solution is not None
        weights = solution if solved else np.full(self.n_tasks, 1.0 / self.n_tasks)
        return torch.from_numpy(weights).to(gramian.device), {"solved": solved}

    def _backward(
        self,
        losses: list[Tensor],
        shared: list[Tensor],
        heads: list[Tensor],
        representation: Sequence[Tensor] | None,
    ) -> Step:
        if self.gradients == "shared":
            return super()._backward(losses, shared, heads, representation)
        if representation is None:
            raise ValueError(
                "IMTL-G balances the representation's gradients; pass representation=... to backward(), "
                'or construct it with gradients="shared".'
            )
        if not all(features.requires_grad for features in representation):
            raise ValueError("the representation does not require a gradient; pass the tensor that the heads read.")
        features = compute_task_gradients(losses, representation, strategy=self.task_gradients, retain_graph=True)
        gramian = checked_gramian(features, self.ranks)
        weights, diagnostics = self.weights_and_diagnostics(gramian)
        stacked = torch.stack([loss.reshape(()) for loss in losses])
        objective = (stacked * weights.to(stacked)).sum()
        combined = self._scalar_gradients(objective, shared, retain_graph=bool(heads))
        diagnostics = {"gramian": gramian, **diagnostics}
        self._write(shared, combined, heads, self._head_gradients(losses, heads, weights), diagnostics)
        return Step(weights, diagnostics)


def equal_projection_weights(gramian: np.ndarray) -> np.ndarray | None:
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
