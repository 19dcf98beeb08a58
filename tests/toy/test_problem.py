"""The toy problem: its gradients by hand are autograd's, its front is one, its formulas are the paper's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from experiments.toy.problem import FRONT_T1, STARTS, VARIANTS, Toy, front_points, losses
from methods.min_norm import min_norm_weights


def some_points() -> np.ndarray:
    """Points of both half planes, the starts (one of them on the kink t₂ = 0) and the floor of a logarithm."""
    spread = np.random.default_rng(0).uniform(-10.0, 10.0, size=(500, 2))
    on_the_floor = [[-7.0 + 2.0 * np.tanh(3.0), 3.0]]  # a₁ = 0 there
    return np.concatenate([spread, STARTS, on_the_floor])


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("scale", [0.1, 1.0])
def test_losses_and_gradients_are_autograds(variant: str, scale: float) -> None:
    points = some_points()
    theta = torch.tensor(points, requires_grad=True)
    values = losses(theta, scale, variant)
    expected = [torch.autograd.grad(values[:, k].sum(), theta, retain_graph=True)[0].numpy() for k in range(2)]
    ours, gradients = Toy(scale, variant).losses_and_gradients(points)
    np.testing.assert_allclose(ours, values.detach().numpy(), atol=1e-12)
    np.testing.assert_allclose(gradients, np.stack(expected, axis=1), rtol=1e-11, atol=1e-12)


def test_values_worked_out_by_hand() -> None:
    """At (0, 8) c₁ ≈ tanh 4 and tanh(t₂) ≈ 1; at (0, −8) the bowls alone count."""
    upper = np.tanh(4.0) * (np.log([2.5, 2.5]) + 6.0)
    lower = np.tanh(4.0) * np.array([4.9 - 20.0, 4.9 - 20.0])
    np.testing.assert_allclose(Toy(1.0).losses(np.array([[0.0, 8.0], [0.0, -8.0]])), [upper, lower], atol=1e-5)


def test_the_variants_differ_in_the_second_valley_alone() -> None:
    points = some_points()
    released, paper = (Toy(variant=variant).losses(points) for variant in VARIANTS)
    below = points[:, 1] <= 0.0
    np.testing.assert_array_equal(released[:, 0], paper[:, 0])
    np.testing.assert_array_equal(released[below], paper[below])
    assert (released[~below, 1] != paper[~below, 1]).all()


def test_a_scale_a_point_multiplies_the_first_loss() -> None:
    scales = np.array([0.01, 0.1, 1.0, 10.0, 0.1])
    values, gradients = Toy(scales).losses_and_gradients(STARTS)
    plain_values, plain_gradients = Toy(1.0).losses_and_gradients(STARTS)
    np.testing.assert_allclose(values[:, 0], scales * plain_values[:, 0])
    np.testing.assert_allclose(gradients[:, 0], scales[:, None] * plain_gradients[:, 0])
    np.testing.assert_array_equal(values[:, 1], plain_values[:, 1])


def test_the_front_is_nearly_pareto_stationary_and_nothing_on_a_grid_dominates_it() -> None:
    toy, points = Toy(), front_points(21)
    values, gradients = toy.losses_and_gradients(points)
    for gradient in gradients[1:-1]:  # one gradient vanishes at each end
        shortest = min_norm_weights(gradient @ gradient.T) @ gradient
        assert np.linalg.norm(shortest) < 1e-2 * np.linalg.norm(gradient, axis=1).max()
    t1, t2 = np.meshgrid(np.linspace(-10.0, 10.0, 401), np.linspace(-10.0, 10.0, 401))
    grid = toy.losses(np.stack([t1.ravel(), t2.ravel()], axis=1))
    for value in values:
        assert not (grid < value - [2e-4, 2e-3]).all(axis=1).any()
    assert points[0, 0] == FRONT_T1[0]


def test_an_unknown_variant_is_refused() -> None:
    with pytest.raises(ValueError, match="released, paper"):
        Toy(variant="neither")
