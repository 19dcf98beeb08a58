"""The forward pass of a training step once more after it, without a trace: for methods that ask what the step did."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


def random_states(device: torch.device) -> list[Tensor]:
    """The states of torch's own generators: the CPU's, and that of ``device`` if it is a GPU."""
    states = [torch.get_rng_state()]
    return [*states, torch.cuda.get_rng_state(device)] if device.type == "cuda" else states


@contextmanager
def second_forward(model: nn.Module, states: list[Tensor], device: torch.device) -> Iterator[None]:
    """Within, no graph is recorded and the random numbers since ``states`` (of :func:`random_states`) come again.

    Afterwards the model's buffers, such as the running statistics of batch normalisation, and the generators are as
    they were before.
    """
    kept = [buffer.clone() for buffer in model.buffers()]
    with torch.no_grad():
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.set_rng_state(states[0])
            if device.type == "cuda":
                torch.cuda.set_rng_state(states[1], device)
            yield
        for buffer, value in zip(model.buffers(), kept, strict=True):
            buffer.copy_(value)
