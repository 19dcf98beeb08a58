"""The report's pictures of one protocol: learning curves, changes against STL, intervals, and ranks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from experiments.common.metrics import delta_m
from experiments.common.style import BLUE, GREY, ORANGE, TASK_LINES, ink, new_figure
from experiments.reporting.aggregate import STL, MethodRow, Protocol
from experiments.reporting.benchmark import Benchmark, Picture
from experiments.reporting.curves import finish_epochs, label_ends, lines_of, plot_curves, scaled, short
from experiments.reporting.histories import Curves, Entry, curves_of, delta_m_on_test, histories_of
from experiments.reporting.result_tables import Reference
from experiments.reporting.statistics import (
    MINIMUM_SEEDS,
    RankComparison,
    bootstrap_interval,
    compare_ranks,
    indistinguishable,
)

NASH = "nash_mtl"
_PANELS = 3  # of small multiples, in a line
_LOOK = ("color", "linestyle")
_NAMES = 6  # of tasks, in a line of a legend
_WIDTH = 5.6  # inches: text stays legible where a phone shows the picture at two thirds of this


@dataclass(frozen=True)
class Material:
    """What the pictures of a protocol are drawn from; epochs are read once."""

    benchmark: Benchmark
    protocol: Protocol
    reference: Reference
    histories: dict[str, list[list[dict[str, Any]]]]  # the epochs of every run by row label
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
    histories = {row.label: histories_of(row) for row in rows}
    curves = {label: curves_of(history, quantity) for label, history in histories.items()}
    directions = [metric.higher_is_better for metric in benchmark.metrics]
    deltas = {
        row.label: {
            seed: delta_m([values[metric.name] for metric in benchmark.metrics], reference.values, directions)
            for seed, values in row.values.items()
        }
        for row in rows
    }
    found = {label: one for label, one in curves.items() if one is not None}
    return Material(benchmark, protocol, reference, histories, found, deltas)


def draw_pictures(material: Material) -> Iterator[Picture]:
    """Those of the pictures that the runs are enough for, one by one."""
    for draw in (draw_learning_curves, draw_changes, draw_intervals, draw_ranks, draw_weights, draw_losses):
        if (picture := draw(material)) is not None:
            yield picture


def draw_learning_curves(material: Material) -> Picture | None:
    """Δm on test after every epoch."""
    if not material.curves:
        return None
    figure = new_figure(_WIDTH, 3.9)
    axis = figure.add_subplot()
    lines = lines_of(material.rows)
    banded = {row.label for row in material.rows if row.key == NASH and not row.is_variant}
    for label, curves in material.curves.items():
        plot_curves(axis, curves, label, lines[label], band=label in banded)
    finish_epochs(axis, list(material.curves.values()))
    axis.set_ylabel(scaled(axis, "Δm on test, %"))
    label_ends(axis, material.curves, lines)
    band = len(material.protocol.seeds) > 1 and banded
    caption = (
        "Δm on test over training, mean over seeds"
        + (" and, of Nash-MTL, their range as a band" if band else "")
        + f". Lower is better; against {material.reference.description}."
    )
    return Picture("curves", caption, figure)


def draw_changes(material: Material) -> Picture | None:
    """The relative change of every metric against the single-task values, a cell for each method and metric."""
    metrics, rows = material.benchmark.metrics, material.rows
    if not rows or len(metrics) < 2:
        return None
    changes = np.array(
        [
            [
                delta_m([fmean(seed[metric.name] for seed in row.values.values())], [base], [metric.higher_is_better])
                for metric, base in zip(metrics, material.reference.values, strict=True)
            ]
            for row in rows
        ]
    )  # [methods, metrics], per cent, positive where worse
    limit = _round_up(float(np.quantile(np.abs(changes), 0.75)))
    figure = new_figure(_WIDTH, 0.29 * len(rows) + 0.8)
    axis = figure.add_subplot()
    colours = LinearSegmentedColormap.from_list("change", [BLUE, "#FFFFFF", ORANGE])
    axis.pcolormesh(changes, cmap=colours, vmin=-limit, vmax=limit, edgecolors="#FFFFFF", linewidth=1)
    for (place, column), value in np.ndenumerate(changes):
        text = f"{value:+,.0f}" if abs(value) >= 10 else f"{value:+.1f}"
        dark = value < -0.6 * limit  # the blue end
        axis.text(
            column + 0.5, place + 0.5, text, ha="center", va="center", size=8, color="#FFFFFF" if dark else "#111111"
        )
    axis.set_xticks(np.arange(len(metrics)) + 0.5, [metric.name for metric in metrics], fontsize=8)
    axis.set_yticks(np.arange(len(rows)) + 0.5, [short(row.label) for row in rows], fontsize=8)
    axis.tick_params(length=0)
    axis.xaxis.tick_top()
    axis.invert_yaxis()
    for spine in axis.spines.values():
        spine.set_visible(False)
    caption = (
        f"Change of every metric in % against {material.reference.description}: positive and orange is worse, blue "
        f"is better. The colours are linear up to ±{limit:,.0f} % and stay the same beyond; the numbers are exact."
    )
    return Picture("changes", caption, figure)


def _round_up(value: float) -> float:
    """To 1, 2 or 5 times a power of ten, at least 10."""
    decade = 10 ** math.floor(math.log10(max(value, 10.0)))
    return next(step * decade for step in (1.0, 2.0, 5.0, 10.0) if step * decade >= value)


def draw_weights(material: Material) -> Picture | None:
    """Every task's weight over training, a panel for each method that has weights."""
    return _small_multiples(
        material,
        "weights",
        lambda entry: entry.get("weights") or {},
        "Task weights over training, a panel a method and a line a task: means over an epoch's steps and over seeds.",
    )


def draw_losses(material: Material) -> Picture | None:
    """Every task's training loss, a panel for each method."""
    return _small_multiples(
        material,
        "losses",
        lambda entry: entry.get("train_losses") or {},
        "Training losses, a panel a method and a line a task: means over an epoch's steps and over seeds.",
    )


def _small_multiples(
    material: Material, name: str, values: Callable[[Entry], Mapping[str, float]], caption: str
) -> Picture | None:
    """``values`` of an epoch, by task. All panels share their axes, the vertical one logarithmic where it is wide."""
    panels: dict[str, dict[str, Curves]] = {}
    for row in material.rows:
        histories = material.histories[row.label]
        tasks = list(values(histories[0][0])) if histories and histories[0] else []
        found = {task: curves_of(histories, lambda entry, task=task: values(entry).get(task)) for task in tasks}  # type: ignore[misc]
        if drawn := {task: curves for task, curves in found.items() if curves is not None and len(curves.epochs) > 1}:
            panels[row.label] = drawn
    if not panels:
        return None
    lines = -(-len(panels) // _PANELS)
    tasks = list(dict.fromkeys(task for panel in panels.values() for task in panel))
    named = 0.2 * -(-len(tasks) // _NAMES)  # inches of the legend
    height = 1.35 * lines + 0.65 + named
    figure = new_figure(_WIDTH, height, constrained=False)
    bottom = (0.45 + named) / height
    figure.subplots_adjust(0.11, bottom, 0.99, 1 - 0.22 / height, wspace=0.06, hspace=0.3)
    axes = figure.subplots(lines, _PANELS, sharex=True, sharey=True, squeeze=False)
    looks = dict(zip(tasks, TASK_LINES * (1 + len(tasks) // len(TASK_LINES)), strict=False))
    for axis, (label, panel) in zip(axes.flat, panels.items(), strict=False):
        for task, curves in panel.items():
            colour, line = looks[task]
            axis.plot(curves.epochs, curves.mean, color=colour, linestyle=line, linewidth=1.1)
        axis.set_title(short(label), fontsize=9, pad=3)
        axis.tick_params(labelsize=7)
        axis.grid(axis="y", alpha=0.4, linewidth=0.6)
    first = axes[0, 0]
    finish_epochs(first, [curves for panel in panels.values() for curves in panel.values()])
    first.set_xlabel("")
    first.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    if first.get_yscale() == "log":
        first.yaxis.set_major_locator(LogLocator(numticks=5))
        first.yaxis.set_minor_locator(NullLocator())
        first.yaxis.set_major_formatter("{x:g}")
    for place in range(len(panels), axes.size):
        axes.flat[place].set_visible(False)
        axes.flat[place - _PANELS].tick_params(labelbottom=True)
    figure.text(0.55, bottom - 0.33 / height, "epoch", fontsize=8, ha="center")
    label = scaled(first, {"weights": "task weight", "losses": "loss"}[name])
    figure.text(0.005, (1 + bottom) / 2, label, fontsize=8, rotation=90, va="center", ha="left")
    styles: dict[str, dict[str, Any]] = {task: dict(zip(_LOOK, look, strict=True)) for task, look in looks.items()}
    handles = [Line2D([], [], label=task, **style) for task, style in styles.items()]
    figure.legend(handles=handles, loc="lower center", ncols=min(_NAMES, len(tasks)), frameon=False, fontsize=8)
    return Picture(name, caption, figure)


def draw_intervals(material: Material) -> Picture | None:
    """Δm of every seed with a bootstrap interval of the mean, where there are seeds enough."""
    deltas = {label: list(values.values()) for label, values in material.deltas.items()}
    if not any(len(values) >= MINIMUM_SEEDS for values in deltas.values()):
        return None
    ordered = sorted(deltas, key=lambda label: fmean(deltas[label]))
    figure = new_figure(_WIDTH, 0.3 * len(ordered) + 0.9)
    axis = figure.add_subplot()
    for place, label in enumerate(ordered):
        values = deltas[label]
        if len(values) >= MINIMUM_SEEDS:
            axis.plot(bootstrap_interval(values), [place, place], color=BLUE, linewidth=5, alpha=0.35)
        axis.plot(values, [place] * len(values), "o", color=ink(), markersize=3.5)
        axis.plot(fmean(values), place, "|", color=ink(), markersize=13)
    axis.set_yticks(range(len(ordered)), [short(label) for label in ordered])
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
    figure = new_figure(_WIDTH, 0.2 * len(rows) + 1.6)
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
