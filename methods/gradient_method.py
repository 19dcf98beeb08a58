"""Methods that need the K task gradients: those that combine them, and those that ask for their Gramian only."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, from_numpy

from methods.arrays import Matrix, Vector
from methods.base import Method, Step
from methods.errors import NonFiniteGradient
from methods.gradients import (
    STRATEGIES,
    TaskGradients,
    check_finite,
    choose_strategy,
    clip_gradient_norm,
    compute_task_gradients,
    write_gradients,
)

GRADIENTS = ("representation", "shared")


class GradientMethod(Method):
    """A method that needs the K task gradients of the shared parameters.

    Options of all of them:

    * ``weight_heads``: whether a head's loss is multiplied by its task's weight or by one;
    * ``max_norm``: the shared gradient is scaled down to this norm; 0 leaves it as it is;
    * ``task_gradients``: how they are computed, see :func:`methods.gradients.compute_task_gradients`.

    Where a caller has a cheaper way to the task gradients than backward passes, or no autograd graph at all, it takes
    a step by hand instead of :meth:`backward`, and writes the result itself:

    >>> from methods import NashMTL
    >>> method = NashMTL(n_tasks=2, update_weights_every=2)
    >>> gradients = TaskGradients([torch.tensor([[2.0, 0.0], [0.0, 1.0]])], n_tasks=2)  # one tensor a parameter
    >>> shared, step = method.step_from_task_gradients(gradients)
    >>> step.weights
    tensor([0.5000, 1.0000], dtype=torch.float64)
    >>> weights = method.reused_weights()  # not None: the next step needs the gradient of Σ wₖ Lₖ only
    >>> shared, step = method.step_from_weighted_gradient([torch.tensor([0.3, 0.4])])
    >>> step.diagnostics["status"]
    'reused'
    """

    def __init__(
        self,
        n_tasks: int,
        *,
        weight_heads: bool,
        max_norm: float = 0.0,
        task_gradients: str = "auto",
    ) -> None:
        super().__init__(n_tasks)
        if not max_norm >= 0:
            raise ValueError(f"max_norm is {max_norm}; give a positive norm, or 0 for no clipping.")
        if task_gradients not in STRATEGIES:
            raise ValueError(f"task_gradients is {task_gradients!r}; choose one of {', '.join(STRATEGIES)}.")
        self.weight_heads = weight_heads
        self.max_norm = max_norm
        self.task_gradients = task_gradients
        self._auto: str | None = None

    def _backward(
        self,
        losses: list[Tensor],
        shared: list[Tensor],
        heads: list[Tensor],
        representation: Sequence[Tensor] | None,
    ) -> Step:
        gradients = self._task_gradients(losses, shared, retain_graph=bool(heads))
        if self.ranks is not None:
            gradients.per_tensor = self.ranks.gradients(gradients.per_tensor, shared, leading=(self.n_tasks,))
        combined, step = self.combine(gradients, losses)
        head_gradients = self._head_gradients(losses, heads, step.weights)
        self._write(shared, combined, heads, head_gradients, step.diagnostics)
        return step

    def _task_gradients(
        self, losses: list[Tensor], tensors: Sequence[Tensor], *, retain_graph: bool
    ) -> TaskGradients:
        """This rank's task gradients; what ``auto`` means is settled at the first step, as it takes a walk."""
        strategy = self.task_gradients
        if strategy == "auto":
            strategy = self._auto = self._auto or choose_strategy(losses)
        return compute_task_gradients(losses, tensors, strategy=strategy, retain_graph=retain_graph)

    @abstractmethod
    def combine(self, gradients: TaskGradients, losses: list[Tensor]) -> tuple[list[Tensor | None], Step]:
        """The shared gradient, one tensor a parameter, and the weights and diagnostics to return."""

    def reused_weights(self) -> Tensor | None:
        """The weights ``[K]`` that the next step takes over from earlier; ``None`` if it needs task gradients."""
        return None

    def step_from_task_gradients(
        self, gradients: TaskGradients, losses: Sequence[Tensor] = ()
    ) -> tuple[list[Tensor | None], Step]:
        """One step with task gradients that were computed elsewhere, on any device.

        Returns what :meth:`backward` would write for the shared parameters (clipped to ``max_norm``), one tensor a
        parameter, and its :class:`Step`; writes nothing. The heads' gradients are the caller's: their tasks'
        weights times their plain ones if ``weight_heads``, else the plain ones.

        Raises :class:`NonFiniteGradient`, and ``ValueError`` for another number of tasks or a method that
        needs the representation's gradients.
        """
        self._check_by_hand(gradients.n_tasks)
        with _full_precision(gradients.per_tensor):
            combined, step = self.combine(gradients, list(losses))
        self._clip(combined, step.diagnostics)
        check_finite(combined)
        self._advance(step)
        return combined, step

    def step_from_weighted_gradient(self, gradient: list[Tensor | None]) -> tuple[list[Tensor | None], Step]:
        """One step that reuses weights: ``gradient`` is that of Σ wₖ Lₖ with :meth:`reused_weights`.

        It is one tensor a parameter, clipped in place to ``max_norm`` and returned as above. Raises ``ValueError`` if
        this step needs task gradients.
        """
        step = self._reusing_step()
        self._clip(gradient, step.diagnostics)
        check_finite(gradient)
        self._advance(step)
        return gradient, step

    def step_with_reused_weights(self) -> Step:
        """As :meth:`step_from_weighted_gradient` for a caller that clips the gradient itself."""
        step = self._reusing_step()
        self._advance(step)
        return step

    def _reusing_step(self) -> Step:
        weights = self.reused_weights()
        if weights is None:
            raise ValueError("this step has no weights to reuse; it needs the task gradients.")
        return Step(weights, {"status": "reused"})

    def _advance(self, step: Step) -> None:
        """Note that a step was made; called once the step can no longer fail."""

    def _check_by_hand(self, n_tasks: int) -> None:
        if n_tasks != self.n_tasks:
            raise ValueError(f"got the gradients of {n_tasks} tasks for a method of {self.n_tasks}.")
        if self.needs_representation:
            raise ValueError(
                f"{type(self).__name__} takes the representation's gradients and cannot be given others; "
                'construct it with gradients="shared".'
            )

    def _head_gradients(
        self, losses: list[Tensor], heads: list[Tensor], weights: Tensor | None
    ) -> list[Tensor | None]:
        """Gradients of the heads by one backward pass, which ends at the heads and never enters the trunk."""
        if not heads:
            return []
        stacked = torch.stack(losses)
        if self.weight_heads and weights is not None:
            stacked = stacked * weights.to(stacked)
        return self._scalar_gradients(stacked.sum(), heads)

    def _weighted_gradients(
        self, losses: list[Tensor], shared: list[Tensor], heads: list[Tensor], weights: Tensor
    ) -> tuple[list[Tensor | None], list[Tensor | None]]:
        """The gradients of Σ wₖ Lₖ with weights ``[K]`` that are known, of shared parameters and heads: one pass."""
        stacked = torch.stack(losses)
        objective = (stacked * weights.to(stacked)).sum()
        if self.weight_heads:
            gradients = self._scalar_gradients(objective, [*shared, *heads])
            return gradients[: len(shared)], gradients[len(shared) :]
        combined = self._scalar_gradients(objective, shared, retain_graph=bool(heads))
        return combined, self._head_gradients(losses, heads, None)

    def _write(
        self,
        shared: list[Tensor],
        combined: list[Tensor | None],
        heads: list[Tensor],
        head_gradients: Sequence[Tensor | None],
        diagnostics: dict[str, Any],
    ) -> None:
        self._clip(combined, diagnostics)
        write_gradients([*shared, *heads], [*combined, *head_gradients])

    def _clip(self, combined: list[Tensor | None], diagnostics: dict[str, Any]) -> None:
        if self.max_norm > 0:
            diagnostics["shared_gradient_norm"] = clip_gradient_norm(combined, self.max_norm)


class GramianWeighting(GradientMethod):
    """A method whose direction depends on the task gradients only through their Gramian M = GᵀG.

    A further option of all of them, ``gradients``: ``"shared"`` takes the gradients of the shared parameters and
    combines them; ``"representation"`` takes those of the representation, for which no backward pass enters the
    trunk, and then makes one backward pass of Σ wₖ Lₖ. ``max_norm`` clips the shared parameters' gradient either way.
    """

    def __init__(
        self,
        n_tasks: int,
        *,
        weight_heads: bool,
        max_norm: float = 0.0,
        task_gradients: str = "auto",
        gradients: str = "shared",
    ) -> None:
        super().__init__(n_tasks, weight_heads=weight_heads, max_norm=max_norm, task_gradients=task_gradients)
        if gradients not in GRADIENTS:
            raise ValueError(f"gradients is {gradients!r}; choose one of {', '.join(GRADIENTS)}.")
        self.gradients = gradients
        self.needs_representation = gradients == "representation"

    @abstractmethod
    def solve(self, gramian: Matrix) -> tuple[Vector, dict[str, Any]]:
        """Task weights ``[K]`` from a finite Gramian ``[K, K]``, and what the method has to say of how it found them.

        Both are numpy arrays in float64; the second part of the result goes into the step's diagnostics.
        """

    def weights_and_diagnostics(self, gramian: Tensor) -> tuple[Tensor, dict[str, Any]]:
        """:meth:`solve` for a tensor on any device, on which the weights are returned (float64)."""
        weights, diagnostics = self.solve(gramian.double().cpu().numpy())
        return from_numpy(weights).to(gramian.device), diagnostics

    def weights(self, gramian: Tensor) -> Tensor:
        """Task weights ``[K]`` (float64, on the Gramian's device) from the Gramian ``[K, K]``."""
        return self.weights_and_diagnostics(gramian)[0]

    def combine(self, gradients: TaskGradients, losses: list[Tensor]) -> tuple[list[Tensor | None], Step]:
        step = self._weigh(gradients.gramian())
        assert step.weights is not None
        return gradients.combine(step.weights), step

    def step_from_gramian(self, gramian: Tensor) -> Step:
        """As :meth:`step_from_task_gradients` for a caller that forms G·w and clips it to ``max_norm`` itself.

        ``gramian``: ``[K, K]`` of the task gradients, float64. Raises :class:`NonFiniteGradient` naming the tasks.
        """
        self._check_by_hand(len(gramian))
        step = self._weigh(gramian)
        self._advance(step)
        return step

    def _weigh(self, gramian: Tensor) -> Step:
        host = gramian.cpu()  # one wait for the device, for the check and the solver
        check_gramian(host)
        weights, diagnostics = self.weights_and_diagnostics(host)
        return Step(weights.to(gramian.device), {"gramian": gramian, **diagnostics})

    def _backward(
        self,
        losses: list[Tensor],
        shared: list[Tensor],
        heads: list[Tensor],
        representation: Sequence[Tensor] | None,
    ) -> Step:
        if not self.needs_representation:
            return super()._backward(losses, shared, heads, representation)
        if representation is None:
            raise ValueError(
                f"{type(self).__name__} takes the representation's gradients; pass representation=... to backward(), "
                'or construct it with gradients="shared".'
            )
        if not all(features.requires_grad for features in representation):
            raise ValueError("the representation does not require a gradient; pass the tensor that the heads read.")
        gradients = self._task_gradients(losses, representation, retain_graph=True)
        gramian = gradients.gramian()
        if self.ranks is not None:
            # The features' rows lie spread over the ranks as the batch does. Of the whole batch's loss, the mean
            # of the ranks' losses, each row's gradient is 1/ranks of what its rank has.
            gramian = self.ranks.mean(gramian) / self.ranks.size
        step = self._weigh(gramian)
        assert step.weights is not None
        combined, head_gradients = self._weighted_gradients(losses, shared, heads, step.weights)
        if _reached(gradients.per_tensor) != _reached(combined):
            raise ValueError(
                "the losses reach the representation but no shared parameter (was it detached?), or the reverse; "
                "pass the tensor that the heads read, with the graph that leads to the shared parameters."
            )
        self._write(shared, combined, heads, head_gradients, step.diagnostics)
        return step


def _reached(gradients: Sequence[Tensor | None]) -> bool:
    return any(gradient is not None for gradient in gradients)


def check_gramian(gramian: Tensor) -> None:
    """Raise :class:`NonFiniteGradient` naming the tasks whose squared length ``gramian[k, k]`` is not finite."""
    if bad := [k for k, square in enumerate(gramian.diagonal().tolist()) if not math.isfinite(square)]:
        raise NonFiniteGradient(
            f"the gradients of tasks {bad} hold NaN or infinite values, or squares beyond float64's range; "
            "nothing was written."
        )


def _full_precision(gradients: Sequence[Tensor | None]) -> AbstractContextManager[Any]:
    """Autocast off for the gradients' device: G·w is a product, which it would round."""
    device = next((gradient.device.type for gradient in gradients if gradient is not None), "cpu")
    return torch.autocast(device, enabled=False)
