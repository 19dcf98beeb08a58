"""The published rows as W&B runs: all of them, with their values, sources and protocols, offline too."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.common.published import FOLDER, load_published
from experiments.log_baselines import baselines, main
from tests.common.wandb_files import logged

BENCHMARKS = sorted(path.stem for path in FOLDER.glob("*.json"))


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_every_published_row_is_one_run_of_its_own(benchmark: str) -> None:
    published = load_published(benchmark)
    runs = list(baselines(published, later=True))
    rows = [row for group in published.groups.values() for row in group.rows]
    assert len({run["id"] for run in runs}) == len(runs) and len(runs) - len(rows) in (0, 1)
    for run, row in zip(runs[len(runs) - len(rows) :], rows, strict=True):
        values = zip(published.metrics, row.values, strict=True)
        assert run["results"] == {
            "metrics": {name: value for name, value in values if value is not None},
            "delta_m": row.delta_m,
        }
        assert run["config"]["source"] == published.cite(row.source) and run["config"]["protocol"]["note"]
        assert run["config"]["published"] is True and run["name"] == f"{row.method} (published)"
    assert any(run["config"]["label"].startswith("STL") for run in runs)
    assert len(list(baselines(published, later=False))) < len(runs)


def test_offline_the_command_leaves_runs_that_can_be_read_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("wandb")
    published = load_published("qm9")
    expected = list(baselines(published, later=False))[:2]
    monkeypatch.setattr("experiments.log_baselines.baselines", lambda *_: iter(expected))
    main(["benchmark=qm9", "project=mine", "mode=offline", "later=false", f"out={tmp_path}"])
    out = capsys.readouterr().out
    assert out.startswith("2 published rows of ") and "wandb sync" in out and "(project mine)" in out
    for row in expected:
        (folder,) = tmp_path.glob(f"wandb/offline-run-*-{row['id']}")
        (tmp_path / row["id"] / "wandb").mkdir(parents=True)
        folder.rename(tmp_path / row["id"] / "wandb" / folder.name)
        rows, summary, config = logged(tmp_path / row["id"])
        assert rows[-1]["results/_type"] == "table-file"
        for name, value in row["results"]["metrics"].items():
            assert summary[f"result/{name}"] == value
        assert {name: config[name] for name in row["config"]} == row["config"]  # numbers stay numbers


def test_an_unknown_benchmark_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["benchmark=celeba"])
    assert "no published results for 'celeba'; there are for cityscapes" in capsys.readouterr().err
