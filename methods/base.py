"""The one interface of all methods: K task losses in, gradients written, task weights and diagnostics out.

Three kinds of method share it:

* :class:`LossWeighting`: weights from the losses alone, one backward pass (LS, SI, RLW, DWA, UW, FAMO, STL);
* :class:`methods.gradient_method.GramianWeighting`: weights from the Gramian GᵀG of the task gradients, by
  ``solve(gramian)`` (Nash-MTL, MGDA, CAGrad, IMTL-G, PCGrad, Aligned-MTL, FairGrad);
* :class:`methods.gradient_method.GradientMethod`: anything else that needs the task gradients (GradDrop).
"""

from __future__ import annotations

import math
import weakref
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.distributed import ProcessGroup
from torch.nn import Parameter
from typing_extensions import Self

from methods.distributed import Ranks
from methods.errors import NonFiniteLoss
from methods.gradients import leaf_tensors, scalar_gradients, trainable, write_gradients


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
    #: Whether :meth:`update` is to be called after every step of the optimiser.
    needs_losses_after: bool = False
    #: On the CPU, of a method that draws random numbers: set by its constructor, and part of its state.
    generator: torch.Generator | None = None
    ranks: Ranks | None = None  # of a data-parallel run

    def __init__(self, n_tasks: int) -> None:
        if n_tasks < 1:
            raise ValueError(f"n_tasks is {n_tasks}; a method needs at least one task.")
        self.n_tasks = n_tasks
        self._found: list[weakref.ref[Tensor]] = []  # the heads that the last step discovered

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_found": []}  # weak references cannot be pickled

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
        ``task_specific_parameters``: the heads; if ``None``, all other leaf tensors in the losses' graph. (A head
        that was in the last step's graph and is not in this one counts as one that no loss reaches.)
        ``representation``: the shared features that the heads read (one tensor or several), for methods
        that work on feature gradients.

        A parameter that no loss reaches gets ``.grad = None``; frozen parameters are left alone. Autocast is off
        within, whatever it is outside.

        Raises :class:`NonFiniteLoss`, :class:`NonFiniteGradient` and ``ValueError`` for a wrong number of losses or
        parameters that take no gradient; nothing has then been written, and the method is as it was before.
        """
        task_losses = self._checked_losses(losses)
        shared = trainable(shared_parameters)
        if not shared:
            raise ValueError("shared_parameters holds no tensor with requires_grad=True; nothing to train.")
        found: list[Tensor] = []
        if task_specific_parameters is None:
            found = leaf_tensors(task_losses)
            task_specific_parameters = [*found, *(p for ref in self._found if (p := ref()) is not None)]
        known = set(shared) | set(self.parameters())
        heads = [p for p in trainable(task_specific_parameters) if p not in known]
        if isinstance(representation, Tensor):
            representation = [representation]
        before = self.state_dict()
        try:
            with torch.autocast(task_losses[0].device.type, enabled=False):  # G·w is a product, which it would round
                step = self._backward(task_losses, shared, heads, representation)
        except Exception:
            self._restore(before)
            raise
        self._found = [weakref.ref(p) for p in found if p not in known]
        return step

    @abstractmethod
    def _backward(
        self,
        losses: list[Tensor],
        shared: list[Tensor],
        heads: list[Tensor],
        representation: Sequence[Tensor] | None,
    ) -> Step:
        """Write the gradients of checked, finite losses (K scalars)."""

    @torch.no_grad()
    def update(self, losses: Tensor | Sequence[Tensor]) -> None:
        """Take note of the K losses that the optimiser's step has led to, of the batch that the step was made with.

        For a method with :attr:`needs_losses_after`; any other leaves the losses alone. They need no graph: compute
        them under ``torch.no_grad()``. Raises :class:`NonFiniteLoss`, and ``ValueError`` for a wrong number.
        """
        if self.needs_losses_after:
            self._update(self._finite_values(self._scalars(losses), "the step that led to them was made"))

    def _update(self, losses: Tensor) -> None:
        """Learn from finite losses ``[K]`` (float64), of the whole batch where it is spread over ranks."""

    def to(self, device: torch.device | str) -> Self:
        """Move the method's own parameters, if it has any, to the losses' device."""
        return self

    def parameters(self) -> list[Parameter]:
        """Parameters that the method itself learns; give them to the optimiser (none for most methods)."""
        return []

    def state_dict(self) -> dict[str, Any]:
        """All that a resumed run needs, as tensors and plain values (loads with ``weights_only=True``)."""
        return {} if self.generator is None else {"generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned. Raises ``ValueError`` for other keys or shapes."""
        own = self.state_dict()
        if set(state) != set(own):
            raise ValueError(
                f"{type(self).__name__} state has keys {sorted(state)}, expected {sorted(own)}; "
                "was it saved by another method?"
            )
        for key, value in own.items():
            # The last dimension is that of the tasks; before it may come one that grows (DWA's windows).
            if _form(state[key]) != _form(value):
                raise ValueError(
                    f"{key!r} in the state of {type(self).__name__} is {_describe(state[key])}, expected "
                    f"{_describe(value)}; was it saved by a method of another number of tasks than {self.n_tasks}?"
                )
        self._restore(state)

    def _restore(self, state: dict[str, Any]) -> None:
        """Take over a state whose keys and shapes have been checked."""
        if self.generator is not None:
            self.generator.set_state(state["generator"].cpu())

    def _checked_losses(self, losses: Tensor | Sequence[Tensor]) -> list[Tensor]:
        """The losses as K scalars of shape ``[]``, of the whole batch where it is spread over ranks."""
        task_losses = self._scalars(losses)
        if not any(loss.requires_grad for loss in task_losses):
            raise ValueError("no loss has an autograd graph; was it computed under torch.no_grad() or detached?")
        values = self._finite_values(task_losses, "no gradient was written")
        return task_losses if self.ranks is None else self.ranks.losses(task_losses, values)

    def _scalars(self, losses: Tensor | Sequence[Tensor]) -> list[Tensor]:
        """This rank's losses as K scalars of shape ``[]``."""
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
        return [loss.reshape(()) for loss in task_losses]

    def _finite_values(self, task_losses: list[Tensor], consequence: str) -> Tensor:
        """Their values ``[K]`` in float64, the ranks' mean; raises :class:`NonFiniteLoss`."""
        values = torch.stack([loss.detach().double() for loss in task_losses])
        if self.ranks is not None:
            values = self.ranks.mean(values)
        if bad := {k: value for k, value in enumerate(values.tolist()) if not math.isfinite(value)}:
            raise NonFiniteLoss(f"task losses are not finite (task: value): {bad}; {consequence}.")
        return values

    def _scalar_gradients(
        self, objective: Tensor, tensors: list[Tensor], *, retain_graph: bool = False
    ) -> list[Tensor | None]:
        """:func:`methods.gradients.scalar_gradients`, averaged over the ranks."""
        gradients = scalar_gradients(objective, tensors, retain_graph=retain_graph)
        return gradients if self.ranks is None else self.ranks.gradients(gradients, tensors)


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
        objective, weights = self.objective(torch.stack(losses))
        everything = [*shared, *heads, *self.parameters()]
        write_gradients(everything, self._scalar_gradients(objective, everything))
        return Step(weights.detach(), {"objective": objective.detach()})


def _form(value: Any) -> Any:
    return (value.dim(), value.shape[-1:]) if isinstance(value, Tensor) else None


def _describe(value: Any) -> str:
    return f"a tensor {list(value.shape)}" if isinstance(value, Tensor) else "a number"
