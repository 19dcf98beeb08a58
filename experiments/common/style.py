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
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
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
#: Beyond the palette, for the last of eleven methods; their lines are dashed and labelled besides.
BROWN, VIOLET, OLIVE = "#A8603F", "#8F63C4", "#7A8B00"
#: For methods that came after the paper.
ROSE, TEAL, INDIGO = "#B8336A", "#2FA39A", "#5B6BD6"
#: Text and lines that are black on paper, and grids: by these a drawn picture is made a dark page's.
_INK, _GRID = "#1B1B1B", "#C4C4C4"

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
    "graddrop": (BROWN, "--"),
    "cagrad": (VIOLET, "--"),
    "imtl_g": (OLIVE, "--"),
    "nash_mtl": (BLUE, "-"),
    "aligned_mtl": (ROSE, "-."),
    "famo": (TEAL, "-."),
    "fairgrad": (INDIGO, "-."),
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
    "axes.facecolor": "none",  # a page shows through
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), _INK),
    "grid.color": _GRID,
}


def paper_style() -> AbstractContextManager[None]:
    """Settings of matplotlib for the time of drawing: ``with paper_style(): …``."""
    return matplotlib.rc_context(_SETTINGS)


def darkened(svg: str) -> str:
    """A picture of :func:`svg_text` for a dark page: its ink light, its grid faint, all other colours as they are."""
    for light, dark in ((_INK, "#D8D8D8"), (BLACK, "#D8D8D8"), (_GRID, "#444444")):
        svg = svg.replace(light.lower(), dark.lower())
    return svg


def ink() -> str:
    """The colour of text, and so of what is black on paper."""
    return str(matplotlib.rcParams["text.color"])


def method_line(key: str, index: int = 0) -> dict[str, Any]:
    """Colour and line style of a method by its key; ``index`` tells those apart that have no line of their own."""
    colour, line = METHOD_LINES.get(key) or OTHER_LINES[index % len(OTHER_LINES)]
    return {"color": colour or ink(), "linestyle": line, "linewidth": 2.4 if key == "nash_mtl" else 1.4}


def new_figure(width: float, height: float, constrained: bool = True) -> Figure:
    """An empty figure of this size in inches, outside pyplot's list of open figures; needs no display.

    ``constrained``: let matplotlib find the layout, which of a dozen panels takes longer than to draw them.
    """
    figure = Figure(figsize=(width, height), layout="constrained" if constrained else None)
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
        with paper_style():
            content = _drawn(figure, kind, dpi)
        target = path.with_suffix(f".{kind}")
        with atomic_write(target) as file:
            file.write(content)
        written.append(target)
    return written


def svg_text(figure: Figure) -> str:
    """The figure as SVG with its text as text and nothing behind it, to stand within a page.

    Its layout is then as it is drawn here: finding it again for each file would take as long as drawing.
    """
    layout = figure.get_layout_engine()
    if layout is not None and figure.axes:
        layout.execute(figure)
        figure.set_layout_engine("none")
    behind = figure.get_facecolor()
    figure.set_facecolor("none")
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "figures"}):
        text = _drawn(figure, "svg").decode()
    figure.set_facecolor(behind)
    return text


_CANVASES: dict[str, Any] = {"png": FigureCanvasAgg, "svg": FigureCanvasSVG, "pdf": FigureCanvasPdf}
_DATES = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}


def _drawn(figure: Figure, kind: str, dpi: int = 100) -> bytes:
    """One file's content, from one drawing: ``savefig`` draws twice, in case a caller wants tight borders."""
    buffer = io.BytesIO()
    figure.set_dpi(dpi)
    getattr(_CANVASES[kind](figure), f"print_{kind}")(buffer, metadata=_DATES.get(kind))
    FigureCanvasAgg(figure)  # which is what it had
    return buffer.getvalue()
