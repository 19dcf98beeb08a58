"""How sure a comparison is: bootstrap intervals over seeds, Friedman's test and Nemenyi's critical difference."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from scipy import stats

#: Fewer seeds have too few different resamples for an interval to mean anything.
MINIMUM_SEEDS = 3
LEVEL = 0.95


def bootstrap_interval(values: Sequence[float], level: float = LEVEL, resamples: int = 9999) -> tuple[float, float]:
    """The percentile bootstrap interval of the mean (Efron and Tibshirani, 1993), with a fixed stream of draws.

    With a handful of values it is too narrow: three draws of three never reach beyond the extremes. Raises
    ``ValueError`` for fewer than :data:`MINIMUM_SEEDS` values.
    """
    if len(values) < MINIMUM_SEEDS:
        raise ValueError(f"got {len(values)} values; an interval needs at least {MINIMUM_SEEDS}.")
    draws = np.random.default_rng(0).choice(np.asarray(values, dtype=float), (resamples, len(values)))
    low, high = np.quantile(draws.mean(axis=1), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


class RankComparison(NamedTuple):
    """Mean ranks of k methods over N blocks, and how far apart two must lie to differ."""

    mean_ranks: tuple[float, ...]
    p_value: float  # Friedman's: that all methods rank alike
    critical_difference: float  # Nemenyi's, of mean ranks


def compare_ranks(table: Sequence[Sequence[float]], higher_is_better: Sequence[bool]) -> RankComparison:
    """Friedman's test and Nemenyi's critical difference at 5 % (Demšar, JMLR 2006) for a ``[methods, blocks]`` table.

    Blocks are the metrics here; ties share the average rank. CD = q √(k(k+1)/6N) with q the studentized range's
    quantile over √2. Raises ``ValueError`` for fewer than three methods or two blocks, where there is no test.
    """
    losses = np.where(higher_is_better, -1.0, 1.0) * np.asarray(table, dtype=float)
    methods, blocks = losses.shape
    if methods < 3 or blocks < 2:
        raise ValueError(f"got {methods} methods and {blocks} blocks; the test needs three and two.")
    ranks = stats.rankdata(losses, axis=0)
    alike = bool((losses == losses[:1]).all())  # the statistic is then 0/0
    p_value = 1.0 if alike else float(stats.friedmanchisquare(*losses).pvalue)
    quantile = stats.studentized_range.ppf(LEVEL, methods, np.inf) / np.sqrt(2)
    difference = quantile * np.sqrt(methods * (methods + 1) / (6 * blocks))
    return RankComparison(tuple(ranks.mean(axis=1).tolist()), p_value, float(difference))


def indistinguishable(mean_ranks: Sequence[float], critical_difference: float) -> list[tuple[int, int]]:
    """The largest runs of methods, ordered by mean rank, whose ends lie no further apart than the difference.

    Pairs of the first and the last position (inclusive) in the *sorted* ranks; runs of one method are left out.
    """
    ordered = sorted(mean_ranks)
    found: list[tuple[int, int]] = []
    for first in range(len(ordered)):
        last = max(i for i, rank in enumerate(ordered) if rank - ordered[first] <= critical_difference)
        if last > first and (not found or last > found[-1][1]):
            found.append((first, last))
    assert all(one[1] < other[1] for one, other in pairwise(found))
    return found
