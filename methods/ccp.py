"""The paper's own solver: the Nash bargaining problem by a sequence of convex problems (CCP) through cvxpy."""

from __future__ import annotations

import warnings

import numpy as np

from methods.arrays import Matrix, Vector
from methods.bargaining import RESIDUAL_TOLERANCE, BargainingSolution, among_nonzero, no_solution, residual

_UNCHANGED = 1e-6  # relative change of the weights at which the sequence has converged
_PRECISION = {"tol_gap_abs": 1e-10, "tol_gap_rel": 1e-10, "tol_feas": 1e-10}  # a flat optimum is found to their root


def solve_bargaining_ccp(gramian: Matrix, start: Vector, max_steps: int) -> BargainingSolution:
    """Solve Mα = 1/α as Navon et al., ICML 2022, section 3.2 do, from ``start`` ``[K]`` (positive).

    With φ(α) = Σᵢ log αᵢ + log (Mα)ᵢ, each problem minimises Σᵢ (Mα)ᵢ + ⟨∇φ(αₜ), α⟩ subject to
    log αᵢ + log (Mα)ᵢ >= 0 and α > 0; its solution is the next αₜ. The two terms of the objective grow differently
    with the gradients' scale, so that the sequence, unlike its limit, depends on it: the problem solved is that of
    M as given, whatever variables it is handed to the conic solver in. Slow (a modelling layer and a conic solver
    for every problem) and not always converged after ``max_steps``: kept as the reference and for the paper's
    Figure 6.

    A task with a zero gradient sits out, as in the exact solver. Unlike there, the last iterate is returned with
    status ``"not_converged"`` and its residual where the residual exceeds the tolerance, as the paper trained with
    such weights. Without an iterate, as where the conic solver fails at the first problem, the shortest convex
    combination stands in.
    """
    start = start[np.diag(gramian) > 0]
    return among_nonzero(gramian, lambda nonzero: _solve(nonzero, start, max_steps))


def _solve(gramian: Matrix, start: Vector, max_steps: int) -> BargainingSolution:
    """The sequence for gradients none of which is zero."""
    import cvxpy  # takes a second to import, and only this solver needs it

    # α = z / length: the constraint is then log z + log Cz >= 0 with C the matrix of cosines.
    length = np.sqrt(np.diag(gramian))
    cosines = gramian / np.outer(length, length)
    z = start * length
    variable = cvxpy.Variable(len(gramian), pos=True)
    feasible = [cvxpy.log(variable) + cvxpy.log(cosines @ variable) >= 0]
    steps, found = 0, False
    for _ in range(max_steps):
        steps += 1
        products = cosines @ z  # Mα / length
        if not products.all():
            break  # φ has no gradient where a product is zero, as between exactly opposing gradients
        slope = 1.0 / z + cosines @ (1.0 / products)  # ∇φ(αₜ) / length
        objective = cosines @ length + slope  # of Σᵢ (Mα)ᵢ + ⟨∇φ(αₜ), α⟩, by z
        objective /= np.abs(objective).max()
        problem = cvxpy.Problem(cvxpy.Minimize(objective @ variable), feasible)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # "may be inaccurate": the residual tells
                problem.solve(solver=cvxpy.CLARABEL, **_PRECISION)
        except cvxpy.error.SolverError:
            break
        if variable.value is None or not (variable.value > 0).all():
            break
        change = np.abs(variable.value - z).max() / np.abs(z).max()
        z, found = variable.value, True
        if change <= _UNCHANGED:
            break
    if not found:
        return no_solution(gramian, steps)
    alpha = z / length
    remaining = residual(gramian, alpha)
    status = "solved" if remaining <= 10 * RESIDUAL_TOLERANCE else "not_converged"
    return BargainingSolution(alpha, status, remaining, steps)
