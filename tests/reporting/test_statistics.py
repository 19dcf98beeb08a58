"""Intervals and rank tests against worked examples and known quantiles."""

from __future__ import annotations

import math

import numpy as np
import pytest

from experiments.reporting.statistics import bootstrap_interval, compare_ranks, indistinguishable

#: Demšar's table 5(a): critical values q at 5 % for the Nemenyi test of k classifiers.
Q_05 = {3: 2.343, 4: 2.569, 5: 2.728, 6: 2.850, 7: 2.949, 8: 3.031, 9: 3.102, 10: 3.164}


@pytest.mark.parametrize("methods", Q_05)
def test_the_critical_difference_uses_the_tabulated_quantiles(methods: int) -> None:
    table = np.random.default_rng(0).normal(size=(methods, 14))
    expected = Q_05[methods] * math.sqrt(methods * (methods + 1) / (6 * 14))
    assert compare_ranks(table, [False] * 14).critical_difference == pytest.approx(expected, abs=1e-3)


def test_a_method_that_is_always_best_is_found_out() -> None:
    noise = np.random.default_rng(1).normal(size=(4, 12))
    table = noise + np.array([[-100.0], [0.0], [0.0], [0.0]])
    comparison = compare_ranks(table, [False] * 12)
    assert comparison.mean_ranks[0] == 1.0
    assert comparison.p_value < 1e-3
    assert compare_ranks(-table, [True] * 12).mean_ranks[0] == 1.0
    assert compare_ranks(table, [True] * 12).mean_ranks[0] == 4.0


def test_methods_that_are_the_same_share_their_rank() -> None:
    comparison = compare_ranks(np.ones((3, 5)), [False] * 5)
    assert comparison.mean_ranks == (2.0, 2.0, 2.0)
    assert comparison.p_value == 1.0


def test_friedmans_p_value_of_a_worked_example() -> None:
    # 3 methods, 4 blocks, the same order in every one: the statistic is 12·(4² + 8² + 12²)/(4·3·4) − 3·4·4 = 8.
    comparison = compare_ranks([[1, 1, 1, 1], [2, 2, 2, 2], [3, 3, 3, 3]], [False] * 4)
    assert comparison.p_value == pytest.approx(math.exp(-8 / 2))  # χ² with two degrees of freedom


def test_runs_that_cannot_be_told_apart() -> None:
    assert indistinguishable([1.0, 2.0, 3.5, 6.0], 1.6) == [(0, 1), (1, 2)]
    assert indistinguishable([6.0, 1.0, 3.5, 2.0], 1.6) == [(0, 1), (1, 2)]
    assert indistinguishable([1.0, 1.5, 2.0], 5.0) == [(0, 2)]
    assert indistinguishable([1.0, 4.0, 8.0], 1.0) == []


def test_the_interval_holds_the_mean_and_narrows_with_the_number() -> None:
    generator = np.random.default_rng(2)
    widths = []
    for count in (5, 50, 500):
        values = generator.normal(3.0, 1.0, count).tolist()
        low, high = bootstrap_interval(values)
        assert low < np.mean(values) < high
        widths.append(high - low)
    assert widths[0] > widths[1] > widths[2]
    assert widths[2] == pytest.approx(2 * 1.96 / math.sqrt(500), rel=0.15)


def test_the_interval_is_the_same_every_time_and_needs_three() -> None:
    assert bootstrap_interval([1.0, 2.0, 4.0]) == bootstrap_interval([1.0, 2.0, 4.0])
    with pytest.raises(ValueError, match="at least 3"):
        bootstrap_interval([1.0, 2.0])


@pytest.mark.parametrize("shape", [(2, 5), (5, 1)])
def test_too_small_a_table_is_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="the test needs three and two"):
        compare_ranks(np.zeros(shape), [False] * shape[1])
