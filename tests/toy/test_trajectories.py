"""One vectorised pass over methods, starts and scales makes the steps of a plain loop through ``method.backward``."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.toy import updates
from experiments.toy.problem import STARTS
from experiments.toy.trajectories import reference_run, run
from experiments.toy.updates import TOY_METHODS, make_update
from methods import METHODS

STEPS = 100


@pytest.fixture(scope="module")
def vectorised() -> dict:
    return run(steps=STEPS)


@pytest.mark.parametrize("key", TOY_METHODS)
@pytest.mark.parametrize("start", range(5))
def test_steps_are_the_plain_loops(vectorised: dict, key: str, start: int) -> None:
    """UW's parameters are float32 in the method. From (0, 0), where the gradients are parallel, methods that
    normalise them move in t₁ by rounding alone, which Adam makes steps of: t₂ only is compared."""
    expected = reference_run(key, STARTS[start], steps=STEPS)
    ours = vectorised[key]
    assert ours.steps_made[start] == len(expected) - 1
    by_rounding = start == 1 and key in ("imtl_g", "nash_mtl")
    coordinates = slice(1, 2) if by_rounding else slice(0, 2)
    np.testing.assert_allclose(
        ours.points[: len(expected), start, coordinates],
        expected[:, coordinates],
        rtol=0.0,
        atol=1e-5 if by_rounding else 1e-6 if key == "uw" else 1e-10,
    )


@pytest.mark.parametrize("key", [key for key in METHODS if key not in (*TOY_METHODS, "stl")])
def test_methods_without_a_vectorised_update_make_the_plain_loops_steps(key: str) -> None:
    found = run([key], steps=STEPS)[key]
    for start, at in enumerate(STARTS):
        expected = reference_run(key, at, steps=STEPS)
        assert found.steps_made[start] == len(expected) - 1
        np.testing.assert_allclose(found.points[: len(expected), start], expected, rtol=0.0, atol=1e-10)


@pytest.mark.parametrize("key", ["ls", "uw", "graddrop"])
def test_a_method_asked_point_by_point_makes_its_vectorised_steps(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With parameters of its own and with random draws as well."""
    expected = run([key], steps=50)[key]
    monkeypatch.setattr(updates, "TOY_METHODS", ())
    found = run([key], steps=50)[key]
    np.testing.assert_allclose(found.points, expected.points, rtol=0.0, atol=1e-6 if key == "uw" else 1e-10)


@pytest.mark.parametrize("key", ["ls", "pcgrad", "cagrad", "nash_mtl"])
def test_steps_agree_in_the_valley_of_the_logarithm(key: str) -> None:
    """Close above the kink at t₂ = 0, where c₁ and c₂ change places, and in the first loss' narrow valley."""
    starts = np.array([[-5.02, 2.7], [2.0, 0.05], [3.0, -8.0]])
    ours = run([key], starts, steps=100)[key]
    for s, start in enumerate(starts):
        np.testing.assert_allclose(ours.points[:, s], reference_run(key, start, steps=100), rtol=0.0, atol=1e-7)


def test_scales_and_starts_are_independent_rows() -> None:
    both = run(["nash_mtl", "ls"], np.tile(STARTS, (2, 1)), steps=50, scale=np.repeat([0.1, 1.0], 5))
    for key, trajectories in both.items():
        for s, scale in enumerate((0.1, 1.0)):
            alone = run([key], steps=50, scale=scale)[key]
            np.testing.assert_array_equal(trajectories.points[:, 5 * s : 5 * s + 5], alone.points)
            np.testing.assert_allclose(trajectories.losses[:, 5 * s : 5 * s + 5], alone.losses, atol=1e-12)


def test_scale_invariant_scalarisation_stops_where_a_loss_is_not_positive(vectorised: dict) -> None:
    np.testing.assert_array_equal(vectorised["si"].steps_made, [STEPS, 0, STEPS, 0, 0])
    np.testing.assert_array_equal(vectorised["si"].points[-1][1], STARTS[1])


def test_uncertainty_weighting_ends_by_overflow_where_a_loss_is_negative() -> None:
    made = run(["uw"], steps=2700)["uw"].steps_made
    assert made[0] == made[2] == 2700  # both losses stay positive there
    assert (made[[1, 3, 4]] < 2700).all()


def test_a_method_without_a_place_here_is_refused() -> None:
    with pytest.raises(ValueError, match="'stl' is not in the toy example"):
        make_update("stl", 5)
