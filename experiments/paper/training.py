"""Figures 7 and 8: what happens inside a method over training, a panel for every benchmark with runs of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from experiments.benchmarks import BENCHMARKS
from experiments.common.errors import UserError
from experiments.common.style import BLUE, SKY, new_figure
from experiments.paper.runs import FigureRuns, RunChoice, plain, runs_of
from experiments.reporting.aggregate import MethodRow
from experiments.reporting.curves import finish_epochs, label_ends, lines_of, plot_curves, scaled
from experiments.reporting.histories import Curves, curves_of, histories_of

_NASH = "nash_mtl"
_COLUMNS = 4
_COMMAND = "python -m experiments.qm9.train -m method=nash_mtl seed=0,1,2"


def draw_figure_7(choice: RunChoice) -> dict[str, Figure]:
    """The task weights of Nash-MTL, the mean of each epoch's steps: a small panel a task, a line a seed."""
    method = _one_method(choice)
    found = _found(choice, ["nyuv2", "mt10", "qm9"], [method])
    rows = [next(row for row in plain(runs.protocol.rows) if row.key == method) for runs in found]
    grids = [_weights(row) for row in rows]
    lines = [-(-len(curves) // _COLUMNS) for curves in grids]
    figure = new_figure(9.0, 1.5 * sum(lines) + 0.75 * len(found))
    parts = figure.subfigures(len(found), 1, height_ratios=[1.5 * count + 0.75 for count in lines], squeeze=False)
    for part, runs, row, curves in zip(parts[:, 0], found, rows, grids, strict=True):
        _draw_weights(part, curves)
        part.suptitle(f"{row.label} on {runs.describe()}", fontsize=11)
    return {"figure_7": figure}


def draw_figure_8(choice: RunChoice) -> dict[str, Figure]:
    """The smallest eigenvalue of GᵀG (its smallest singular value), the mean of each epoch's steps."""
    methods = choice.methods or [_NASH]
    found = _found(choice, ["qm9", "nyuv2"], methods)
    figure = new_figure(5.5 * len(found) + 0.5, 3.8)
    for axis, runs in zip(figure.subplots(1, len(found), squeeze=False)[0], found, strict=True):
        rows = [row for row in plain(runs.protocol.rows) if row.key in methods]
        _draw_eigenvalues(axis, runs, rows)
        named = f"{rows[0].label} on " if len(rows) == 1 else ""
        axis.set_title(f"{named}{runs.describe()}", fontsize=10, wrap=True)
    return {"figure_8": figure}


def _one_method(choice: RunChoice) -> str:
    methods = choice.methods or [_NASH]
    if len(methods) > 1:
        raise UserError(f"methods={methods} are too many, Figure 7 shows one; give methods=[nash_mtl] or another.")
    return methods[0]


def _found(choice: RunChoice, benchmarks: Sequence[str], methods: Sequence[str]) -> list[FigureRuns]:
    """The benchmarks' runs of these methods; raises :class:`UserError` where no benchmark has any."""
    keys = [choice.benchmark] if choice.benchmark else [key for key in benchmarks if key in BENCHMARKS]
    found = [runs for key in keys if (runs := runs_of(choice, key, lambda row: row.key in methods))]
    if not found:
        raise UserError(
            f"{choice.root} has no finished runs of {', '.join(methods)}; make some with `{_COMMAND}` or give "
            "root=FOLDER."
        )
    return found


def _weights(row: MethodRow) -> dict[str, Curves]:
    """A method's weights by task; raises :class:`UserError` where it has none."""
    histories = histories_of(row)
    tasks = list(histories[0][0]["weights"] or {})
    found = {task: curves_of(histories, lambda entry, task=task: entry["weights"][task]) for task in tasks}  # type: ignore[misc]
    if not tasks:
        raise UserError(f"{row.label} has no task weights to show; choose another with methods=[KEY].")
    return {task: curves for task, curves in found.items() if curves is not None}


def _draw_weights(part: SubFigure, weights: dict[str, Curves]) -> None:
    """A panel a task on common axes: the mean over seeds, and thin, each seed."""
    lines = -(-len(weights) // _COLUMNS)
    axes = part.subplots(lines, min(_COLUMNS, len(weights)), sharex=True, sharey=True, squeeze=False)
    for axis, (task, curves) in zip(axes.flat, weights.items(), strict=False):
        if len(curves.values) > 1:
            for values in curves.values:
                axis.plot(curves.epochs, values, color=SKY, linewidth=0.8)
        axis.plot(curves.epochs, curves.mean, color=BLUE, linewidth=1.8, label=task)
        axis.set_title(task, fontsize=9, pad=2)
        axis.grid(axis="y", alpha=0.4, linewidth=0.6)
    finish_epochs(axes[0, 0], list(weights.values()))
    axes[0, 0].set_xlabel("")
    for place in range(len(weights), axes.size):
        axes.flat[place].set_visible(False)
        axes.flat[place - axes.shape[1]].tick_params(labelbottom=True)
    part.supxlabel("epoch", fontsize=9)
    part.supylabel(scaled(axes[0, 0], "task weight"), fontsize=9)


def _draw_eigenvalues(axis: Axes, runs: FigureRuns, rows: list[MethodRow]) -> None:
    """One line a method."""
    lines: dict[str, dict[str, Any]] = lines_of(rows)
    drawn = {}
    for row in rows:
        curves = curves_of(histories_of(row), lambda entry: entry.get("smallest_eigenvalue"))
        if curves is None:
            raise UserError(f"{row.label} records no eigenvalues; choose others with methods=[KEY,…].")
        plot_curves(axis, curves, row.label, lines[row.label], band=row.key == _NASH)
        drawn[row.label] = curves
    finish_epochs(axis, list(drawn.values()), logarithmic=True)
    axis.set_ylabel(scaled(axis, "smallest eigenvalue of GᵀG"))
    if len(rows) > 1:
        label_ends(axis, drawn, lines)
