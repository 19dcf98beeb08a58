"""The Nash bargaining solver: the equation, its published special cases, the axioms, and what has no solution."""

from __future__ import annotations

import cvxpy
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from methods import NashMTL, solve_nash
from methods.bargaining import residual, solve_bargaining
from methods.ccp import solve_bargaining_ccp
from tests.methods.samplers import (
    TASK_NUMBERS,
    Matrix,
    gramian,
    normal,
    pareto_stationary,
    spread_scales,
    with_cosine,
)

TOLERANCE = 1e-6


def assert_solves(matrix: Matrix) -> None:
    solution = solve_bargaining(matrix)
    assert solution.status == "solved"
    assert (solution.weights > 0).all()
    assert np.abs(solution.weights * (matrix @ solution.weights) - 1.0).max() <= TOLERANCE


def direction(gradients: Matrix) -> np.ndarray:
    return gradients @ solve_bargaining(gramian(gradients)).weights


# --- the equation Mα = 1/α ---


@pytest.mark.parametrize("n_tasks", TASK_NUMBERS)
def test_solves_random_gramians(n_tasks: int) -> None:
    for seed in range(20):
        assert_solves(gramian(normal(seed, n_tasks)))
        assert_solves(gramian(normal(seed, n_tasks, dimension=n_tasks)))


@pytest.mark.parametrize("n_tasks", TASK_NUMBERS)
@pytest.mark.parametrize("scale", [1e-8, 1e-4, 1e4, 1e8])
def test_solves_at_any_common_scale(n_tasks: int, scale: float) -> None:
    for seed in range(5):
        assert_solves(gramian(scale * normal(seed, n_tasks)))


@pytest.mark.parametrize("n_tasks", TASK_NUMBERS)
def test_solves_with_scales_of_the_tasks_own(n_tasks: int) -> None:
    for seed in range(10):
        assert_solves(gramian(spread_scales(normal(seed, n_tasks), seed, decades=8)))


@pytest.mark.parametrize("n_tasks", [k for k in TASK_NUMBERS if k > 1])
@pytest.mark.parametrize("cosine", [1.0 - 1e-8, -1.0 + 1e-6])
def test_solves_near_duplicates_and_near_opposites(n_tasks: int, cosine: float) -> None:
    for seed in range(10):
        gradients = with_cosine(seed, n_tasks, cosine)
        assert_solves(gramian(gradients))
        assert_solves(gramian(spread_scales(gradients, seed, decades=8)))


@pytest.mark.parametrize("n_tasks", TASK_NUMBERS)
def test_solves_exact_duplicates(n_tasks: int) -> None:
    assert_solves(np.ones((n_tasks, n_tasks)))
    gradients = normal(0, n_tasks)
    assert_solves(gramian(np.hstack([gradients, gradients, 3.0 * gradients])))


@pytest.mark.parametrize("n_tasks", TASK_NUMBERS)
def test_solves_float32_gramians_as_given(n_tasks: int) -> None:
    for seed in range(10):
        for gradients in (normal(seed, n_tasks), spread_scales(normal(seed, n_tasks), seed, decades=8)):
            matrix = gramian(gradients.astype(np.float32))
            assert matrix.dtype == np.float32
            alpha = solve_nash(torch.from_numpy(matrix)).numpy()
            assert alpha.dtype == np.float64
            assert residual(matrix.astype(np.float64), alpha) <= TOLERANCE


def test_reported_residual_is_the_residual() -> None:
    for seed in range(10):
        matrix = gramian(normal(seed, 7))
        solution = solve_bargaining(matrix)
        assert solution.residual == pytest.approx(residual(matrix, solution.weights), abs=1e-13)
        assert residual(matrix, 1.1 * solution.weights) == pytest.approx(0.21, abs=1e-6)


def test_takes_few_newton_steps() -> None:
    iterations = [solve_bargaining(gramian(normal(seed, k))).iterations for seed in range(20) for k in (3, 11, 40)]
    assert max(iterations) <= 12


# --- published special cases and consequences ---


def test_one_task_gets_its_unit_gradient() -> None:
    gradients = 7.0 * normal(0, 1)
    assert direction(gradients) == pytest.approx(gradients[:, 0] / np.linalg.norm(gradients), rel=1e-12)


def test_two_tasks_give_the_sum_of_the_normalised_gradients() -> None:
    for seed in range(20):
        gradients = spread_scales(normal(seed, 2), seed, decades=4)
        bisector = (gradients / np.linalg.norm(gradients, axis=0)).sum(axis=1)
        expected = np.sqrt(2.0) * bisector / np.linalg.norm(bisector)
        assert direction(gradients) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("n_tasks", TASK_NUMBERS)
def test_orthogonal_gradients_give_inverse_lengths(n_tasks: int) -> None:
    lengths = 10.0 ** np.linspace(-5, 5, n_tasks)
    assert solve_bargaining(np.diag(lengths**2)).weights == pytest.approx(1.0 / lengths, rel=1e-12)


@pytest.mark.parametrize("n_tasks", TASK_NUMBERS)
def test_squared_length_is_the_number_of_tasks(n_tasks: int) -> None:
    for seed in range(10):
        gradients = spread_scales(normal(seed, n_tasks), seed, decades=3)
        assert np.sum(direction(gradients) ** 2) == pytest.approx(n_tasks, rel=1e-8)


@pytest.mark.parametrize("n_tasks", TASK_NUMBERS)
def test_every_task_improves_by_the_inverse_of_its_weight(n_tasks: int) -> None:
    for seed in range(10):
        gradients = spread_scales(normal(seed, n_tasks), seed, decades=3)
        alpha = solve_bargaining(gramian(gradients)).weights
        improvement = gradients.T @ (gradients @ alpha)
        assert (improvement > 0).all()
        assert improvement == pytest.approx(1.0 / alpha, rel=1e-6)


# --- axioms ---

task_scales = st.lists(st.floats(-6, 6), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**20), exponents=task_scales)
def test_scale_invariance(seed: int, exponents: list[float]) -> None:
    gradients = normal(seed, len(exponents))
    scaled = gradients * 10.0 ** np.array(exponents)
    assert direction(scaled) == pytest.approx(direction(gradients), rel=1e-7, abs=1e-7)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**20), order=st.integers(1, 12).flatmap(lambda k: st.permutations(range(k))))
def test_permutation_equivariance(seed: int, order: list[int]) -> None:
    matrix = gramian(spread_scales(normal(seed, len(order)), seed, decades=2))
    alpha = solve_bargaining(matrix).weights
    permuted = solve_bargaining(matrix[np.ix_(order, order)]).weights
    assert permuted == pytest.approx(alpha[list(order)], rel=1e-8)


def test_symmetry_of_interchangeable_tasks() -> None:
    for n_tasks in (2, 3, 10, 40):
        for cosine in (-0.9 / (n_tasks - 1), 0.0, 0.5, 1.0):
            matrix = np.full((n_tasks, n_tasks), cosine)
            np.fill_diagonal(matrix, 1.0)
            expected = 1.0 / np.sqrt(1.0 + (n_tasks - 1) * cosine)
            assert solve_bargaining(matrix).weights == pytest.approx(np.full(n_tasks, expected), rel=1e-10)


def sphere(dimension: int) -> np.ndarray:
    """About 100,000 points spread evenly over the unit sphere of R² or R³, ``[N, dimension]``."""
    if dimension == 2:
        angle = np.linspace(0.0, 2.0 * np.pi, 100_000, endpoint=False)
        return np.stack([np.cos(angle), np.sin(angle)], axis=1)
    index = np.arange(100_000)
    height = 1.0 - (2.0 * index + 1.0) / 100_000
    angle = index * np.pi * (3.0 - np.sqrt(5.0))  # Fibonacci lattice
    radius = np.sqrt(1.0 - height**2)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), height], axis=1)


@pytest.mark.parametrize(("dimension", "n_tasks"), [(2, 2), (3, 2), (3, 3)])
def test_maximises_the_sum_of_log_improvements_over_the_ball(dimension: int, n_tasks: int) -> None:
    """By brute force over the sphere (a shorter direction is never better); the maximiser is also Pareto optimal."""
    points = sphere(dimension)
    for seed in range(8):
        gradients = spread_scales(normal(seed, n_tasks, dimension), seed, decades=1)
        ours = direction(gradients) / np.sqrt(n_tasks)
        improvements = points @ gradients  # [N, K]
        agreed = (improvements > 0).all(axis=1)
        assert agreed.any()
        values = np.log(improvements[agreed]).sum(axis=1)
        our_improvements = ours @ gradients
        our_value = np.log(our_improvements).sum()
        assert our_value >= values.max() - 1e-9
        assert our_value - values.max() < 0.05  # the grid comes close
        assert ours == pytest.approx(points[agreed][values.argmax()], abs=0.02)
        assert not (improvements > our_improvements + 1e-9 * np.linalg.norm(gradients, axis=0)).all(axis=1).any()


def test_no_shorter_direction_is_better() -> None:
    gradients = normal(3, 3, 3)
    ours = direction(gradients) / np.sqrt(3)
    inside = np.random.default_rng(0).uniform(-1, 1, size=(200_000, 3))
    improvements = inside[(inside**2).sum(axis=1) <= 1.0] @ gradients
    values = np.log(improvements[(improvements > 0).all(axis=1)]).sum(axis=1)
    assert np.log(ours @ gradients).sum() > values.max()


# --- against other solvers ---


@pytest.mark.parametrize("n_tasks", [1, 2, 3, 11, 40])
def test_agrees_with_a_conic_solver_on_the_convex_problem(n_tasks: int) -> None:
    for seed in range(3):
        gradients = normal(seed, n_tasks)
        gradients /= np.linalg.norm(gradients, axis=0)
        alpha = cvxpy.Variable(n_tasks)
        objective = 0.5 * cvxpy.sum_squares(gradients @ alpha) - cvxpy.sum(cvxpy.log(alpha))
        cvxpy.Problem(cvxpy.Minimize(objective)).solve(solver=cvxpy.CLARABEL)
        assert solve_bargaining(gramian(gradients)).weights == pytest.approx(alpha.value, rel=1e-4)


# --- no solution ---

solvers = pytest.mark.parametrize("solver", ["newton", "ccp"])


def solve(matrix: Matrix, solver: str):
    if solver == "newton":
        return solve_bargaining(matrix)
    return solve_bargaining_ccp(matrix, np.ones(len(matrix)), max_steps=20)


@solvers
def test_a_task_with_a_zero_gradient_sits_out(solver: str) -> None:
    gradients = normal(0, 4)
    gradients[:, 2] = 0.0
    solution = solve(gramian(gradients), solver)
    assert solution.status == "zero_gradient"
    assert solution.weights[2] == 1.0
    others = [0, 1, 3]
    assert solution.weights[others] == pytest.approx(
        solve_bargaining(gramian(gradients[:, others])).weights, rel=1e-4
    )
    assert solution.residual <= 1e-5


@solvers
def test_all_gradients_zero(solver: str) -> None:
    solution = solve(np.zeros((3, 3)), solver)
    assert solution.status == "zero_gradient"
    assert solution.weights.tolist() == [1.0, 1.0, 1.0]


@solvers
@pytest.mark.parametrize("ratio", [1.0, 1e-3, 1e6])
def test_exactly_opposing_gradients_are_stationary(ratio: float, solver: str) -> None:
    gradient = normal(0, 1)[:, 0]
    gradients = np.stack([gradient, -ratio * gradient], axis=1)
    solution = solve(gramian(gradients), solver)
    if solver == "newton" or ratio == 1.0:  # the sequence may stop early at scales it cannot handle, and says so
        assert solution.status == "stationary"
        assert solution.weights == pytest.approx(2.0 * np.array([ratio, 1.0]) / (1.0 + ratio), rel=1e-9)
        assert np.isnan(solution.residual)
    assert np.isfinite(solution.weights).all()


@pytest.mark.parametrize("n_tasks", [2, 3, 11])
@pytest.mark.parametrize("decades", [0, 6])
def test_pareto_stationary_gradients(n_tasks: int, decades: int) -> None:
    for seed in range(10):
        gradients = spread_scales(pareto_stationary(seed, n_tasks), seed, decades)
        solution = solve_bargaining(gramian(gradients))
        assert solution.status == "stationary"
        assert solution.weights.sum() == pytest.approx(n_tasks)
        assert (solution.weights >= 0).all()
        parts = np.linalg.norm(gradients, axis=0) * solution.weights
        assert np.linalg.norm(gradients @ solution.weights) <= 1e-6 * parts.sum()


def test_stationary_tasks_beside_one_with_a_zero_gradient() -> None:
    """The task with a zero gradient sits out here too, rather than taking all the weight."""
    gradient = normal(0, 1)[:, 0]
    gradients = np.stack([gradient, np.zeros_like(gradient), -gradient], axis=1)
    solution = solve_bargaining(gramian(gradients))
    assert solution.status == "stationary"
    assert solution.weights == pytest.approx([1.0, 1.0, 1.0])


def vanishing_combination_exists(gradients: Matrix) -> bool:
    """Whether some convex combination of the columns is zero, by linear programming."""
    n_tasks = gradients.shape[1]
    constraints = np.vstack([gradients, np.ones(n_tasks)])
    right = np.append(np.zeros(len(gradients)), 1.0)
    return linprog(np.zeros(n_tasks), A_eq=constraints, b_eq=right, bounds=(0, None), method="highs").status == 0


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.integers(1, 4).flatmap(
        lambda d: st.lists(st.lists(st.integers(-2, 2), min_size=d, max_size=d), min_size=1, max_size=6)
    )
)
def test_small_integer_gradients_get_the_right_status(columns: list[list[int]]) -> None:
    """Small integers meet zeros, duplicates, opposites and stationary points exactly."""
    gradients = np.array(columns, dtype=np.float64).T
    solution = solve_bargaining(gramian(gradients))
    zero = ~gradients.any(axis=0)
    moving = gradients[:, ~zero]
    if moving.size and vanishing_combination_exists(moving):
        assert solution.status == "stationary"
        assert np.linalg.norm(gradients @ solution.weights) <= 1e-6
        assert solution.weights[~zero].sum() == pytest.approx((~zero).sum())
    else:
        assert solution.status == ("zero_gradient" if zero.any() else "solved")
        if moving.size:
            assert residual(gramian(moving), solution.weights[~zero]) <= TOLERANCE
    assert (solution.weights[zero] == 1).all()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_non_finite_gramian_is_an_error(value: float) -> None:
    matrix = torch.eye(3, dtype=torch.float64)
    matrix[0, 1] = matrix[1, 0] = value
    with pytest.raises(ValueError, match="NaN or infinite"):
        solve_nash(matrix)


@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 2, 2)])
def test_a_matrix_that_is_no_gramian_is_an_error(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected a Gramian \[K, K\]"):
        solve_nash(torch.ones(shape))


@pytest.mark.parametrize(
    ("matrix", "reason"),
    [([[1.0, 0.0], [0.0, 0.0]], "zero_gradient"), ([[1.0, -1.0], [-1.0, 1.0]], "stationary")],
)
def test_solve_nash_says_why_there_is_no_solution(matrix: list[list[float]], reason: str) -> None:
    with pytest.raises(ValueError, match=rf"no solution for this Gramian \({reason}\)"):
        solve_nash(torch.tensor(matrix))


def test_indefinite_matrices_never_give_negative_weights() -> None:
    """Rounding in float32 makes Gramians slightly indefinite; noise makes these ones more so."""
    for seed in range(200):
        noise = np.random.default_rng(seed).normal(size=(5, 5))
        matrix = gramian(pareto_stationary(seed, 5)) + 0.1 * (noise + noise.T)
        if (np.diag(matrix) <= 0).any():
            continue
        solution = solve_bargaining(matrix)
        assert np.isfinite(solution.weights).all()
        assert (solution.weights >= 0).all()


# --- the method's use of the solver ---


def test_method_and_function_agree() -> None:
    matrix = torch.from_numpy(gramian(normal(0, 4)))
    assert torch.equal(NashMTL(4).weights(matrix), solve_nash(matrix))
