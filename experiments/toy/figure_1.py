"""Figure 1: the methods' trajectories on the toy problem, in the plane of the two losses.

One panel a method: the Pareto front as a thick grey line, a trajectory from each of five starts (black dots) that
darkens with its progress, its end (a white diamond) or, where the method has no update any more, a cross.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from experiments.common.errors import UserError
from experiments.common.names import METHOD_NAMES
from experiments.common.style import BLACK, GREY, VERMILION, new_figure
from experiments.toy.problem import Toy
from experiments.toy.trajectories import STEPS, Trajectories, run

Array = NDArray[np.float64]

#: Light to dark, even in lightness, in the released figure's colours.
PROGRESS = ListedColormap(colormaps["magma_r"](np.linspace(0.15, 0.75, 256)))

_LINES = 250  # drawn for one trajectory
_COLUMNS = 4
#: The paper's own panels first, then the others.
_ORDER = ("ls", "mgda", "pcgrad", "cagrad", "nash_mtl", "imtl_g", "graddrop", "rlw", "dwa", "uw", "si")
_REMARKS = {"uw": "× weights overflow", "si": "× a loss is not positive", "famo": "× a loss is negative"}


def draw_figure_1(methods: Sequence[str] | None = None, steps: int = STEPS) -> dict[str, Figure | str]:
    """A panel for each method, by default the paper's; ``steps`` fewer than the paper's 35,000 for a quick look.

    Raises :class:`UserError` for STL.
    """
    shown = tuple(methods or _ORDER)
    if "stl" in shown:
        raise UserError(
            "stl trains one task, which has no trajectory in the plane of two losses; leave it out of methods."
        )
    trajectories = run(shown, steps=steps)
    n_rows = ceil((len(shown) + 1) / _COLUMNS)
    figure = new_figure(11.5, 0.2 + 2.8 * n_rows)
    axes = figure.subplots(n_rows, _COLUMNS, sharey=True, squeeze=False)
    for axis, key in zip(axes.flat, shown, strict=False):
        draw_panel(axis, trajectories[key], METHOD_NAMES[key])
        if (trajectories[key].steps_made < steps).any() and key in _REMARKS:
            axis.set_title("")
            axis.set_title(METHOD_NAMES[key], loc="left")
            axis.set_title(_REMARKS[key], loc="right", color=VERMILION, size=8.5)  # no trajectory is there
    for axis in axes[:, 0]:
        axis.set_ylabel(r"$\ell_2$")
    _draw_key(axes.flat[len(shown)], steps)
    for axis in axes.flat[len(shown) + 1 :]:
        axis.set_axis_off()
    return {"figure_1": figure}


def draw_panel(axis: Axes, trajectories: Trajectories, title: str) -> None:
    """One method's trajectories over the front."""
    front = Toy().front()
    axis.plot(*front.T, color="#BDBDBD", linewidth=7, solid_capstyle="round", zorder=1)
    n_steps = len(trajectories.losses) - 1
    for start, made in enumerate(trajectories.steps_made):
        path = trajectories.losses[: made + 1, start]
        steps = thinned(path)
        segments = np.stack([path[steps[:-1]], path[steps[1:]]], axis=1)
        lines = LineCollection(list(segments), cmap=PROGRESS, norm=Normalize(0, n_steps), linewidths=2.0, zorder=3)
        lines.set_rasterized(True)  # hundreds of short lines of their own colour
        lines.set_array(steps[:-1].astype(float))
        lines.set_capstyle("round")
        axis.add_collection(lines)
        axis.plot(*path[0], "o", color=BLACK, markersize=6, zorder=4)
        if made == n_steps:
            axis.plot(*path[-1], "D", color="white", markeredgecolor=BLACK, markersize=6, zorder=5)
        else:
            axis.plot(*path[-1], "x", color=VERMILION, markersize=8, markeredgewidth=2, zorder=5)
    axis.set(title=title, xlabel=r"$\ell_1$", xlim=(-2.15, 0.95), xticks=[-2, -1, 0])


def thinned(path: Array) -> NDArray[np.int64]:
    """Which of a path's points ``[T, 2]`` to draw: evenly spaced in its length on paper, with both ends."""
    if len(path) < 2:
        return np.zeros(1, dtype=np.int64)
    extent = np.array([3.0, 30.0])  # the panel's ranges
    length = np.append(0.0, np.cumsum(np.linalg.norm(np.diff(path, axis=0) / extent, axis=1)))
    by_length = np.searchsorted(length, np.linspace(0.0, length[-1], _LINES)).clip(0, len(path) - 1)
    by_time = np.linspace(0, len(path) - 1, _LINES // 5).astype(np.int64)
    return np.unique(np.concatenate([by_length, by_time]))


def _draw_key(axis: Axes, steps: int) -> None:
    axis.set_axis_off()
    entries = [
        (Line2D([], [], color="#BDBDBD", linewidth=7), "Pareto front"),
        (Line2D([], [], color=BLACK, marker="o", linestyle=""), "start"),
        (Line2D([], [], color="white", markeredgecolor=BLACK, marker="D", linestyle=""), f"after {steps:,} steps"),
        (Line2D([], [], color=VERMILION, marker="x", markeredgewidth=2, linestyle=""), "no update any more"),
    ]
    handles, labels = zip(*entries, strict=True)
    axis.legend(handles, labels, loc="upper left", frameon=False, bbox_to_anchor=(0.0, 0.95), labelspacing=0.9)
    bar = axis.inset_axes((0.05, 0.2, 0.8, 0.07))
    bar.imshow(np.linspace(0, 1, 256)[None], aspect="auto", cmap=PROGRESS, extent=(0, steps, 0, 1))
    bar.set_yticks([])
    bar.set_xticks([0, steps], ["0", f"{steps:,}"])
    bar.set_xlabel("step", labelpad=-8)
    for spine in bar.spines.values():
        spine.set_color(GREY)
