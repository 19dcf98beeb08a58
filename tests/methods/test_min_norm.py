"""The shortest convex combination of the gradients: optimality conditions, a conic solver, degenerate cases."""

from __future__ import annotations

import cvxpy
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from methods import MGDA
from methods.min_norm import min_norm_weights
from tests.methods.samplers import TASK_NUMBERS, Matrix, gramian, normal, pareto_stationary, spread_scales

several_tasks = pytest.mark.parametrize("n_tasks", TASK_NUMBERS)


def assert_optimal(gradients: Matrix, tolerance: float = 1e-8) -> None:
    """The optimality conditions: ⟨gᵢ, Gw⟩ >= ‖Gw‖² for every task, with equality where wᵢ > 0.

    Divided by ‖gᵢ‖, they compare lengths along Gw; the tolerance is relative to the lengths wᵢ‖gᵢ‖ that add
    up to Gw, since float64 cannot know what is left after cancellation better than that.
    """
    weights = min_norm_weights(gramian(gradients))
    assert (weights >= 0).all()
    assert weights.sum() == pytest.approx(1.0, abs=1e-12)
    lengths = np.linalg.norm(gradients, axis=0)
    shortest = gradients @ weights
    shortfall = (shortest @ shortest) / lengths - (gradients / lengths).T @ shortest
    scale = (weights * lengths).max()
    assert shortfall.max() <= tolerance * scale
    used = weights * lengths > tolerance * scale
    assert np.abs(shortfall[used]).max() <= tolerance * scale


@several_tasks
def test_optimality_conditions_on_random_gradients(n_tasks: int) -> None:
    for seed in range(20):
        assert_optimal(normal(seed, n_tasks))
        assert_optimal(normal(seed, n_tasks) + 0.5)  # much in common: few tasks active


@several_tasks
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_optimality_conditions_at_low_rank(n_tasks: int, rank: int) -> None:
    for seed in range(10):
        assert_optimal(normal(seed, n_tasks, rank))
        assert_optimal(np.abs(normal(seed, n_tasks, rank)) + 0.1)


@several_tasks
def test_optimality_conditions_with_scales_of_the_tasks_own(n_tasks: int) -> None:
    for seed in range(10):
        assert_optimal(spread_scales(normal(seed, n_tasks), seed, decades=6))
        assert_optimal(spread_scales(normal(seed, n_tasks) + 0.5, seed, decades=6))
        assert_optimal(spread_scales(np.abs(normal(seed, n_tasks, 2)), seed, decades=6))


@several_tasks
@pytest.mark.parametrize("difference", [0.0, 1e-12, 1e-6])
def test_optimality_conditions_with_duplicates(n_tasks: int, difference: float) -> None:
    for seed in range(5):
        gradients = normal(seed, n_tasks)
        copies = gradients * (1.0 + difference * normal(seed + 1, n_tasks))
        assert_optimal(np.hstack([gradients, copies]))
        assert_optimal(np.hstack([gradients, copies, 3.0 * gradients]) + 0.5)


@pytest.mark.parametrize("n_tasks", [2, 3, 11, 40, 100])
def test_agrees_with_a_conic_solver(n_tasks: int) -> None:
    for seed, shift in ((0, 0.0), (1, 0.5)):
        gradients = normal(seed, n_tasks) + shift
        weights = cvxpy.Variable(n_tasks)
        problem = cvxpy.Problem(
            cvxpy.Minimize(cvxpy.sum_squares(gradients @ weights)), [weights >= 0, cvxpy.sum(weights) == 1]
        )
        problem.solve(solver=cvxpy.CLARABEL)
        ours = min_norm_weights(gramian(gradients))
        assert np.sum((gradients @ ours) ** 2) == pytest.approx(problem.value, rel=1e-6)
        assert ours == pytest.approx(weights.value, abs=1e-4)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.integers(1, 4).flatmap(
        lambda d: st.lists(st.lists(st.integers(-3, 3), min_size=d, max_size=d).filter(any), min_size=1, max_size=7)
    )
)
def test_optimality_conditions_on_small_integer_gradients(columns: list[list[int]]) -> None:
    assert_optimal(np.array(columns, dtype=np.float64).T, tolerance=2e-8)


def test_a_long_gradient_does_not_shadow_a_short_one() -> None:
    weights = min_norm_weights(np.diag([1e-24, 1.0, 1e24]))
    assert weights == pytest.approx([1.0, 1e-24, 1e-48], rel=1e-9, abs=1e-16)


def test_extreme_scales_stay_finite() -> None:
    for n_tasks in (2, 11, 100):
        gradients = spread_scales(normal(0, n_tasks), 0, decades=30)
        assert_optimal(gradients)


def test_two_tasks_by_hand() -> None:
    assert min_norm_weights(np.array([[1.0, 2.0], [2.0, 9.0]])) == pytest.approx([1.0, 0.0])  # the shorter one alone
    assert min_norm_weights(np.array([[1.0, -1.0], [-1.0, 4.0]])) == pytest.approx([5.0 / 7.0, 2.0 / 7.0])


def test_a_zero_gradient_takes_all_weight() -> None:
    gradients = normal(0, 4)
    gradients[:, 1] = 0.0
    assert min_norm_weights(gramian(gradients)).tolist() == [0.0, 1.0, 0.0, 0.0]
    assert min_norm_weights(np.zeros((2, 2))).tolist() == [0.5, 0.5]


@pytest.mark.parametrize("n_tasks", [2, 3, 11, 40])
def test_pareto_stationary_gradients_cancel(n_tasks: int) -> None:
    for seed in range(5):
        gradients = spread_scales(pareto_stationary(seed, n_tasks), seed, decades=3)
        weights = min_norm_weights(gramian(gradients))
        parts = np.linalg.norm(gradients, axis=0) * weights
        assert np.linalg.norm(gradients @ weights) <= 1e-7 * parts.sum()


def test_mgda_improves_every_task() -> None:
    for seed in range(20):
        gradients = normal(seed, 11)
        direction = gradients @ MGDA(11).weights(torch.from_numpy(gramian(gradients))).numpy()
        assert (gradients.T @ direction > 0).all()


@several_tasks
def test_mgda_is_the_shortest_combination_times_the_number_of_tasks(n_tasks: int) -> None:
    matrix = gramian(normal(0, n_tasks))
    weights = MGDA(n_tasks).weights(torch.from_numpy(matrix))
    assert weights.dtype == torch.float64
    assert weights.numpy() == pytest.approx(n_tasks * min_norm_weights(matrix), rel=1e-14)
