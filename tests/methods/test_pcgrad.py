"""PCGrad: the Gramian form against the vectors themselves, given the same orders."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from methods import PCGrad
from methods.pcgrad import projected_weights
from tests.methods.samplers import (
    TASK_NUMBERS,
    Matrix,
    gramian,
    gramian_tensor,
    normal,
    pareto_stationary,
    spread_scales,
)


def project_vectors(gradients: Matrix, orders: list[list[int]]) -> np.ndarray:
    """Algorithm 1 on the vectors themselves."""
    projected = []
    for i, order in enumerate(orders):
        vector = gradients[:, i].copy()
        for j in order:
            if j == i:
                continue
            other = gradients[:, j]
            if (product := vector @ other) < 0:
                vector -= product / (other @ other) * other
        projected.append(vector)
    return np.sum(projected, axis=0)


@pytest.mark.parametrize("n_tasks", TASK_NUMBERS)
@pytest.mark.parametrize("decades", [0, 3])
def test_gramian_form_equals_vector_form(n_tasks: int, decades: float) -> None:
    for seed in range(5):
        gradients = spread_scales(normal(seed, n_tasks), seed, decades)
        orders = PCGrad(n_tasks, seed=seed).draw_orders()
        weights = PCGrad(n_tasks, seed=seed).weights(gramian_tensor(gradients)).numpy()
        expected = project_vectors(gradients, orders)
        assert gradients @ weights == pytest.approx(expected, rel=1e-8, abs=1e-10 * np.abs(gradients).max())


def test_few_dimensions_make_for_many_conflicts() -> None:
    for seed in range(20):
        gradients = normal(seed, 4, dimension=4)
        orders = PCGrad(4, seed=seed).draw_orders()
        weights = projected_weights(gramian(gradients), orders)
        assert gradients @ weights == pytest.approx(project_vectors(gradients, orders), rel=1e-8, abs=1e-8)


def test_two_tasks_by_hand() -> None:
    gradients = np.array([[1.0, -1.0], [0.0, 1.0]])
    # g₁ loses its part along g₂ and becomes (½, ½); g₂ becomes (0, 1).
    weights = projected_weights(gramian(gradients), [[1], [0]])
    assert weights == pytest.approx([2.0, 1.5])
    assert gradients @ weights == pytest.approx([0.5, 1.5])


def test_without_conflict_it_is_linear_scalarisation() -> None:
    gradients = np.abs(normal(0, 5))
    assert PCGrad(5).weights(gramian_tensor(gradients)).tolist() == [1.0] * 5


def test_opposing_gradients_cancel() -> None:
    gradient = normal(0, 1)
    gradients = np.hstack([gradient, -2.0 * gradient])
    weights = PCGrad(2).weights(gramian_tensor(gradients)).numpy()
    assert gradients @ weights == pytest.approx(np.zeros(len(gradient)), abs=1e-12)


def test_a_task_is_not_projected_on_itself() -> None:
    gradients = pareto_stationary(0, 3)
    orders = [[0, 1, 2], [0, 1, 2], [0, 1, 2]]
    without_self = [[1, 2], [0, 2], [0, 1]]
    matrix = gramian(gradients)
    assert projected_weights(matrix, orders) == pytest.approx(projected_weights(matrix, without_self))


@pytest.mark.parametrize("length", [0.0, 1e-170])
def test_gradients_whose_square_vanishes(length: float) -> None:
    """1e-170 squared is zero in float64, while its product with another gradient is not."""
    gradients = np.array([[1.0, -length], [0.0, 0.0]])
    weights = projected_weights(gramian(gradients), [[1], [0]])
    assert weights.tolist() == pytest.approx([1.0 + length, 1.0])


def test_orders_are_permutations_drawn_from_the_methods_own_generator() -> None:
    torch.manual_seed(0)
    method, same, other = PCGrad(10, seed=1), PCGrad(10, seed=1), PCGrad(10, seed=2)
    before = torch.get_rng_state()
    first = method.draw_orders()
    assert torch.equal(torch.get_rng_state(), before)
    assert all(sorted(order) == list(range(10)) for order in first)
    assert len({tuple(order) for order in first}) > 1
    assert first == same.draw_orders() != other.draw_orders()
    assert first != method.draw_orders()
