"""Faster ways to run a network, the same up to rounding: memory layout, bfloat16, compilation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch._functorch.config as functorch_config
from torch import Tensor

AUTOCAST = {"none": None, "bfloat16": torch.bfloat16}
COMPILE = ("none", "inductor", "aot_eager")

Forward = Callable[[Tensor], tuple[Any, Any]]


@dataclass
class SpeedConfig:
    """``channels_last``: memory layout of weights and images; ``autocast``: none or bfloat16, for the network alone
    (losses and metrics stay in float32); ``compile``: none, or a backend of ``torch.compile``."""

    channels_last: bool = False
    autocast: str = "none"
    compile: str = "none"


def accelerated(network: torch.nn.Module, speed: SpeedConfig, device: torch.device) -> Forward:
    """The network's forward pass, from images ``[B, 3, H, W]`` to predictions in float32 and the representation.

    Parameters, and thus optimiser and checkpoints, stay the network's own; ``channels_last`` converts them in place.
    """
    forward: Forward = network
    if speed.channels_last:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if speed.compile != "none":
        # A method walks the graph once for every task: no buffer of it may be given up after the first.
        functorch_config.donated_buffer = False
        # Every shape (the last batch may be smaller) for itself: inductor fails at unpooling of unknown sizes.
        forward = torch.compile(network, backend=speed.compile, dynamic=False)
    dtype = AUTOCAST[speed.autocast]

    def run(images: Tensor) -> tuple[Any, Any]:
        if speed.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        if dtype is None:
            return forward(images)
        with torch.autocast(device.type, dtype):
            predictions, representation = forward(images)
        return tuple(prediction.float() for prediction in predictions), representation

    return run
