"""Figure 3: Δm on test over training, QM9."""

from __future__ import annotations

from matplotlib.figure import Figure

from experiments.common.names import PAPER_METHODS
from experiments.common.style import new_figure
from experiments.paper.runs import RunChoice, plain, required_runs
from experiments.reporting.aggregate import STL
from experiments.reporting.curves import finish_epochs, label_ends, lines_of, plot_curves, scaled
from experiments.reporting.histories import curves_of, histories_of
from experiments.reporting.pictures import NASH

_COMMAND = "python -m experiments.qm9.train -m seed=0,1,2"


def draw_figure_3(choice: RunChoice) -> dict[str, Figure]:
    """The mean over seeds of the paper's methods, or those chosen, by default options; of Nash-MTL with a band."""
    runs = required_runs(choice, "qm9", lambda row: row.key != STL, _COMMAND)
    shown = PAPER_METHODS if choice.methods is None else choice.methods
    rows = [row for row in plain(runs.protocol.rows) if row.key in shown]
    lines = lines_of(rows)
    figure = new_figure(7.5, 4.4)
    axis = figure.add_subplot()
    drawn = {}
    for row in rows:
        curves = curves_of(histories_of(row), runs.delta_m)
        if curves is not None:
            plot_curves(axis, curves, row.label, lines[row.label], band=row.key == NASH)
            drawn[row.label] = curves
    finish_epochs(axis, list(drawn.values()))
    axis.set_ylabel(scaled(axis, "Δm on test, %"))
    axis.set_title(runs.describe())
    label_ends(axis, drawn, lines)
    return {"figure_3": figure}
