"""Figures 7 and 8: what happens inside a method over training, a panel for every benchmark with runs of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.benchmarks import BENCHMARKS
from experiments.common.aggregate import MethodRow
from experiments.common.errors import UserError
from experiments.common.style import TASK_LINES, new_figure
from experiments.paper.runs import FigureRuns, RunChoice, plain, runs_of
from experiments.reporting.curves import finish_epochs, lines_of, plot_curves
from experiments.reporting.histories import curves_of, histories_of

_NASH = "nash_mtl"
_COMMAND = "python -m experiments.qm9.train -m method=nash_mtl seed=0,1,2"


def draw_figure_7(choice: RunChoice) -> dict[str, Figure]:
    """The task weights of Nash-MTL, the mean of each epoch's steps."""
    method = _one_method(choice)
    return {"figure_7": _panels(choice, ["nyuv2", "mt10", "qm9"], [method], _draw_weights, "task weight")}


def draw_figure_8(choice: RunChoice) -> dict[str, Figure]:
    """The smallest eigenvalue of GᵀG (its smallest singular value), the mean of each epoch's steps."""
    methods = choice.methods or [_NASH]
    label = "smallest eigenvalue of GᵀG"
    return {"figure_8": _panels(choice, ["qm9", "nyuv2"], methods, _draw_eigenvalues, label)}


def _one_method(choice: RunChoice) -> str:
    methods = choice.methods or [_NASH]
    if len(methods) > 1:
        raise UserError(f"methods={methods} are too many, Figure 7 shows one; give methods=[nash_mtl] or another.")
    return methods[0]


def _panels(
    choice: RunChoice,
    benchmarks: Sequence[str],
    methods: Sequence[str],
    draw: Callable[[Axes, FigureRuns, list[MethodRow]], None],
    label: str,
) -> Figure:
    keys = [choice.benchmark] if choice.benchmark else [key for key in benchmarks if key in BENCHMARKS]
    found = [runs for key in keys if (runs := runs_of(choice, key, lambda row: row.key in methods))]
    if not found:
        raise UserError(
            f"{choice.root} has no finished runs of {', '.join(methods)}; make some with `{_COMMAND}` or give "
            "root=FOLDER."
        )
    figure = new_figure(5.5 * len(found) + 0.5, 3.8)
    for axis, runs in zip(figure.subplots(1, len(found), squeeze=False)[0], found, strict=True):
        draw(axis, runs, [row for row in plain(runs.protocol.rows) if row.key in methods])
        axis.set_title(runs.describe(), fontsize=10)
        axis.set_ylabel(label)
        axis.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _draw_weights(axis: Axes, runs: FigureRuns, rows: list[MethodRow]) -> None:
    """One line a task."""
    (row,) = rows
    histories = histories_of(row)
    tasks = list(histories[0][0]["weights"] or {})
    if not tasks:
        raise UserError(f"{row.label} has no task weights to show; choose another with methods=[KEY].")
    drawn = []
    for task, (colour, style) in zip(tasks, TASK_LINES * (1 + len(tasks) // len(TASK_LINES)), strict=False):
        curves = curves_of(histories, lambda entry, task=task: entry["weights"][task])  # type: ignore[misc]
        if curves is not None:
            plot_curves(axis, curves, task, {"color": colour, "linestyle": style, "linewidth": 1.5})
            drawn.append(curves)
    finish_epochs(axis, drawn)


def _draw_eigenvalues(axis: Axes, runs: FigureRuns, rows: list[MethodRow]) -> None:
    """One line a method."""
    lines: dict[str, dict[str, Any]] = lines_of(rows)
    drawn = []
    for row in rows:
        curves = curves_of(histories_of(row), lambda entry: entry.get("smallest_eigenvalue"))
        if curves is None:
            raise UserError(f"{row.label} records no eigenvalues; choose others with methods=[KEY,…].")
        plot_curves(axis, curves, row.label, lines[row.label])
        drawn.append(curves)
    finish_epochs(axis, drawn, logarithmic=True)
