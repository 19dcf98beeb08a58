"""The paper's sequence of convex problems: its iterates and its limit at any scale of the gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from methods import NashMTL, solve_nash
from methods.bargaining import residual, solve_bargaining
from methods.ccp import solve_bargaining_ccp
from tests.methods.samplers import Matrix, gramian, normal, with_cosine


def next_weights(matrix: Matrix, alpha: np.ndarray) -> np.ndarray:
    """One problem of the sequence as the paper states it, of the Gramian as given: by SLSQP, in u = log α.

    Minimise Σᵢ (Mα)ᵢ + ⟨∇φ(αₜ), α⟩ subject to log αᵢ + log (Mα)ᵢ >= 0, with φ(α) = Σᵢ log αᵢ + log (Mα)ᵢ.
    """
    slope = 1.0 / alpha + matrix @ (1.0 / (matrix @ alpha))
    objective = matrix.sum(axis=0) + slope
    start = np.log(1.5 * solve_bargaining(matrix).weights)  # inside: every product is 1.5²
    unit = objective @ np.exp(start)
    found = minimize(
        lambda u: objective @ np.exp(u) / unit,
        start,
        jac=lambda u: objective * np.exp(u) / unit,
        method="SLSQP",
        constraints={
            "type": "ineq",
            "fun": lambda u: u + np.log(matrix @ np.exp(u)),
            "jac": lambda u: np.eye(len(u)) + matrix * np.exp(u) / (matrix @ np.exp(u))[:, None],
        },
        options={"ftol": 1e-15, "maxiter": 500},
    )
    return np.exp(found.x)


def conflicting(n_tasks: int, scale: float) -> Matrix:
    """The Gramian of gradients of length ``scale`` but for the second, four times as long and against the first."""
    gradients = scale * with_cosine(1, n_tasks, -0.8)
    gradients[:, 1] *= 4.0
    return gramian(gradients)


@pytest.mark.parametrize("scale", [1e-2, 1.0, 1e2])
@pytest.mark.parametrize("n_tasks", [2, 3, 5])
@pytest.mark.parametrize("steps", [1, 2, 4])
def test_iterates_are_those_of_the_problem_as_stated(n_tasks: int, scale: float, steps: int) -> None:
    matrix = conflicting(n_tasks, scale)
    alpha = np.ones(n_tasks)
    for _ in range(steps):
        alpha = next_weights(matrix, alpha)
    ours = solve_bargaining_ccp(matrix, np.ones(n_tasks), steps)
    assert ours.weights == pytest.approx(alpha, rel=1e-4)


def test_the_sequence_depends_on_the_gradients_scale() -> None:
    """Of long gradients the first term of the objective outweighs the second, which alone leads to the solution."""
    short, long = (solve_bargaining_ccp(conflicting(3, scale), np.ones(3), 20) for scale in (1.0, 100.0))
    assert (short.status, long.status) == ("solved", "not_converged")
    assert long.residual > 0.5
    assert long.residual == pytest.approx(residual(conflicting(3, 100.0), long.weights))


@pytest.mark.parametrize("n_tasks", [2, 3, 11, 20])
def test_agrees_with_newton_on_well_scaled_gramians(n_tasks: int) -> None:
    matrix = gramian(normal(0, n_tasks))
    exact = solve_bargaining(matrix)
    sequence = solve_bargaining_ccp(matrix, np.ones(n_tasks), max_steps=20)
    assert sequence.status == "solved"
    assert 1 <= sequence.iterations <= 20
    assert sequence.weights == pytest.approx(exact.weights, rel=1e-6)


def test_after_one_step_it_is_an_iterate_with_its_residual() -> None:
    matrix = conflicting(3, 100.0)
    solution = solve_bargaining_ccp(matrix, np.full(3, 1.0), max_steps=1)
    assert (solution.iterations, solution.status) == (1, "not_converged")
    assert (solution.weights > 0).all()
    assert solution.residual == pytest.approx(residual(matrix, solution.weights))


def test_the_method_starts_from_the_previous_weights() -> None:
    matrix = torch.from_numpy(conflicting(4, 10.0))
    method = NashMTL(4, solver="ccp", ccp_steps=1)
    for previous in ([100.0, 1.0, 0.01, 1.0], solve_nash(matrix).tolist()):
        method.alpha = torch.tensor(previous, dtype=torch.float64)
        expected = solve_bargaining_ccp(matrix.numpy(), np.array(previous), 1)
        assert method.weights(matrix).tolist() == expected.weights.tolist()
    assert expected.residual < 1e-6
