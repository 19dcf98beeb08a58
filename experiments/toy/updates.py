"""What each method makes of the toy problem's losses and gradients, at many points at once.

An :class:`Update` is the vectorised counterpart of ``method.backward``: from the losses ``[P, 2]`` and the task
gradients ``[P, 2 tasks, 2 coordinates]`` of one step to the gradient that Adam gets, ``[P, 2]``. All points run the
method with its default options. Nash-MTL's are the paper's: the gradient is clipped to ``max_norm`` = 1, which
always binds. To Adam, which divides by the gradient's running size, a constant length means a step of about the
learning rate for ever: there is no slowing down near the front.

The points are independent runs: DWA and UW have a state a point, and RLW and GradDrop draw for every point the same
random numbers, as runs with the same seed do. A row of NaN says that a method has no update at a point:

* SI takes logarithms of the losses, which are negative in the lower half plane and zero at the start (0, 0);
* UW's objective ½(exp(−s)·ℓ + s) is unbounded below where ℓ < 0: s falls without end and exp(−s) overflows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from inspect import signature
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from experiments.common.names import PAPER_METHODS
from experiments.toy.pairs import FROM_GRAMIAN, gramians_of
from methods import METHODS, Method, NonFiniteGradient, get_method

Array = NDArray[np.float64]

#: The paper's methods but STL, which has one task: those with a vectorised update.
TOY_METHODS = tuple(key for key in PAPER_METHODS if key != "stl")

#: Of a method's own parameters (UW's log-variances), as in the released code.
METHOD_LEARNING_RATE = 0.025
NASH_MAX_NORM = 1.0
DWA_WINDOW = 25
DWA_TEMPERATURE = 2.0


class Update(ABC):
    """One method at P points. ``log_variance`` ``[P, 2]`` are parameters that Adam learns beside θ (UW alone)."""

    def __init__(self, n_points: int, seed: int = 0) -> None:
        self.n_points = n_points
        self.generator = torch.Generator().manual_seed(seed)

    @abstractmethod
    def __call__(self, losses: Array, gradients: Array, log_variance: Array) -> tuple[Array, Array | None]:
        """The gradient of θ ``[P, 2]``, and that of ``log_variance`` ``[P, 2]`` or ``None``."""


class Weighted(Update):
    """A method whose gradient is Σᵢ wᵢ gᵢ."""

    def __call__(self, losses: Array, gradients: Array, log_variance: Array) -> tuple[Array, Array | None]:
        weights = self.weights(losses, gradients)
        return (weights[:, :, None] * gradients).sum(axis=1), None

    @abstractmethod
    def weights(self, losses: Array, gradients: Array) -> Array:
        """Task weights ``[P, 2]``, or ``[2]`` for all points."""


class LinearScalarization(Weighted):
    def weights(self, losses: Array, gradients: Array) -> Array:
        return np.ones_like(losses)


class ScaleInvariant(Weighted):
    def weights(self, losses: Array, gradients: Array) -> Array:
        defined = (losses > 0.0).all(axis=1, keepdims=True)
        return np.where(defined, 1.0 / np.where(losses > 0.0, losses, 1.0), np.nan)


class RandomLossWeighting(Weighted):
    def weights(self, losses: Array, gradients: Array) -> Array:
        draw = torch.randn(2, generator=self.generator, dtype=torch.float64)
        return np.broadcast_to(draw.softmax(dim=0).numpy(), losses.shape)


class DynamicWeightAverage(Weighted):
    def __init__(self, n_points: int, seed: int = 0) -> None:
        super().__init__(n_points, seed)
        self.step = 0
        self.running_sum = np.zeros((n_points, 2))
        self.before: Array | None = None  # mean losses of the last window but one
        self.last: Array | None = None
        self.current = np.full((n_points, 2), 0.5)

    def weights(self, losses: Array, gradients: Array) -> Array:
        weights = self.current
        self.running_sum += losses
        self.step += 1
        if self.step % DWA_WINDOW == 0:
            self.before, self.last = self.last, self.running_sum / DWA_WINDOW
            self.running_sum = np.zeros_like(losses)
            if self.before is not None:
                ratio = np.nan_to_num(self.last / self.before, nan=1.0, posinf=1.0, neginf=1.0) / DWA_TEMPERATURE
                exponential = np.exp(ratio - ratio.max(axis=1, keepdims=True))
                self.current = exponential / exponential.sum(axis=1, keepdims=True)
        return weights


class UncertaintyWeighting(Update):
    def __call__(self, losses: Array, gradients: Array, log_variance: Array) -> tuple[Array, Array | None]:
        weights = 0.5 * np.exp(-log_variance)
        return (weights[:, :, None] * gradients).sum(axis=1), 0.5 - weights * losses


class GradDrop(Update):
    def __call__(self, losses: Array, gradients: Array, log_variance: Array) -> tuple[Array, Array | None]:
        draw = torch.rand(2, generator=self.generator).numpy()  # one a coordinate, float32 as the method's
        size = np.abs(gradients).sum(axis=1)
        purity = 0.5 * (1.0 + np.divide(gradients.sum(axis=1), size, out=np.zeros_like(size), where=size > 0))
        keep = np.where((draw < purity)[:, None], gradients > 0, gradients < 0)
        return (gradients * keep).sum(axis=1), None


class FromGramian(Weighted):
    """A method whose weights are a function of the Gramian (:mod:`experiments.toy.pairs`)."""

    def __init__(self, n_points: int, seed: int, function: Callable[[Array], Array]) -> None:
        super().__init__(n_points, seed)
        self.function = function

    def weights(self, losses: Array, gradients: Array) -> Array:
        return self.function(gramians_of(gradients))


class NashMTL(FromGramian):
    def __call__(self, losses: Array, gradients: Array, log_variance: Array) -> tuple[Array, Array | None]:
        combined, _ = super().__call__(losses, gradients, log_variance)
        length = np.sqrt((combined * combined).sum(axis=1, keepdims=True))
        return combined / np.maximum(length / NASH_MAX_NORM, 1.0), None


class OnePoint:
    """A method itself at one point: linear losses with the values and gradients there."""

    def __init__(self, key: str, seed: int) -> None:
        self.method = toy_method(key, seed)
        parameters = self.method.parameters()
        self.optimizer = torch.optim.Adam(parameters, lr=METHOD_LEARNING_RATE) if parameters else None
        self.theta = torch.zeros(2, dtype=torch.float64, requires_grad=True)
        self.ended = False

    def __call__(self, losses: Array, gradients: Array) -> Array:
        """The gradient of θ, ``[2]``, from losses ``[2]`` and task gradients ``[2, 2]``; NaN where there is none."""
        if self.ended:
            return np.full(2, np.nan)
        linear = torch.from_numpy(losses) + torch.from_numpy(gradients) @ self.theta
        try:
            self.method.update(linear.detach())  # of the step before
            self.method.backward(linear, shared_parameters=[self.theta])
        except (ValueError, NonFiniteGradient):
            self.ended = True
            return np.full(2, np.nan)
        if self.optimizer is not None:
            self.optimizer.step()
        assert self.theta.grad is not None
        return self.theta.grad.numpy().copy()


class PointByPoint(Update):
    """Any method, such as one that came after the paper or a reader's own; tens of times slower."""

    def __init__(self, n_points: int, seed: int, key: str) -> None:
        super().__init__(n_points, seed)
        self.points = [OnePoint(key, seed) for _ in range(n_points)]

    def __call__(self, losses: Array, gradients: Array, log_variance: Array) -> tuple[Array, Array | None]:
        return np.stack([at(*given) for at, *given in zip(self.points, losses, gradients, strict=True)]), None


def toy_method(key: str, seed: int) -> Method:
    """A method as the toy example takes it: with its default options, and two parameters that are all shared."""
    options: dict[str, Any] = {"gradients": "shared"} if key == "imtl_g" else {}
    if "seed" in signature(METHODS[key]).parameters:
        options["seed"] = seed
    return get_method(key, n_tasks=2, **options)


_FROM_LOSSES: dict[str, type[Update]] = {
    "ls": LinearScalarization,
    "si": ScaleInvariant,
    "rlw": RandomLossWeighting,
    "dwa": DynamicWeightAverage,
    "uw": UncertaintyWeighting,
    "graddrop": GradDrop,
}


def make_update(key: str, n_points: int, seed: int = 0) -> Update:
    """The method's update at ``n_points`` points. Raises ``ValueError`` for STL and for what is no method."""
    if key == "stl" or key not in METHODS:
        known = ", ".join(name for name in METHODS if name != "stl")
        raise ValueError(f"method {key!r} is not in the toy example; choose from {known}.")
    if key not in TOY_METHODS:
        return PointByPoint(n_points, seed, key)
    if key in _FROM_LOSSES:
        return _FROM_LOSSES[key](n_points, seed)
    kind = NashMTL if key == "nash_mtl" else FromGramian
    return kind(n_points, seed, FROM_GRAMIAN[key])
