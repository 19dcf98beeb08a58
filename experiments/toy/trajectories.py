"""Trajectories of the methods on the toy problem: Adam, 35,000 steps, learning rate 1e-3, five starts.

:func:`run` makes them all in one vectorised pass: every method, start and scale of the first loss is a row of one
array, gradients and Adam are computed once for all rows, and only the methods' weights in turn.
:func:`reference_run` is the plain way, a loop over steps with autograd, ``method.backward`` and
``torch.optim.Adam``; the two agree (``tests/toy/test_trajectories.py``), and ``benchmarks/toy.py`` times them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from experiments.toy.problem import SCALE, STARTS, Toy, losses
from experiments.toy.updates import METHOD_LEARNING_RATE, TOY_METHODS, make_update, toy_method
from methods import NonFiniteGradient

Array = NDArray[np.float64]

STEPS = 35_000
LEARNING_RATE = 1e-3

_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-8  # Adam's defaults


@dataclass(frozen=True)
class Trajectories:
    """Where one method's runs went.

    ``points`` ``[T + 1, S, 2]``: θ before each of T steps and after the last. ``losses``, of the same shape.
    ``steps_made`` ``[S]``: how many steps each of the S runs made; fewer than T where the method had no update any
    more, and the run then stays where it was.
    """

    points: Array
    losses: Array
    steps_made: NDArray[np.int64]


def run(
    methods: Sequence[str] = TOY_METHODS,
    starts: Array = STARTS,
    *,
    steps: int = STEPS,
    learning_rate: float = LEARNING_RATE,
    scale: float | Array = SCALE,
    variant: str = "released",
    seed: int = 0,
) -> dict[str, Trajectories]:
    """The trajectories of each method from ``starts`` ``[S, 2]``.

    ``scale``: the factor of the first loss, one number or one a start ``[S]``. Methods that are not among
    ``TOY_METHODS`` are asked point by point, which takes minutes each. Raises ``ValueError`` for an unknown
    method or variant.
    """
    n_starts, n_methods = len(starts), len(methods)
    updates = [make_update(key, n_starts, seed) for key in methods]
    scales = np.tile(np.broadcast_to(np.asarray(scale, dtype=np.float64), n_starts), n_methods)
    toy = Toy(scales, variant)
    rows = [slice(m * n_starts, (m + 1) * n_starts) for m in range(n_methods)]

    learned = np.zeros((n_methods * n_starts, 4))  # θ and, for UW, the log-variances
    learned[:, :2] = np.tile(starts, (n_methods, 1))
    rates = np.array([learning_rate, learning_rate, METHOD_LEARNING_RATE, METHOD_LEARNING_RATE])
    first, second, gradient = np.zeros_like(learned), np.zeros_like(learned), np.zeros_like(learned)
    running = np.ones(len(learned), dtype=bool)
    steps_made = np.full(len(learned), steps)
    points = np.empty((steps + 1, len(learned), 2))
    points[0] = learned[:, :2]

    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # runs that end so are looked for below
        for step in range(1, steps + 1):
            values, gradients = toy.losses_and_gradients(learned[:, :2])
            for update, at in zip(updates, rows, strict=True):
                gradient[at, :2], of_variances = update(values[at], gradients[at], learned[at, 2:])
                if of_variances is not None:
                    gradient[at, 2:] = of_variances
            ended = running & ~np.isfinite(gradient).all(axis=1)
            if ended.any():
                running &= ~ended
                steps_made[ended] = step - 1
            first += (1.0 - _BETA_1) * (gradient - first)
            second += (1.0 - _BETA_2) * (gradient * gradient - second)
            size = np.sqrt(second) / np.sqrt(1.0 - _BETA_2**step) + _EPSILON
            change = rates / (1.0 - _BETA_1**step) * first / size
            learned = np.where(running[:, None], learned - change, learned)
            points[step] = learned[:, :2]

    all_losses = Toy(np.tile(scales, steps + 1), variant).losses(points.reshape(-1, 2)).reshape(points.shape)
    return {
        key: Trajectories(points[:, at], all_losses[:, at], steps_made[at])
        for key, at in zip(methods, rows, strict=True)
    }


def reference_run(
    key: str,
    start: Array,
    *,
    steps: int = STEPS,
    learning_rate: float = LEARNING_RATE,
    scale: float = SCALE,
    variant: str = "released",
    seed: int = 0,
) -> Array:
    """θ before each step and after the last, ``[T + 1, 2]``, by a plain loop; ends early where the method refuses."""
    method = toy_method(key, seed)
    theta = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    groups = [{"params": [theta], "lr": learning_rate}]
    if method.parameters():
        groups.append({"params": method.parameters(), "lr": METHOD_LEARNING_RATE})
    optimizer = torch.optim.Adam(groups, betas=(_BETA_1, _BETA_2), eps=_EPSILON)
    points = [theta.detach().numpy().copy()]
    for _ in range(steps):
        try:
            method.backward(losses(theta, scale, variant), shared_parameters=[theta])
            optimizer.step()
            points.append(theta.detach().numpy().copy())
            with torch.no_grad():
                method.update(losses(theta, scale, variant))
        except (ValueError, NonFiniteGradient):
            break  # a loss that is not positive, to SI; an overflow
    return np.array(points)
