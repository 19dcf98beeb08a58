"""The optimiser of the supervised benchmarks: Adam, by torch's loop over the parameters or in one fused kernel."""

from __future__ import annotations

from typing import Any

import torch

from experiments.common.config import OptimizerConfig
from methods import Method


def make_optimizer(network: torch.nn.Module, method: Method, config: OptimizerConfig) -> torch.optim.Adam:
    """Adam for the network and, at a learning rate of its own, for what the method learns.

    A checkpoint holds whether it was fused, so that a run goes on as it began.
    """
    groups: list[dict[str, Any]] = [{"params": list(network.parameters())}]
    if own := method.parameters():
        groups.append({"params": own, "lr": config.method_lr})
    return torch.optim.Adam(groups, lr=config.lr, fused=config.fused or None)
