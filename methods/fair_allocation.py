"""The α-fair allocation problem: given a Gramian M = GᵀG, find w > 0 with Mw = w^(−1/α), exact at any common scale.

It generalises :mod:`methods.bargaining`, which is α = 1, and has a solution for the same Gramians.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from methods.arrays import Matrix, Vector
from methods.bargaining import (
    RESIDUAL_TOLERANCE,
    BargainingSolution,
    among_nonzero,
    newton_step,
    no_solution,
    solve_bargaining,
)

#: Where Newton stops: five digits below the tolerance.
_TARGET_RESIDUAL = 1e-11
#: Gramians with a solution take 4 to 45 steps for α up to 2, ten times as many for α = 10, where weights are many
#: decades apart; next to one without a solution each step multiplies the weights.
_MAX_ITERATIONS = 500
#: Steps without a smaller residual after which rounding, not Newton, is taken to decide.
_PATIENCE = 3
#: Of a task's wᵢ²‖gᵢ‖² in units of wᵢ(Mw)ᵢ: no digit of their sum is right above it (1e-16 times this is 100).
_LARGEST_CANCELLATION = 1e18
#: Growth of that ratio in one step, as in :mod:`methods.bargaining`, and what is left of a weight that falls.
_GROWTH, _SHORTEST_REST = 1e6, 1e-3


def solve_fair_allocation(gramian: Matrix, alpha: float) -> BargainingSolution:
    """Weights w ``[K]`` with Mw = w^(−1/α) for a Gramian M ``[K, K]`` (float64) and 0 < α < ∞, whatever the Gramian.

    The equation is the optimality condition of the strictly convex problem min ½wᵀMw − Σ φ(wᵢ) with
    φ' = w^(−1/α), solved by damped Newton in relative coordinates, Δw/w, with every task's weight in units of what
    it would be alone, ‖gᵢ‖^(−2α/(1+α)).

    The result is a :class:`methods.bargaining.BargainingSolution` with w as its ``weights`` and
    max|w^(1/α)∘(Mw) − 1| as its ``residual``, at most 1e-6 where the status is ``"solved"``; the other statuses mean
    what they mean there. α = 1 is handed to that module's solver. For other α the products Mw of gradients whose
    lengths are more than some six decades apart can lose the digits that the tolerance asks for, which is then
    ``"not_converged"``.
    """
    if alpha == 1.0:
        return solve_bargaining(gramian)
    return among_nonzero(gramian, lambda inner: _solve(inner, 1.0 / alpha))


def _solve(gramian: Matrix, exponent: float) -> BargainingSolution:
    """Solve for gradients none of which is zero; ``exponent`` is 1/α."""
    length = np.sqrt(np.diag(gramian))
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # what is not finite counts as unsolved
        ratio = (length / np.exp(np.log(length).mean())) ** ((1.0 - exponent) / (1.0 + exponent))
        problem = _Problem(gramian / np.outer(length, length), ratio, exponent)
        scaled, worst, iterations = _newton(problem)
        weights = scaled * length ** (-2.0 / (1.0 + exponent))
    if worst <= RESIDUAL_TOLERANCE and (weights > 0.0).all() and np.isfinite(weights).all():
        return BargainingSolution(weights, "solved", worst, iterations)
    return no_solution(gramian, iterations)


class _Problem(NamedTuple):
    """In units uᵢ of what each weight would be alone; ``ratio``: how the units differ, ‖gᵢ‖^((α−1)/(α+1))."""

    cosines: Matrix
    ratio: Vector
    exponent: float

    def missing(self, scaled: Vector) -> Vector:
        """1 − w^(1/α)∘(Mw), zero at the solution."""
        products: Vector = self.ratio * (self.cosines @ (scaled / self.ratio))
        return 1.0 - scaled**self.exponent * products

    def root_scale(self, scaled: Vector) -> Vector:
        """τ with τᵢ² in proportion to wᵢ^(1−1/α): what symmetrises the Newton system."""
        root: Vector = scaled ** (0.5 * (1.0 - self.exponent)) / self.ratio
        return root / root.max()


def _newton(problem: _Problem) -> tuple[Vector, float, int]:
    """The last iterate, its residual and the steps made.

    In relative coordinates p = Δw/w and with q = τ∘p the Newton system is (BCB + I/α) q = τ∘(1 − w^(1/α)∘(Mw)), B the
    diagonal matrix of u^((1+1/α)/2): its eigenvalues are at least 1/α, however far apart the weights.
    """
    exponent = problem.exponent
    scaled, near = _start(problem), False  # near: in the region of quadratic convergence
    best, best_residual, stalled = scaled, np.inf, 0
    for iteration in range(_MAX_ITERATIONS):
        missing = problem.missing(scaled)
        worst = float(np.abs(missing).max())
        stalled = 0 if worst < best_residual else stalled + 1
        if worst < best_residual:
            best, best_residual = scaled, worst
        if not np.isfinite(worst) or (near and stalled >= _PATIENCE):
            return best, best_residual, iteration
        half = scaled ** (0.5 * (1.0 + exponent))
        if worst <= _TARGET_RESIDUAL or half.max() ** 2 > _LARGEST_CANCELLATION:
            return best, best_residual, iteration
        system = half[:, None] * problem.cosines * half  # BCB, [K, K]
        root = problem.root_scale(scaled)
        step = newton_step(system, exponent, root * missing)
        if step is None:
            return best, best_residual, iteration
        change = step / root
        near = np.abs(change).max() * (1.0 + exponent) < 0.25
        if not near:
            change = _line_search(system, step, root, missing, exponent) * change
        scaled = scaled + scaled * change
    return best, best_residual, _MAX_ITERATIONS


def _start(problem: _Problem) -> Vector:
    """Equal weights in units of their own, at the best common scale."""
    ones = np.ones(len(problem.cosines))
    square = problem.root_scale(ones) ** 2
    products = float(square @ (1.0 - problem.missing(ones)))
    if not products > 1e-8 * square.sum():
        return ones
    return ones * (square.sum() / products) ** (1.0 / (1.0 + problem.exponent))


def _line_search(system: Matrix, step: Vector, root: Vector, missing: Vector, exponent: float) -> float:
    """The minimum of the objective along w∘(1 + t·p), p = q/τ, by Newton on its derivative in t within a bracket."""
    change = step / root
    square = root * step  # τ²∘p
    curvature = float(step @ system @ step)
    slope = float(square @ (1.0 - missing))
    falling = float(change.min())
    high = float(_GROWTH ** (1.0 / (1.0 + exponent)))
    if falling < 0.0:
        high = min(high, (_SHORTEST_REST - 1.0) / falling)
    if high * curvature + slope - square @ (1.0 + high * change) ** -exponent <= 0.0:
        return high
    low, at = 0.0, min(1.0, 0.5 * high)
    for _ in range(40):
        factor = 1.0 + at * change
        first = at * curvature + slope - float(square @ factor**-exponent)
        second = curvature + exponent * float((square * change) @ factor ** (-exponent - 1.0))
        low, high = (at, high) if first < 0.0 else (low, at)
        following = at - first / second if second > 0.0 else low
        if not low < following < high:
            following = 0.5 * (low + high)
        if abs(following - at) <= 1e-2 * at:
            return following
        at = following
    return at
