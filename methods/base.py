"""The one interface of all methods: K task losses in, gradients written, task weights and diagnostics out.

Three kinds of method share it:

* :class:`LossWeighting`: weights from the losses alone, one backward pass (LS, SI, RLW, DWA, UW, STL);
* :class:`GramianWeighting`: weights from the Gramian GᵀG of the task gradients by a pure function
  ``weights(gramian)`` (Nash-MTL, MGDA, CAGrad, IMTL-G, PCGrad);
* :class:`GradientMethod`: anything else that needs the task gradients themselves (GradDrop).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.distributed import ProcessGroup
from torch.nn import Parameter
from typing_extensions import Self

from methods.distributed import Ranks
from methods.errors import NonFiniteGradient, NonFiniteLoss
from methods.gradients import (
    STRATEGIES,
    TaskGradients,
    check_finite,
    clip_gradient_norm,
    compute_task_gradients,
    leaf_tensors,
    scalar_gradients,
    trainable,
    write_gradients,
)


class Step(NamedTuple):
    """What a call of :meth:`Method.backward` returns.

    ``weights``: task weights ``[K]`` of the written shared gradient G·w (before any clipping), detached, or
    ``None`` where the method has none. ``diagnostics``: named numbers about the step; tensors among them
    stay on their device, so that reading one, not writing it, waits for a GPU.
    """

    weights: Tensor | None
    diagnostics: dict[str, Any]


class Method(ABC):
    """A multi-task optimisation method for ``n_tasks`` losses.

    Raises ``ValueError`` for fewer than one task.
    """

    #: Whether :meth:`backward` must be given the representation, and gradients computed elsewhere cannot do.
    needs_representation: bool = False
    ranks: Ranks | None = None  # of a data-parallel run

    def __init__(self, n_tasks: int) -> None:
        if n_tasks < 1:
            raise ValueError(f"n_tasks is {n_tasks}; a method needs at least one task.")
        self.n_tasks = n_tasks

    def distribute(self, group: ProcessGroup | None = None) -> Self:
        """Work with the other ranks of a ``torch.distributed`` process group (default: all) as one.

        Each rank calls :meth:`backward` with the losses of its part of the batch, whose mean over the ranks is the
        whole batch's (parts of equal size, or losses weighted by the parts' sizes). All of them then write
        the gradients, and return the weights, of one process with the whole batch. The network must be the
        bare one, not wrapped in ``DistributedDataParallel``, with the same parameters on every rank.
        """
        self.ranks = Ranks(group)
        return self

    def backward(
        self,
        losses: Tensor | Sequence[Tensor],
        *,
        shared_parameters: Iterable[Tensor],
        task_specific_parameters: Iterable[Tensor] | None = None,
        representation: Tensor | Sequence[Tensor] | None = None,
    ) -> Step:
        """Set ``.grad`` of every parameter from the K task losses; what ``.grad`` held is replaced.

        ``losses``: tensor ``[K]`` or a sequence of K scalars with an autograd graph. (A sequence is faster
        where tasks have large branches of their own: the backward pass of a stacked tensor's element walks
        every task's branch.) ``shared_parameters``: what the task gradients are taken of.
        ``task_specific_parameters``: the heads; if ``None``, all other leaf tensors in the losses' graph.
        ``representation``: the shared features that the heads read (one tensor or several), for methods
        that work on feature gradients.

        A parameter that no loss reaches gets ``.grad = None``; frozen parameters are left alone.

        Raises :class:`NonFiniteLoss`, :class:`NonFiniteGradient` (both before anything is written) and
        ``ValueError`` for a wrong number of losses or parameters that take no gradient.
        """
        task_losses = self._checked_losses(losses)
        shared = trainable(shared_parameters)
        if not shared:
            raise ValueError("shared_parameters holds no tensor with requires_grad=True; nothing to train.")
        if task_specific_parameters is None:
            task_specific_parameters = leaf_tensors(task_losses)
        known = set(shared) | set(self.parameters())
        heads = [p for p in trainable(task_specific_parameters) if p not in known]
        if isinstance(representation, Tensor):
            representation = [representation]
        return self._backward(task_losses, shared, heads, representation)

    @abstractmethod
    def _backward(
        self,
        losses: list[Tensor],
        shared: list[Tensor],
        heads: list[Tensor],
        representation: Sequence[Tensor] | None,
    ) -> Step:
        """Write the gradients of checked, finite losses (K scalars)."""

    def to(self, device: torch.device | str) -> Self:
        """Move the method's own parameters, if it has any, to the losses' device."""
        return self

    def parameters(self) -> list[Parameter]:
        """Parameters that the method itself learns; give them to the optimiser (none for most methods)."""
        return []

    def state_dict(self) -> dict[str, Any]:
        """All that a resumed run needs, as tensors and plain values (loads with ``weights_only=True``)."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned. Raises ``ValueError`` if the keys do not match."""
        expected = set(self.state_dict())
        if set(state) != expected:
            raise ValueError(
                f"{type(self).__name__} state has keys {sorted(state)}, expected {sorted(expected)}; "
                "was it saved by another method?"
            )
        self._restore(state)

    def _restore(self, state: dict[str, Any]) -> None:
        """Take over a state whose keys have been checked."""

    def _checked_losses(self, losses: Tensor | Sequence[Tensor]) -> list[Tensor]:
        task_losses = list(losses.reshape(1) if isinstance(losses, Tensor) and losses.dim() == 0 else losses)
        if not all(isinstance(loss, Tensor) for loss in task_losses):
            types = ", ".join(sorted({type(loss).__name__ for loss in task_losses}))
            raise ValueError(f"expected tensors as losses, got {types}; pass them as computed, without .item().")
        if len(task_losses) != self.n_tasks or any(loss.numel() != 1 for loss in task_losses):
            shapes = [tuple(loss.shape) for loss in task_losses]
            raise ValueError(
                f"expected {self.n_tasks} scalar losses, got {len(task_losses)} of shapes {shapes}; "
                "pass a tensor [K] or a list of K scalars, with K as given to n_tasks."
            )
        if not any(loss.requires_grad for loss in task_losses):
            raise ValueError("no loss has an autograd graph; was it computed under torch.no_grad() or detached?")
        values = torch.stack([loss.detach().reshape(()).double() for loss in task_losses])
        if self.ranks is not None:
            values = self.ranks.mean(values)
        if not bool(values.isfinite().all()):
            bad = {k: value for k, value in enumerate(values.tolist()) if not torch.tensor(value).isfinite()}
            raise NonFiniteLoss(f"task losses are not finite (task: value): {bad}; no gradient was written.")
        return task_losses if self.ranks is None else self.ranks.losses(task_losses, values)

    def _task_gradients(
        self, losses: list[Tensor], tensors: list[Tensor], *, strategy: str, retain_graph: bool
    ) -> TaskGradients:
        """:func:`methods.gradients.compute_task_gradients`, averaged over the ranks."""
        gradients = compute_task_gradients(losses, tensors, strategy=strategy, retain_graph=retain_graph)
        if self.ranks is not None:
            gradients.per_tensor = self.ranks.gradients(gradients.per_tensor, tensors, leading=(self.n_tasks,))
        return gradients

    def _scalar_gradients(
        self, objective: Tensor, tensors: list[Tensor], *, retain_graph: bool = False
    ) -> list[Tensor | None]:
        """:func:`methods.gradients.scalar_gradients`, averaged over the ranks."""
        gradients = scalar_gradients(objective, tensors, retain_graph=retain_graph)
        return gradients if self.ranks is None else self.ranks.gradients(gradients, tensors)


class SeededMethod(Method):
    """A method that draws random numbers, from a CPU generator of its own that is part of its state."""

    def __init__(self, n_tasks: int, seed: int = 0) -> None:
        super().__init__(n_tasks)
        self.generator = torch.Generator().manual_seed(seed)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "generator": self.generator.get_state()}

    def _restore(self, state: dict[str, Any]) -> None:
        super()._restore(state)
        self.generator.set_state(state["generator"].cpu())


class LossWeighting(Method):
    """A method that minimises one scalar made of the losses: one backward pass a step, whatever K."""

    @abstractmethod
    def objective(self, losses: Tensor) -> tuple[Tensor, Tensor]:
        """From the losses ``[K]``: the scalar to minimise, and its weights (derivatives by the losses) ``[K]``."""

    def _backward(
        self,
        losses: list[Tensor],
        shared: list[Tensor],
        heads: list[Tensor],
        representation: Sequence[Tensor] | None,
    ) -> Step:
        objective, weights = self.objective(torch.stack([loss.reshape(()) for loss in losses]))
        everything = [*shared, *heads, *self.parameters()]
        write_gradients(everything, self._scalar_gradients(objective, everything))
        return Step(weights.detach(), {"objective": objective.detach()})


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

    def _backward(
        self,
        losses: list[Tensor],
        shared: list[Tensor],
        heads: list[Tensor],
        representation: Sequence[Tensor] | None,
    ) -> Step:
        gradients = self._task_gradients(losses, shared, strategy=self.task_gradients, retain_graph=bool(heads))
        combined, step = self.combine(gradients, losses)
        head_gradients = self._head_gradients(losses, heads, step.weights)
        self._write(shared, combined, heads, head_gradients, step.diagnostics)
        return step

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
                f"{type(self).__name__} balances the representation's gradients and cannot be given others; "
                'construct it with gradients="shared".'
            )

    def _head_gradients(
        self, losses: list[Tensor], heads: list[Tensor], weights: Tensor | None
    ) -> list[Tensor | None]:
        """Gradients of the heads by one backward pass, which ends at the heads and never enters the trunk."""
        if not heads:
            return []
        stacked = torch.stack([loss.reshape(()) for loss in losses])
        if self.weight_heads and weights is not None:
            stacked = stacked * weights.to(stacked)
        return self._scalar_gradients(stacked.sum(), heads)

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
    """A method whose direction depends on the task gradients only through their Gramian M = GᵀG."""

    def step_from_gramian(self, gramian: Tensor) -> Step:
        """As :meth:`step_from_task_gradients` for a caller that forms G·w and clips it to ``max_norm`` itself.

        ``gramian``: ``[K, K]`` of the task gradients, float64. Raises :class:`NonFiniteGradient` naming the tasks.
        """
        self._check_by_hand(len(gramian))
        check_gramian(gramian)
        weights, diagnostics = self.weights_and_diagnostics(gramian)
        step = Step(weights, {"gramian": gramian, **diagnostics})
        self._advance(step)
        return step

    @abstractmethod
    def weights(self, gramian: Tensor) -> Tensor:
        """Task weights ``[K]`` (float64, on the Gramian's device) from the Gramian ``[K, K]``."""

    def combine(self, gradients: TaskGradients, losses: list[Tensor]) -> tuple[list[Tensor | None], Step]:
        gramian = checked_gramian(gradients)
        weights, diagnostics = self.weights_and_diagnostics(gramian)
        return gradients.combine(weights), Step(weights, {"gramian": gramian, **diagnostics})

    def weights_and_diagnostics(self, gramian: Tensor) -> tuple[Tensor, dict[str, Any]]:
        """:meth:`weights`, and what the method has to say of how it found them."""
        return self.weights(gramian), {}


def checked_gramian(gradients: TaskGradients, ranks: Ranks | None = None) -> Tensor:
    """The Gramian ``[K, K]`` in float64; raises :class:`NonFiniteGradient` if it has NaN or infinite entries.

    ``ranks``: for gradients of features, whose rows lie spread over the ranks as the batch does. Of the whole
    batch's loss, the mean of the ranks' losses, each row's gradient is 1/ranks of what its rank has.
    """
    gramian = gradients.gramian()
    if ranks is not None:
        gramian = ranks.mean(gramian) / ranks.size
    check_gramian(gramian)
    return gramian


def check_gramian(gramian: Tensor) -> None:
    """Raise :class:`NonFiniteGradient` naming the tasks whose squared length ``gramian[k, k]`` is not finite."""
    finite = gramian.diagonal().isfinite()
    if not bool(finite.all()):
        bad = (~finite).nonzero().flatten().tolist()
        raise NonFiniteGradient(
            f"the gradients of tasks {bad} hold NaN or infinite values, or squares beyond float64's range; "
            "nothing was written."
        )
