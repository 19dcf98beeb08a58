"""Aligned-MTL against the singular value decomposition of the gradients themselves, and at deficient ranks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from methods.aligned_mtl import SCALE_MODES, AlignedMTL
from tests.methods.samplers import TASK_NUMBERS, Matrix, gramian, normal, spread_scales, with_cosine

every_mode = pytest.mark.parametrize("mode", SCALE_MODES)


def weights_of(gradients: Matrix, **options: object) -> np.ndarray:
    method = AlignedMTL(gradients.shape[1], **options)  # type: ignore[arg-type]
    return method.weights(torch.from_numpy(gramian(gradients))).numpy()


def by_svd(gradients: Matrix, mode: str, preferences: np.ndarray | None = None) -> np.ndarray:
    """The direction from G = UΣVᵀ, of full rank: σ UVᵀ times the preferences."""
    left, singular, right = np.linalg.svd(gradients, full_matrices=False)
    middle = np.sort(singular)[(len(singular) - 1) // 2]
    scale = {"min": singular.min(), "median": middle, "rmse": np.sqrt((singular**2).mean())}[mode]
    ones = np.ones(gradients.shape[1]) if preferences is None else preferences
    return scale * (left @ (right @ ones))


@every_mode
@pytest.mark.parametrize("n_tasks", TASK_NUMBERS)
def test_the_direction_is_that_of_the_aligned_gradients(n_tasks: int, mode: str) -> None:
    for seed in range(5):
        gradients = normal(seed, n_tasks)
        expected = by_svd(gradients, mode)
        ours = gradients @ weights_of(gradients, scale_mode=mode)
        assert ours == pytest.approx(expected, rel=1e-8, abs=1e-8 * np.abs(expected).max())


def test_preferences_weigh_the_aligned_gradients() -> None:
    gradients, preferences = normal(0, 3), np.array([0.2, 3.0, 0.0])
    ours = gradients @ weights_of(gradients, task_weights=preferences.tolist())
    assert ours == pytest.approx(by_svd(gradients, "min", preferences))


@every_mode
def test_orthogonal_gradients_keep_their_directions_and_lose_their_lengths(mode: str) -> None:
    lengths = np.array([0.1, 2.0, 5.0])
    scale = {"min": 0.1, "median": 2.0, "rmse": np.sqrt((lengths**2).mean())}[mode]
    assert weights_of(np.diag(lengths), scale_mode=mode) == pytest.approx(scale / lengths)


def test_gradients_of_one_length_at_right_angles_are_left_alone() -> None:
    orthogonal = np.linalg.qr(normal(0, 4))[0]
    assert weights_of(3.0 * orthogonal) == pytest.approx(np.ones(4))


@every_mode
def test_duplicates_reduce_the_rank(mode: str) -> None:
    """Three copies of one gradient share a component of √3 times its length."""
    one = normal(0, 1)
    method = AlignedMTL(3, scale_mode=mode)
    weights, diagnostics = method.solve(gramian(np.hstack([one, one, one])))
    assert diagnostics["rank"] == 1 and weights == pytest.approx(np.ones(3))


@pytest.mark.parametrize("n_tasks", [3, 11, 40])
def test_copies_in_float32_do_not_shorten_the_step(n_tasks: int) -> None:
    """What rounding leaves between two copies is no component; without the tolerance it sets the length."""
    gradients = normal(0, n_tasks)
    with_copy = np.hstack([gradients, gradients[:, :1] * (1.0 + 1e-7 * np.sign(normal(1, 1, len(gradients))))])
    exact = np.hstack([gradients, gradients[:, :1]])
    assert with_copy @ weights_of(with_copy) == pytest.approx(exact @ weights_of(exact), rel=1e-4, abs=1e-5)
    shortened = with_copy @ weights_of(with_copy, tolerance=0.0)
    assert np.linalg.norm(shortened) < 1e-5 * np.linalg.norm(exact @ weights_of(exact))


def test_exact_opposites_cancel() -> None:
    gradients = np.hstack([normal(0, 1), -normal(0, 1)])
    assert np.abs(gradients @ weights_of(gradients)).max() < 1e-12


@every_mode
def test_nearly_opposite_gradients_keep_a_short_common_component(mode: str) -> None:
    gradients = with_cosine(0, 2, -0.999)
    direction = gradients @ weights_of(gradients, scale_mode=mode)
    assert (gradients.T @ direction > 0).all()


def test_a_zero_gradient_has_no_part() -> None:
    gradients = normal(0, 3)
    padded = np.insert(gradients, 1, 0.0, axis=1)
    weights = weights_of(padded)
    assert weights[1] == 1.0, "its preference"
    assert weights[[0, 2, 3]] == pytest.approx(weights_of(gradients))


def test_without_any_gradient_the_weights_are_the_preferences() -> None:
    weights, diagnostics = AlignedMTL(2, task_weights=[1.0, 2.0]).solve(np.zeros((2, 2)))
    assert weights.tolist() == [1.0, 2.0] and diagnostics == {"rank": 0}


@every_mode
@pytest.mark.parametrize("scale", [1e-100, 1e-8, 1e8, 1e100])
def test_a_common_scale_does_not_change_the_weights(mode: str, scale: float) -> None:
    gradients = spread_scales(normal(0, 5), 0, decades=1)
    assert weights_of(scale * gradients, scale_mode=mode) == pytest.approx(weights_of(gradients, scale_mode=mode))


def test_components_below_the_tolerance_are_left_out() -> None:
    """Eigenvalues up to K times the tolerance times the largest: here 2·0.01·1."""
    for square, rank in ((0.019, 1), (0.021, 2)):
        assert AlignedMTL(2, tolerance=0.01).solve(np.diag([1.0, square]))[1]["rank"] == rank
