"""Stacked networks as data: named layers whose weights carry a seed dimension, and their evaluation.

Shapes: S seeds, C copies of a layer (two critics, or experts), K tasks, B samples of each task. Activations are
[S, C, K, B, features] throughout; where all copies read the same input, C may be 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from experiments.mt10.stacked_gradients import PerTaskLinear, probe, shared_linear, task_specific_linear

Parameters = Mapping[str, Tensor]


@dataclass(frozen=True)
class Linear:
    """A linear layer: Xavier-uniform weights and zero biases, as in mtrl.

    ``copies``: independent layers side by side. ``task_specific``: one of them for each task, else all share one.
    """

    inputs: int
    outputs: int
    copies: int = 1
    task_specific: bool = False

    def initial(self, n_tasks: int, generator: torch.Generator) -> dict[str, Tensor]:
        """``weight`` [C, (K,) in, out] and ``bias`` [C, (K,) out] of one seed."""
        lead = (self.copies, n_tasks) if self.task_specific else (self.copies,)
        bound = math.sqrt(6.0 / (self.inputs + self.outputs))
        weight = (2.0 * torch.rand(*lead, self.inputs, self.outputs, generator=generator) - 1.0) * bound
        return {"weight": weight, "bias": torch.zeros(*lead, self.outputs)}


@dataclass(frozen=True)
class Embedding:
    """A learned vector for each task, standard normal at first; task-specific by nature."""

    size: int
    task_specific: bool = True

    def initial(self, n_tasks: int, generator: torch.Generator) -> dict[str, Tensor]:
        """``table`` [1, K, size] of one seed."""
        return {"table": torch.randn(1, n_tasks, self.size, generator=generator)}


Layer = Linear | Embedding
Layers = dict[str, Layer]


def stack_layers(name: str, sizes: Sequence[int], *, copies: int = 1, task_specific: bool = False) -> Layers:
    """Linear layers ``name.0``, ``name.1``, … between consecutive ``sizes``."""
    pairs = enumerate(pairwise(sizes))
    return {f"{name}.{i}": Linear(inputs, outputs, copies, task_specific) for i, (inputs, outputs) in pairs}


def initial_parameters(
    layers: Layers, n_tasks: int, generators: Iterable[torch.Generator], device: torch.device
) -> dict[str, Tensor]:
    """All parameters, stacked over seeds [S, …]; a seed's values depend on its own generator (a CPU one) alone."""
    per_seed = []
    for generator in generators:
        own: dict[str, Tensor] = {}
        for name, layer in layers.items():
            own |= {f"{name}.{part}": value for part, value in layer.initial(n_tasks, generator).items()}
        per_seed.append(own)
    return {name: torch.stack([own[name] for own in per_seed]).to(device) for name in per_seed[0]}


def is_task_specific(layers: Layers, parameter: str) -> bool:
    return layers[parameter.rpartition(".")[0]].task_specific


class Evaluation:
    """Parameters with a way to apply them; what an architecture's functions are called with.

    ``per_task``: the shared parameters given are probes, and backward passes give them one gradient a task.
    """

    def __init__(self, layers: Layers, parameters: Parameters, *, per_task: bool = False) -> None:
        self.layers, self.parameters, self.per_task = layers, parameters, per_task

    def linear(self, name: str, x: Tensor) -> Tensor:
        """Layer ``name`` of ``x`` [S, C or 1, K, B, in] -> [S, C, K, B, out]."""
        layer = self.layers[name]
        assert isinstance(layer, Linear)
        weight, bias = self.parameters[f"{name}.weight"], self.parameters[f"{name}.bias"]
        if x.shape[1] != layer.copies:
            x = x.expand(-1, layer.copies, -1, -1, -1)
        if layer.task_specific:
            return task_specific_linear(x, weight, bias)
        if self.per_task and weight.requires_grad:
            return PerTaskLinear.apply(x, weight, bias)
        return shared_linear(x, weight, bias)

    def table(self, name: str) -> Tensor:
        """The embedding ``name`` as one sample for each task, [S, 1, K, 1, size]."""
        return self.parameters[f"{name}.table"].unsqueeze(3)

    def mlp(self, name: str, x: Tensor, *, last_relu: bool = False) -> Tensor:
        """The layers ``name.0``, ``name.1``, … with ReLU between them, and behind the last if told."""
        depth = 0
        while f"{name}.{depth}" in self.layers:
            depth += 1
        for i in range(depth):
            x = self.linear(f"{name}.{i}", x)
            if i < depth - 1 or last_relu:
                x = torch.relu(x)
        return x


def probes(layers: Layers, parameters: Parameters, n_tasks: int) -> dict[str, Tensor]:
    """Probes in place of the shared parameters; task-specific ones as they are."""
    return {
        name: value if is_task_specific(layers, name) else probe(value, n_tasks) for name, value in parameters.items()
    }


def count(parameters: Parameters, prefix: str) -> int:
    """Parameters of one seed whose names begin with ``prefix``."""
    return sum(value[0].numel() for name, value in parameters.items() if name.startswith(prefix))
