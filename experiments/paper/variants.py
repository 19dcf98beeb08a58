"""Figures 4 and 6: one option of Nash-MTL against Δm, over training and at its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from matplotlib.figure import Figure

from experiments.common.aggregate import MethodRow
from experiments.common.metrics import delta_m
from experiments.common.style import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILION, new_figure
from experiments.paper.runs import FigureRuns, RunChoice, option, required_runs
from experiments.reporting.curves import finish_epochs, plot_curves, plot_dots
from experiments.reporting.histories import curves_of, histories_of

_COLOURS = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY)
_NASH = "nash_mtl"


class Variant(NamedTuple):
    """``order``: its place among the others."""

    order: float
    label: str


def draw_figure_4(choice: RunChoice) -> dict[str, Figure]:
    """Δm against the number of steps after which the weights are computed anew, QM9."""
    command = "python -m experiments.qm9.train -m method=nash_mtl method.update_weights_every=1,5,50 seed=0,1,2"
    runs = required_runs(choice, "qm9", _has_interval, command)
    return {"figure_4": _draw(runs, _interval, "weights updated every … steps")}


def draw_figure_6(choice: RunChoice) -> dict[str, Figure]:
    """Δm of the exact solver and of the concave-convex procedure (CCP) with 1, 20 and 40 steps, NYUv2."""
    command = (
        "python -m experiments.nyuv2.train -m method=nash_mtl method.solver=ccp method.ccp_steps=1,20,40 seed=0,1,2"
    )
    runs = required_runs(choice, "nyuv2", _has_solver, command)
    return {"figure_6": _draw(runs, _solver, "solver of the bargaining problem")}


def _is_nash(row: MethodRow) -> bool:
    """Nash-MTL on the shared parameters' gradients."""
    return row.key == _NASH and option(row, "gradients", "shared") == "shared"


def _interval(row: MethodRow) -> Variant | None:
    """``None`` for a row that differs from the defaults in something else."""
    if option(row, "solver", "newton") != "newton" or not _is_nash(row):
        return None
    interval = option(row, "update_weights_every", 1)
    assert isinstance(interval, int)
    return Variant(interval, f"{interval}")


def _solver(row: MethodRow) -> Variant | None:
    if option(row, "update_weights_every", 1) != 1 or not _is_nash(row):
        return None
    if option(row, "solver", "newton") == "newton":
        return Variant(float("inf"), "exact")
    steps = option(row, "ccp_steps", 20)
    assert isinstance(steps, int)
    return Variant(steps, f"CCP, {steps} step{'' if steps == 1 else 's'}")


def _has_interval(row: MethodRow) -> bool:
    return (variant := _interval(row)) is not None and variant.order != 1


def _has_solver(row: MethodRow) -> bool:
    return (variant := _solver(row)) is not None and variant.label != "exact"


def _draw(runs: FigureRuns, variant_of: Callable[[MethodRow], Variant | None], axis_label: str) -> Figure:
    """Left Δm on test over training, right Δm of the runs' results, a dot a seed."""
    found = {variant: row for row in runs.protocol.rows if (variant := variant_of(row)) is not None}
    variants = sorted(found)
    figure = new_figure(9.5, 3.8)
    training, end = figure.subplots(1, 2, width_ratios=[1.5, 1])
    drawn = []
    for place, variant in enumerate(variants):
        row = found[variant]
        line = {"color": _COLOURS[place % len(_COLOURS)], "linewidth": 1.6}
        curves = curves_of(histories_of(row), runs.delta_m)
        if curves is not None:
            plot_curves(training, curves, variant.label, line)
            drawn.append(curves)
        plot_dots(end, place, _deltas(runs, row), line)
    finish_epochs(training, drawn)
    training.set_ylabel("Δm on test, %")
    training.legend(title=axis_label, frameon=False, fontsize=9)
    end.set_xticks(range(len(variants)), [variant.label.replace(", ", ",\n") for variant in variants])
    end.set_xlim(-0.5, len(variants) - 0.5)
    end.set_xlabel(axis_label)
    end.set_ylabel("Δm of the run's result, %")
    end.grid(axis="y", alpha=0.4, linewidth=0.6)
    figure.suptitle(runs.describe(), fontsize=11)
    return figure


def _deltas(runs: FigureRuns, row: MethodRow) -> list[float]:
    metrics = runs.benchmark.metrics
    directions = [metric.higher_is_better for metric in metrics]
    seeds: list[Mapping[str, float]] = list(row.values.values())
    return [delta_m([values[m.name] for m in metrics], runs.reference.values, directions) for values in seeds]
