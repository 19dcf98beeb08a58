"""The axioms that single out Nash's bargaining solution, held against brute force over the ball.

The feasible set is the ball of radius 1, a task's utility ⟨gᵢ, Δ⟩, disagreement Δ = 0 (Navon et al., ICML 2022,
section 3). Brute force: a dense set of directions on the sphere of the plane or space that K = 2 or 3 gradients span,
scaled to several radii. Gradients are the rows of ``[K, K]`` matrices.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from methods import NashMTL

SETTINGS = settings(max_examples=40, deadline=None, derandomize=True)


def sphere(dimension: int) -> np.ndarray:
    """Directions ``[N, dimension]`` spread evenly: 0.1° apart on the circle, about 0.9° on the sphere."""
    if dimension == 2:
        angle = np.linspace(0.0, 2.0 * np.pi, 3600, endpoint=False)
        return np.stack([np.cos(angle), np.sin(angle)], axis=1)
    n = np.arange(60_000) + 0.5
    z, angle = 1.0 - 2.0 * n / len(n), np.pi * (1.0 + 5.0**0.5) * n
    radius = np.sqrt(1.0 - z * z)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), z], axis=1)


SPHERES = {2: sphere(2), 3: sphere(3)}
BALLS = {k: np.concatenate([radius * s for radius in (0.3, 0.7, 0.95, 1.0)]) for k, s in SPHERES.items()}


def nash_direction(gradients: np.ndarray) -> np.ndarray:
    """Nash-MTL's direction ``[d]`` at length 1 for gradients ``[K, d]``."""
    alpha = NashMTL(n_tasks=len(gradients)).weights(torch.from_numpy(gradients @ gradients.T)).numpy()
    return alpha @ gradients / np.sqrt(len(gradients))


def log_product(utilities: np.ndarray) -> np.ndarray:
    """Σ log uᵢ over the last axis; −∞ where some utility is not positive."""
    positive = (utilities > 0.0).all(axis=-1)
    return np.where(positive, np.log(np.where(utilities > 0.0, utilities, 1.0)).sum(axis=-1), -np.inf)


@st.composite
def games(draw: st.DrawFn) -> np.ndarray:
    """Gradients ``[K, K]``, K = 2 or 3, of lengths 0.1 … 10, not close to linearly dependent."""
    n_tasks = draw(st.sampled_from([2, 3]))
    numbers = st.floats(-1.0, 1.0, allow_nan=False, width=32)
    rows = np.array(draw(st.lists(numbers, min_size=n_tasks**2, max_size=n_tasks**2))).reshape(n_tasks, n_tasks)
    lengths = np.linalg.norm(rows, axis=1)
    assume((lengths > 0.05).all())
    rows /= lengths[:, None]
    assume(np.linalg.svd(rows, compute_uv=False)[-1] > 0.25)
    return rows * 10.0 ** np.array(draw(st.lists(st.floats(-1, 1), min_size=n_tasks, max_size=n_tasks)))[:, None]


@SETTINGS
@given(games())
def test_it_is_the_maximum_of_the_product_of_utilities(gradients: np.ndarray) -> None:
    ball = BALLS[len(gradients)]
    direction = nash_direction(gradients)
    product = log_product(ball @ gradients.T)
    ours = log_product(gradients @ direction)
    assert np.linalg.norm(direction) == pytest.approx(1.0, abs=1e-6)
    assert ours >= product.max() - 1e-9
    assert ours <= product.max() + 0.02  # as near as the sample gets
    assert ball[product.argmax()] @ direction > np.cos(np.deg2rad(3.0))


@SETTINGS
@given(games())
def test_pareto_optimality(gradients: np.ndarray) -> None:
    """No feasible direction gives every task as much and one task more."""
    ball = BALLS[len(gradients)]
    ours = gradients @ nash_direction(gradients)
    at_least = (ball @ gradients.T >= ours * (1.0 - 1e-12)).all(axis=1)
    more = (ball @ gradients.T > ours * (1.0 + 1e-6)).any(axis=1)
    assert (ours > 0.0).all()
    assert not (at_least & more).any()


@SETTINGS
@given(games(), st.integers(0, 5))
def test_symmetry_tasks_that_can_be_exchanged_get_the_same(gradients: np.ndarray, seed: int) -> None:
    """A game that looks the same with two tasks exchanged: equal lengths, and equal products with the others."""
    n_tasks = len(gradients)
    cosine = float(np.random.default_rng(seed).uniform(-0.4, 0.9))
    gramian = (1.0 - cosine) * np.eye(n_tasks) + cosine
    symmetric = np.linalg.cholesky(gramian) @ np.linalg.qr(gradients)[0]  # in any position
    utilities = symmetric @ nash_direction(symmetric)
    np.testing.assert_allclose(utilities, utilities[0], rtol=1e-7)


@SETTINGS
@given(games(), st.permutations([0, 1, 2]))
def test_the_names_of_the_tasks_do_not_matter(gradients: np.ndarray, order: list[int]) -> None:
    order = [task for task in order if task < len(gradients)]
    np.testing.assert_allclose(nash_direction(gradients[order]), nash_direction(gradients), atol=1e-7)


@SETTINGS
@given(games(), st.lists(st.floats(-6.0, 6.0), min_size=3, max_size=3))
def test_invariance_to_the_scales_of_the_utilities(gradients: np.ndarray, decades: list[float]) -> None:
    scaled = gradients * 10.0 ** np.array(decades[: len(gradients)])[:, None]
    np.testing.assert_allclose(nash_direction(scaled), nash_direction(gradients), atol=1e-7)
    ball = BALLS[len(gradients)]  # brute force agrees that the maximum has not moved
    best = log_product(ball @ gradients.T).argmax()
    products = log_product(ball @ scaled.T)
    assert products[best] >= products.max() - 1e-9


@SETTINGS
@given(games(), st.integers(0, 10_000))
def test_independence_of_irrelevant_alternatives(gradients: np.ndarray, seed: int) -> None:
    """Take feasible directions away, but not the solution: what is left is no better than it. The rest is cut by a
    random half-space, and thinned at random, the solution and zero staying in."""
    rng = np.random.default_rng(seed)
    ball, direction = BALLS[len(gradients)], nash_direction(gradients)
    normal = rng.normal(size=len(direction))
    normal /= np.linalg.norm(normal)
    level = max(float(normal @ direction), 0.0) + 1e-9
    smaller = ball[(ball @ normal <= level) & (rng.random(len(ball)) < 0.5)]
    remaining = np.concatenate([smaller, np.zeros((1, len(direction)))])
    products = log_product(remaining @ gradients.T)
    ours = log_product(gradients @ direction)
    assert ours >= products.max() - 1e-9
    as_good = remaining[products >= ours - 1e-9]
    np.testing.assert_allclose(as_good, np.broadcast_to(direction, as_good.shape), atol=1e-3)  # the maximum is unique
