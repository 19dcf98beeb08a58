"""The report on made-up records: every number is worked out from the values that the test wrote."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest
from omegaconf import OmegaConf

from experiments.benchmarks import BENCHMARKS
from experiments.common.errors import UserError
from experiments.common.metrics import delta_m, mean_rank
from experiments.common.published import published_reference
from experiments.report import main
from experiments.reporting.aggregate import CONFIGS as METHOD_CONFIGS
from experiments.reporting.aggregate import NAMES as METHOD_NAMES
from experiments.reporting.aggregate import load_runs, option_labels
from experiments.reporting.tables import Cell, Column, Row, Section, Table, to_latex
from methods import METHODS
from tests.common.made_up import NAMES, all_metrics, record, report, rows, write, write_single_tasks

REFERENCE = published_reference("qm9")
CONFIGS = METHOD_CONFIGS.parent
LOWER = [False] * len(NAMES)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "runs"


# --- numbers


def test_means_deviations_ranks_and_delta_m(root: Path) -> None:
    seeds = {"ls": (2.0, 3.0, 7.0), "cagrad": (1.0, 2.0, 4.5), "nash_mtl": (9.0,)}
    for name, values in seeds.items():
        for seed, value in enumerate(values):
            write(root, record(all_metrics(value), seed=seed, method={"name": name}))
    found = rows(report(root))
    means = {name: fmean(values) for name, values in seeds.items()}
    ranks = mean_rank([[mean] * len(NAMES) for mean in means.values()], LOWER)
    for (name, values), rank in zip(seeds.items(), ranks, strict=True):
        row = found["ours", METHOD_NAMES[name]]
        deltas = [delta_m([value] * len(NAMES), REFERENCE, LOWER) for value in values]
        assert int(row["seeds"]) == len(values)
        assert float(row["mu"]) == float(row["cv"]) == means[name]
        assert float(row["MR"]) == rank
        assert float(row["delta_m"]) == pytest.approx(fmean(deltas), rel=1e-12)
        if len(values) > 1:
            assert float(row["HOMO_std"]) == stdev(values)
            assert float(row["delta_m_std"]) == pytest.approx(stdev(deltas), rel=1e-12)
        else:
            assert row["HOMO_std"] == row["delta_m_std"] == ""


def test_our_rows_are_ranked_among_themselves_and_without_single_tasks(root: Path) -> None:
    write_single_tasks(root, 0, all_metrics(0.5))
    write(root, record(all_metrics(2.0), method={"name": "ls"}))
    write(root, record(all_metrics(1.0), method={"name": "si"}))
    found = rows(report(root))
    assert found["ours", "STL"]["MR"] == ""
    assert [float(found["ours", name]["MR"]) for name in ("LS", "SI")] == [2.0, 1.0]
    assert float(found["nash", "Nash-MTL"]["MR"]) == pytest.approx(2.5, abs=0.06)  # as printed, to its rounding


def test_variants_of_a_method_are_shown_but_not_ranked(root: Path) -> None:
    """Ten variants of a good method would push all others down without saying anything of them."""
    for name, value in (("ls", 2.0), ("si", 3.0), ("nash_mtl", 1.0)):
        write(root, record(all_metrics(value), method={"name": name}))
    for interval in (5, 50):
        write(root, record(all_metrics(1.5), method={"name": "nash_mtl", "update_weights_every": interval}))
    write(root, record(all_metrics(4.0), method={"name": "cagrad", "c": 0.9}))  # the only one of its method
    folder = report(root, "report.published=false")
    ranks = {method: row["MR"] for (_, method), row in rows(folder).items()}
    assert {name: rank for name, rank in ranks.items() if "every" in name} == {
        "Nash-MTL (update_weights_every=5)": "",
        "Nash-MTL (update_weights_every=50)": "",
    }
    assert [float(ranks[name]) for name in ("LS", "SI", "Nash-MTL", "CAGrad (c=0.9)")] == [2.0, 3.0, 1.0, 4.0]
    assert "variants with other options are not ranked" in next(folder.glob("*.md")).read_text()


def test_methods_can_be_chosen_and_are_ranked_among_themselves(root: Path) -> None:
    write_single_tasks(root, 0, all_metrics(0.5))
    for name, value in (("ls", 2.0), ("si", 3.0), ("nash_mtl", 1.0)):
        write(root, record(all_metrics(value), method={"name": name}))
    found = rows(report(root, "methods=[ls,si]"))
    assert [method for source, method in found if source == "ours"] == ["STL", "LS", "SI"]
    assert [method for source, method in found if source == "nash"] == ["STL", "LS", "SI"]
    assert [float(found["ours", name]["MR"]) for name in ("LS", "SI")] == [1.0, 2.0]


def test_a_method_alone_has_no_rank(root: Path) -> None:
    write(root, record(all_metrics(2.0)))
    assert rows(report(root))["ours", "LS"]["MR"] == ""


def test_single_task_runs_make_one_row_a_seed(root: Path) -> None:
    values = {seed: {name: 1.0 + index + 100 * seed for index, name in enumerate(NAMES)} for seed in (0, 1)}
    for seed, row in values.items():
        write_single_tasks(root, seed, row)
    row = rows(report(root))["ours", "STL"]
    assert row["seeds"] == "2"
    for name in NAMES:
        assert float(row[name]) == fmean([values[0][name], values[1][name]])
        assert float(row[f"{name}_std"]) == stdev([values[0][name], values[1][name]])


def test_incomplete_single_task_sets_are_reported_and_not_used(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_single_tasks(root, 0, all_metrics(1.0))
    write_single_tasks(root, 1, dict.fromkeys(NAMES[:-2], 5.0))
    folder = report(root)
    row = rows(folder)["ours", "STL"]
    assert (row["seeds"], float(row["mu"])) == ("1", 1.0)
    assert "STL seed 1 lacks G, cv" in capsys.readouterr().out
    (entry,) = json.loads((folder / "sources.json").read_text()).values()
    assert len(entry["used"]) == len(NAMES)
    assert {run["reason"] for run in entry["left_out"]} == {"its set of single-task runs is incomplete"}


def test_our_own_reference_is_the_mean_of_our_single_task_rows(root: Path) -> None:
    for seed, value in ((0, 1.0), (1, 3.0)):
        write_single_tasks(root, seed, all_metrics(value))
    write(root, record(all_metrics(3.0)))
    found = rows(report(root, "report.reference=ours"))
    assert float(found["ours", "LS"]["delta_m"]) == pytest.approx(50.0)  # 3 against (1 + 3)/2
    assert float(found["ours", "STL"]["delta_m"]) == pytest.approx(0.0)
    assert float(found["nash", "LS"]["delta_m"]) == 177.6  # published rows keep theirs


def test_the_reference_is_ours_by_default_where_the_protocol_is_not_the_published_one(root: Path) -> None:
    write(root, record(all_metrics(3.0)))
    alone = float(rows(report(root))["ours", "LS"]["delta_m"])
    assert alone == pytest.approx(delta_m([3.0] * len(NAMES), REFERENCE, [False] * len(NAMES)))
    write_single_tasks(root, 0, all_metrics(2.0))
    assert float(rows(report(root))["ours", "LS"]["delta_m"]) == pytest.approx(50.0)
    assert float(rows(report(root, "report.reference=published"))["ours", "LS"]["delta_m"]) == pytest.approx(alone)


def test_another_published_reference_can_be_named(root: Path) -> None:
    write(root, record(all_metrics(3.0)))
    paper = float(rows(report(root))["ours", "LS"]["delta_m"])
    assert float(rows(report(root, "report.reference=code"))["ours", "LS"]["delta_m"]) != paper


def test_single_tasks_serve_the_protocol_that_differs_in_the_reference_alone(root: Path) -> None:
    write_single_tasks(root, 0, all_metrics(2.0))
    write(root, record(all_metrics(3.0), report__reference="ours"))
    found = rows(report(root, "report.reference=ours"))  # one table, so one CSV file
    assert float(found["ours", "LS"]["delta_m"]) == pytest.approx(50.0)


# --- which runs share a table


def test_options_that_are_not_the_default_make_a_row_of_their_own(root: Path) -> None:
    options = {"name": "nash_mtl", "update_weights_every": 1, "solver": "newton"}
    for seed in (0, 1):
        write(root, record(all_metrics(1.0), seed=seed, method=options))
    write(root, record(all_metrics(2.0), method={**options, "update_weights_every": 5}))
    write(root, record(all_metrics(3.0), method={**options, "solver": "ccp"}))
    found = rows(report(root, "report.published=false"))
    labels = [method for _, method in found]
    assert labels == ["Nash-MTL", "Nash-MTL (solver=ccp)", "Nash-MTL (update_weights_every=5)"]
    assert [float(row["mu"]) for row in found.values()] == [1.0, 3.0, 2.0]


def test_without_a_default_the_most_common_option_is_the_plain_name() -> None:
    methods = [{"name": "new", "strength": strength} for strength in (0.5, 0.1, 0.5)]
    assert sorted(option_labels(methods).values()) == ["new", "new (strength=0.1)"]


def test_rows_stand_in_the_order_of_the_methods(root: Path) -> None:
    assert list(METHOD_NAMES) == list(METHODS)
    write_single_tasks(root, 0, all_metrics(1.0))
    for name in [*reversed(METHODS), "a_new_one"]:
        if name != "stl":
            write(root, record(all_metrics(1.0), method={"name": name}))
    found = rows(report(root, "report.published=false"))
    assert [method for _, method in found] == [*METHOD_NAMES.values(), "a_new_one"]


def test_protocols_never_share_a_table(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = record(all_metrics(1.0))
    second = record(all_metrics(2.0), trainer__epochs=20)
    for entry in (first, second):
        write(root, entry)
    folder = report(root)
    for entry, epochs in ((first, 10), (second, 20)):
        found = rows(folder, entry["protocol"])
        assert float(found["ours", "LS"]["mu"]) == entry["results"]["metrics"]["mu"]
        assert f"{epochs} epochs" in (folder / f"{entry['protocol']}.md").read_text().splitlines()[0]
    assert capsys.readouterr().out.count("## QM9") == 2

    report(root.parent / "runs", f"protocol={second['protocol']}", f"out={root.parent / 'one'}")
    assert [path.stem for path in (root.parent / "one").rglob("*.tex")] == [second["protocol"]]


def test_different_data_of_one_protocol_never_share_a_table(root: Path) -> None:
    write(root, record(all_metrics(1.0)))
    write(root, record(all_metrics(2.0), seed=1, data={"synthetic": False, "source": "real"}))
    folder = report(root)
    headings = sorted(path.read_text().splitlines()[0] for path in folder.glob("*.md"))
    assert len(headings) == 2
    assert sorted("SYNTHETIC" in heading for heading in headings) == [False, True]


def test_unfinished_runs_are_left_out_and_listed(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(root, record(all_metrics(1.0)))
    names = {}
    for seed, status in enumerate(("running", "failed", "interrupted"), start=1):
        entry = record(None, seed=seed, status=status)
        write(root, entry)
        names[entry["name"]] = status
    write(root, record(None, status="running", trainer__epochs=99))
    folder = report(root)
    assert rows(folder)["ours", "LS"]["seeds"] == "1"
    printed = capsys.readouterr().out
    assert all(f"{name} ({status})" in printed for name, status in names.items())
    assert "has no finished runs yet (1 not finished)" in printed
    (entry,) = json.loads((folder / "sources.json").read_text()).values()
    assert {run["name"]: run["status"] for run in entry["left_out"]} == names


def test_the_same_run_twice_counts_once(root: Path) -> None:
    old, new = record(all_metrics(1.0)), record(all_metrics(2.0))
    new["finished"] = "2001-01-01T00:00:00+00:00"
    write(root, new, "a")
    write(root, old, "b")
    folder = report(root)
    row = rows(folder)["ours", "LS"]
    assert (row["seeds"], float(row["mu"])) == ("1", 2.0)
    (entry,) = json.loads((folder / "sources.json").read_text()).values()
    assert "finished later" in entry["left_out"][0]["reason"]


def test_other_benchmarks_are_passed_over(root: Path) -> None:
    write(root, record(all_metrics(1.0)))
    write(root, record({"mIoU": 0.5}, benchmark="nyuv2"))
    assert len(load_runs(root, "qm9")) == 1


def test_a_damaged_record_of_another_benchmark_is_none_of_ours(root: Path) -> None:
    write(root, record(all_metrics(1.0)))
    path = write(root, record({"mIoU": 0.5}, benchmark="nyuv2"))
    path.write_text(path.read_text()[:-20])
    assert len(load_runs(root, "qm9")) == 1
    with pytest.raises(UserError, match=r"is not a run record"):
        load_runs(root, "nyuv2")


def test_a_mean_that_rounds_to_zero_has_no_sign() -> None:
    column = Column("delta_m", "Δm%", r"\Delta_m\%", 2)
    assert Cell(-0.001, 12.7).text(column) == "0.00"
    section = Section("ours", (Row("STL", (Cell(-0.001),)), Row("LS", (Cell(-1.0),))))
    latex = to_latex(Table("T", "tab:t", (column,), (section,)))
    assert "$-0.00$" not in latex and "$-1.00$" in latex


# --- words


def test_what_differs_from_the_published_protocol_is_computed(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(root, record(all_metrics(1.0)))
    report(root)
    printed = capsys.readouterr().out
    for difference in (
        "synthetic data",
        "preset quick",
        "epochs 10 (published 300)",
        "batch size 60 (published 120)",
        "model dim 32 (published 64)",
        "train examples 60 (published 110,831)",
        "1 seed (published 3)",
    ):
        assert difference in printed
    assert "not for comparison" in printed
    assert "edge hidden" not in printed  # is as published


def test_a_run_of_the_papers_protocol_is_said_to_agree(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changes = paper_settings("qm9")
    data = {"synthetic": False, "train": 110831, "validation": 10000, "test": 10000}
    for seed in range(3):
        write(root, record(all_metrics(1.0), seed=seed, data=data, **changes))
    report(root)
    printed = capsys.readouterr().out
    assert "Ours agrees with the published protocol in epochs, batch size, model dim" in printed
    assert "real data (110,831 train" in printed
    assert "orientation" not in printed
    assert "SYNTHETIC" not in printed


def paper_settings(benchmark: str) -> dict[str, Any]:
    """The changes that make a record one of the paper's preset."""
    preset = OmegaConf.to_container(OmegaConf.load(CONFIGS / benchmark / "preset" / "paper.yaml"))
    assert isinstance(preset, dict)
    groups = {group: preset[group] for group in ("data", "model", "trainer", "optimizer", "schedule")}
    changes = {f"{group}__{key}": value for group, content in groups.items() for key, value in content.items()}
    return {"preset": "paper", **changes, **({"data__statistics": "train"} if benchmark == "qm9" else {})}


MTAN = {"synthetic": False, "source": "MTAN's npy folders", "validation": None}
SCENES = {
    "nyuv2": {**MTAN, "train": 795, "test": 654, "normals": {"given": "normal"}},
    "cityscapes": {**MTAN, "train": 2975, "test": 500},
}


def scene_report(root: Path, benchmark: str, data: dict[str, Any], changes: dict[str, Any]) -> str:
    values = {metric.name: 1.0 for metric in BENCHMARKS[benchmark].metrics}
    for seed in range(3):
        write(root, record(values, benchmark=benchmark, seed=seed, data=data, **changes))
    main([f"benchmark={benchmark}", f"root={root}", f"out={root.parent}", "pictures=false"])
    (path,) = (root.parent / benchmark).glob("*.md")
    return path.read_text()


@pytest.mark.parametrize("benchmark", SCENES)
def test_scenes_of_the_papers_protocol_agree(root: Path, benchmark: str) -> None:
    text = scene_report(root, benchmark, SCENES[benchmark], paper_settings(benchmark))
    assert "Ours agrees with the published protocol" in text and "orientation" not in text


@pytest.mark.parametrize(
    ("benchmark", "change", "data", "difference"),
    [
        ("nyuv2", {"model__network": "segnet"}, {}, "model network segnet (published mtan)"),
        ("nyuv2", {"model__width": 0.25}, {}, "model width 0.25 (published 1.0)"),
        ("nyuv2", {"data__height": 96}, {}, "image height 96 (published 288)"),
        ("nyuv2", {"optimizer__lr": 0.001}, {}, "learning rate 0.001 (published 0.0001)"),
        ("nyuv2", {"data__augment": False}, {}, "augment off (published on)"),
        ("nyuv2", {"trainer__last_epochs": 1}, {}, "last epochs 1 (published 10)"),
        ("nyuv2", {"speed__autocast": "bfloat16"}, {}, "speed autocast bfloat16 (published none)"),
        ("nyuv2", {"trainer__metrics": None}, {}, "metrics not recorded (published paper)"),
        ("nyuv2", {}, {"train": 160}, "train examples 160 (published 795)"),
        ("nyuv2", {}, {"normals": {"method": "a plane"}}, "normals fitted to depth"),
        ("cityscapes", {}, {"source": "Cityscapes' official files"}, "inverse depth in 1/m"),
    ],
)
def test_any_setting_that_is_not_the_papers_is_told(
    root: Path, benchmark: str, change: dict[str, Any], data: dict[str, Any], difference: str
) -> None:
    text = scene_report(root, benchmark, {**SCENES[benchmark], **data}, {**paper_settings(benchmark), **change})
    (sentence,) = (line for line in text.splitlines() if "Ours differs from the published protocol" in line)
    assert difference in sentence
    assert sentence.count("(published") == 1 + ("otherwise" in str(data) or "official" in str(data))
    assert "for orientation, not for comparison" in text


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ({}, "real data (795 train, 654 test"),
        ({"test": 100}, "SUBSET of the real data (795 train, 100 test"),
        ({"train": 160}, "SUBSET of the real data (160 train, 654 test"),
        ({"train": 895, "test": 554}, "real data, split into other sizes (895 train"),
        ({"size": [96, 128]}, "real data (795 train, 654 test, 96×128 pixels)"),
    ],
)
def test_every_split_and_the_size_are_in_the_heading(root: Path, data: dict[str, Any], kind: str) -> None:
    made = {key: value for key, value in SCENES["nyuv2"].items() if key != "validation"}
    entry = record({metric.name: 1.0 for metric in BENCHMARKS["nyuv2"].metrics}, benchmark="nyuv2")
    entry["data"] = {**made, **data}
    write(root, entry)
    main(["benchmark=nyuv2", f"root={root}", f"out={root.parent}", "pictures=false"])
    (path,) = (root.parent / "nyuv2").glob("*.md")
    assert kind in path.read_text().splitlines()[0]


def test_published_rows_can_be_left_out_or_extended(root: Path) -> None:
    write(root, record(all_metrics(1.0)))
    assert {source for source, _ in rows(report(root, "report.published=false"))} == {"ours"}
    assert {source for source, _ in rows(report(root))} == {"ours", "nash"}
    extended = rows(report(root, "report.later=true"))
    assert ("famo", "FAMO") in extended
    assert ("ntk", "STL") in extended  # the re-run settings come with their own reference
