"""The closed forms for two tasks are the methods' own weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from experiments.toy.pairs import FROM_GRAMIAN, gramians_of
from methods import get_method

N = 300


def random_pairs() -> np.ndarray:
    """Gradients ``[N, 2, 2]`` of any angle, with lengths spread over eight decades."""
    rng = np.random.default_rng(1)
    return rng.normal(size=(N, 2, 2)) * 10.0 ** rng.uniform(-4, 4, size=(N, 2, 1))


def aligned_pairs(sign: float) -> np.ndarray:
    """Gradients at an angle of 1e-7 … 1 from parallel (``sign`` 1) or from opposing (−1)."""
    rng = np.random.default_rng(2)
    first = rng.normal(size=(N, 2))
    angle = 10.0 ** rng.uniform(-7, 0, size=(N, 1))
    across = np.stack([-first[:, 1], first[:, 0]], axis=1)
    second = rng.uniform(0.1, 10.0, size=(N, 1)) * (sign * first + angle * across)
    return np.stack([first, second], axis=1)


SPECIAL = np.array(
    [
        [[0.0, 0.0], [1.0, 2.0]],
        [[1.0, 2.0], [0.0, 0.0]],
        [[1.0, 2.0], [1.0, 2.0]],
        [[1.0, 2.0], [-1.0, -2.0]],
        [[1.0, 2.0], [-3.0, -6.0]],
        [[0.0, 1.0], [0.0, 10.0]],
    ]
)


@pytest.mark.parametrize("key", FROM_GRAMIAN)
@pytest.mark.parametrize(
    "gradients",
    [random_pairs(), aligned_pairs(1.0), aligned_pairs(-1.0), SPECIAL],
    ids=["any", "near", "opp", "special"],
)
def test_closed_form_is_the_methods_weights(key: str, gradients: np.ndarray) -> None:
    """To 1e-8 of the larger weight, or to what rounding leaves of 1 + cos and 1 − cos in a Gramian."""
    gramians = gramians_of(gradients)
    method = get_method(key, n_tasks=2)
    expected = np.stack([method.weights(torch.from_numpy(gramian)).numpy() for gramian in gramians])
    error = np.abs(FROM_GRAMIAN[key](gramians) - expected).max(axis=1) / np.abs(expected).max(axis=1).clip(1e-300)
    cosine = np.divide(
        gramians[:, 0, 1],
        lengths := np.sqrt(gramians[:, 0, 0] * gramians[:, 1, 1]),
        out=np.zeros(len(gramians)),
        where=lengths > 0,
    )
    conditioning = 1e-15 / np.maximum(1.0 - np.abs(cosine), 1e-16)
    assert (error <= np.maximum(1e-8, conditioning)).all(), error.max()


@pytest.mark.parametrize("key", FROM_GRAMIAN)
def test_no_gradient_no_move(key: str) -> None:
    weights = FROM_GRAMIAN[key](np.zeros((1, 2, 2)))
    assert np.isfinite(weights).all()
