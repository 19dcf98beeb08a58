"""Gradient sign dropout (GradDrop): keep, entry by entry, the gradients of one randomly chosen sign."""

from __future__ import annotations

import torch
from torch import Tensor

from methods.base import Step
from methods.gradient_method import GradientMethod, check_gramian
from methods.gradients import TaskGradients


class GradDrop(GradientMethod):
    """GradDrop, Chen et al., NeurIPS 2020, Algorithm 1, on the gradients of the shared parameters.

    For every entry: the sign purity P = ½(1 + Σᵢ gᵢ / Σᵢ |gᵢ|) is the probability that the positive entries
    survive, else the negative ones do; the shared gradient is the sum of the survivors. Where all
    gradients are zero, it is zero.

    ``leak`` ``[K]`` or a number in [0, 1]: the share of each task's gradient that passes undropped (the paper's
    ℓᵢ; default 0). The paper drops gradients of activations; for shared parameters the same rule is
    applied to their gradients, as the comparisons since CAGrad do. There are no task weights, so heads take
    their plain gradients. Random numbers come from a generator of the method's own (``seed``); off the CPU it
    draws one number a step, with which a generator on the device is seeded, so that the entries that survive
    depend on the kind of device.

    Raises ``ValueError`` if a leak is not in [0, 1] or there are neither one nor K of them.
    """

    generator: torch.Generator

    def __init__(
        self,
        n_tasks: int,
        *,
        leak: float | list[float] = 0.0,
        seed: int = 0,
        max_norm: float = 0.0,
        task_gradients: str = "auto",
    ) -> None:
        super().__init__(n_tasks, weight_heads=False, max_norm=max_norm, task_gradients=task_gradients)
        shares = torch.as_tensor(leak, dtype=torch.float64)
        if shares.numel() not in (1, n_tasks) or not bool(((shares >= 0) & (shares <= 1)).all()):
            raise ValueError(f"leak is {leak}; give one share between 0 and 1, or {n_tasks} of them.")
        self.leak = shares.expand(n_tasks)
        self.generator = torch.Generator().manual_seed(seed)

    def combine(self, gradients: TaskGradients, losses: list[Tensor]) -> tuple[list[Tensor | None], Step]:
        gramian = gradients.gramian()
        check_gramian(gramian)
        generator = step_generator(self.generator, gramian.device)
        combined = [None if g is None else self._drop(g, generator) for g in gradients.per_tensor]
        return combined, Step(None, {"gramian": gramian})

    def _drop(self, gradient: Tensor, generator: torch.Generator) -> Tensor:
        """From the task gradients ``[K, *shape]`` of one parameter to its gradient ``[*shape]``."""
        kind = gradient.dtype
        if kind in (torch.bfloat16, torch.float16):
            gradient = gradient.float()  # the sums over tasks exceed float16's range before their difference does
        purity = 0.5 * (1.0 + gradient.sum(0) / gradient.abs().sum(0))  # NaN where all are zero: both masks false
        # float32: bfloat16 rounds to 1. A parameter may be on another device than the first.
        draw = torch.rand(purity.shape, generator=generator, device=generator.device).to(purity.device)
        keep = torch.where(draw < purity, gradient > 0, gradient < 0)
        leak = self.leak.to(gradient).view(-1, *[1] * (gradient.dim() - 1))
        return (gradient * (leak + (1.0 - leak) * keep)).sum(0).to(kind)


def step_generator(generator: torch.Generator, device: torch.device) -> torch.Generator:
    """The CPU ``generator`` itself for tensors on the CPU, else one on their device, seeded by a draw from it."""
    if device.type == "cpu":
        return generator
    seed = int(torch.randint(1 << 62, (), generator=generator))
    return torch.Generator(device).manual_seed(seed)
