"""Update directions of the methods for three gradients in R³, and their projections on each gradient.

Three gradients of different length (1.00, 0.65 and 0.40), of which the longest and the shortest conflict. The paper's
own three are not printed; these are ours, chosen so that the methods differ visibly.

The weights are those of the methods' own code with default options; of RLW and GradDrop one draw is shown (in the
mean both are LS), of PCGrad the mean over the orders of the tasks. SI, DWA and UW weigh by the losses, so that no
direction follows from gradients; DWA's and UW's first step is LS's.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from experiments.common.names import METHOD_NAMES
from methods import GradientMethod, LossWeighting, TaskGradients, get_method
from methods.pcgrad import projected_weights

Array = NDArray[np.float64]

#: The task gradients, one a row, ``[3, 3]``.
GRADIENTS = np.array(
    [
        [0.95, 0.25, 0.18],
        [0.05, 0.63, 0.15],
        [-0.35, 0.02, 0.20],
    ]
)

DIRECTION_METHODS = ("ls", "rlw", "graddrop", "mgda", "pcgrad", "cagrad", "imtl_g", "nash_mtl")

_NOTES = {"rlw": "one draw", "graddrop": "one draw", "pcgrad": "mean over the orders"}

_SEED = 1  # a draw of GradDrop's that keeps the negative entries


@dataclass(frozen=True)
class Direction:
    """``vector`` ``[3]``: the update direction, scaled to unit length; ``projections`` ``[3]``: its signed lengths
    along the three gradients, cosines therefore. ``note``: what kind of direction it is, if not plain."""

    name: str
    vector: Array
    projections: Array
    note: str = ""


def directions(gradients: Array = GRADIENTS) -> dict[str, Direction]:
    """The direction of every method in ``DIRECTION_METHODS`` for task gradients ``[K, d]``, one a row."""
    units = gradients / np.linalg.norm(gradients, axis=1, keepdims=True)
    found = {}
    for key in DIRECTION_METHODS:
        vector = update(key, gradients)
        vector = vector / np.linalg.norm(vector)
        found[key] = Direction(METHOD_NAMES[key], vector, units @ vector, _NOTES.get(key, ""))
    return found


def update(key: str, gradients: Array) -> Array:
    """The method's direction ``[d]``, at its own length."""
    n_tasks = len(gradients)
    if key == "ls":
        return gradients.sum(axis=0)
    if key == "rlw":
        method = get_method(key, n_tasks, seed=_SEED)
        assert isinstance(method, LossWeighting)
        _, weights = method.objective(torch.zeros(n_tasks, dtype=torch.float64))
        return gradients.T @ weights.numpy()
    if key == "pcgrad":
        return gradients.T @ _mean_pcgrad_weights(gradients @ gradients.T)
    method = get_method(key, n_tasks, **({"seed": _SEED} if key == "graddrop" else {}))
    assert isinstance(method, GradientMethod)
    (combined,), _ = method.combine(TaskGradients([torch.from_numpy(gradients)], n_tasks), [])
    assert combined is not None  # it is where no task has a gradient
    return combined.numpy()


def _mean_pcgrad_weights(gramian: Array) -> Array:
    """PCGrad's weights averaged over all orders in which each task can meet the others."""
    n_tasks = len(gramian)
    choices = [list(itertools.permutations(j for j in range(n_tasks) if j != i)) for i in range(n_tasks)]
    return np.mean([projected_weights(gramian, orders) for orders in itertools.product(*choices)], axis=0)
