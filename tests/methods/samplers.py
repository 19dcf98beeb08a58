"""Gradient matrices and small multi-task problems for the tests of the methods.

A gradient matrix G is ``[d, K]``, float64, one column a task; its Gramian is GᵀG, ``[K, K]``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from methods import METHODS, GradientMethod, GramianWeighting, Method, get_method

Matrix = NDArray[np.float64]

#: Task numbers of the paper's benchmarks (2, 3, 10, 11, 40) and around them.
TASK_NUMBERS = (1, 2, 3, 5, 10, 11, 20, 40, 70, 100)

#: Methods whose weights do not depend on random draws.
DETERMINISTIC = tuple(key for key in METHODS if key not in ("rlw", "pcgrad", "graddrop"))
GRADIENT_METHODS = tuple(key for key, kind in METHODS.items() if issubclass(kind, GradientMethod))
GRAMIAN_METHODS = tuple(key for key, kind in METHODS.items() if issubclass(kind, GramianWeighting))


def normal(seed: int, n_tasks: int, dimension: int | None = None) -> Matrix:
    """Independent normal entries; twice as many dimensions as tasks (at least 8) unless told."""
    dimension = max(2 * n_tasks, 8) if dimension is None else dimension
    return np.random.default_rng(seed).normal(size=(dimension, n_tasks))


def spread_scales(gradients: Matrix, seed: int, decades: float) -> Matrix:
    """Each task's gradient multiplied by its own 10^u, u uniform in ±decades."""
    scales = 10.0 ** np.random.default_rng(seed).uniform(-decades, decades, size=gradients.shape[1])
    return gradients * scales


def with_cosine(seed: int, n_tasks: int, cosine: float) -> Matrix:
    """Unit-length gradients of which the first two have this cosine."""
    gradients = normal(seed, n_tasks)
    gradients /= np.linalg.norm(gradients, axis=0)
    first = gradients[:, 0]
    normal_part = gradients[:, 1] - first * (first @ gradients[:, 1])
    normal_part /= np.linalg.norm(normal_part)
    gradients[:, 1] = cosine * first + np.sqrt(1.0 - cosine**2) * normal_part
    return gradients


def pareto_stationary(seed: int, n_tasks: int) -> Matrix:
    """Random gradients with one convex combination, of positive weights, that vanishes."""
    gradients = normal(seed, n_tasks)
    weights = np.random.default_rng(seed).uniform(0.5, 1.5, size=n_tasks)
    gradients[:, -1] = -(gradients[:, :-1] @ weights[:-1]) / weights[-1]
    return gradients


def gramian(gradients: Matrix) -> Matrix:
    return gradients.T @ gradients


def gramian_tensor(gradients: Matrix) -> Tensor:
    return torch.from_numpy(gramian(gradients))


def make(key: str, n_tasks: int, **options: Any) -> Method:
    """A method with the options that it cannot do without."""
    required = {"stl": {"main_task": n_tasks - 1}}.get(key, {})
    return get_method(key, n_tasks, **{**required, **options})


class Problem(nn.Module):
    """K regression tasks on a shared trunk of two layers, one linear head each; the same for the same seed.

    Beside them: a frozen parameter that takes part, a trainable one that takes no part, and in the trunk one that
    only the last task's loss reaches.
    """

    def __init__(self, n_tasks: int = 3, *, seed: int = 0, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)

        def draw(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

        self.inputs, self.targets = draw(16, 5), draw(16, n_tasks)
        self.first, self.second = nn.Parameter(0.4 * draw(5, 6)), nn.Parameter(0.4 * draw(6, 4))
        self.bias = nn.Parameter(0.1 * draw(4))
        self.for_last_task = nn.Parameter(0.1 * draw(4))
        self.frozen = nn.Parameter(1.0 + 0.1 * draw(4), requires_grad=False)
        self.unused = nn.Parameter(draw(3))
        self.heads = nn.ParameterList([nn.Parameter(0.5 * draw(4)) for _ in range(n_tasks)])
        self.features: Tensor

    def losses(self) -> list[Tensor]:
        """K scalars; ``features`` holds the representation afterwards."""
        self.features = torch.tanh(torch.tanh(self.inputs @ self.first) @ self.second + self.bias) * self.frozen
        outputs = [self.features @ head for head in self.heads]
        outputs[-1] = outputs[-1] + self.features @ self.for_last_task
        return [(output - target).square().mean() for output, target in zip(outputs, self.targets.T, strict=True)]

    def shared(self) -> list[nn.Parameter]:
        """All of the trunk, with what is frozen and what is unused."""
        return [self.first, self.second, self.bias, self.for_last_task, self.frozen, self.unused]

    def backward(self, method: Method, losses: Any = None, **options: Any) -> Any:
        losses = self.losses() if losses is None else losses
        return method.backward(
            losses, shared_parameters=self.shared(), **{"representation": self.features, **options}
        )

    def gradient_matrix(self) -> Matrix:
        """G over the shared parameters, in float64, by K plain backward passes."""
        shared = [p for p in self.shared() if p.requires_grad]
        columns = []
        for loss in self.losses():
            gradients = torch.autograd.grad(loss, shared, retain_graph=True, allow_unused=True)
            flat = [
                (torch.zeros_like(p) if g is None else g).flatten().double()
                for p, g in zip(shared, gradients, strict=True)
            ]
            columns.append(torch.cat(flat))
        return torch.stack(columns, dim=1).numpy()

    def written(self) -> Matrix:
        """The shared parameters' ``.grad`` as one vector, in float64; zeros where it is ``None``."""
        shared = [p for p in self.shared() if p.requires_grad]
        return (
            torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in shared])
            .double()
            .numpy()
        )
