"""Figure 3: Δm on test over training, QM9."""

from __future__ import annotations

from matplotlib.figure import Figure

from experiments.common.aggregate import STL
from experiments.common.style import new_figure
from experiments.paper.runs import RunChoice, plain, required_runs
from experiments.reporting.curves import finish_epochs, legend_beside, lines_of, plot_curves
from experiments.reporting.histories import curves_of, histories_of

_COMMAND = "python -m experiments.qm9.train -m seed=0,1,2"


def draw_figure_3(choice: RunChoice) -> dict[str, Figure]:
    """The mean over seeds of every method with its default options, in a band from the lowest to the highest."""
    runs = required_runs(choice, "qm9", lambda row: row.key != STL, _COMMAND)
    rows = [row for row in plain(runs.protocol.rows) if choice.methods is None or row.key in choice.methods]
    lines = lines_of(rows)
    figure = new_figure(7.5, 4.2)
    axis = figure.add_subplot()
    drawn = []
    for row in rows:
        curves = curves_of(histories_of(row), runs.delta_m)
        if curves is not None:
            plot_curves(axis, curves, row.label, lines[row.label])
            drawn.append(curves)
    finish_epochs(axis, drawn)
    axis.set_ylabel("Δm on test, %")
    axis.set_title(runs.describe())
    legend_beside(axis)
    return {"figure_3": figure}
