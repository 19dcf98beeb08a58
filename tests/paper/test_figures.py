"""Figures 3, 4, 6, 7 and 8 from made-up records: the drawn lines are the records' numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from experiments import figures
from experiments.common.errors import UserError
from experiments.common.metrics import delta_m
from experiments.common.style import paper_style
from experiments.nyuv2.metrics import METRICS as NYUV2_METRICS
from experiments.paper.runs import RunChoice
from tests.common.made_up import NAMES, all_metrics, record, with_epochs, write, write_single_tasks

NASH = {"name": "nash_mtl", "update_weights_every": 1, "solver": "newton", "ccp_steps": 20}


def draw(number: int, root: Path, **choice: Any) -> Figure:
    with paper_style():
        ((name, figure),) = figures.FIGURES[number](RunChoice(root=str(root), **choice)).items()
    assert name == f"figure_{number}"
    assert isinstance(figure, Figure)
    return figure


def lines(figure: Figure, axis: int = 0) -> dict[str, np.ndarray]:
    """What is drawn, by the legend's names."""
    found = {str(line.get_label()): np.asarray(line.get_ydata()) for line in figure.axes[axis].get_lines()}
    return {label: values for label, values in found.items() if not label.startswith("_")}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Synthetic runs: single tasks of error 1; methods whose errors fall to 2, 3 and 4 by seed."""
    root = tmp_path / "runs"
    for seed in range(3):
        write_single_tasks(root, seed, all_metrics(1.0))
        for method in ({"name": "ls"}, NASH, {**NASH, "update_weights_every": 5}):
            write(root, with_epochs(record(all_metrics(2.0 + seed), seed=seed, method=method)))
    return root


def test_figure_3_shows_delta_m_against_our_single_tasks_over_training(root: Path) -> None:
    figure = draw(3, root)
    drawn = lines(figure)
    names = {text.get_text() for text in figure.axes[0].texts}
    assert names == {"LS", "Nash-MTL"}  # beside the ends
    assert figure.axes[0].get_ylabel() == "Δm on test, % (log scale)"
    assert list(drawn) == ["LS", "Nash-MTL"]  # neither STL nor Nash-MTL with another interval
    # Errors of 3, 2 and 1 times the final 2, 3 and 4; against 1 that is 100 % less than each in per cent.
    np.testing.assert_allclose(drawn["LS"], [800.0, 500.0, 200.0])
    assert "SYNTHETIC data" in figure.axes[0].get_title() and "3 seeds" in figure.axes[0].get_title()
    (band,) = figure.axes[0].collections  # of Nash-MTL alone
    (low, high) = band.get_paths()[0].get_extents().intervaly
    assert (low, high) == pytest.approx((100.0, 1100.0))  # of the seeds


def test_methods_can_be_chosen(root: Path) -> None:
    assert list(lines(draw(3, root, methods=["ls"]))) == ["LS"]


def test_figure_3_shows_methods_that_came_later_where_they_are_named(root: Path) -> None:
    for seed in range(3):
        write(root, with_epochs(record(all_metrics(2.0), seed=seed, method={"name": "famo"})))
    assert list(lines(draw(3, root))) == ["LS", "Nash-MTL"]
    assert list(lines(draw(3, root, methods=["ls", "famo"]))) == ["LS", "FAMO"]


def test_figure_4_shows_the_intervals_in_their_order(root: Path) -> None:
    write(root, with_epochs(record(all_metrics(2.0), method={**NASH, "update_weights_every": 50})))
    write(root, with_epochs(record(all_metrics(9.0), method={**NASH, "solver": "ccp"})))  # another matter
    figure = draw(4, root)
    assert list(lines(figure)) == ["1", "5", "50"]
    ends = figure.axes[1]
    assert [tick.get_text() for tick in ends.get_xticklabels()] == ["1", "5", "50"]
    dots = [np.asarray(line.get_ydata(), dtype=float).tolist() for line in ends.get_lines()]
    assert dots[0] == pytest.approx([100.0, 200.0, 300.0]) and dots[1] == pytest.approx([200.0])


@pytest.mark.parametrize("other", [{"max_norm": 0.0}, {"weight_heads": False}, {"solver": "ccp"}])
def test_a_row_that_differs_in_something_else_is_not_a_variant(root: Path, other: dict[str, Any]) -> None:
    """It would stand in the place of the plain row of the same interval."""
    write(root, with_epochs(record(all_metrics(50.0), method={**NASH, "update_weights_every": 5, **other})))
    ends = draw(4, root).axes[1]
    dots = [np.asarray(line.get_ydata(), dtype=float).tolist() for line in ends.get_lines()]
    assert [tick.get_text() for tick in ends.get_xticklabels()] == ["1", "5"]
    assert dots[2] == pytest.approx([100.0, 200.0, 300.0])


def test_two_rows_of_one_variant_are_refused(root: Path) -> None:
    """Newton's method has no steps to count, so that this is the plain row under another name."""
    for steps in (20, 7):
        values = dict.fromkeys([metric.name for metric in NYUV2_METRICS], 2.0)
        entry = record(values, benchmark="nyuv2", method={**NASH, "ccp_steps": steps})
        write(root, entry)
        write(root, record(values, benchmark="nyuv2", method={**NASH, "ccp_steps": steps, "solver": "ccp"}))
    with pytest.raises(UserError, match="are the same variant"):
        draw(6, root)


def test_figure_6_tells_the_solvers_apart(root: Path) -> None:
    names = [metric.name for metric in NYUV2_METRICS]

    def nyuv2(value: float, **options: Any) -> dict[str, Any]:
        entry = record(dict.fromkeys(names, value), benchmark="nyuv2", method={**NASH, **options})
        entry["epochs"] = [{"test": dict.fromkeys(names, value * (3 - epoch))} for epoch in range(3)]
        return entry

    for steps in (40, 1, 20):
        write(root, nyuv2(float(steps), solver="ccp", ccp_steps=steps))
    write(root, nyuv2(2.0))
    write(root, nyuv2(7.0, update_weights_every=5))  # another matter
    figure = draw(6, root)
    assert list(lines(figure)) == ["CCP, 1 step", "CCP, 20 steps", "CCP, 40 steps", "exact"]
    directions = [metric.higher_is_better for metric in NYUV2_METRICS]
    from experiments.common.published import published_reference

    expected = delta_m([2.0] * len(names), published_reference("nyuv2", names), directions)
    assert lines(figure)["exact"][-1] == pytest.approx(expected)


def test_figure_7_shows_every_tasks_weight_in_a_panel_and_names_the_method(root: Path) -> None:
    figure = draw(7, root)
    panels = {axis.get_title(): axis for axis in figure.axes if axis.get_visible()}
    assert list(panels) == NAMES
    means = {name: np.asarray(axis.get_lines()[3].get_ydata()) for name, axis in panels.items()}  # after three seeds
    np.testing.assert_allclose(means["mu"], [1.0, 2.0, 3.0])
    np.testing.assert_allclose(means["cv"], [11.0, 12.0, 13.0])
    (part,) = figure.subfigs
    assert part.get_suptitle().startswith("Nash-MTL on QM9, SYNTHETIC data")
    (part,) = draw(7, root, methods=["ls"]).subfigs
    assert part.get_suptitle().startswith("LS on QM9")


def test_figure_8_shows_the_smallest_eigenvalue_on_a_logarithmic_axis(root: Path) -> None:
    figure = draw(8, root, methods=["ls", "nash_mtl"])
    np.testing.assert_allclose(lines(figure)["Nash-MTL"], [1.0, 0.5, 0.25])
    assert figure.axes[0].get_yscale() == "log" and "(log scale)" in figure.axes[0].get_ylabel()
    alone = draw(8, root)
    assert list(lines(alone)) == ["Nash-MTL"] and alone.axes[0].get_title().startswith("Nash-MTL on QM9")


@pytest.mark.parametrize("number", [3, 4, 6, 7, 8])
def test_without_runs_the_command_that_makes_them_is_named(
    number: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        figures.main([f"figure={number}", f"root={tmp_path}", f"out={tmp_path}"])
    (line,) = capsys.readouterr().err.splitlines()
    assert "has no finished runs" in line and "python -m experiments." in line


def test_several_protocols_are_not_mixed(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = with_epochs(record(all_metrics(2.0), trainer__epochs=20))
    write(root, other)
    arguments = ["figure=3", f"root={root}", f"out={root.parent}", "formats=[png]"]
    with pytest.raises(SystemExit):
        figures.main(arguments)
    message = capsys.readouterr().err
    assert f"{other['protocol']} (1 run, preset quick, 20 epochs, SYNTHETIC data (60 train" in message
    assert "(42 runs, preset quick, 10 epochs" in message and "give protocol=DIGEST" in message
    figures.main([*arguments, f"protocol={other['protocol']}"])
    assert (root.parent / "figure_3.png").is_file()


def test_records_without_the_quantity_are_named(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entry = with_epochs(record(all_metrics(2.0), method={"name": "cagrad"}))
    for epoch in entry["epochs"]:
        epoch |= {"weights": None, "smallest_eigenvalue": None}
    write(root, entry)
    for number, message in ((7, "CAGrad has no task weights"), (8, "CAGrad records no eigenvalues")):
        with pytest.raises(SystemExit):
            figures.main([f"figure={number}", f"root={root}", f"out={root.parent}", "methods=[cagrad]"])
        assert message in capsys.readouterr().err
