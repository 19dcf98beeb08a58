"""Figure 5: the toy problem's two losses over the parameter plane.

Above as surfaces, as in the paper; below as contours, with the Pareto front, the five starts and the trajectories of
LS and Nash-MTL, which Figure 1 shows in the plane of the losses.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import Normal, Stroke

from experiments.common.names import METHOD_NAMES
from experiments.common.style import BLACK, VERMILION, new_figure
from experiments.toy.problem import STARTS, Toy, front_points
from experiments.toy.trajectories import STEPS, Trajectories, run

_EXTENT = 10.0
_COLOURS = "cividis"
_PATHS: dict[str, tuple[str, Any]] = {"ls": (VERMILION, (0, (4, 1.5))), "nash_mtl": ("white", "solid")}
_RIM = [Stroke(linewidth=4, foreground=BLACK), Normal()]  # without which white is lost on bright yellow
_NAMES = (r"$\ell_1$", r"$\ell_2$")


def draw_figure_5(steps: int = STEPS) -> dict[str, Figure | str]:
    trajectories = run(tuple(_PATHS), steps=steps)
    figure = new_figure(9.5, 7.4)
    grid = figure.add_gridspec(2, 2, height_ratios=(0.8, 1.0))
    for task in range(2):
        _draw_surface(figure.add_subplot(grid[0, task], projection="3d"), task)
        _draw_contours(figure, figure.add_subplot(grid[1, task]), task, trajectories)
    handles = [
        *(Line2D([], [], color=c, linestyle=s, linewidth=2, label=METHOD_NAMES[k]) for k, (c, s) in _PATHS.items()),
        Line2D([], [], color=BLACK, linewidth=5, label="Pareto front"),
        Line2D([], [], color="white", markeredgecolor=BLACK, marker="o", linestyle="", label="start"),
        Line2D([], [], color="white", markeredgecolor=BLACK, marker="D", linestyle="", label="end"),
    ]
    legend = figure.legend(
        handles=handles, loc="outside lower center", ncols=5, facecolor="#C8C8C8", edgecolor="none"
    )
    legend.get_frame().set_alpha(1.0)
    return {"figure_5": figure}


def _grid(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """t₁ and t₂ ``[n, n]`` and the losses there ``[n, n, 2]``."""
    t1, t2 = np.meshgrid(*[np.linspace(-_EXTENT, _EXTENT, n)] * 2)
    points = np.stack([t1.ravel(), t2.ravel()], axis=1)
    return t1, t2, Toy().losses(points).reshape(n, n, 2)


def _draw_surface(axis: Any, task: int) -> None:
    t1, t2, losses = _grid(161)
    axis.plot_surface(
        t1,
        t2,
        losses[..., task],
        cmap=_COLOURS,
        rcount=161,
        ccount=161,
        linewidth=0,
        antialiased=False,
        rasterized=True,
    )
    axis.set_xlabel(r"$t_1$")
    axis.set_ylabel(r"$t_2$")
    axis.set_title(_NAMES[task], size=14, pad=0)
    axis.view_init(elev=28, azim=-62)
    axis.set_box_aspect((1.0, 1.0, 0.65), zoom=1.4)


def _draw_contours(figure: Figure, axis: Any, task: int, trajectories: dict[str, Trajectories]) -> None:
    t1, t2, losses = _grid(201)
    filled = axis.contourf(t1, t2, losses[..., task], levels=24, cmap=_COLOURS)
    filled.set_rasterized(True)
    figure.colorbar(filled, ax=axis, label=_NAMES[task], format="%.3g", pad=0.02, shrink=0.85, aspect=25)
    axis.plot(*front_points(2).T, color=BLACK, linewidth=5, solid_capstyle="round")
    for key, (colour, line) in _PATHS.items():
        for start in range(len(STARTS)):
            path = trajectories[key].points[:, start]
            axis.plot(*path[::50].T, color=colour, linestyle=line, linewidth=2, path_effects=_RIM)
            axis.plot(*path[-1], "D", color=colour, markeredgecolor=BLACK, markersize=7, zorder=4)
    axis.plot(*STARTS.T, "o", color="white", markeredgecolor=BLACK, markersize=7, zorder=5)
    axis.set(xlabel=r"$t_1$", ylabel=r"$t_2$", aspect="equal", xlim=(-_EXTENT, _EXTENT), ylim=(-_EXTENT, _EXTENT))
