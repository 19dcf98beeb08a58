"""Figure 2's directions are the methods' own, and its numbers their projections."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from experiments.toy.directions import DIRECTION_METHODS, GRADIENTS, directions
from methods import get_method


@pytest.mark.parametrize("key", ["ls", "mgda", "cagrad", "imtl_g", "nash_mtl", "graddrop"])
def test_direction_is_what_backward_writes(key: str) -> None:
    """Losses linear in θ have the given gradients."""
    theta = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    options = {"imtl_g": {"gradients": "shared"}, "graddrop": {"seed": 1}}.get(key, {})
    get_method(key, n_tasks=3, **options).backward(torch.from_numpy(GRADIENTS) @ theta, shared_parameters=[theta])
    written = theta.grad.numpy()
    np.testing.assert_allclose(directions()[key].vector, written / np.linalg.norm(written), atol=1e-12)


def test_projections_are_cosines_with_the_gradients() -> None:
    for direction in directions().values():
        for gradient, projection in zip(GRADIENTS, direction.projections, strict=True):
            expected = gradient @ direction.vector / np.linalg.norm(gradient)
            assert projection == pytest.approx(expected, abs=1e-12)


def test_what_the_figure_shows() -> None:
    """LS works against the shortest gradient; the bargaining solution helps every task, and the least helped
    one more than any other method does but IMTL-G, whose projections are equal by construction."""
    found = {key: direction.projections for key, direction in directions().items()}
    assert tuple(found) == DIRECTION_METHODS
    assert found["ls"].min() < 0.0
    others = min(found["pcgrad"].min(), found["cagrad"].min(), found["mgda"].min())
    assert others > 0.0
    assert found["nash_mtl"].min() > max(found[key].min() for key in found if key not in ("nash_mtl", "imtl_g"))
    assert np.ptp(found["imtl_g"]) < 1e-9
