"""CAGrad's inner problem: optimality by duality, a conic solver, the ball, stationary cases."""

from __future__ import annotations

import cvxpy
import numpy as np
import pytest
import torch

from methods import CAGrad
from methods.cagrad import inner_solution
from tests.methods.samplers import Matrix, gramian, normal, pareto_stationary, spread_scales

several_tasks = pytest.mark.parametrize("n_tasks", [1, 2, 3, 5, 11, 40])
several_radii = pytest.mark.parametrize("c", [0.1, 0.4, 0.9])


def solve(gradients: Matrix, c: float) -> tuple[np.ndarray, float]:
    """The direction d of the paper's problem, and the dual value ⟨g_w, g₀⟩ + c‖g₀‖‖g_w‖, its upper bound."""
    multiplier, weights = inner_solution(gramian(gradients), c)
    assert weights.sum() == pytest.approx(1.0)
    assert (weights >= 0).all()
    mean, inner = gradients.mean(axis=1), gradients @ weights
    return mean + multiplier * inner, inner @ mean + c * np.linalg.norm(mean) * np.linalg.norm(inner)


def size(gradients: Matrix) -> float:
    """What inner products with the mean gradient are of the order of."""
    return np.linalg.norm(gradients, axis=0).max() * np.linalg.norm(gradients.mean(axis=1))


@several_tasks
@several_radii
def test_direction_is_optimal_by_duality(n_tasks: int, c: float) -> None:
    for seed in range(8):
        for gradients in (normal(seed, n_tasks), normal(seed, n_tasks) + 0.5, normal(seed, n_tasks, 3)):
            direction, bound = solve(gradients, c)
            worst = (gradients.T @ direction).min()
            assert bound - worst <= 1e-8 * abs(bound) + 1e-11 * size(gradients)


@several_tasks
@several_radii
def test_direction_is_optimal_at_scales_of_the_tasks_own(n_tasks: int, c: float) -> None:
    """Relative to the optimum itself, which belongs to the task with the shortest gradient."""
    for seed in range(8):
        gradients = spread_scales(normal(seed, n_tasks), seed, decades=4)
        direction, bound = solve(gradients, c)
        assert bound - (gradients.T @ direction).min() <= 1e-6 * abs(bound)
        mean = gradients.mean(axis=1)
        assert np.linalg.norm(direction - mean) == pytest.approx(c * np.linalg.norm(mean), rel=1e-6)


@pytest.mark.parametrize("n_tasks", [2, 3, 11])
@several_radii
def test_agrees_with_a_conic_solver(n_tasks: int, c: float) -> None:
    gradients = normal(0, n_tasks)
    mean = gradients.mean(axis=1)
    direction, worst = cvxpy.Variable(len(mean)), cvxpy.Variable()
    problem = cvxpy.Problem(
        cvxpy.Maximize(worst),
        [gradients.T @ direction >= worst, cvxpy.norm(direction - mean) <= c * np.linalg.norm(mean)],
    )
    problem.solve(solver=cvxpy.CLARABEL, tol_gap_abs=1e-10, tol_gap_rel=1e-10, tol_feas=1e-10)
    ours, _ = solve(gradients, c)
    assert (gradients.T @ ours).min() == pytest.approx(problem.value, rel=1e-8, abs=1e-8)
    assert ours == pytest.approx(direction.value, abs=1e-4)


@several_tasks
@several_radii
def test_direction_lies_on_the_sphere_around_the_mean(n_tasks: int, c: float) -> None:
    for seed in range(5):
        gradients = normal(seed, n_tasks)
        mean = gradients.mean(axis=1)
        direction, _ = solve(gradients, c)
        assert np.linalg.norm(direction - mean) == pytest.approx(c * np.linalg.norm(mean), rel=1e-9)


@several_tasks
@several_radii
def test_worst_improvement_is_no_less_than_the_mean_gradients(n_tasks: int, c: float) -> None:
    for seed in range(8):
        for gradients in (normal(seed, n_tasks), spread_scales(normal(seed, n_tasks), seed, decades=3)):
            direction, _ = solve(gradients, c)
            plain = (gradients.T @ gradients.mean(axis=1)).min()
            assert (gradients.T @ direction).min() >= plain - 1e-12 * size(gradients)


def test_larger_balls_help_the_worst_task() -> None:
    gradients = normal(0, 5)
    worst = [(gradients.T @ solve(gradients, c)[0]).min() for c in (0.0, 0.1, 0.4, 0.9)]
    assert worst == sorted(worst)
    assert worst[0] < worst[-1]


@pytest.mark.parametrize("n_tasks", [3, 5, 11, 40])
@several_radii
def test_stationary_gradients_keep_the_direction_in_the_ball(n_tasks: int, c: float) -> None:
    """The vanishing combination makes g_w small or zero, and the multiplier large or infinite."""
    for seed in range(5):
        opposing = normal(seed, n_tasks)
        opposing[:, 1] = -opposing[:, 0]
        for gradients in (pareto_stationary(seed, n_tasks), opposing):
            direction, bound = solve(gradients, c)
            mean = gradients.mean(axis=1)
            assert np.linalg.norm(direction - mean) <= c * np.linalg.norm(mean) * (1.0 + 1e-9)
            assert bound - (gradients.T @ direction).min() <= 1e-5 * size(gradients)


def test_opposing_gradients_by_hand() -> None:
    """g and −g/2: everything lies on one line, and the mean g/4 is shortened by the share c."""
    gradient = normal(0, 1)
    direction, _ = solve(np.hstack([gradient, -0.5 * gradient]), 0.4)
    assert direction == pytest.approx(0.6 * 0.25 * gradient[:, 0], rel=1e-8)


def test_an_infinite_multiplier_by_hand() -> None:
    """e₁ and −e₁ block each other, so the best worst case is zero: d is the mean without its part along e₁."""
    gradients = np.array([[1.0, -1.0, 0.1], [0.0, 0.0, 3.0]])
    direction, _ = solve(gradients, 0.4)
    assert direction == pytest.approx([0.0, 1.0], abs=1e-4)


def test_a_vanishing_mean_gradient_gives_a_vanishing_direction() -> None:
    gradient = normal(0, 1)
    direction, _ = solve(np.hstack([gradient, -gradient]), 0.4)
    assert np.linalg.norm(direction) <= 1e-12
    assert inner_solution(np.zeros((3, 3)), 0.4)[0] == 0.0


def test_a_zero_gradient_among_others() -> None:
    gradients = normal(0, 4)
    gradients[:, 2] = 0.0
    direction, bound = solve(gradients, 0.4)
    assert np.isfinite(direction).all()
    assert bound - (gradients.T @ direction).min() <= 1e-5 * size(gradients)


@several_tasks
def test_identical_tasks_lengthen_the_mean(n_tasks: int) -> None:
    gradients = np.repeat(normal(0, 1), n_tasks, axis=1)
    direction, _ = solve(gradients, 0.4)
    assert direction == pytest.approx(1.4 * gradients[:, 0], rel=1e-9)


@several_tasks
def test_no_ball_is_linear_scalarisation(n_tasks: int) -> None:
    weights = CAGrad(n_tasks, c=0.0).weights(torch.from_numpy(gramian(normal(0, n_tasks))))
    assert weights.numpy() == pytest.approx(np.ones(n_tasks), rel=1e-12)


@several_radii
def test_rescaling_divides_by_one_plus_c_squared(c: float) -> None:
    gradients = normal(0, 3)
    matrix = torch.from_numpy(gramian(gradients))
    plain = CAGrad(3, c=c, rescale=False).weights(matrix)
    assert CAGrad(3, c=c).weights(matrix).numpy() == pytest.approx(plain.numpy() / (1.0 + c**2), rel=1e-14)
    assert gradients @ plain.numpy() == pytest.approx(3.0 * solve(gradients, c)[0], rel=1e-10)


@several_radii
@pytest.mark.parametrize("scale", [1e-30, 1e-8, 1e8, 1e30])
def test_common_scale_does_not_change_the_weights(c: float, scale: float) -> None:
    gradients = normal(0, 5)
    plain = CAGrad(5, c=c).weights(torch.from_numpy(gramian(gradients)))
    scaled = CAGrad(5, c=c).weights(torch.from_numpy(gramian(scale * gradients)))
    assert scaled.numpy() == pytest.approx(plain.numpy(), rel=1e-8)
