"""Fast adaptive multitask optimisation (FAMO): all log-losses fall at the same rate, by one backward pass a step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, from_numpy

from methods.arrays import one_per_task
from methods.base import LossWeighting, Step
from methods.errors import NonPositiveLoss

_EPSILON = 1e-8  # added to a loss before its logarithm, as released
_BETA_1, _BETA_2, _ADAM_EPSILON = 0.9, 0.999, 1e-8


class FAMO(LossWeighting):
    """FAMO, Liu et al., NeurIPS 2023, Algorithms 1 and 2.

    The weights are wᵢ = c zᵢ / Lᵢ with z = softmax(ξ) and c such that they sum to one: the direction of Σ zᵢ log Lᵢ.
    After the optimiser's step, with losses L⁺ of the same batch, the logits ξ move against z∘(δ − ⟨z, δ⟩), where
    δᵢ = log Lᵢ − log Lᵢ⁺: a task whose logarithm fell less than the others' gains weight.

    Call :meth:`update` with L⁺, computed under ``torch.no_grad()``, after every optimiser step; the trainers of
    this suite do. A loop that does not is taken to make the next step's losses do for L⁺, which costs no second
    forward pass, but compares losses of two batches; the diagnostics' ``status`` says which of the two it was for the
    logits of this step: ``"same_batch"``, ``"next_batch"``, or ``"first"``.

    Options:

    * ``lr`` = 0.025: the learning rate of the logits' Adam, as released (Algorithm 1 has plain gradient descent).
    * ``decay`` = 0.001: γ, the L2 regularisation of the logits, as in Algorithm 2 and the released script for QM9;
      the released file to copy has 0.01.
    * ``minimum_losses``: K numbers that the losses cannot fall below, all zero by default; they are
      subtracted before the logarithm.

    Raises ``ValueError`` for other options than that, and :class:`NonPositiveLoss` for a loss below its minimum.

    >>> method = FAMO(n_tasks=2)
    >>> method.objective(torch.tensor([1.0, 3.0]))[1]
    tensor([0.7500, 0.2500])
    """

    needs_losses_after = True

    def __init__(
        self,
        n_tasks: int,
        *,
        lr: float = 0.025,
        decay: float = 0.001,
        minimum_losses: Sequence[float] | None = None,
    ) -> None:
        super().__init__(n_tasks)
        if not 0.0 < lr < math.inf or not 0.0 <= decay < math.inf:
            raise ValueError(f"lr ({lr}) must be a positive number and decay ({decay}) one of at least 0.")
        self.lr, self.decay = lr, decay
        self.minimum_losses = from_numpy(
            one_per_task("minimum_losses", minimum_losses, n_tasks, default=0.0, negative=True)
        )
        self.logits, self.first_moment, self.second_moment = torch.zeros(3, n_tasks, dtype=torch.float64).unbind()
        self.updates = 0
        self.pending = torch.zeros(0, n_tasks, dtype=torch.float64)  # log-losses of the step that waits for L⁺

    def objective(self, losses: Tensor) -> tuple[Tensor, Tensor]:
        log_losses = self._log(losses.detach())
        if len(self.pending):
            self._learn(log_losses)
        weights = (self.logits.to(losses.device).log_softmax(dim=0) - log_losses).softmax(dim=0)  # z/L, of sum one
        self.pending = log_losses[None]
        weights = weights.to(losses.dtype)
        return (weights * losses).sum(), weights

    def _backward(
        self,
        losses: list[Tensor],
        shared: list[Tensor],
        heads: list[Tensor],
        representation: Sequence[Tensor] | None,
    ) -> Step:
        status = "next_batch" if len(self.pending) else "same_batch" if self.updates else "first"
        step = super()._backward(losses, shared, heads, representation)
        return step._replace(diagnostics={**step.diagnostics, "status": status})

    def _update(self, losses: Tensor) -> None:
        if len(self.pending):
            self._learn(self._log(losses))
            self.pending = self.pending[:0]

    def _log(self, losses: Tensor) -> Tensor:
        """log(L − minimum + ε), float64, on the losses' device."""
        above = losses.double() - self.minimum_losses.to(losses.device) + _EPSILON
        if bad := {k: losses[k].item() for k, value in enumerate(above.tolist()) if not value > 0.0}:
            raise NonPositiveLoss(
                f"FAMO needs losses that are not negative, got (task: value) {bad}; give their lower bounds as "
                "minimum_losses, or use another method."
            )
        return above.log()

    def _learn(self, log_losses: Tensor) -> None:
        """One step of Adam for the logits, from the change of the log-losses since the step that is pending."""
        device = log_losses.device
        logits, first, second = (t.to(device) for t in (self.logits, self.first_moment, self.second_moment))
        fell = self.pending[0].to(device) - log_losses  # δ
        z = logits.softmax(dim=0)
        gradient = z * (fell - z @ fell) + self.decay * logits
        self.updates += 1
        self.first_moment = first.lerp(gradient, 1.0 - _BETA_1)
        self.second_moment = second.lerp(gradient.square(), 1.0 - _BETA_2)
        size = (self.second_moment / (1.0 - _BETA_2**self.updates)).sqrt() + _ADAM_EPSILON
        self.logits = logits - self.lr / (1.0 - _BETA_1**self.updates) * self.first_moment / size

    def state_dict(self) -> dict[str, Any]:
        return {
            **super().state_dict(),
            "logits": self.logits.clone(),
            "first_moment": self.first_moment.clone(),
            "second_moment": self.second_moment.clone(),
            "updates": self.updates,
            "pending": self.pending.clone(),
        }

    def _restore(self, state: dict[str, Any]) -> None:
        super()._restore(state)
        self.logits = state["logits"].clone()
        self.first_moment = state["first_moment"].clone()
        self.second_moment = state["second_moment"].clone()
        self.updates = int(state["updates"])
        self.pending = state["pending"].clone()
