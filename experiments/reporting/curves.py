"""Curves over training with their spread over seeds, and quantities of finished runs as dots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from experiments.common.style import GREY, method_line
from experiments.reporting.aggregate import MethodRow
from experiments.reporting.histories import Curves

_WIDE = 10  # the ratio of the largest to the smallest value from which on an axis is logarithmic
_DECADES = 1000  # the ratio up to which a logarithmic axis has plain numbers at 1, 2 and 5
_END_SIZE = 8.5  # points, of a line's name at its end
_FEW = 12  # epochs up to which each is marked


def lines_of(rows: Sequence[MethodRow]) -> dict[str, dict[str, Any]]:
    """A line by row label: the method's own for its first row, others for its variants and unknown methods."""
    lines, taken, others = {}, set(), 0
    for row in rows:
        own = method_line(row.key)
        if row.key in taken:
            own = {**method_line("", others), "linewidth": 1.4}
            others += 1
        taken.add(row.key)
        lines[row.label] = own
    return lines


def plot_curves(axis: Axes, curves: Curves, label: str, line: dict[str, Any], band: bool = True) -> None:
    """The mean over seeds and, where asked for and seeds are many, a band from the lowest to the highest."""
    marker = "o" if len(curves.epochs) <= _FEW else None
    axis.plot(curves.epochs, curves.mean, label=label, marker=marker, markersize=3, **line)
    if band and len(curves.values) > 1:
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
            axis.yaxis.set_minor_locator(NullLocator())
    else:
        axis.axhline(0, color=GREY, linewidth=0.6, zorder=0)
    axis.set_xlabel("epoch")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.grid(axis="y", alpha=0.4, linewidth=0.6)


def short(label: str) -> str:
    """A row's label as a picture has room for it."""
    return label.replace("update_weights_every=", "every ").replace("solver=ccp, ccp_steps=", "CCP ")


def scaled(axis: Axes, label: str) -> str:
    """The label of an axis that :func:`finish_epochs` has finished, with its scale where that is logarithmic."""
    return f"{label} (log scale)" if axis.get_yscale() == "log" else label


def label_ends(axis: Axes, curves: Mapping[str, Curves], lines: Mapping[str, Mapping[str, Any]]) -> None:
    """Each line's name beside its end, in its colour, moved apart where ends are close. The axis must be finished."""
    if not curves:
        return
    axis.margins(x=0.01)
    low, high = axis.get_ylim()
    figure = axis.get_figure(root=True)
    assert figure is not None
    height = figure.get_size_inches()[1] * 72 * 0.8  # of the axis, about, in points
    gap = 1.25 * _END_SIZE / height
    scale = axis.yaxis.get_transform().transform
    start, stop = scale(np.array([low, high]))
    last = scale(np.array([one.mean[-1] for one in curves.values()]))
    ends = sorted(zip(((last - start) / (stop - start)).tolist(), curves, strict=True))
    for (end, label), place in zip(ends, _apart([end for end, _ in ends], gap), strict=True):
        colour = lines[label]["color"]
        axis.plot([1.0, 1.035], [end, place], color=colour, linewidth=0.7, transform=axis.transAxes, clip_on=False)
        weight = "bold" if lines[label].get("linewidth", 1) > 2 else "normal"
        axis.text(
            *(1.045, place, short(label)),
            transform=axis.transAxes,
            color=colour,
            va="center",
            size=_END_SIZE,
            weight=weight,
        )
    axis.set_ylim(low, high)


def _apart(ordered: Sequence[float], gap: float) -> list[float]:
    """The places, in ascending order, each moved as little as keeps ``gap`` between neighbours."""
    spread = np.array(ordered) - gap * np.arange(len(ordered))  # neighbours a gap apart have the same place here
    blocks: list[list[float]] = []
    for value in spread:
        blocks.append([value])
        while len(blocks) > 1 and np.mean(blocks[-2]) > np.mean(blocks[-1]):
            blocks[-2:] = [blocks[-2] + blocks[-1]]
    merged = np.concatenate([[np.mean(block)] * len(block) for block in blocks])
    return (merged + gap * np.arange(len(ordered))).tolist()


def plot_dots(axis: Axes, place: float, values: Sequence[float], line: dict[str, Any]) -> None:
    """One dot a seed, small, and their mean, large, at ``place`` of the horizontal axis."""
    axis.plot([place] * len(values), values, "o", color=line["color"], markersize=3.5, alpha=0.5)
    axis.plot(
        place, np.mean(values), "o", color=line["color"], markersize=8, markerfacecolor="none", markeredgewidth=2
    )
