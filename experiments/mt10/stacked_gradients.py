"""Task gradients of stacked networks from one backward pass, where K backward passes are the usual way.

Shapes: S seeds, C copies (two critics, or experts), K tasks, B samples of each task, ``in`` and ``out`` features.

Each sample belongs to one task, so a backward pass of Σₖ Lₖ through a linear layer carries every task's signal side
by side: the gradient of the layer's input is one product over all K·B rows, and the weight gradient of task k is the
product of the rows of task k alone. One batched product over tasks thus gives all K gradients for little more than
the price of their sum. It is exact for every network whose samples meet in the weights only (no batch normalisation).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from methods.gradients import TaskGradients

#: Columns converted to float64 at a time on a CPU, so that they are still in its cache when they are multiplied.
_CPU_CHUNK = 1 << 14


def shared_linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """``x`` [S, C, K, B, in], ``weight`` [S, C, in, out], ``bias`` [S, C, out] -> [S, C, K, B, out]."""
    seeds, copies, tasks, samples, inputs = x.shape
    flat = x.reshape(seeds * copies, tasks * samples, inputs)
    result = torch.baddbmm(bias.reshape(seeds * copies, 1, -1), flat, weight.flatten(0, 1))
    return result.view(seeds, copies, tasks, samples, -1)


def task_specific_linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """A layer of each task's own: ``weight`` [S, C, K, in, out], ``bias`` [S, C, K, out]; else as above."""
    result = torch.baddbmm(bias.flatten(0, 2).unsqueeze(1), x.flatten(0, 2), weight.flatten(0, 2))
    return result.view(*x.shape[:4], -1)


class PerTaskLinear(torch.autograd.Function):
    """:func:`shared_linear` whose weight and bias get one gradient a task.

    ``weight`` [S, C, K, in, out] and ``bias`` [S, C, K, out] are probes of the shared ones (:func:`probe`), all K
    alike.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        shared = weight[:, :, 0]
        ctx.save_for_backward(x, shared)
        return shared_linear(x, shared, bias[:, :, 0])

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, Tensor, Tensor]:
        (gradient,) = gradients  # [S, C, K, B, out]
        x, weight = ctx.saved_tensors
        seeds, copies, tasks, samples, inputs = x.shape
        to_input = None
        if ctx.needs_input_grad[0]:
            flat = gradient.reshape(seeds * copies, tasks * samples, -1)
            to_input = torch.bmm(flat, weight.flatten(0, 1).mT).view(x.shape)
        by_task = gradient.reshape(seeds * copies * tasks, samples, -1)
        to_weight = torch.bmm(x.reshape(seeds * copies * tasks, samples, inputs).mT, by_task)
        shape = (seeds, copies, tasks)
        return to_input, to_weight.view(*shape, inputs, -1), by_task.sum(dim=1).view(*shape, -1)


def probe(parameter: Tensor, n_tasks: int) -> Tensor:
    """A leaf [S, C, K, …] that reads the shared parameter [S, C, …] without a copy and collects K gradients."""
    seeds, copies, *rest = parameter.shape
    expanded = parameter.detach().unsqueeze(2).expand(seeds, copies, n_tasks, *rest)
    return expanded.requires_grad_()


@dataclass
class StackedTaskGradients:
    """The task gradients of S seeds: ``per_tensor[p]`` is [S, C, K, …]."""

    per_tensor: list[Tensor]

    def gramians(self) -> Tensor:
        """The Gramian of each seed, [S, K, K], float64, accumulated tensor by tensor in float64."""
        seeds, _, tasks = self.per_tensor[0].shape[:3]
        device = self.per_tensor[0].device
        total = torch.zeros(seeds, tasks, tasks, dtype=torch.float64, device=device)
        for gradient in self.per_tensor:
            rows = gradient.flatten(3) if gradient.dim() > 3 else gradient.unsqueeze(3)
            rows = rows.flatten(0, 1)  # [S*C, K, n]
            for chunk in rows.split(_CPU_CHUNK if device.type == "cpu" else rows.shape[2], dim=2):
                chunk = chunk.double()
                total += torch.bmm(chunk, chunk.mT).view(seeds, -1, tasks, tasks).sum(dim=1)
        return total

    def combine(self, weights: Tensor) -> list[Tensor]:
        """Σₖ wₖ gₖ of each seed, one tensor [S, C, …] a parameter; ``weights`` is [S, K]."""
        combined = []
        for gradient in self.per_tensor:
            seeds, copies, tasks, *rest = gradient.shape
            row = weights.to(gradient).view(seeds, 1, 1, tasks).expand(seeds, copies, 1, tasks)
            flat = gradient.reshape(seeds * copies, tasks, -1)
            combined.append(torch.bmm(row.reshape(-1, 1, tasks), flat).view(seeds, copies, *rest))
        return combined

    def of_seed(self, index: int) -> TaskGradients:
        """One seed's task gradients as ``methods`` takes them: a tensor [K, …] for every copy of every parameter."""
        per_copy: list[Tensor | None] = [copy for gradient in self.per_tensor for copy in gradient[index]]
        return TaskGradients(per_copy, self.per_tensor[0].shape[2])

    def restacked(self, seeds: Sequence[Sequence[Tensor | None]]) -> list[Tensor]:
        """From each seed's shared gradients, in the order of :meth:`of_seed`, back to one [S, C, …] a parameter."""
        result, start = [], 0
        for gradient in self.per_tensor:
            copies = gradient.shape[1]
            parts = [torch.stack([_present(t) for t in own[start : start + copies]]) for own in seeds]
            result.append(torch.stack(parts))
            start += copies
        return result


def _present(gradient: Tensor | None) -> Tensor:
    assert gradient is not None
    return gradient
