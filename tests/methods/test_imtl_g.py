"""IMTL-G: equal projections on all task gradients, weights of sum one, and the cases without a solution."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from methods import IMTLG
from methods.imtl_g import equal_projection_weights
from tests.methods.samplers import TASK_NUMBERS, Problem, gramian, normal, spread_scales


@pytest.mark.parametrize("n_tasks", TASK_NUMBERS)
@pytest.mark.parametrize("decades", [0, 3])
def test_projections_are_equal(n_tasks: int, decades: float) -> None:
    for seed in range(10):
        gradients = spread_scales(normal(seed, n_tasks), seed, decades)
        weights = equal_projection_weights(gramian(gradients))
        assert weights.sum() == pytest.approx(1.0)
        projections = (gradients / np.linalg.norm(gradients, axis=0)).T @ (gradients @ weights)
        assert projections == pytest.approx(np.full(n_tasks, projections.mean()), rel=1e-6)


def test_two_tasks_weigh_by_the_other_ones_length() -> None:
    gradients = normal(0, 2)
    lengths = np.linalg.norm(gradients, axis=0)
    weights = equal_projection_weights(gramian(gradients))
    assert weights == pytest.approx(lengths[::-1] / lengths.sum(), rel=1e-10)


def test_identical_tasks_share_equally() -> None:
    assert equal_projection_weights(np.full((4, 4), 9.0)) == pytest.approx(np.full(4, 0.25))


def test_near_duplicates_do_not_blow_up() -> None:
    gradient = normal(0, 1)
    gradients = np.repeat(gradient, 3, axis=1) * (1.0 + 1e-9 * normal(1, 3, len(gradient)))
    weights = equal_projection_weights(gramian(gradients))
    assert np.abs(weights).max() < 10.0


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_common_scale_does_not_change_the_weights(scale: float) -> None:
    gradients = normal(0, 5)
    expected = equal_projection_weights(gramian(gradients))
    assert equal_projection_weights(gramian(scale * gradients)) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(
    "gradients",
    [
        np.array([[1.0, 0.0], [0.0, 0.0]]),  # a zero gradient
        np.zeros((2, 3)),
    ],
    ids=["zero", "all zero"],
)
def test_without_a_solution_all_weights_are_equal(gradients: np.ndarray) -> None:
    n_tasks = gradients.shape[1]
    weights, diagnostics = IMTLG(n_tasks).weights_and_diagnostics(torch.from_numpy(gramian(gradients)))
    assert diagnostics == {"solved": False}
    assert weights.tolist() == [1.0 / n_tasks] * n_tasks


@pytest.mark.parametrize(
    ("gradients", "expected"),
    [
        ([[1.0, -1.0]], [0.5, 0.5]),
        ([[2.0, -6.0]], [0.75, 0.25]),
        ([[0.001, -1000.0], [0.002, -2000.0]], [1 / (1 + 1e-6), 1e-6 / (1 + 1e-6)]),
        ([[2.0, -1.0, 0.0], [0.0, 0.0, 5.0]], [1 / 3, 2 / 3, 0.0]),  # nothing helps the first two tasks
    ],
    ids=["same length", "other lengths", "far apart", "and a third"],
)
def test_opposing_gradients_cancel(gradients: list[list[float]], expected: list[float]) -> None:
    """Equal weights would make a step along the longer gradient where no step helps both."""
    matrix = np.array(gradients)
    weights, diagnostics = IMTLG(matrix.shape[1]).weights_and_diagnostics(torch.from_numpy(gramian(matrix)))
    assert diagnostics == {"solved": True, "projection": pytest.approx(0.0, abs=1e-9)}
    assert weights.numpy() == pytest.approx(np.array(expected), rel=1e-9, abs=1e-12)
    assert np.abs(matrix @ weights.numpy()).max() < 1e-12 * np.abs(matrix).max()


def test_equal_projections_may_all_be_negative_and_the_diagnostics_say_so() -> None:
    """The method as its paper has it: this step raises all three losses."""
    gradients = np.array([[4.3, -2.0, 0.1], [1.4, 2.1, 0.3], [-0.8, -0.2, 0.2]])
    weights, diagnostics = IMTLG(3).weights_and_diagnostics(torch.from_numpy(gramian(gradients)))
    lengths = np.linalg.norm(gradients, axis=0)
    products = gradients.T @ gradients @ weights.numpy()
    assert (products < 0).all() and weights.sum() == pytest.approx(1.0)
    assert products / lengths == pytest.approx(np.full(3, diagnostics["projection"] * lengths.min()))


@pytest.mark.parametrize("angle", [1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 0.0])
def test_nearly_opposing_gradients_have_the_same_weights_whatever_rounding_leaves_of_them(angle: float) -> None:
    """At 1e-6 from opposing, 1 + cos is 5e-13: the solution is large, and what is left of it is noise."""
    for seed in range(20):
        first = normal(seed, 1)[:2, 0]
        across = np.array([-first[1], first[0]])
        matrix = np.stack([first, -3.0 * (first + angle * across)], axis=1)
        lengths = np.linalg.norm(matrix, axis=0)
        weights = equal_projection_weights(gramian(matrix))
        assert weights == pytest.approx(lengths[::-1] / lengths.sum(), rel=1e-6)


def test_balances_the_representation_by_default() -> None:
    problem = Problem(3)
    step = problem.backward(IMTLG(3))
    losses = problem.losses()
    columns = [torch.autograd.grad(loss, problem.features, retain_graph=True)[0].flatten() for loss in losses]
    gradients = torch.stack(columns, dim=1).numpy()
    assert step.diagnostics["gramian"].numpy() == pytest.approx(gramian(gradients))
    assert step.weights.numpy() == pytest.approx(equal_projection_weights(gramian(gradients)))


def test_balances_the_shared_parameters_on_request() -> None:
    problem = Problem(3)
    step = problem.backward(IMTLG(3, gradients="shared"))
    expected = equal_projection_weights(gramian(problem.gradient_matrix()))
    assert step.weights.numpy() == pytest.approx(expected)
