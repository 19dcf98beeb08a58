"""Batch normalisation over the whole batch where several processes share it, on CPUs as on GPUs."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce


class SharedBatchNorm2d(nn.BatchNorm2d):
    """``torch.nn.BatchNorm2d`` with the statistics of all processes' parts together, and the same ``state_dict``.

    Gradients pass through the statistics to all parts. ``present`` is false on a process that has no part of the
    batch at hand: what it sees then does not count. (``torch.nn.SyncBatchNorm`` runs on GPUs only.)
    """

    present = True

    def forward(self, input: Tensor) -> Tensor:
        """``[B, C, H, W]`` to the same shape; B is this process's part of the batch."""
        if not self.training:
            return super().forward(input)
        summed = input.sum((0, 2, 3)) * self.present
        samples = summed.new_tensor([input.numel() / input.shape[1] * self.present])
        total, count = all_reduce(torch.cat([summed, samples])).split([input.shape[1], 1])
        mean = total / count  # [C]
        centred = input - mean[:, None, None]
        variance = all_reduce(centred.square().sum((0, 2, 3)) * self.present) / count
        with torch.no_grad():
            self._track(mean, variance * count / (count - 1).clamp(min=1))
        scaled = centred * (variance + self.eps).rsqrt()[:, None, None]
        return scaled * self.weight[:, None, None] + self.bias[:, None, None]

    def _track(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        momentum = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance, momentum)


def share_batch_norm(network: nn.Module) -> int:
    """Turn the network's batch normalisations into shared ones, in place; returns how many there are."""
    layers = [module for module in network.modules() if type(module) is nn.BatchNorm2d]
    for layer in layers:
        layer.__class__ = SharedBatchNorm2d
    return len(layers)


def set_present(network: nn.Module, present: bool) -> None:
    """Say whether this process has a part of the batch that comes next."""
    for module in network.modules():
        if isinstance(module, SharedBatchNorm2d):
            module.present = present
