"""Figure 2: update directions of the methods for three gradients in R³, with their projections in red.

A static picture with one panel a method, and an HTML page that a mouse or finger turns; the page holds its data
and script, and needs no network.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from experiments.common.style import BLACK, BLUE, GREY, VERMILION, new_figure
from experiments.toy.directions import GRADIENTS, Direction, directions

#: Where the reader stands at first, in degrees, of the picture and of the page.
_AZIMUTH, _ELEVATION = -68.0, 24.0


def draw_figure_2() -> dict[str, Figure | str]:
    found = directions()
    figure = new_figure(12.0, 7.2)
    for panel, direction in enumerate(found.values()):
        _draw_panel(figure.add_subplot(2, 4, panel + 1, projection="3d"), direction)
    handles = [
        Line2D([], [], color=BLACK, linewidth=2, label=r"task gradients $g_1, g_2, g_3$"),
        Line2D([], [], color=BLUE, linewidth=3, label="update direction, at unit length"),
        Line2D([], [], color=VERMILION, linewidth=5, label="its projections on the gradients"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, fontsize=11)
    return {"figure_2": figure, "figure_2_interactive": interactive_page(found)}


def interactive_page(found: dict[str, Direction]) -> str:
    """The HTML page with its data filled in."""
    data = {
        "gradients": GRADIENTS.tolist(),
        "methods": [
            {
                "name": direction.name,
                "note": direction.note,
                "vector": direction.vector.round(6).tolist(),
                "projections": direction.projections.round(6).tolist(),
            }
            for direction in found.values()
        ],
        "start": {
            "azimuth": _AZIMUTH,
            "elevation": _ELEVATION,
            "method": list(found).index("nash_mtl"),
        },
        "colours": {"gradient": BLACK, "update": BLUE, "projection": VERMILION, "grid": "#D0D0D0", "hint": GREY},
    }
    template = files("experiments.toy").joinpath("figure_2.html").read_text(encoding="utf-8")
    return template.replace("/*DATA*/null", json.dumps(data))


def _draw_panel(axis: Any, direction: Direction) -> None:
    units = GRADIENTS / np.linalg.norm(GRADIENTS, axis=1, keepdims=True)
    _draw_grid(axis)
    for task, gradient in enumerate(GRADIENTS):
        foot = direction.projections[task] * units[task]
        axis.plot(*np.stack([np.zeros(3), foot], axis=1), color=VERMILION, linewidth=5, solid_capstyle="butt")
        axis.plot(*np.stack([direction.vector, foot], axis=1), color=VERMILION, linewidth=1, linestyle=(0, (2, 2)))
        _arrow(axis, gradient, BLACK, 2.0)
        beyond = max(float(np.linalg.norm(gradient)), direction.projections[task]) + 0.12
        axis.text(*(beyond * units[task]), f"$g_{task + 1}$", ha="center", va="center", size=11)
    _arrow(axis, direction.vector, BLUE, 3.0)
    numbers = ", ".join(f"{p:.2f}".replace("-", "−") for p in direction.projections)
    note = f" ({direction.note})" if direction.note else ""
    axis.text2D(0.5, 1.02, direction.name + note, transform=axis.transAxes, ha="center", size=12)
    axis.text2D(0.5, 0.94, f"projections {numbers}", transform=axis.transAxes, ha="center", color=VERMILION, size=10)
    axis.set(xlim=(-0.4, 1.0), ylim=(-0.4, 1.0), zlim=(-0.2, 1.0))
    axis.view_init(elev=_ELEVATION, azim=_AZIMUTH)
    axis.set_box_aspect((1.4, 1.4, 1.2), zoom=1.28)
    axis.set_axis_off()


def _draw_grid(axis: Any) -> None:
    """The plane z = 0 as a grid, and the vertical axis: what depth is read from."""
    for at in np.linspace(-0.4, 1.0, 8):
        axis.plot([at, at], [-0.4, 1.0], [0, 0], color="#D8D8D8", linewidth=0.7)
        axis.plot([-0.4, 1.0], [at, at], [0, 0], color="#D8D8D8", linewidth=0.7)
    axis.plot([0, 0], [0, 0], [0, 1.0], color="#D8D8D8", linewidth=0.7)


def _arrow(axis: Any, vector: np.ndarray, colour: str, width: float) -> None:
    length = float(np.linalg.norm(vector))
    axis.quiver(0, 0, 0, *vector, color=colour, linewidth=width, arrow_length_ratio=0.11 / length)
