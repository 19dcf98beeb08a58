"""Our plain-number terms against Meta-World's and scipy's array functions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from experiments.mt10.lean import quaternion_of
from experiments.mt10.reward_terms import both, gaussian, long_tail
from tests.mt10.experts import needs_simulator


@needs_simulator
def test_sigmoids_and_product_are_metaworlds() -> None:
    from metaworld.utils import reward_utils

    rng = np.random.default_rng(0)
    for _ in range(300):
        x, lower, margin = rng.uniform(-0.2, 1.0), rng.uniform(0.0, 0.2), rng.choice([0.0, rng.uniform(0.01, 0.5)])
        upper = lower + rng.uniform(0.0, 0.2)
        expected = reward_utils.tolerance(x, bounds=(lower, upper), margin=margin, sigmoid="long_tail")
        assert long_tail(x, upper, margin, lower) == pytest.approx(expected, rel=1e-12)
        expected = reward_utils.tolerance(x, bounds=(0.0, upper), margin=margin, sigmoid="gaussian")
        assert gaussian(x, upper, margin) == pytest.approx(expected, rel=1e-12)
        a, b = rng.choice([0.0, 1.0, rng.uniform()]), rng.choice([0.0, 1.0, rng.uniform()])
        assert both(a, b) == pytest.approx(reward_utils.hamacher_product(a, b), rel=1e-12)


def test_quaternions_are_scipys_with_their_sign() -> None:
    rotations = list(Rotation.random(200, random_state=0))
    rotations += [
        Rotation.from_euler("xyz", turn, degrees=True)
        for turn in ((180, 0, 0), (0, 180, 0), (0, 0, 180), (179, 1, 0), (0, 0, 0), (90, 0, 90), (120, 120, 0))
    ]
    for rotation in rotations:
        matrix = rotation.as_matrix()
        np.testing.assert_allclose(
            quaternion_of(matrix.ravel().tolist()), Rotation.from_matrix(matrix).as_quat(), atol=1e-12
        )
