"""How the suite's figures look: one font size, one colour a method, the same files."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

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

FORMATS = ("png", "svg", "pdf")


def paper_style() -> AbstractContextManager[None]:
    """Settings of matplotlib for the time of drawing: ``with paper_style(): …``."""
    return matplotlib.rc_context(
        {
            "font.size": 10.0,
            "axes.titlesize": 11.0,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "mathtext.fontset": "dejavusans",
            "svg.hashsalt": "figures",  # the same picture is the same file
            "savefig.facecolor": "white",
        }
    )


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
