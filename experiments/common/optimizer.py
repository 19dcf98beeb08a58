"""The optimiser of the supervised benchmarks: Adam, by torch's loop over the parameters or in one fused kernel."""

from __future__ import annotations

from typing import Any

import torch
from torch.optim import Optimizer

from experiments.common.config import OptimizerConfig
from methods import Method


def make_optimizer(network: torch.nn.Module, method: Method, config: OptimizerConfig) -> torch.optim.Adam:
    """Adam for the network and, at a learning rate of its own, for what the method learns.

    A checkpoint holds whether it was fused, so that a run goes on as it began.
    """
    groups: list[dict[str, Any]] = [{"params": list(network.parameters())}]
    if own := method.parameters():
        groups.append({"params": own, "lr": config.method_lr})
    optimizer = torch.optim.Adam(groups, lr=config.lr, fused=config.fused or None)
    optimizer.register_step_pre_hook(_lay_out_gradients)
    return optimizer


def _lay_out_gradients(optimizer: Optimizer, _arguments: object, _options: object) -> None:
    """Give each gradient the strides of its parameter.

    The fused kernel walks both as they lie in memory: on a CPU it takes a gradient in another order (a transposed
    product, or one beside channels-last weights) for other elements' and says nothing.
    """
    for group in optimizer.param_groups:
        if not group["fused"]:
            continue
        for parameter in group["params"]:
            gradient = parameter.grad
            if gradient is not None and gradient.stride() != parameter.stride():
                parameter.grad = torch.empty_like(parameter).copy_(gradient)
