"""The report's pictures of one protocol: learning curves, changes against STL, intervals, and ranks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator

from experiments.common.aggregate import STL, MethodRow, Protocol
from experiments.common.benchmark import Benchmark, Picture
from experiments.common.metrics import delta_m
from experiments.common.result_tables import Reference
from experiments.common.style import BLUE, GREY, ORANGE, ink, new_figure
from experiments.reporting.curves import finish_epochs, legend_beside, lines_of, plot_curves
from experiments.reporting.histories import Curves, curves_of, delta_m_on_test, histories_of
from experiments.reporting.statistics import (
    MINIMUM_SEEDS,
    RankComparison,
    bootstrap_interval,
    compare_ranks,
    indistinguishable,
)

_PANELS = 4  # of changes, in a line


@dataclass(frozen=True)
class Material:
    """What the pictures of a protocol are drawn from; epochs are read once."""

    benchmark: Benchmark
    protocol: Protocol
    reference: Reference
    curves: dict[str, Curves]  # Δm on test by row label
    deltas: dict[str, dict[int, float]]  # Δm of the results by row label and seed

    @property
    def rows(self) -> list[MethodRow]:
        """All but STL, which Δm is measured against."""
        return [row for row in self.protocol.rows if row.key != STL]


def material_of(benchmark: Benchmark, protocol: Protocol, reference: Reference) -> Material:
    """Everything of a protocol that is drawn, its runs' epochs read from the disk."""
    rows = [row for row in protocol.rows if row.key != STL]
    quantity = delta_m_on_test(benchmark.metrics, reference.values)
    curves = {row.label: curves_of(histories_of(row), quantity) for row in rows}
    directions = [metric.higher_is_better for metric in benchmark.metrics]
    deltas = {
        row.label: {
            seed: delta_m([values[metric.name] for metric in benchmark.metrics], reference.values, directions)
            for seed, values in row.values.items()
        }
        for row in rows
    }
    found = {label: one for label, one in curves.items() if one is not None}
    return Material(benchmark, protocol, reference, found, deltas)


def draw_pictures(material: Material) -> list[Picture]:
    """Those of the pictures that the runs are enough for."""
    drawn = [draw_learning_curves(material), draw_changes(material), draw_intervals(material), draw_ranks(material)]
    return [picture for picture in drawn if picture is not None]


def draw_learning_curves(material: Material) -> Picture | None:
    """Δm on test after every epoch."""
    if not material.curves:
        return None
    figure = new_figure(8, 4)
    axis = figure.add_subplot()
    lines = lines_of(material.rows)
    for label, curves in material.curves.items():
        plot_curves(axis, curves, label, lines[label])
    finish_epochs(axis, list(material.curves.values()))
    axis.set_ylabel("Δm on test, %")
    legend_beside(axis)
    caption = (
        "Δm on test over training, mean over seeds"
        + (" and, as a band, their range" if len(material.protocol.seeds) > 1 else "")
        + f". Lower is better; against {material.reference.description}."
    )
    return Picture("curves", caption, figure)


def draw_changes(material: Material) -> Picture | None:
    """The relative change of every metric against the single-task values, a panel for each method."""
    metrics, rows = material.benchmark.metrics, material.rows
    if not rows or len(metrics) < 2:
        return None
    changes = {
        row.label: [
            delta_m([fmean(values[metric.name] for values in row.values.values())], [base], [metric.higher_is_better])
            for metric, base in zip(metrics, material.reference.values, strict=True)
        ]
        for row in rows
    }
    lines = -(-len(rows) // _PANELS)
    figure = new_figure(2.6 * min(_PANELS, len(rows)) + 0.6, 0.17 * len(metrics) * lines + 0.5 * lines + 0.5)
    axes = figure.subplots(lines, min(_PANELS, len(rows)), sharex=True, sharey=True, squeeze=False)
    extremes = [abs(value) for values in changes.values() for value in values]
    for axis, (label, values) in zip(axes.flat, changes.items(), strict=False):
        colours = [ORANGE if value > 0 else BLUE for value in values]
        axis.barh(range(len(values)), values, color=colours, height=0.75)
        axis.axvline(0, color=GREY, linewidth=0.8)
        axis.set_title(label, fontsize=9)
        axis.set_yticks(range(len(metrics)), [metric.name for metric in metrics], fontsize=7)
        axis.tick_params(axis="x", labelsize=7)
        axis.grid(axis="x", alpha=0.4, linewidth=0.6)
        if max(extremes) > 200:
            axis.set_xscale("symlog", linthresh=20)
            axis.xaxis.set_major_locator(FixedLocator([-1000, -100, -20, 0, 20, 100, 1000]))
            axis.xaxis.set_major_formatter("{x:g}")
    axes[0, 0].invert_yaxis()
    for place in range(len(rows), axes.size):
        axes.flat[place].set_visible(False)
        axes.flat[place - axes.shape[1]].tick_params(labelbottom=True)
    figure.supxlabel("change against single-task values, % (orange: worse, blue: better)", fontsize=9)
    caption = f"Change of every metric against {material.reference.description}: right of zero is worse."
    return Picture("changes", caption, figure)


def draw_intervals(material: Material) -> Picture | None:
    """Δm of every seed with a bootstrap interval of the mean, where there are seeds enough."""
    deltas = {label: list(values.values()) for label, values in material.deltas.items()}
    if not any(len(values) >= MINIMUM_SEEDS for values in deltas.values()):
        return None
    ordered = sorted(deltas, key=lambda label: fmean(deltas[label]))
    figure = new_figure(7, 0.32 * len(ordered) + 0.9)
    axis = figure.add_subplot()
    for place, label in enumerate(ordered):
        values = deltas[label]
        if len(values) >= MINIMUM_SEEDS:
            axis.plot(bootstrap_interval(values), [place, place], color=BLUE, linewidth=5, alpha=0.35)
        axis.plot(values, [place] * len(values), "o", color=ink(), markersize=3.5)
        axis.plot(fmean(values), place, "|", color=ink(), markersize=13)
    axis.set_yticks(range(len(ordered)), ordered)
    axis.invert_yaxis()
    axis.set_xlabel("Δm, %")
    axis.grid(axis="x", alpha=0.4, linewidth=0.6)
    caption = (
        f"Δm of every seed (dots), its mean (bar) and the 95 % bootstrap interval of the mean over seeds, where "
        f"there are at least {MINIMUM_SEEDS}; with so few the interval is narrower than it ought to be."
    )
    return Picture("intervals", caption, figure)


def draw_ranks(material: Material) -> Picture | None:
    """The critical-difference diagram of the mean ranks over the metrics."""
    metrics, rows = material.benchmark.metrics, material.protocol.ranked
    if len(rows) < 3 or len(metrics) < 2:
        return None
    means = [[fmean(values[metric.name] for values in row.values.values()) for metric in metrics] for row in rows]
    comparison = compare_ranks(means, [metric.higher_is_better for metric in metrics])
    figure = new_figure(7.5, 0.2 * len(rows) + 1.6)
    plot_critical_difference(figure.add_subplot(), [row.label for row in rows], comparison)
    caption = (
        f"Mean ranks over the {len(metrics)} metrics (left is better). Methods joined by a bar cannot be told apart "
        f"at 5 % (Nemenyi, critical difference {comparison.critical_difference:.2f}); Friedman's test that all rank "
        f"alike: p = {comparison.p_value:.2g}. The test takes metrics for independent, which related ones are not."
    )
    return Picture("ranks", caption, figure)


def plot_critical_difference(axis: Axes, labels: Sequence[str], comparison: RankComparison) -> None:
    """A line of ranks with every method's name drawn to its place, the better half on the left."""
    order = np.argsort(comparison.mean_ranks, kind="stable")
    ranks = [comparison.mean_ranks[index] for index in order]
    count = len(ranks)
    low, high = 1.0, float(count)
    axis.hlines(0, low, high, color=ink(), linewidth=1)
    for tick in range(1, count + 1):
        axis.vlines(tick, 0, 0.18, color=ink(), linewidth=1)
        axis.text(tick, 0.3, str(tick), ha="center", va="bottom", fontsize=8)
    bars = indistinguishable(ranks, comparison.critical_difference)
    for level, (first, last) in enumerate(bars):
        depth = -0.28 - 0.22 * level
        axis.hlines(depth, ranks[first] - 0.04, ranks[last] + 0.04, color=BLUE, linewidth=3.5)
    half, start = (count + 1) // 2, -0.28 - 0.22 * len(bars) - 0.35
    for position, index in enumerate(order):
        left = position < half
        depth = start - 0.42 * (position if left else count - 1 - position)
        edge = low - 0.3 if left else high + 0.3
        axis.plot([ranks[position], ranks[position], edge], [0, depth, depth], color=GREY, linewidth=0.8)
        text = f"{labels[index]}  {ranks[position]:.2f}" if left else f"{ranks[position]:.2f}  {labels[index]}"
        axis.text(
            edge, depth, f"{text} " if left else f" {text}", ha="right" if left else "left", va="center", fontsize=9
        )
    difference = comparison.critical_difference
    axis.hlines(1.0, low, low + difference, color=BLUE, linewidth=2)
    axis.text(low, 1.12, f"critical difference {difference:.2f}", fontsize=8, va="bottom")
    axis.set_xlim(low - 0.24 * count, high + 0.24 * count)
    axis.set_axis_off()
