"""Learning curves: success against steps, one line a row of the table."""

from __future__ import annotations

from itertools import cycle
from math import sqrt
from statistics import fmean, stdev

from matplotlib.figure import Figure

from experiments.common.style import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION, new_figure
from experiments.mt10.metrics import SUCCESS
from experiments.mt10.rows import MT10Protocol, MT10Row
from experiments.reporting.benchmark import Picture

_COLOURS = (VERMILION, BLUE, GREEN, ORANGE, PURPLE, SKY, BLACK, GREY)
_LINES = ("solid", "dashed", "dotted")


def curve(row: MT10Row) -> tuple[list[int], list[float], list[float]]:
    """Steps of the evaluations that all seeds of a row have, mean success, and its standard error (0 of one seed)."""
    by_seed = [{entry["step"]: entry["test"][SUCCESS] for entry in run.epochs()} for run in row.runs]
    steps = sorted(set.intersection(*(set(seed) for seed in by_seed)))
    values = [[seed[step] for seed in by_seed] for step in steps]
    errors = [stdev(v) / sqrt(len(v)) if len(v) > 1 else 0.0 for v in values]
    return steps, [fmean(v) for v in values], errors


def learning_curves(protocol: MT10Protocol) -> list[Picture]:
    """The report's pictures of MT10."""
    caption = (
        "Success at each evaluation, the mean over the tasks and seeds; the band is one standard error of the mean. "
        "One episode more or less makes steps of this size: single evaluations say little."
    )
    return [Picture("curves", caption, draw_curves(protocol))]


def draw_curves(protocol: MT10Protocol) -> Figure:
    """Mean success over the tasks at every evaluation; the band is ± one standard error of the mean over seeds."""
    figure = new_figure(7.5, 1.6 + 0.22 * max(10, len(protocol.rows)))
    axis = figure.subplots()
    looks = cycle([(colour, line) for line in _LINES for colour in _COLOURS])
    for row, (colour, line) in zip(protocol.rows, looks, strict=False):
        steps, means, errors = curve(row)
        marker = "o" if len(steps) == 1 else None
        axis.plot(steps, means, color=colour, linestyle=line, marker=marker, label=row.label)
        if any(errors):
            low = [mean - error for mean, error in zip(means, errors, strict=True)]
            high = [mean + error for mean, error in zip(means, errors, strict=True)]
            axis.fill_between(steps, low, high, color=colour, alpha=0.15, linewidth=0)
    seeds = len({run.record["seed"] for run in protocol.used})
    axis.set_xlabel("steps of every task's environment")
    axis.set_ylabel(f"success, mean of {len(protocol.data['tasks'])} tasks")
    axis.set_ylim(-0.03, 1.03)
    axis.set_xlim(left=0)
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    made_of = f"profile {protocol.data['profile']}, {seeds} seed{'' if seeds == 1 else 's'}"
    axis.set_title(f"MT10, {made_of}", loc="left")
    figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    return figure
