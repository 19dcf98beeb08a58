"""Nash-MTL: the update direction is the Nash bargaining solution between the tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from methods.arrays import Matrix, Vector
from methods.bargaining import solve_bargaining
from methods.base import Step
from methods.ccp import solve_bargaining_ccp
from methods.gradient_method import GramianWeighting

SOLVERS = ("newton", "ccp")


class NashMTL(GramianWeighting):
    """Nash-MTL, Navon et al., ICML 2022, Claim 3.1 and Algorithm 1.

    The direction Gα, with GᵀGα = 1/α and α > 0, maximises Σᵢ log ⟨gᵢ, Δθ⟩ over a ball: it improves every
    task, ⟨gᵢ, Gα⟩ = 1/αᵢ, has length √K whatever the gradients' scales, and does not change when a loss is
    multiplied by a positive number.

    Options, with the paper's runs as defaults:

    * ``update_weights_every`` = 1: solve at every T-th step and reuse the weights in between; those steps
      cost one backward pass of Σ αᵢ Lᵢ ("Nash-MTL-T").
    * ``max_norm`` = 1.0: clip the shared gradient to this norm. As ‖Gα‖ = √K, every solved step has just this
      length. 0 leaves it at √K.
    * ``weight_heads`` = True: the heads' losses are weighted by α too, as in the released code.
    * ``solver`` = ``"newton"``, exact (:func:`methods.solve_nash`); ``"ccp"`` is the paper's sequence of convex
      problems, at most ``ccp_steps`` = 20 of them, started from the previous weights (the paper used 1 for MT10).
    * ``gradients`` = ``"shared"``; ``"representation"`` bargains over the features' gradients, which the paper
      reports to be six times as fast on QM9 and much worse. Gα then has another length than √K.

    The diagnostics of a step that solves hold ``status``, ``residual``, ``iterations`` and ``gramian``. Without a
    solution the step is handled as the status says (:class:`methods.bargaining.BargainingSolution`): a task with a
    zero gradient sits out, with weight 1 for its head; at a Pareto-stationary point the weights are those of the
    vanishing convex combination, with mean one over the tasks that do not sit out, so that the shared parameters
    rest while the heads go on.

    >>> method = NashMTL(n_tasks=2)
    >>> method.weights(torch.tensor([[4.0, 0.0], [0.0, 1.0]]))  # orthogonal gradients: αᵢ = 1/‖gᵢ‖
    tensor([0.5000, 1.0000], dtype=torch.float64)
    """

    def __init__(
        self,
        n_tasks: int,
        *,
        update_weights_every: int = 1,
        max_norm: float = 1.0,
        weight_heads: bool = True,
        solver: str = "newton",
        ccp_steps: int = 20,
        **options: Any,
    ) -> None:
        super().__init__(n_tasks, weight_heads=weight_heads, max_norm=max_norm, **options)
        if update_weights_every < 1 or ccp_steps < 1:
            raise ValueError(
                f"update_weights_every ({update_weights_every}) and ccp_steps ({ccp_steps}) must be at least 1."
            )
        if solver not in SOLVERS:
            raise ValueError(f"solver {solver!r} is unknown; choose one of {', '.join(SOLVERS)}.")
        self.update_weights_every = update_weights_every
        self.solver = solver
        self.ccp_steps = ccp_steps
        self.steps_made = 0
        self.alpha = torch.ones(n_tasks, dtype=torch.float64)

    def solve(self, gramian: Matrix) -> tuple[Vector, dict[str, Any]]:
        if self.solver == "ccp":
            start = self.alpha.numpy()
            start = start if (start > 0).all() else np.ones(self.n_tasks)
            solution = solve_bargaining_ccp(gramian, start, self.ccp_steps)
        else:
            solution = solve_bargaining(gramian)
        diagnostics = {"status": solution.status, "residual": solution.residual, "iterations": solution.iterations}
        return solution.weights, diagnostics

    def _backward(
        self,
        losses: list[Tensor],
        shared: list[Tensor],
        heads: list[Tensor],
        representation: Sequence[Tensor] | None,
    ) -> Step:
        if (weights := self.reused_weights()) is None:
            step = super()._backward(losses, shared, heads, representation)
        else:
            step = Step(weights.to(losses[0].device), {"status": "reused"})
            combined, head_gradients = self._weighted_gradients(losses, shared, heads, weights)
            self._write(shared, combined, heads, head_gradients, step.diagnostics)
        self._advance(step)
        return step

    def reused_weights(self) -> Tensor | None:
        return None if self.steps_made % self.update_weights_every == 0 else self.alpha.clone()

    def _advance(self, step: Step) -> None:
        assert step.weights is not None
        self.alpha = step.weights.cpu().clone()
        self.steps_made += 1

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "step": self.steps_made, "alpha": self.alpha.clone()}

    def _restore(self, state: dict[str, Any]) -> None:
        super()._restore(state)
        self.steps_made = int(state["step"])
        self.alpha = state["alpha"].double().cpu().clone()
