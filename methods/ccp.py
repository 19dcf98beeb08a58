"""The paper's own solver: the Nash bargaining problem by a sequence of convex problems (CCP) through cvxpy."""

from __future__ import annotations

import warnings

import numpy as np

from methods.bargaining import RESIDUAL_TOLERANCE, Matrix, NashSolution, Vector, among_nonzero, no_solution, residual

_UNCHANGED = 1e-6  # relative change of α at which the sequence has converged


def solve_bargaining_ccp(gramian: Matrix, start: Vector, max_steps: int) -> NashSolution:
    """Solve Mα = 1/α as Navon et al., ICML 2022, section 3.2 do, from ``start`` ``[K]`` (positive).

    With φ(α) = Σᵢ log αᵢ + log (Mα)ᵢ, each problem minimises Σᵢ (Mα)ᵢ + ⟨∇φ(αₜ), α⟩ subject to
    φᵢ(α) >= 0 and α > 0; its solution is the next αₜ. Slow (a modelling layer and a conic solver for every
    problem) and not always converged after ``max_steps``: kept as the reference and for the paper's Figure 6.

    A task with a zero gradient sits out, as in the exact solver. Unlike there, the last iterate is returned with
    status ``"not_converged"`` and its residual where the residual exceeds the tolerance, as the paper trained with
    such weights. Without an iterate, as where the conic solver fails at the first problem, the shortest convex
    combination stands in.
    """
    start = start[np.diag(gramian) > 0]
    return among_nonzero(gramian, lambda nonzero: _solve(nonzero, start, max_steps))


def _solve(gramian: Matrix, start: Vector, max_steps: int) -> NashSolution:
    """The sequence for gradients none of which is zero."""
    import cvxpy  # takes a second to import, and only this solver needs it

    scale = np.linalg.norm(gramian)
    normalised = gramian / scale  # solved by α·√scale
    alpha = start * np.sqrt(scale)
    variable = cvxpy.Variable(len(gramian), pos=True)
    products = normalised @ variable
    feasible = [cvxpy.log(variable) + cvxpy.log(products) >= 0]
    steps, found = 0, False
    for _ in range(max_steps):
        steps += 1
        products_now = normalised @ alpha
        if not products_now.all():
            break  # φ has no gradient where a product is zero, as between exactly opposing gradients
        slope = 1.0 / alpha + normalised @ (1.0 / products_now)
        problem = cvxpy.Problem(cvxpy.Minimize(cvxpy.sum(products) + slope @ variable), feasible)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # "may be inaccurate": the residual tells
                problem.solve(solver=cvxpy.CLARABEL)
        except cvxpy.error.SolverError:
            break
        if variable.value is None or not (variable.value > 0).all():
            break
        change = np.abs(variable.value - alpha).max() / np.abs(alpha).max()
        alpha, found = variable.value, True
        if change <= _UNCHANGED:
            break
    if not found:
        return no_solution(gramian, steps)
    alpha = alpha / np.sqrt(scale)
    remaining = residual(gramian, alpha)
    status = "solved" if remaining <= 10 * RESIDUAL_TOLERANCE else "not_converged"
    return NashSolution(alpha, status, remaining, steps)
