"""Δm and mean rank against figures worked out by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.common.metrics import delta_m, mean_rank

POSITIVE = st.floats(0.01, 100.0)


def test_delta_m_is_the_mean_relative_change() -> None:
    # +10 % where lower is better, −20 % where higher is better: both are worse.
    assert delta_m([1.1, 8.0], [1.0, 10.0], [False, True]) == pytest.approx((10 + 20) / 2)


def test_delta_m_of_the_reference_is_zero() -> None:
    assert delta_m([3.0, 0.5], [3.0, 0.5], [True, False]) == 0.0


@given(st.lists(st.tuples(POSITIVE, POSITIVE, st.booleans(), POSITIVE), min_size=1, max_size=11))
def test_delta_m_does_not_depend_on_units(rows: list[tuple[float, float, bool, float]]) -> None:
    values, reference, directions, factors = map(list, zip(*rows, strict=True))
    scaled = [[x * f for x, f in zip(row, factors, strict=True)] for row in (values, reference)]
    assert delta_m(*scaled, directions) == pytest.approx(delta_m(values, reference, directions), rel=1e-9, abs=1e-9)


def test_delta_m_refuses_lists_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="1 values, 2 reference values and 2 directions"):
        delta_m([1.0], [1.0, 2.0], [False, False])
    with pytest.raises(ValueError, match="zero"):
        delta_m([1.0], [0.0], [False])


def test_mean_rank_averages_ranks_over_the_metrics() -> None:
    table = [[1.0, 9.0], [2.0, 7.0], [3.0, 8.0]]  # second metric: higher is better
    assert mean_rank(table, [False, True]) == [1.0, (2 + 3) / 2, (3 + 2) / 2]


def test_ties_share_the_average_of_their_ranks() -> None:
    assert mean_rank([[1.0], [1.0], [2.0]], [False]) == [1.5, 1.5, 3.0]


@pytest.mark.parametrize("higher_is_better", [False, True])
def test_not_a_number_ranks_worst(higher_is_better: bool) -> None:
    assert mean_rank([[math.nan], [1.0]], [higher_is_better]) == [2.0, 1.0]
