"""How the suite's figures look: one font size, one colour a method, the same files."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from experiments.common.files import atomic_write

#: Okabe and Ito's palette, which readers with any form of colour blindness tell apart.
BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILION, PURPLE = (
    "#000000",
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#F0E442",
    "#0072B2",
    "#D55E00",
    "#CC79A7",
)
GREY = "#8A8A8A"

#: A colour and a line for each of ``methods.METHODS``; ``None`` is the colour of the text.
METHOD_LINES: dict[str, tuple[str | None, str]] = {
    "stl": (GREY, ":"),
    "ls": (None, "-"),
    "si": (ORANGE, "-"),
    "rlw": (GREY, "-"),
    "dwa": (SKY, "-"),
    "uw": (GREEN, "-"),
    "mgda": (VERMILION, "-"),
    "pcgrad": (PURPLE, "-"),
    "graddrop": (GREEN, "--"),
    "cagrad": (ORANGE, "--"),
    "imtl_g": (SKY, "--"),
    "nash_mtl": (BLUE, "-"),
}
#: For what has no line of its own: further methods, options of one method, tasks.
OTHER_LINES = tuple(
    (colour, line) for line in (":", "-.", "--", "-") for colour in (VERMILION, PURPLE, GREEN, ORANGE, SKY)
)
TASK_LINES = tuple((colour, line) for line in ("-", "--") for colour in (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY))

FORMATS = ("png", "svg", "pdf")


#: Of matplotlib; it names a type of every key that there is, which a dictionary of a few does not have.
_SETTINGS: Any = {
    "font.size": 10.0,
    "axes.titlesize": 11.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "mathtext.fontset": "dejavusans",
    "svg.hashsalt": "figures",  # the same picture is the same file
    "savefig.facecolor": "white",
}


def paper_style() -> AbstractContextManager[None]:
    """Settings of matplotlib for the time of drawing: ``with paper_style(): …``."""
    return matplotlib.rc_context(_SETTINGS)


def dark_style() -> AbstractContextManager[None]:
    """As :func:`paper_style` on a dark page: light text and lines, nothing behind them."""
    light, faint = "#D8D8D8", "#777777"
    settings = {f"{part}.color": light for part in ("text", "xtick", "ytick")} | {"axes.labelcolor": light}
    dark: Any = {**_SETTINGS, **settings, "axes.edgecolor": faint, "axes.facecolor": "none", "grid.color": "#444444"}
    return matplotlib.rc_context(dark)


def ink() -> str:
    """The colour of text, and so of what is black on paper."""
    return str(matplotlib.rcParams["text.color"])


def method_line(key: str, index: int = 0) -> dict[str, Any]:
    """Colour and line style of a method by its key; ``index`` tells those apart that have no line of their own."""
    colour, line = METHOD_LINES.get(key) or OTHER_LINES[index % len(OTHER_LINES)]
    return {"color": colour or ink(), "linestyle": line, "linewidth": 2.4 if key == "nash_mtl" else 1.4}


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of this size in inches, outside pyplot's list of open figures; needs no display."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def as_array(figure: Figure, dpi: int = 100) -> np.ndarray:
    """The picture's pixels [h, w, 3], uint8."""
    figure.set_dpi(dpi)
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()  # type: ignore[attr-defined]


def save_figure(figure: Figure, path: Path, formats: Sequence[str] = FORMATS, dpi: int = 130) -> list[Path]:
    """Write ``path`` once a format, with its suffix; the files hold no date, so that a redrawing changes nothing."""
    written = []
    for kind in formats:
        buffer = io.BytesIO()
        metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind)
        with paper_style():
            figure.savefig(buffer, format=kind, dpi=dpi, metadata=metadata)
        target = path.with_suffix(f".{kind}")
        with atomic_write(target) as file:
            file.write(buffer.getvalue())
        written.append(target)
    return written


def svg_text(figure: Figure) -> str:
    """The figure as SVG with its text as text and nothing behind it, to stand within a page."""
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "figures"}):
        figure.savefig(buffer, format="svg", facecolor="none", metadata={"Date": None})
    return buffer.getvalue().decode()
