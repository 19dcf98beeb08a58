"""Task gradients: K gradients of the shared parameters, their Gramian, and their combination G·w.

Shapes: K tasks, P parameter tensors, n_p elements in tensor p. The matrix G (one column a task) is
never formed: gradients stay one tensor a parameter, the Gramian GᵀG is accumulated tensor by tensor in
float64 (a flat float32 product over 18.9 million parameters is off by nearly one per cent), and G·w is
formed from the gradients at hand, without a further backward pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from methods.errors import NonFiniteGradient

#: Columns of G that are converted to float64 at a time: bounds the extra memory to 8·K·2¹⁸ bytes.
_GRAMIAN_CHUNK = 1 << 18

STRATEGIES = ("auto", "loop", "batched")


@dataclass
class TaskGradients:
    """Gradients of K losses with respect to a list of P tensors.

    ``per_tensor[p]`` has shape ``[K, *shape_p]``, or is ``None`` where no loss reaches tensor p;
    a task that does not reach a tensor that others reach has zeros there.
    """

    per_tensor: list[Tensor | None]
    n_tasks: int

    def gramian(self) -> Tensor:
        """The Gramian GᵀG, ``[K, K]``, float64, on the first gradient's device."""
        present = [gradient for gradient in self.per_tensor if gradient is not None]
        device = present[0].device if present else None
        total = torch.zeros(self.n_tasks, self.n_tasks, dtype=torch.float64, device=device)
        for gradient in present:
            for chunk in gradient.reshape(self.n_tasks, -1).split(_GRAMIAN_CHUNK, dim=1):  # [K, <= 2^18]
                chunk = chunk.double()
                if chunk.device == total.device:
                    total.addmm_(chunk, chunk.T)
                else:
                    total += (chunk @ chunk.T).to(total.device)
        return total

    def combine(self, weights: Tensor) -> list[Tensor | None]:
        """G·w as one tensor a parameter; ``weights`` is ``[K]`` in any floating type and on any device.

        Half-precision gradients are combined in float32: the weights would lose their digits in bfloat16, and may
        exceed the range of float16.
        """

        cast: dict[tuple[torch.dtype, torch.device], Tensor] = {}  # a cast waits for the device: once, not a tensor

        def combined(gradient: Tensor) -> Tensor:
            wide = gradient.float() if gradient.dtype in (torch.bfloat16, torch.float16) else gradient
            kind = (wide.dtype, wide.device)
            if kind not in cast:
                cast[kind] = weights.to(wide)
            return torch.tensordot(cast[kind], wide, dims=1).to(gradient)

        return [None if gradient is None else combined(gradient) for gradient in self.per_tensor]


def trainable(parameters: Iterable[Tensor] | None) -> list[Tensor]:
    """The tensors that take a gradient, each once, in order; frozen parameters are left out."""
    return list(dict.fromkeys(p for p in parameters or () if p.requires_grad))


def compute_task_gradients(
    losses: Sequence[Tensor],
    tensors: Sequence[Tensor],
    *,
    strategy: str = "auto",
    retain_graph: bool = False,
) -> TaskGradients:
    """Gradients of each of the K losses (scalars) with respect to ``tensors``.

    ``strategy``: ``"loop"`` is K backward passes, which nothing beats on a CPU; ``"batched"`` is one
    pass vectorised over the tasks (``torch.func.vmap``), which saves kernel launches on a GPU but needs
    a batching rule for every operation in the graph; ``"auto"`` is as :func:`choose_strategy` says.
    With ``retain_graph`` the graph survives, so that a further backward pass can follow.

    Raises ``ValueError`` for an unknown strategy and for a sparse or complex gradient.
    """
    if strategy not in STRATEGIES:
        raise ValueError(f"strategy {strategy!r} is unknown; choose one of {', '.join(STRATEGIES)}.")
    if strategy == "auto":
        strategy = choose_strategy(losses)
    if not tensors:
        return TaskGradients([], len(losses))
    compute = _batched if strategy == "batched" else _loop
    return compute(losses, tensors, retain_graph)


def choose_strategy(losses: Sequence[Tensor]) -> str:
    """Batched on CUDA, else loop; loop as well where a part of the graph comes from ``torch.compile``.

    A compiled backward pass cannot be vectorised. It is looked for before any pass, which would use up the graph.
    """
    return "batched" if _on_gpu(losses) and not _is_compiled(losses) else "loop"


def _on_gpu(losses: Sequence[Tensor]) -> bool:
    return losses[0].is_cuda


def _is_compiled(losses: Sequence[Tensor]) -> bool:
    return any(type(node).__name__ == "CompiledFunctionBackward" for node in _graph(losses))


def _loop(losses: Sequence[Tensor], tensors: Sequence[Tensor], retain_graph: bool) -> TaskGradients:
    n_tasks = len(losses)
    stacked: list[Tensor | None] = [None] * len(tensors)
    for k, loss in enumerate(losses):
        if not loss.requires_grad:
            continue  # a loss that depends on nothing trainable has zero gradients
        gradients = torch.autograd.grad(
            loss, tensors, retain_graph=retain_graph or k < n_tasks - 1, allow_unused=True
        )
        for p, gradient in enumerate(gradients):
            if gradient is None:
                continue
            _require_dense(gradient)
            _require_real(gradient)
            rows = stacked[p]
            if rows is None:
                rows = stacked[p] = gradient.new_zeros((n_tasks, *gradient.shape))
            rows[k] = gradient
    return TaskGradients(stacked, n_tasks)


def _batched(losses: Sequence[Tensor], tensors: Sequence[Tensor], retain_graph: bool) -> TaskGradients:
    stacked = torch.stack([loss.reshape(()) for loss in losses])
    reached: list[int] = []  # vmap cannot return None: which tensors have a gradient is noted on the side

    def vector_jacobian_product(cotangent: Tensor) -> tuple[Tensor, ...]:
        gradients = torch.autograd.grad(stacked, tensors, cotangent, retain_graph=retain_graph, allow_unused=True)
        for gradient in gradients:
            _require_dense(gradient)
            _require_real(gradient)
        reached[:] = [p for p, gradient in enumerate(gradients) if gradient is not None]
        return tuple(gradients[p] for p in reached)

    one_a_task = torch.eye(len(losses), dtype=stacked.dtype, device=stacked.device)
    batched = torch.func.vmap(vector_jacobian_product)(one_a_task)
    per_tensor: list[Tensor | None] = [None] * len(tensors)
    for p, gradient in zip(reached, batched, strict=True):
        per_tensor[p] = gradient
    return TaskGradients(per_tensor, len(losses))


def scalar_gradients(
    objective: Tensor, tensors: Sequence[Tensor], *, retain_graph: bool = False
) -> list[Tensor | None]:
    """Gradients of one scalar, ``None`` where it does not reach a tensor; each has memory of its own.

    Autograd may return the same memory for two tensors (the terms of a sum) or one number for all elements (of a
    plain sum); scaling such gradients in place would scale them twice, or fail. Raises ``ValueError`` for a sparse
    one.
    """
    gradients: list[Tensor | None] = list(
        torch.autograd.grad(objective, tensors, retain_graph=retain_graph, allow_unused=True)
    )
    seen = set()
    for p, gradient in enumerate(gradients):
        if gradient is None:
            continue
        _require_dense(gradient)
        storage = gradient.untyped_storage()
        if storage.data_ptr() in seen or storage.nbytes() < gradient.nbytes:
            gradients[p] = gradient.clone()
        seen.add(storage.data_ptr())
    return gradients


def _require_dense(gradient: Tensor | None) -> None:
    if gradient is not None and gradient.layout != torch.strided:
        raise ValueError(
            f"the gradient of a parameter of shape {list(gradient.shape)} is sparse, which the methods do not take; "
            "make its torch.nn.Embedding with sparse=False."
        )


def _require_real(gradient: Tensor | None) -> None:
    if gradient is not None and gradient.is_complex():
        raise ValueError(
            f"the gradient of a parameter of shape {list(gradient.shape)} is complex, of which the methods' inner "
            "products are not defined; hold the parameter as real and imaginary parts (torch.view_as_complex)."
        )


def leaf_tensors(losses: Sequence[Tensor]) -> list[Tensor]:
    """All trainable leaf tensors that the losses depend on, found by walking the autograd graph."""
    ends = (node for node in _graph(losses) if type(node).__name__ == "AccumulateGrad")
    return [node.variable for node in ends]


def _graph(losses: Sequence[Tensor]) -> Iterator[Any]:
    """Every node of the losses' autograd graph, once."""
    seen = set()
    stack: list[Any] = [loss.grad_fn for loss in losses if loss.grad_fn is not None]
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        yield node
        stack.extend(child for child, _ in node.next_functions if child is not None)


def check_finite(gradients: Sequence[Tensor | None]) -> None:
    """Raise :class:`NonFiniteGradient` if any gradient holds NaN or infinite values."""
    filled = [gradient for gradient in gradients if gradient is not None and gradient.numel() > 0]
    if not bool(torch.nn.utils.get_total_norm(filled, norm_type=torch.inf).isfinite()):
        raise NonFiniteGradient(
            "a gradient holds NaN or infinite values, though the losses are finite; nothing was written."
        )


def write_gradients(tensors: Sequence[Tensor], gradients: Sequence[Tensor | None]) -> None:
    """Set ``.grad`` of each tensor, replacing what was there; ``None`` where no loss reaches it.

    A gradient lies in memory as its tensor does, as ``loss.backward()`` has it: a fused optimiser walks both as they
    lie, and on a CPU takes one in another order (a transposed product, or one beside channels-last weights) for
    other elements' without a word. Raises :class:`NonFiniteGradient` if any is NaN or infinite, and then writes none
    of them.
    """
    check_finite(gradients)
    for tensor, gradient in zip(tensors, gradients, strict=True):
        if gradient is not None and gradient.stride() != tensor.stride():
            gradient = torch.empty_like(tensor).copy_(gradient)
        tensor.grad = gradient


def clip_gradient_norm(gradients: Sequence[Tensor | None], max_norm: float) -> Tensor:
    """Scale the gradients in place to a joint norm of at most ``max_norm``; returns the norm before, in float64.

    The squares of float32 or half-precision gradients can leave their type's range, so that they are summed in
    float64.
    """
    present = [gradient for gradient in gradients if gradient is not None]
    lengths = torch._foreach_norm(present, 2, torch.float64) if present else ()  # as torch.nn.utils has them
    norm = torch.nn.utils.get_total_norm(lengths)
    scale = (max_norm / norm).nan_to_num(nan=1.0, posinf=1.0).clamp(max=1.0)
    for device in {gradient.device for gradient in present}:
        torch._foreach_mul_([gradient for gradient in present if gradient.device == device], scale.to(device))
    return norm
