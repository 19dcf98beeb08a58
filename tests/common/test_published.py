"""Every published row's Δm and MR follow from its values, or the data file says by how much they do not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf

from experiments.benchmarks import BENCHMARKS
from experiments.check_published import (
    delta_m_rounding,
    differences,
    markdown,
    recomputed_delta_m,
    recomputed_mean_rank,
)
from experiments.common.errors import UserError
from experiments.common.published import (
    FOLDER,
    PublishedRow,
    decimals,
    half_unit,
    load_published,
    published_reference,
)
from experiments.reporting.aggregate import CONFIGS
from experiments.reporting.result_tables import printed
from experiments.reporting.tables import Column
from methods import METHODS

FILES = sorted(path.stem for path in FOLDER.glob("*.json"))
ROWS = [
    pytest.param(name, group, row, id=f"{name}-{group}-{row.method}")
    for name in FILES
    for group, content in load_published(name).groups.items()
    for row in content.rows
]
DELTA_M_TOLERANCE, MEAN_RANK_TOLERANCE = 0.2, 0.12
_ROUNDING = 1e-9


def check(row: PublishedRow, what: str, printed: float, value: float, tolerance: float) -> None:
    known = (row.known_difference or {}).get(what)
    if known is None:
        assert value == pytest.approx(printed, abs=tolerance + _ROUNDING)
    else:
        assert value == pytest.approx(known, abs=0.005 + _ROUNDING), "the listed value is not the one that follows"
        assert abs(known - printed) > tolerance, "a difference is listed that is none"


@pytest.mark.parametrize(("name", "group", "row"), ROWS)
def test_delta_m_follows_from_the_values(name: str, group: str, row: PublishedRow) -> None:
    published = load_published(name)
    assert len(row.values) == len(published.metrics)
    if row.delta_m is None:
        assert name == "mt10", "only MT10 prints no Δm"
        return
    check(row, "delta_m", row.delta_m, recomputed_delta_m(published, group, row), DELTA_M_TOLERANCE)


@pytest.mark.parametrize(("name", "group", "row"), ROWS)
def test_mean_rank_follows_from_the_values(name: str, group: str, row: PublishedRow) -> None:
    published = load_published(name)
    if row.mean_rank is None:
        assert row.rank_set is None
        return
    check(row, "mean_rank", row.mean_rank, recomputed_mean_rank(published, group, row), MEAN_RANK_TOLERANCE)


def test_the_rows_that_do_not_reproduce_are_these() -> None:
    """A change of a data file that adds or removes one is seen here."""
    found = {
        f"{name}/{group}/{row.method}": sorted(set(row.known_difference) - {"reason"})
        for name, group, row in (parameter.values for parameter in ROWS)
        if row.known_difference
    }
    assert found == {
        "cityscapes/later/GO4Align": ["mean_rank"],
        "cityscapes/later/NTKMTL": ["mean_rank"],
        "cityscapes/later/NTKMTL-SR": ["mean_rank"],
        "cityscapes/later/SDMGrad": ["mean_rank"],
        "cityscapes/paper/RLW": ["mean_rank"],
        "cityscapes/paper/SI": ["mean_rank"],
        "cityscapes/paper/UW": ["mean_rank"],
        "nyuv2/later/MoCo": ["mean_rank"],
        "nyuv2/later_two_decimals/GradVac": ["delta_m"],
        "qm9/later/FAMO": ["mean_rank"],
        "qm9/later/GO4Align": ["delta_m"],
        "qm9/paper/DWA": ["delta_m"],
        "qm9/paper/PCGrad": ["delta_m"],
    }


def test_the_documentation_lists_what_rounding_does_not_explain() -> None:
    document = Path(__file__).resolve().parents[2] / "docs" / "published_results.md"
    assert markdown() in document.read_text(encoding="utf-8")
    found = {(one.benchmark, one.method, one.figure) for one in differences()}
    assert ("nyuv2", "IMTL-G", "Δm") in found and ("qm9", "FAMO", "MR") in found
    assert not {row for row in found if row[1] == "Nash-MTL"}


def test_rounding_is_that_of_the_printed_digits() -> None:
    """PCGrad's Δm on QM9 is 0.23 off; its values of two to four digits account for that, but not for 1 %."""
    published = load_published("qm9")
    (row,) = (row for row in published.groups["paper"].rows if row.method == "PCGrad")
    rounding = delta_m_rounding(published, "paper", row)
    assert abs(recomputed_delta_m(published, "paper", row) - 125.7) < rounding < 1.5
    reference = published.reference()
    by_hand = [0.0005 / 0.067 + 0.106 * 0.0005 / 0.067**2]  # of mu alone
    assert rounding > 100 * by_hand[0] / len(reference)


def test_trailing_zeros_are_kept() -> None:
    """The paper prints 0.340, whose rounding is a tenth of that of 0.34."""
    published = load_published("qm9")
    (row,) = (row for row in published.groups["paper"].rows if row.method == "RLW")
    alpha = row.values[1]
    assert alpha == 0.34 and decimals(alpha) == 3 and half_unit(alpha) == pytest.approx(0.0005)
    assert printed(alpha).text(Column("alpha", "alpha", "a", 1)) == "0.340"
    for name, digits in (("nyuv2", 2), ("cityscapes", 2)):  # of every figure of the paper's tables
        for group in ("paper",):
            for entry in load_published(name).groups[group].rows:
                assert decimals(entry.delta_m or 0.0) == decimals(entry.mean_rank or 0.0) == digits
                assert {decimals(value) for value in entry.values} <= {2, 4}


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_whole(name: str) -> None:
    published = load_published(name)
    content = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    assert published.benchmark == name
    assert {"paper"} <= set(published.references) & set(published.protocols) & set(published.groups)
    for reference in content["references"].values():
        assert len(reference["values"]) == len(published.metrics)
        assert reference["source"] in published.sources
        assert reference["note"]
    used_protocols, used_sources = set(), {reference["source"] for reference in content["references"].values()}
    for group in published.groups.values():
        assert group.reference in published.references
        assert len({row.method for row in group.rows}) == len(group.rows)
        for row in group.rows:
            used_protocols.add(row.protocol)
            used_sources.add(row.source)
            assert row.key is None or row.key in METHODS
            assert row.known_difference is None or row.known_difference["reason"]
            assert row.spread is None or len(row.spread) == len(row.values)
    assert used_protocols == set(published.protocols)
    assert used_sources == set(published.sources)
    assert all(protocol["note"] for protocol in published.protocols.values())
    for source in published.sources:
        assert published.cite(source)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_the_metrics_are_those_of_the_benchmark(name: str) -> None:
    published, metrics = load_published(name), BENCHMARKS[name].metrics
    assert published.metrics == tuple(metric.name for metric in metrics)
    assert published.higher_is_better == tuple(metric.higher_is_better for metric in metrics)


#: Of a preset: what changes no number, what the data's sizes say, and what is an implementation of the same network.
NOT_COMPARED = {"preset", "run", "hydra", "data.train", "data.validation", "data.test", "trainer.groups"}
NOT_COMPARED_ON = {"qm9": {"model.network"}}


@pytest.mark.parametrize("name", ["qm9", "nyuv2", "cityscapes"])
def test_every_setting_of_the_papers_preset_is_compared(name: str) -> None:
    """A run may be called as published only if nothing in its preset is left unseen."""
    preset: Any = OmegaConf.to_container(OmegaConf.load(CONFIGS.parent / name / "preset" / "paper.yaml"))
    leaves = {
        f"{group}.{key}": value
        for group, content in preset.items()
        if isinstance(content, dict) and group not in NOT_COMPARED
        for key, value in content.items()
    }
    expected = set(leaves) - NOT_COMPARED - NOT_COMPARED_ON.get(name, set())
    stated = load_published(name).protocols["paper"]["settings"]
    assert expected <= set(stated)
    for path in expected:
        assert leaves[path] == stated[path] or leaves[path] in stated[path]


def test_the_reference_is_the_papers_single_task_row() -> None:
    values = published_reference("qm9")
    assert (values[0], values[-1]) == (0.067, 0.072)
    assert published_reference("qm9", ["cv", "mu"]) == [0.072, 0.067]
    code = load_published("qm9").reference("code")
    np.testing.assert_allclose(code, values, rtol=0.003)  # the same values with more digits


def test_a_benchmark_without_a_file_is_named() -> None:
    with pytest.raises(
        UserError, match=r"no published results for 'mnist'; there are for cityscapes, mt10, nyuv2, qm9"
    ):
        load_published("mnist")
