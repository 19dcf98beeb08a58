"""Figures 4 and 6: one option of Nash-MTL against Δm, over training and at its end."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from typing import NamedTuple

from matplotlib.figure import Figure

from experiments.common.errors import UserError
from experiments.common.metrics import delta_m
from experiments.common.style import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILION, new_figure
from experiments.paper.runs import FigureRuns, RunChoice, option, required_runs
from experiments.reporting.aggregate import MethodRow, default_options
from experiments.reporting.curves import finish_epochs, plot_curves, plot_dots, scaled
from experiments.reporting.histories import curves_of, histories_of

_COLOURS = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY)
_STYLES = ("-", "-", "--", ":")
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


def _interval(row: MethodRow) -> Variant | None:
    """``None`` for a row that differs from the defaults in something else."""
    if not _differs_in(row, ("update_weights_every",)):
        return None
    interval = option(row, "update_weights_every", 1)
    assert isinstance(interval, int)
    return Variant(interval, f"{interval}")


def _solver(row: MethodRow) -> Variant | None:
    """``None`` for a row that differs from the defaults in something else."""
    if not _differs_in(row, ("solver", "ccp_steps")):
        return None
    if option(row, "solver", "newton") == "newton":
        return Variant(float("inf"), "exact")
    steps = option(row, "ccp_steps", 20)
    assert isinstance(steps, int)
    return Variant(steps, f"CCP, {steps} step{'' if steps == 1 else 's'}")


def _differs_in(row: MethodRow, shown: Container[str]) -> bool:
    """Whether it is Nash-MTL with its default options but for those that the figure shows."""
    if row.key != _NASH:
        return False
    defaults = default_options(_NASH)
    method = row.runs[0].record["method"]
    return all(name in shown or name not in method or method[name] == value for name, value in defaults.items())


def _has_interval(row: MethodRow) -> bool:
    return (variant := _interval(row)) is not None and variant.order != 1


def _has_solver(row: MethodRow) -> bool:
    return (variant := _solver(row)) is not None and variant.label != "exact"


def _draw(runs: FigureRuns, variant_of: Callable[[MethodRow], Variant | None], axis_label: str) -> Figure:
    """Left Δm on test over training, right Δm of the runs' results, a dot a seed."""
    found: dict[Variant, MethodRow] = {}
    for row in runs.protocol.rows:
        variant = variant_of(row)
        if variant in found:
            raise UserError(
                f"{row.label} and {found[variant].label} of protocol {runs.protocol.name} are the same variant "
                f"({variant.label}); give root=FOLDER of one of them."
            )
        if variant is not None:
            found[variant] = row
    variants = sorted(found)
    figure = new_figure(9.5, 4.0)
    training, end = figure.subplots(1, 2, width_ratios=[1.5, 1], sharey=True)
    drawn = []
    for place, variant in enumerate(variants):
        row = found[variant]
        line = {"color": _COLOURS[place % len(_COLOURS)], "linestyle": _STYLES[place % len(_STYLES)]}
        curves = curves_of(histories_of(row), runs.delta_m)
        if curves is not None:
            width = 1.6 + 1.1 * (len(variants) - 1 - place)  # one that lies on another leaves its rim visible
            plot_curves(training, curves, variant.label, {**line, "linewidth": width}, band=len(variants) < 4)
            drawn.append(curves)
        plot_dots(end, place, _deltas(runs, row), line)
    finish_epochs(training, drawn)
    training.set_ylabel(scaled(training, "Δm on test, %"))
    figure.legend(
        *training.get_legend_handles_labels(),
        title=axis_label,
        loc="outside lower center",
        ncols=len(variants),
        frameon=False,
        fontsize=9,
    )
    end.set_xticks(range(len(variants)), [variant.label.replace(", ", ",\n") for variant in variants])
    end.set_xlim(-0.5, len(variants) - 0.5)
    end.set_title("Δm of the run's result, on the same scale", fontsize=10)
    end.grid(axis="y", alpha=0.4, linewidth=0.6)
    few = "" if _seeds(runs) > 1 else ": differences of this size may be noise"
    figure.suptitle(runs.describe() + few, fontsize=11)
    return figure


def _seeds(runs: FigureRuns) -> int:
    return len({seed for row in runs.protocol.rows if row.key == _NASH for seed in row.values})


def _deltas(runs: FigureRuns, row: MethodRow) -> list[float]:
    metrics = runs.benchmark.metrics
    directions = [metric.higher_is_better for metric in metrics]
    seeds: list[Mapping[str, float]] = list(row.values.values())
    return [delta_m([values[m.name] for m in metrics], runs.reference.values, directions) for values in seeds]
