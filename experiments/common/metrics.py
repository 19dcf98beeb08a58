"""A benchmark's metrics, and Δm and mean rank (MR), the two figures that multi-task methods are compared by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np


class Metric(NamedTuple):
    """One column of a results table."""

    name: str
    unit: str
    higher_is_better: bool
    digits: int  # after the decimal point, as the paper prints it
    latex: str


def delta_m(values: Sequence[float], reference: Sequence[float], higher_is_better: Sequence[bool]) -> float:
    """Δm in per cent: the mean relative change of the metrics against the reference, positive when worse.

    100/n Σᵢ (−1)^{δᵢ} (Mᵢ − Bᵢ)/Bᵢ with δᵢ = 1 where higher is better and B the single-task values
    (Maninis et al., CVPR 2019; Navon et al., ICML 2022, section 6). Lower is better. Raises ``ValueError`` for
    lists of different lengths or a reference of zero.
    """
    values_, reference_ = np.asarray(values, dtype=float), np.asarray(reference, dtype=float)
    if not values_.shape == reference_.shape == np.shape(higher_is_better):
        raise ValueError(
            f"got {len(values)} values, {len(reference)} reference values and {len(higher_is_better)} directions; "
            "they must have the same length."
        )
    if (reference_ == 0).any():
        raise ValueError("a reference value is zero, relative changes against it do not exist.")
    sign = np.where(higher_is_better, -1.0, 1.0)
    return float(100.0 * np.mean(sign * (values_ - reference_) / reference_))


def mean_rank(
    table: Sequence[Sequence[float]],
    higher_is_better: Sequence[bool],
    ties: Literal["average", "min"] = "average",
) -> list[float]:
    """For each row (a method) of ``table`` its rank among the rows, averaged over the columns (metrics).

    Rank 1 is best; ``ties`` share the average of their ranks or the best (``min``) of them. Not-a-number counts as
    worst.
    """
    from scipy.stats import rankdata  # a second to import, which what only trains does without

    values = np.asarray(table, dtype=float)  # [methods, metrics]
    losses = np.where(higher_is_better, -values, values)
    losses = np.where(np.isnan(losses), np.inf, losses)
    return [float(rank) for rank in rankdata(losses, method=ties, axis=0).mean(axis=1)]
