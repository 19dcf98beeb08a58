"""Curves over training with their spread over seeds, and quantities of finished runs as dots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from experiments.common.aggregate import MethodRow
from experiments.common.style import GREY, method_line
from experiments.reporting.histories import Curves

_WIDE = 10  # the ratio of the largest to the smallest value from which on an axis is logarithmic
_DECADES = 1000  # the ratio up to which a logarithmic axis has plain numbers at 1, 2 and 5
_FEW = 12  # epochs up to which each is marked


def lines_of(rows: Sequence[MethodRow]) -> dict[str, dict[str, Any]]:
    """A line by row label: the method's own for its first row, others for its variants and unknown methods."""
    lines, taken, others = {}, set(), 0
    for row in rows:
        own = method_line(row.key)
        if row.key in taken:
            own = {**method_line("", others), "linewidth": own["linewidth"]}
            others += 1
        taken.add(row.key)
        lines[row.label] = own
    return lines


def plot_curves(axis: Axes, curves: Curves, label: str, line: dict[str, Any]) -> None:
    """The mean over seeds and, where there is more than one, a band from the lowest to the highest seed."""
    marker = "o" if len(curves.epochs) <= _FEW else None
    axis.plot(curves.epochs, curves.mean, label=label, marker=marker, markersize=3, **line)
    if len(curves.values) > 1:
        low, high = curves.values.min(axis=0), curves.values.max(axis=0)
        axis.fill_between(curves.epochs, low, high, color=line["color"], alpha=0.13, linewidth=0)


def finish_epochs(axis: Axes, curves: Sequence[Curves], logarithmic: bool = False) -> None:
    """Label the epochs; make the other axis logarithmic if asked to, or where positive values span a wide range."""
    values = np.concatenate([one.values.ravel() for one in curves])
    wide = values.min() > 0 and values.max() / values.min() > _WIDE
    if logarithmic or wide:
        axis.set_yscale("log")
        if values.min() > 0 and values.max() / values.min() < _DECADES:
            axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.yaxis.set_major_formatter("{x:g}")
            axis.yaxis.set_minor_formatter(NullFormatter())
    else:
        axis.axhline(0, color=GREY, linewidth=0.6, zorder=0)
    axis.set_xlabel("epoch")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.grid(axis="y", alpha=0.4, linewidth=0.6)


def legend_beside(axis: Axes) -> None:
    """The legend to the right of the axis, where it hides nothing."""
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=9)


def plot_dots(axis: Axes, place: float, values: Sequence[float], line: dict[str, Any]) -> None:
    """One dot a seed, small, and their mean, large, at ``place`` of the horizontal axis."""
    axis.plot([place] * len(values), values, "o", color=line["color"], markersize=3.5, alpha=0.5)
    axis.plot(
        place, np.mean(values), "o", color=line["color"], markersize=8, markerfacecolor="none", markeredgewidth=2
    )
