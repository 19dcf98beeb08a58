"""``python -m experiments.figures`` draws what it is asked for, and says in one line why it cannot."""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from experiments import figures
from experiments.common.style import paper_style, save_figure
from experiments.toy.figure_1 import draw_figure_1, thinned
from experiments.toy.figure_5 import draw_figure_5


def test_figure_2_is_written_in_every_format(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures.main(["figure=2", f"out={tmp_path / 'new' / 'folder'}"])
    printed = [Path(line) for line in capsys.readouterr().out.split()]
    assert sorted(path.name for path in printed) == [
        "figure_2.pdf",
        "figure_2.png",
        "figure_2.svg",
        "figure_2_interactive.html",
    ]
    for path in printed:
        assert 5_000 < path.stat().st_size < 300_000
    assert (tmp_path / "new" / "folder" / "figure_2.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("draw", [draw_figure_1, draw_figure_5])
def test_trajectory_figures_are_drawn(draw, tmp_path: Path) -> None:
    """A few steps only: the pictures in the documentation take the paper's 35,000."""
    with paper_style():
        ((name, figure),) = draw(steps=40).items()
    (path,) = save_figure(figure, tmp_path / name, ["png"], dpi=60)
    image = matplotlib.image.imread(path)[..., :3]
    assert 0.01 < (image < 0.5).any(axis=2).mean() < 0.9  # neither blank nor black


def test_figure_1_shows_the_methods_that_are_named() -> None:
    ((_, figure),) = draw_figure_1(["fairgrad", "nash_mtl", "famo", "ls"], steps=20).items()
    assert [axis.get_title() or axis.get_title("left") for axis in figure.axes][:5] == [
        "FairGrad",
        "Nash-MTL",
        "FAMO",
        "LS",
        "",
    ]


def test_the_same_picture_is_the_same_file(tmp_path: Path) -> None:
    for folder in ("one", "other"):
        figures.main(["figure=2", f"out={tmp_path / folder}", "formats=[svg,pdf]"])
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "other" / path.name).read_bytes()


def test_the_pictures_in_the_documentation_exist() -> None:
    root = Path(figures.__file__).resolve().parents[1] / "docs"
    text = (root / "figures.md").read_text()
    for number in figures.FIGURES:
        assert f"python -m experiments.figures figure={number}" in text
    shown = re.findall(r"\(figures/figure_(\d)\.png\)", text)
    assert set(shown) >= set("1234578")
    for number in shown:
        assert (root / "figures" / f"figure_{number}.png").stat().st_size < 300_000


def test_thinning_keeps_both_ends_and_the_sharp_turns() -> None:
    path = np.concatenate([np.linspace([0, 0], [1, 0], 5000), np.linspace([1, 0], [1, 20], 10)])
    kept = thinned(path)
    assert kept[0] == 0 and kept[-1] == len(path) - 1
    assert {5001, 5004, 5009} <= set(kept.tolist())
    assert thinned(path[:1]).tolist() == [0]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "figure is missing; give figure=VALUE with one of 1, 2, 3, 4, 5, 6, 7, 8"),
        (["figure=9"], "figure=9 cannot be used; choose from 1, 2, 3, 4, 5, 6, 7, 8"),
        (["figure=two"], "'figure=two' cannot be used"),
        (["figur=2"], "the settings are root, benchmark, protocol, methods, figure, out, formats"),
        (["2"], "argument '2' is not key=value"),
        (["figure=2", "formats=[gif]"], "choose from png, svg, pdf"),
        (["figure=2", "out=/dev/null/x"], "cannot write in /dev/null/x"),
        (["figure=2", "methods=ls"], "figure 2 has no use for methods; leave it out"),
        (["figure=1", "root=results"], "figure 1 has no use for root; leave it out"),
        (["figure=4", "methods=[ls]"], "figure 4 has no use for methods; leave it out"),
        (["figure=1", "methods=ls,stl"], "stl trains one task"),
    ],
)
def test_wrong_settings_end_with_one_line(
    arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        figures.main(arguments)
    assert exit_.value.code == 1
    message = capsys.readouterr().err
    assert message.startswith("error: ") and expected in message and message.count("\n") == 1
