"""The paper's figures: ``python -m experiments.figures figure=1``.

Settings, each as key=value:

  figure=1                    the figure's number in the paper, 1 to 8 (required)
  out=docs/figures            the folder that the files go to
  formats=[png,svg,pdf]       file formats of the static pictures

Figures 1, 2 and 5 are computed on the spot: 1 takes about a minute, 5 half of that. Figure 1 takes this setting too:

  methods=[nash_mtl,fairgrad] which methods, in this order; one that is not the paper's takes some minutes

The others are drawn from run records, and take these:

  root=runs                   where the run records are
  benchmark=qm9               another benchmark than the paper's; of 7 and 8 this panel alone
  protocol=<digest>           which runs, where those of several protocols are found
  methods=[nash_mtl,ls]       which methods: of Figure 3 (all), 7 (one, nash_mtl) and 8 (nash_mtl)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from omegaconf import MISSING

from experiments.benchmarks import BENCHMARKS
from experiments.common.errors import UserError, exits_cleanly
from experiments.common.files import atomic_write, output_folder
from experiments.common.options import parse_options
from experiments.common.style import FORMATS, paper_style, save_figure
from experiments.paper.figure_3 import draw_figure_3
from experiments.paper.runs import RunChoice
from experiments.paper.training import draw_figure_7, draw_figure_8
from experiments.paper.variants import draw_figure_4, draw_figure_6
from experiments.toy.figure_1 import draw_figure_1
from experiments.toy.figure_2 import draw_figure_2
from experiments.toy.figure_5 import draw_figure_5
from methods import METHODS


@dataclass
class FigureOptions(RunChoice):
    figure: int = MISSING
    out: str = "docs/figures"
    formats: list[str] = field(default_factory=lambda: list(FORMATS))


#: By the paper's number: from the options to pictures by file name without suffix; text is an HTML page.
FIGURES: dict[int, Callable[[FigureOptions], Mapping[str, Figure | str]]] = {
    1: lambda options: draw_figure_1(options.methods),
    2: lambda options: draw_figure_2(),
    3: draw_figure_3,
    4: draw_figure_4,
    5: lambda options: draw_figure_5(),
    6: draw_figure_6,
    7: draw_figure_7,
    8: draw_figure_8,
}

_OF_RUNS = {"root", "benchmark", "protocol"}
#: Which settings of :class:`RunChoice` a figure makes something of.
_TAKES: dict[int, set[str]] = {
    1: {"methods"},
    2: set(),
    3: {*_OF_RUNS, "methods"},
    4: _OF_RUNS,
    5: set(),
    6: _OF_RUNS,
    7: {*_OF_RUNS, "methods"},
    8: {*_OF_RUNS, "methods"},
}


def read_options(arguments: Sequence[str] | None = None) -> FigureOptions:
    """``key=value`` arguments as options; raises :class:`UserError` for unknown keys, values that do not fit
    and settings that the figure has no use for."""
    choices: dict[str, Iterable[Any]] = {
        "figure": FIGURES,
        "formats": FORMATS,
        "benchmark": BENCHMARKS,
        "methods": METHODS,
    }
    options = parse_options(FigureOptions, arguments, choices=choices, description=__doc__)
    if not options.formats:
        raise UserError(f"formats is empty; choose from {', '.join(FORMATS)}.")
    for entry in fields(RunChoice):
        if getattr(options, entry.name) != entry.default and entry.name not in _TAKES[options.figure]:
            raise UserError(f"figure {options.figure} has no use for {entry.name}; leave it out.")
    return options


def make_figure(options: FigureOptions) -> list[Path]:
    """Draw the figure and write its files; returns their paths. Raises :class:`UserError` if they cannot be."""
    folder = Path(options.out)
    with output_folder(folder):  # before the minutes of work
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
    return written


@exits_cleanly
def main(arguments: Sequence[str] | None = None) -> None:
    for path in make_figure(read_options(arguments)):
        print(path)


if __name__ == "__main__":
    main()
