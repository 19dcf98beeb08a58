"""The Nash bargaining problem: given a Gramian M = GᵀG, find α > 0 with Mα = 1/α, exactly and at any scale."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.linalg.lapack import dposv
from torch import Tensor, from_numpy

from methods.arrays import Matrix, Vector
from methods.min_norm import min_norm_weights

#: Residual max|α∘(Mα) − 1| up to which a Gramian counts as solved.
RESIDUAL_TOLERANCE = 1e-6
#: Squared length of the shortest convex combination of the unit-length gradients up to which an unsolved
#: Gramian counts as Pareto stationary.
STATIONARY_TOLERANCE = 1e-9

#: Where Newton stops: five digits below the tolerance, and above what rounding leaves of K = 100 sums (1e-13).
_TARGET_RESIDUAL = 1e-11
#: Never met by a Gramian with a solution (4 to 12 steps); near a stationary point each step multiplies the weights.
_MAX_ITERATIONS = 200
#: In unit-length coordinates: α² times the cosines' rounding (1e-16) is then 100, and no digit of α∘(Mα) is right.
_LARGEST_WEIGHT = 1e9
#: Growth of a weight in one step: without a bound the line search of an unbounded problem has no end. Three such
#: steps reach the largest weight.
_LONGEST_STEP = 1e3


class BargainingSolution(NamedTuple):
    """A solution of Mα = 1/α, or what stands in for one.

    ``weights`` ``[K]``: α, float64. ``status``:

    * ``"solved"``;
    * ``"zero_gradient"``: tasks with a zero gradient cannot bargain, the others are solved;
    * ``"stationary"``: a convex combination of the non-zero gradients vanishes, so that no direction improves
      all tasks and no α exists; ``weights`` are those of that combination, times the number of tasks in the
      bargaining;
    * ``"not_converged"``: neither was reached to its tolerance; ``weights`` as for ``"stationary"``.

    A task with a zero gradient has weight 1: it adds nothing to Gα, and its head, which may be what keeps the
    gradient at zero (a last layer that starts at zero), goes on.

    ``residual``: max|α∘(Mα) − 1| over the bargaining tasks, NaN where there is no solution.
    ``iterations``: Newton steps or convex problems.
    """

    weights: Vector
    status: str
    residual: float
    iterations: int


def solve_nash(gramian: Tensor) -> Tensor:
    """Task weights α ``[K]`` with GᵀGα = 1/α (float64, on the Gramian's device), for a Gramian ``[K, K]``.

    Navon et al., ICML 2022, Claim 3.1. The equation is the optimality condition of the strictly convex
    problem min ½αᵀMα − Σ log αᵢ, solved by damped Newton after scaling M to unit diagonal:
    max|α∘(Mα) − 1| <= 1e-6 at any scale of the gradients.

    Raises ``ValueError`` where there is no solution: a zero or non-finite gradient, or a Pareto-stationary
    point. :class:`methods.NashMTL` handles these cases instead, as :class:`BargainingSolution` says.
    """
    solution = solve_bargaining(gramian.detach().double().cpu().numpy())
    if solution.status != "solved":
        raise ValueError(
            f"the Nash bargaining problem has no solution for this Gramian ({solution.status}): a gradient is "
            "zero, or a convex combination of the gradients vanishes (a Pareto-stationary point)."
        )
    return from_numpy(solution.weights).to(gramian.device)


def solve_bargaining(gramian: Matrix) -> BargainingSolution:
    """Solve the bargaining problem of a Gramian ``[K, K]`` (float64) by damped Newton, whatever the Gramian.

    Raises ``ValueError`` if the Gramian is not square or not finite.
    """
    _check(gramian)
    return among_nonzero(gramian, _solve)


def _solve(gramian: Matrix) -> BargainingSolution:
    """Solve for gradients none of which is zero."""
    length = np.sqrt(np.diag(gramian))
    scaled, iterations = _newton(cosines := gramian / np.outer(length, length))
    scaled_residual = residual(cosines, scaled)
    if scaled_residual <= RESIDUAL_TOLERANCE and (scaled > 0).all():  # rounding can make a Gramian indefinite
        return BargainingSolution(scaled / length, "solved", scaled_residual, iterations)
    return no_solution(gramian, iterations)


def among_nonzero(gramian: Matrix, solve: Callable[[Matrix], BargainingSolution]) -> BargainingSolution:
    """``solve`` the bargaining of the tasks whose gradient is not zero; the others have weight 1."""
    bargaining = np.diag(gramian) > 0.0
    if bargaining.all():
        return solve(gramian)
    weights = np.ones(len(gramian))
    if not bargaining.any():
        return BargainingSolution(weights, "zero_gradient", 0.0, 0)
    solution = solve(gramian[np.ix_(bargaining, bargaining)])
    weights[bargaining] = solution.weights
    status = "zero_gradient" if solution.status == "solved" else solution.status
    return solution._replace(weights=weights, status=status)


def residual(gramian: Matrix, alpha: Vector) -> float:
    """max|α∘(Mα) − 1|: zero for the exact solution."""
    return float(np.abs(alpha * (gramian @ alpha) - 1.0).max())


def no_solution(gramian: Matrix, iterations: int) -> BargainingSolution:
    """The shortest convex combination, with the status that its length earns."""
    squared_lengths = np.diag(gramian)
    shortest = min_norm_weights(gramian)
    # Length relative to the gradients it is made of: in unit-length coordinates and weights of sum one.
    scaled = shortest * np.sqrt(squared_lengths)
    cancelled = (shortest @ gramian @ shortest) / max(scaled.sum() ** 2, np.finfo(np.float64).tiny)
    status = "stationary" if cancelled <= STATIONARY_TOLERANCE else "not_converged"
    return BargainingSolution(len(gramian) * shortest, status, float("nan"), iterations)


def _check(gramian: Matrix) -> None:
    if gramian.ndim != 2 or gramian.shape[0] != gramian.shape[1]:
        raise ValueError(f"expected a Gramian [K, K], got shape {gramian.shape}.")
    if not np.isfinite(gramian).all():
        raise ValueError("the Gramian holds NaN or infinite entries; are the gradients finite?")


def _newton(cosines: Matrix) -> tuple[Vector, int]:
    """Damped Newton for a Gramian of unit diagonal ``[K, K]``; returns the last iterate and the steps made.

    In relative coordinates p = Δα/α the Newton system is (ACA + I) p = 1 − α∘(Cα) with A = diag(α): its
    eigenvalues are at least one, however far apart the weights.
    """
    n = len(cosines)
    total = cosines.sum()
    alpha = np.full(n, np.sqrt(n / total) if total > 1e-8 * n else 1.0)
    best, best_residual = alpha, np.inf
    near = False  # in the region of quadratic convergence
    for iteration in range(_MAX_ITERATIONS):
        scaled = alpha[:, None] * cosines * alpha  # ACA, [K, K]
        missing = 1.0 - scaled.sum(axis=1)  # 1 − α∘(Cα), zero at the solution
        worst = np.abs(missing).max()
        if near and worst >= best_residual:
            return best, iteration  # rounding, not Newton, decides from here on
        if worst < best_residual:
            best, best_residual = alpha, worst
        if worst <= _TARGET_RESIDUAL or alpha.max() > _LARGEST_WEIGHT:
            return best, iteration
        change = newton_step(scaled, 1.0, missing)
        if change is None:
            return best, iteration
        decrement = np.sqrt(max(missing @ change, 0.0))
        # Below 1/4, full steps of Newton on a self-concordant function converge quadratically (Nesterov and
        # Nemirovskii, 1994); the margin is for rounding.
        near = decrement < 0.2
        if not near:
            change = _line_search(scaled, 1.0 - missing, change, decrement) * change
        alpha = alpha + alpha * change
    return best, _MAX_ITERATIONS


def newton_step(scaled: Matrix, shift: float, missing: Vector) -> Vector | None:
    """Solve (ACA + shift·I) p = ``missing``; ``None`` where rounding has used up the digits of ACA.

    LAPACK is called directly: at these sizes a general wrapper costs more than the factorisation.
    """
    system = scaled.copy()
    system.ravel()[:: len(system) + 1] += shift
    _, solution, info = dposv(system, missing)
    if info == 0:
        return solution
    try:
        return np.linalg.solve(system, missing)
    except np.linalg.LinAlgError:
        return None


def _line_search(scaled: Matrix, products: Vector, change: Vector, decrement: float) -> float:
    """The minimum of the objective along α∘(1 + t·change), by Newton on its derivative in t.

    The objective is self-concordant: 1/(1 + decrement) is always a safe first step (Nesterov and
    Nemirovskii, 1994).
    """
    curvature = float(change @ scaled @ change)
    slope = float(products @ change)
    falling = change.min()
    limit = min(_LONGEST_STEP, -0.99 / falling) if falling < 0 else _LONGEST_STEP
    step = min(1.0 / (1.0 + decrement), limit)
    for _ in range(20):
        ratio = change / (1.0 + step * change)
        first = step * curvature + slope - ratio.sum()
        second = curvature + ratio @ ratio
        if not second > 0.0:  # rounding has made the Gramian indefinite
            return step
        following = min(step - first / second, limit)
        if following <= 0:
            following = 0.5 * step
        if abs(following - step) <= 1e-2 * step:
            return following
        step = following
    return step
