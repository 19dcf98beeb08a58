"""The paper's figures: ``python -m experiments.figures figure=1``.

Settings, each as key=value:

  figure=1                    the figure's number in the paper (required)
  out=docs/figures            the folder that the files go to
  formats=[png,svg,pdf]       file formats of the static pictures

Figures 1, 2 and 5 are computed on the spot: 1 takes about a minute, 5 half of that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from matplotlib.figure import Figure
from omegaconf import MISSING

from experiments.common.errors import UserError, exits_cleanly
from experiments.common.files import atomic_write
from experiments.common.options import parse_options
from experiments.common.style import FORMATS, paper_style, save_figure
from experiments.toy.figure_1 import draw_figure_1
from experiments.toy.figure_2 import draw_figure_2
from experiments.toy.figure_5 import draw_figure_5


@dataclass
class FigureOptions:
    figure: int = MISSING
    out: str = "docs/figures"
    formats: list[str] = field(default_factory=lambda: list(FORMATS))


#: By the paper's number: from the options to pictures by file name without suffix; text is an HTML page.
FIGURES: dict[int, Callable[[FigureOptions], dict[str, Figure | str]]] = {
    1: lambda options: draw_figure_1(),
    2: lambda options: draw_figure_2(),
    5: lambda options: draw_figure_5(),
}


def read_options(arguments: Sequence[str] | None = None) -> FigureOptions:
    """``key=value`` arguments as options; raises :class:`UserError` for unknown keys and values that do not fit."""
    choices = {"figure": FIGURES, "formats": FORMATS}
    options = parse_options(FigureOptions, arguments, choices=choices, description=__doc__)
    if not options.formats:
        raise UserError(f"formats is empty; choose from {', '.join(FORMATS)}.")
    return options


def make_figure(options: FigureOptions) -> list[Path]:
    """Draw the figure and write its files; returns their paths. Raises :class:`UserError` if they cannot be."""
    folder = Path(options.out)
    try:
        folder.mkdir(parents=True, exist_ok=True)  # before the minutes of work
        with paper_style():
            pictures = FIGURES[options.figure](options)
        written = []
        for name, picture in pictures.items():
            if isinstance(picture, Figure):
                written += save_figure(picture, folder / name, options.formats)
            else:
                with atomic_write(folder / f"{name}.html") as file:
                    file.write(picture.encode())
                written.append(folder / f"{name}.html")
    except OSError as error:
        raise UserError(f"cannot write in {folder}: {error.strerror}; choose another out.") from error
    return written


@exits_cleanly
def main(arguments: Sequence[str] | None = None) -> None:
    for path in make_figure(read_options(arguments)):
        print(path)


if __name__ == "__main__":
    main()
