"""The α-fair allocation solver and FairGrad: the equation, its limits, the maximum it stands for, no solution."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from methods import FairGrad
from methods.bargaining import solve_bargaining
from methods.fair_allocation import _solve, solve_fair_allocation
from methods.min_norm import min_norm_weights
from tests.methods.samplers import Matrix, gramian, normal, pareto_stationary, spread_scales, with_cosine

TASKS = (1, 2, 3, 5, 10, 11, 20, 40)
ALPHAS = (0.5, 1.0, 1.5, 2.0, 5.0, 10.0)
every_size = pytest.mark.parametrize("n_tasks", TASKS)
every_alpha = pytest.mark.parametrize("alpha", ALPHAS)


def assert_solves(matrix: Matrix, alpha: float) -> None:
    solution = solve_fair_allocation(matrix, alpha)
    assert solution.status == "solved"
    assert (solution.weights > 0).all() and solution.residual <= 1e-6
    assert np.abs(solution.weights ** (1.0 / alpha) * (matrix @ solution.weights) - 1.0).max() <= 1e-6


@every_size
@every_alpha
def test_solves_random_gramians(n_tasks: int, alpha: float) -> None:
    for seed in range(5):
        assert_solves(gramian(normal(seed, n_tasks)), alpha)
        assert_solves(gramian(normal(seed, n_tasks, dimension=n_tasks)), alpha)
        assert_solves(gramian(normal(seed, n_tasks) + 10.0), alpha)  # nearly parallel


@every_size
@every_alpha
def test_solves_lengths_six_decades_apart(n_tasks: int, alpha: float) -> None:
    for seed in range(5):
        assert_solves(gramian(spread_scales(normal(seed, n_tasks), seed, decades=3)), alpha)


@every_size
@every_alpha
@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_solves_at_any_common_scale(n_tasks: int, alpha: float, scale: float) -> None:
    """Gradients times s have weights times s^(−2α/(1+α))."""
    plain = solve_fair_allocation(gramian(normal(0, n_tasks)), alpha).weights
    scaled = solve_fair_allocation(gramian(scale * normal(0, n_tasks)), alpha).weights
    assert scaled == pytest.approx(plain * scale ** (-2.0 * alpha / (1.0 + alpha)), rel=1e-6)


@pytest.mark.parametrize("n_tasks", [k for k in TASKS if k > 1])
@every_alpha
@pytest.mark.parametrize("cosine", [1.0 - 1e-8, -1.0 + 1e-6])
def test_solves_near_duplicates_and_near_opposites(n_tasks: int, alpha: float, cosine: float) -> None:
    for seed in range(5):
        assert_solves(gramian(with_cosine(seed, n_tasks, cosine)), alpha)


@pytest.mark.parametrize("n_tasks", [k for k in TASKS if k > 1])
def test_the_default_solves_near_opposites_of_lengths_six_decades_apart(n_tasks: int) -> None:
    for seed in range(10):
        assert_solves(gramian(spread_scales(with_cosine(seed, n_tasks, -1.0 + 1e-4), seed, decades=3)), 2.0)


@every_size
@every_alpha
def test_solves_exact_duplicates(n_tasks: int, alpha: float) -> None:
    gradients = normal(0, n_tasks)
    assert_solves(gramian(np.hstack([gradients, gradients, 3.0 * gradients])), alpha)


@every_size
def test_alpha_one_is_nashs_solution(n_tasks: int) -> None:
    """By this solver too, which hands the case over: two ways to the same numbers."""
    for seed in range(10):
        for gradients in (normal(seed, n_tasks), spread_scales(normal(seed, n_tasks), seed, decades=3)):
            nash = solve_bargaining(gramian(gradients)).weights
            assert _solve(gramian(gradients), 1.0).weights == pytest.approx(nash, rel=1e-8)
            assert np.array_equal(solve_fair_allocation(gramian(gradients), 1.0).weights, nash)


@every_alpha
def test_orthogonal_gradients_have_a_closed_form(alpha: float) -> None:
    """wᵢ = ‖gᵢ‖^(−2α/(1+α))."""
    lengths = np.array([1e-3, 0.5, 2.0, 1e3])
    weights = FairGrad(4, alpha=alpha).weights(torch.from_numpy(np.diag(lengths**2))).numpy()
    assert weights == pytest.approx(lengths ** (-2.0 * alpha / (1.0 + alpha)), rel=1e-9)


@every_alpha
def test_the_order_of_the_tasks_does_not_matter(alpha: float) -> None:
    matrix, order = gramian(normal(3, 5)), np.array([3, 0, 4, 1, 2])
    weights = solve_fair_allocation(matrix, alpha).weights
    assert solve_fair_allocation(matrix[np.ix_(order, order)], alpha).weights == pytest.approx(
        weights[order], rel=1e-8
    )


@pytest.mark.parametrize("alpha", [0.5, 2.0, 5.0])
def test_it_maximises_fairness_over_the_ball(alpha: float) -> None:
    """Σ uᵢ^(1−α)/(1−α) of the utilities ⟨gᵢ, d⟩, against a hundred thousand directions of the same length."""
    random = np.random.default_rng(0)
    directions = random.normal(size=(100_000, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    for seed in range(5):
        gradients = random.normal(size=(3, 3)) + 0.4
        ours = gradients @ solve_fair_allocation(gramian(gradients), alpha).weights
        ours /= np.linalg.norm(ours)
        utilities = directions @ gradients
        utilities = utilities[(utilities > 0).all(axis=1)]
        fairness = (utilities ** (1.0 - alpha) / (1.0 - alpha)).sum(axis=1)
        own = ((ours @ gradients) ** (1.0 - alpha) / (1.0 - alpha)).sum()
        assert len(utilities) > 0, seed
        assert own >= fairness.max() - 1e-9 * abs(own)
        assert own == pytest.approx(fairness.max(), rel=0.02)


def test_a_large_alpha_is_the_largest_smallest_improvement() -> None:
    gradients = normal(1, 3) + 0.3
    ours = gradients @ solve_fair_allocation(gramian(gradients), 200.0).weights
    best = gradients @ min_norm_weights(gramian(gradients))
    assert ours @ best / np.linalg.norm(ours) / np.linalg.norm(best) > 0.999


def test_a_small_alpha_is_the_plain_sum() -> None:
    weights = solve_fair_allocation(gramian(0.1 * normal(1, 3) + 0.3), 0.05).weights
    assert weights == pytest.approx(np.ones(3), rel=0.15)


@every_alpha
@pytest.mark.parametrize("n_tasks", [2, 3, 11, 40])
def test_a_pareto_stationary_point_is_seen(n_tasks: int, alpha: float) -> None:
    for seed in range(5):
        matrix = gramian(pareto_stationary(seed, n_tasks))
        solution = solve_fair_allocation(matrix, alpha)
        assert solution.status == "stationary" and solution.weights.sum() == pytest.approx(n_tasks)
        assert np.sqrt(max(solution.weights @ matrix @ solution.weights, 0.0)) <= 1e-6 * np.sqrt(matrix.max())


@every_alpha
def test_a_zero_gradient_sits_out(alpha: float) -> None:
    matrix = gramian(normal(0, 3))
    padded = np.zeros((4, 4))
    padded[np.ix_([0, 1, 3], [0, 1, 3])] = matrix
    solution = solve_fair_allocation(padded, alpha)
    assert solution.status == "zero_gradient" and solution.weights[2] == 1.0
    assert solution.weights[[0, 1, 3]] == pytest.approx(solve_fair_allocation(matrix, alpha).weights)
    assert solve_fair_allocation(np.zeros((2, 2)), alpha).weights.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("alpha", [0.1, 0.5, 2.0, 10.0, 100.0])
def test_whatever_the_scales_the_status_means_what_it_says(alpha: float) -> None:
    """Sixteen decades apart, with a near opposite: solved to the tolerance, or not and finite all the same."""
    for seed in range(20):
        matrix = gramian(spread_scales(with_cosine(seed, 5, -1.0 + 1e-6), seed, decades=8))
        solution = solve_fair_allocation(matrix, alpha)
        assert solution.status in ("solved", "stationary", "not_converged")
        assert np.isfinite(solution.weights).all() and (solution.weights >= 0).all()
        assert (solution.status == "solved") == (solution.residual <= 1e-6)
