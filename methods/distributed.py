"""One step over several processes: what the ranks of a process group have to agree on.

Every rank holds a part of the batch and losses L⁽ʳ⁾ whose mean over the ranks is the loss of the whole batch. Losses
are averaged before a method sees them, task gradients before the Gramian is formed, so that all
ranks compute the same weights and write the same gradients, those of one process with the whole batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


class Ranks:
    """The ranks of a ``torch.distributed`` process group (``None``: of the default group)."""

    def __init__(self, group: dist.ProcessGroup | None = None) -> None:
        self.group = group
        self.size = dist.get_world_size(group)

    def __deepcopy__(self, memo: dict[int, Any]) -> Ranks:
        return Ranks(self.group)  # a process group cannot be copied; the copies of a method share it

    def mean(self, tensor: Tensor) -> Tensor:
        """The mean over the ranks of a tensor that all of them have."""
        return self._sums([tensor.clone()])[0] / self.size

    def losses(self, losses: Sequence[Tensor], values: Tensor) -> list[Tensor]:
        """Losses of the global ``values`` ``[K]`` with the graphs of this rank's own."""
        pairs = zip(losses, values, strict=True)
        return [loss - loss.detach() + value.to(loss) for loss, value in pairs]  # the difference is exactly zero

    def gradients(
        self, gradients: Sequence[Tensor | None], tensors: Sequence[Tensor], leading: tuple[int, ...] = ()
    ) -> list[Tensor | None]:
        """Means over the ranks of gradients of ``tensors``, of shape ``[*leading, *shape]``; their memory is used.

        ``None`` where no rank has a gradient; a rank without one where others have it counts as zero.
        """
        if not gradients:
            return []
        present = torch.tensor([gradient is not None for gradient in gradients], dtype=torch.int32)
        counts = self._sums([present.to(tensors[0].device)])[0].tolist()
        reached = [p for p, count in enumerate(counts) if count]
        filled = []
        for p in reached:
            gradient = gradients[p]
            filled.append(tensors[p].new_zeros((*leading, *tensors[p].shape)) if gradient is None else gradient)
        means: list[Tensor | None] = [None] * len(gradients)
        for p, total, gradient in zip(reached, self._sums(filled), filled, strict=True):
            means[p] = total.div_(self.size).to(gradient.dtype)
        return means

    def _sums(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Sums over the ranks, in place where the memory allows it; half precision in float32."""
        half = (torch.float16, torch.bfloat16)
        totals = [(tensor.float() if tensor.dtype in half else tensor).contiguous() for tensor in tensors]
        pending = [dist.all_reduce(total, group=self.group, async_op=True) for total in totals]
        for work in pending:
            work.wait()
        return totals
