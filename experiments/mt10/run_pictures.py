"""A run's learning curves as one picture: mean success at its evaluations, and below it each task's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from experiments.common.style import BLUE, as_array, new_figure, paper_style
from experiments.mt10.metrics import SUCCESS


def run_pictures(name: str, tasks: Sequence[str], entries: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """What a tracker is given at a run's end, from the evaluations of its record: pixels [h, w, 3], uint8."""
    with paper_style():
        return {"learning_curves": as_array(draw_run(name, tasks, entries))}


def draw_run(name: str, tasks: Sequence[str], entries: Sequence[Mapping[str, Any]]) -> Figure:
    """Success against steps: the mean over the tasks as a line, the tasks as rows from white (0) to blue (1)."""
    steps = [entry["step"] for entry in entries]
    by_task = np.array([[entry["test"][f"{SUCCESS}/{task}"] for entry in entries] for task in tasks])  # [K, E]
    figure = new_figure(7.0, 2.6 + 0.24 * len(tasks))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[1.0, 0.1 + 0.14 * len(tasks)])
    above.plot(
        steps, [entry["test"][SUCCESS] for entry in entries], color=BLUE, marker="o", markersize=3, clip_on=False
    )
    above.set_ylim(-0.05, 1.05)
    above.set_ylabel("success, mean")
    above.set_title(name, loc="left")
    below.pcolormesh(
        [0, *steps], np.arange(len(tasks) + 1), by_task, cmap="Blues", vmin=0.0, vmax=1.0, edgecolors="none"
    )
    below.set_title("by task, from white (0) to blue (1); a cell ends at its evaluation", loc="left", fontsize=9)
    below.set_yticks(np.arange(len(tasks)) + 0.5, tasks)
    below.invert_yaxis()
    below.set_xlim(0, steps[-1])
    below.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    below.set_xlabel("steps of every task's environment")
    return figure
