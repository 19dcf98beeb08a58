"""Theorems 5.4 and 5.5, executed: with the step size minᵢ 1/(L K αᵢ) every loss falls at every step, and the iterates
reach a Pareto-stationary point, which for convex losses is Pareto optimal."""

from __future__ import annotations

import numpy as np
import pytest

from methods.min_norm import min_norm_weights
from tests.theory.descent import SmoothProblem, bowls, descend, wells

SHAPES = [(2, 2), (3, 3), (3, 10), (5, 8)]  # tasks, dimensions


def convex(n_tasks: int, dimension: int, seed: int) -> tuple[SmoothProblem, np.ndarray]:
    rng = np.random.default_rng(seed)
    roots = rng.normal(size=(n_tasks, dimension, dimension))
    curvatures = roots @ roots.transpose(0, 2, 1) / dimension + 0.3 * np.eye(dimension)
    return bowls(rng.normal(size=(n_tasks, dimension)), curvatures), 3.0 * rng.normal(size=dimension)


def non_convex(n_tasks: int, dimension: int, seed: int) -> tuple[SmoothProblem, np.ndarray]:
    rng = np.random.default_rng(seed)
    problem = wells(0.7 * rng.normal(size=(n_tasks, dimension)), rng.uniform(1.5, 3.0, size=n_tasks))
    return problem, 2.0 * rng.normal(size=dimension)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("n_tasks", "dimension"), SHAPES)
@pytest.mark.parametrize("make", [convex, non_convex])
def test_every_loss_falls_at_every_step_by_what_is_promised(make, n_tasks: int, dimension: int, seed: int) -> None:
    run = descend(*make(n_tasks, dimension, seed), steps=2000)
    decrease = run.losses[:-1] - run.losses[1:]
    assert len(decrease) > 5
    assert (decrease > 0.0).all()
    assert (decrease >= run.promised * (1.0 - 1e-6) - 1e-15).all()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("n_tasks", "dimension"), SHAPES)
@pytest.mark.parametrize("make", [convex, non_convex])
def test_the_shortest_combination_vanishes(make, n_tasks: int, dimension: int, seed: int) -> None:
    """To where float64 no longer tells the gradients' Gramian from a singular one."""
    run = descend(*make(n_tasks, dimension, seed), steps=2000)
    assert run.certificate[-1] < 2e-5 * max(run.certificate[0], 1.0)


def test_the_non_convex_problem_is_not_convex_along_the_way() -> None:
    problem, start = non_convex(3, 3, 0)
    path = descend(problem, start, steps=2000).points
    step = 1e-4
    curvature = []
    for theta in path[:5]:
        for axis in np.eye(len(theta)):
            (_, ahead), (_, behind) = (problem.losses_and_gradients(theta + s * step * axis) for s in (1, -1))
            curvature.append((ahead - behind) @ axis / (2 * step))
    assert np.min(curvature) < -0.01


@pytest.mark.parametrize("make", [convex, non_convex])
def test_the_stated_smoothness_bounds_the_hessians(make) -> None:
    problem, _ = make(3, 4, 0)
    rng = np.random.default_rng(0)
    for _ in range(200):
        one, other = rng.normal(size=(2, 4)) * 2.0
        change = problem.losses_and_gradients(one)[1] - problem.losses_and_gradients(other)[1]
        lengths = np.linalg.norm(change, axis=1)
        assert (lengths <= problem.smoothness * np.linalg.norm(one - other) * (1 + 1e-12)).all()


@pytest.mark.parametrize(("n_tasks", "dimension"), SHAPES)
def test_convex_losses_end_pareto_optimal(n_tasks: int, dimension: int) -> None:
    """With the certificate's weights w the end minimises Σ wᵢ ℓᵢ, and the minimiser of a weighted sum of strictly
    convex losses is Pareto optimal: no random point near or far is better in all of them."""
    problem, start = convex(n_tasks, dimension, seed=1)
    run = descend(problem, start, steps=2000)
    end = run.points[-1]
    losses, gradients = problem.losses_and_gradients(end)
    weights = min_norm_weights(gradients @ gradients.T)
    rng = np.random.default_rng(0)
    for scale in 10.0 ** np.linspace(-3, 1, 200):
        there, _ = problem.losses_and_gradients(end + scale * rng.normal(size=dimension))
        assert weights @ there > weights @ losses
        assert (there > losses).any()


def test_a_step_a_hundred_times_longer_can_raise_a_loss() -> None:
    """The bound is not idle: claiming a hundredth of the true smoothness breaks the descent."""
    problem, start = convex(3, 3, 0)
    run = descend(problem._replace(smoothness=problem.smoothness / 100.0), start, steps=20)
    assert (np.diff(run.losses, axis=0) > 0.0).any()
